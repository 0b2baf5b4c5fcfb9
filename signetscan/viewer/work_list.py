"""The work list: what is known of each slide of a folder of results, without opening one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.annotations.marked_slide import read_tally
from signetscan.errors import ResultError
from signetscan.formats.result_files import REGIONS, marks_beside
from signetscan.json_values import is_number
from signetscan.results.folder import list_results
from signetscan.results.run_record import read_run_record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from signetscan.json_values import Json
    from signetscan.results.folder import SlideFiles
    from signetscan.results.run_record import RunRecord
    from signetscan.results.slide_finder import SlideFinder

DAMAGED = "its run record cannot be read; scan it again"
"""Why a slide with a damaged run record cannot be reviewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
    """A slide of the work list."""

    name: str
    """Name of its results below the folder, with "/" between folders."""
    target: Path
    """Path of its results of detection without suffix, whether or not there are any: marks are named by it."""
    cells: Path | None
    """Run record of its detection; None if there is none."""
    regions: Path | None
    """Run record of its segmentation; None if there is none."""
    marks: Mapping[str, Path]
    """Files of marks by the reviewer's name; empty for those made without a name."""
    failure: str = ""
    """Why it failed; empty if it did not."""

    @property
    def record(self) -> Path | None:
        """The run record that says which slide it is; None if nothing was done to it."""
        return self.cells or self.regions


def list_work(folder: Path) -> list[WorkItem]:
    """The slides of a folder of results, sorted by name. Detection and segmentation of a slide are one item.

    Args:
        folder: the folder.
    """
    cells, segmented = list_results(folder)
    of_cells = {slide.name: slide for slide in cells}
    of_regions = {slide.name.removesuffix(REGIONS): slide for slide in segmented}
    names = sorted({*of_cells, *of_regions})
    return [_item(name, folder, of_cells.get(name), of_regions.get(name)) for name in names]


def _item(name: str, folder: Path, cells: SlideFiles | None, regions: SlideFiles | None) -> WorkItem:
    target = folder / name
    failed = next((slide for slide in (cells, regions) if slide is not None and slide.failure is not None), None)
    return WorkItem(
        name=name,
        target=target,
        # Results beside a failure are those of an earlier run, with other options.
        cells=None if cells is None or cells.failure is not None else cells.record,
        regions=None if regions is None or regions.failure is not None else regions.record,
        marks=cells.marks if cells is not None else marks_beside(target),
        failure="" if failed is None else failed.why_failed,
    )


def work_item_json(item: WorkItem, number: int, reviewer: str, finder: SlideFinder) -> dict[str, Json]:
    """What the page shows of a slide.

    Args:
        item: the slide.
        number: its number in addresses.
        reviewer: whose marks are counted; empty for marks without a name.
        finder: knows where slides are.
    """
    row: dict[str, Json] = {"number": number, "name": item.name, "failure": item.failure}
    try:
        cells, regions = (None if path is None else read_run_record(path) for path in (item.cells, item.regions))
    except ResultError:
        return row | {"failure": DAMAGED, "can_open": False}
    return row | {
        "can_open": item.record is not None,
        "found": bool(finder.named(item.name)),
        "others": [name for name in item.marks if name != reviewer],
        "review": _review(item.marks.get(reviewer)),
        **_of_cells(cells),
        **_of_regions(regions),
    }


def _of_cells(record: RunRecord | None) -> dict[str, Json]:
    if record is None:
        return {
            "detections": None, "classes": {}, "per_mm2": None, "model": "", "threshold": None, "scanned": True,
            "unread_mm2": 0,
        }  # fmt: skip
    threshold = record.options.get("threshold")
    return {
        "detections": record.total,
        "classes": dict(record.detections),
        "per_mm2": round(record.total / record.tissue_mm2, 3) if record.tissue_mm2 else None,
        "model": record.model.name,
        "threshold": threshold if is_number(threshold) else None,
        "scanned": record.tiles.scanned > 0,
        "unread_mm2": record.unread_mm2,
    }


def _of_regions(record: RunRecord | None) -> dict[str, Json]:
    if record is None or record.regions is None:
        return {"score": None, "segmented_by": ""}
    return {"score": record.regions.slide_score, "segmented_by": record.model.name}


def _review(marks: Path | None) -> Json:
    """How far a slide is reviewed; None without marks; `known` is false if only opening the slide would tell."""
    if marks is None:
        return None
    tally = read_tally(marks)
    if tally is None:
        return {"known": False}
    return {
        "known": True,
        "decided": tally.decided,
        "accepted": tally.accepted,
        "rejected": tally.rejected,
        "added": tally.added,
        "regions": tally.regions,
        "done": tally.done,
    }
