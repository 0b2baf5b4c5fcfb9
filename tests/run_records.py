"""Run records for tests, of slides that nobody scanned."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from signetscan.json_values import JsonTable
from signetscan.results.record_parts import ModelRecord, ResultFile, SlideRecord, TileCounts
from signetscan.results.run_record import RunRecord
from signetscan.slides.mpp import Mpp, MppSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from signetscan.json_values import Json

MADE = RunRecord(
    finished="2026-01-02T03:04:05+00:00",
    versions={"signetscan": "0.1.0"},
    key="k",
    slide=SlideRecord(
        name="s",
        format_name="aperio",
        decoder="openslide",
        fingerprint="f",
        dimensions=(1000, 800),
        mpp=Mpp(0.25, 0.25, MppSource.PROPERTIES),
        bounds=None,
    ),
    model=ModelRecord(
        name="m", sha256="0" * 64, precision="fp32", mpp=0.5, class_names=("Signet ring cell",), intended_use="tests"
    ),
    provider="CPUExecutionProvider",
    options={"threshold": 0.4, "min_tissue": 1000.0},
    roi=None,
    geojson_origin=(0, 0),
    tiles=TileCounts(grid=4, scanned=3),
    unread_mm2=0.0,
    unread=(),
    tissue_mm2=1.5,
    detections={"Signet ring cell": 0},
    seconds={"scan": 1.5},
    files={"csv": ResultFile(name="s.csv", size=1)},
    unfit={},
)


def made_record(
    name: str = "s", fingerprint: str = "f", origin: tuple[int, int] = (0, 0), mpp: Mpp | None = None
) -> RunRecord:
    """A record of a slide."""
    slide = replace(MADE.slide, name=name, fingerprint=fingerprint, mpp=mpp or MADE.slide.mpp)
    return replace(MADE, slide=slide, geojson_origin=origin)


def changed_record(record: RunRecord, changes: Mapping[str, Json]) -> RunRecord:
    """A record of whose file some values were changed, read back.

    Raises:
        JsonError: it is none any more.
    """
    return RunRecord.from_json(JsonTable({**record.to_json(), **changes}))
