"""The run record: what was done to which slide with what, written last, beside the results."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from signetscan import __version__
from signetscan.atomic import atomic_text
from signetscan.errors import MppError, ResultError
from signetscan.json_values import JsonError, JsonTable, is_number
from signetscan.models.detection_spec import DetectionSpec
from signetscan.results.record_parts import ModelRecord, RegionsRecord, ResultFile, RoiRecord, SlideRecord, TileCounts
from signetscan.scan.calibrated import CalibratedThreshold
from signetscan.slides.fingerprint import UNKNOWN, FileIdentity
from signetscan.slides.protocol import MAX_SIDE, known_mpp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from signetscan.boxes import Box
    from signetscan.json_values import Json
    from signetscan.models.detector import Detector
    from signetscan.models.segmenter import Segmenter
    from signetscan.options import Scalar, Value
    from signetscan.scan.pipeline import ScanResult
    from signetscan.slides import Slide

SCHEMA = 2
"""Version of the record's layout."""

LIBRARIES = (
    "imagecodecs",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "openslide-bin",
    "openslide-python",
    "pydicom",
    "scikit-image",
    "simplejpeg",
    "tifffile",
    "wsidicom",
)
"""Libraries whose versions are recorded."""

FORMER_OPTIONS = {
    "tile_overlap": "overlap",
    "score_threshold": "threshold",
    "readers": "read_threads",
    "use_tissue_mask": "tissue_mask",
    "max_unread_share": "max_bad_area",
    "min_tissue_um2": "min_tissue",
}
"""Present names of options by the names that records of schema 1 gave them."""
MOST_BYTES = 1 << 24
"""Largest file that is read. A record takes some kilobytes; each unread area adds a line."""
MOST_DETECTIONS = 1 << 40
"""No slide has more detections; a record that says so is damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """How a slide was scanned, and what came of it. `docs/results.md` describes the file."""

    finished: str
    """When the run ended, UTC, ISO 8601."""
    versions: Mapping[str, str]
    """Versions of signetscan, Python and `LIBRARIES`, by name."""
    key: str
    """Equal for runs with the same results; see `signetscan.results.run_key`."""
    slide: SlideRecord
    model: ModelRecord
    provider: str
    """What the model ran on, as its runtime names it."""
    options: Mapping[str, Value]
    """The options in force, by name."""
    roi: RoiRecord | None
    """The region of interest; None where the whole slide was scanned."""
    geojson_origin: tuple[int, int]
    """The point that GeoJSON takes as (0, 0), level-0 pixels."""
    tiles: TileCounts
    unread_mm2: float
    """Area that could not be read, mm²."""
    unread: tuple[Box, ...]
    """The unread areas as x0, y0, x1, y1, level-0 pixels."""
    tissue_mm2: float | None
    """Area of the tissue mask, mm²; None where no mask was used."""
    detections: Mapping[str, int]
    """Number of detections of each class."""
    seconds: Mapping[str, float]
    """Seconds that each stage took."""
    files: Mapping[str, ResultFile]
    """The files of results, by format."""
    unfit: Mapping[str, str]
    """Why a format cannot hold this slide's detections, by format."""
    calibrated: CalibratedThreshold | None = None
    """The calibration that the threshold is from; None if it is from none, and in records of former versions."""
    regions: RegionsRecord | None = None
    """What a segmentation says of the slide; None where cells were detected."""

    @classmethod
    def from_json(cls, table: JsonTable) -> Self:
        """Make a record from the contents of a file, and check them.

        Raises:
            JsonError: a value is missing or impossible; the message names it.
            MppError: the size of a pixel is impossible.
        """
        if table.whole("schema") > SCHEMA:
            message = f"a later version of signetscan wrote it, with schema {table.whole('schema')}"
            raise JsonError(message)
        roi, tiles, files = table.table_or_none("roi"), table.table("tiles"), table.table("files")
        calibration, regions = table.table_or_none("calibration"), table.table_or_none("regions")
        return cls(
            finished=table.text("finished"),
            versions=_texts(table.table("versions")),
            key=table.text("key"),
            slide=SlideRecord.from_json(table.table("slide")),
            model=ModelRecord.from_json(table.table("model")),
            provider=table.text("provider"),
            options={FORMER_OPTIONS.get(name, name): _option(table, name) for name in table.table("options").values},
            roi=None if roi is None else RoiRecord(polygons=roi.whole("outlines", low=0), digest=roi.text("digest")),
            geojson_origin=_point(table, "geojson_origin_px"),
            tiles=TileCounts(grid=tiles.whole("grid", low=0), scanned=tiles.whole("scanned", low=0)),
            unread_mm2=table.number("unread_mm2", low=0),
            unread=_boxes(table, "unread_px"),
            tissue_mm2=table.number_or_none("tissue_mm2", low=0),
            detections=_counts(table.table("detections")),
            seconds=_seconds(table.table("seconds")),
            files={name: ResultFile.from_json(files.table(name)) for name in files.values},
            unfit=_texts(table.table_or_none("unfit") or JsonTable({})),
            calibrated=None if calibration is None else CalibratedThreshold.from_json(calibration),
            regions=None if regions is None else RegionsRecord.from_json(regions),
        )

    def to_json(self) -> dict[str, Json]:
        """The contents of the file, in its order."""
        roi: dict[str, Json] | None = None
        if self.roi is not None:
            roi = {"outlines": self.roi.polygons, "digest": self.roi.digest}
        return {
            "schema": SCHEMA,
            "finished": self.finished,
            "versions": dict(self.versions),
            "key": self.key,
            "slide": self.slide.to_json(),
            "model": self.model.to_json(),
            "provider": self.provider,
            "options": {name: _option_json(value) for name, value in self.options.items()},
            "calibration": None if self.calibrated is None else self.calibrated.to_json(),
            "roi": roi,
            "geojson_origin_px": list(self.geojson_origin),
            "tiles": {"grid": self.tiles.grid, "scanned": self.tiles.scanned},
            "unread_mm2": self.unread_mm2,
            "unread_px": [list(box) for box in self.unread],
            "tissue_mm2": self.tissue_mm2,
            "detections": dict(self.detections),
            "seconds": dict(self.seconds),
            "files": {name: file.to_json() for name, file in self.files.items()},
            "unfit": dict(self.unfit),
            **({} if self.regions is None else {"regions": self.regions.to_json()}),
        }

    @property
    def is_measured(self) -> bool:
        """Whether cells were measured."""
        return self.options.get("measure") is True

    @property
    def total(self) -> int:
        """Detections of all classes."""
        return sum(self.detections.values())

    def with_files(self, files: Mapping[str, ResultFile], unfit: Mapping[str, str]) -> RunRecord:
        """The record with further files added.

        Args:
            files: the files that were written, by format.
            unfit: why a format could not be written, by format.
        """
        still_unfit = {name: why for name, why in self.unfit.items() if name not in files}
        return replace(self, files={**self.files, **files}, unfit=still_unfit | dict(unfit))


def record_of_scan(
    slide: Slide,
    model: Detector | Segmenter,
    result: ScanResult,
    *,
    name: str,
    key: str,
    origin: tuple[int, int],
    identity: FileIdentity = UNKNOWN,
) -> RunRecord:
    """The record of a scan. It lists no files; `with_files` adds them once they are written.

    Args:
        slide: the slide.
        model: the model.
        result: the result of the scan.
        name: the slide's name in results.
        key: the key of the run, from `run_key`.
        origin: the point taken as (0, 0) in the GeoJSON file, level-0 pixels.
        identity: what tells the slide's files from others; unknown by default.

    Raises:
        MppError: the slide's mpp is unknown.
    """
    spec, roi = model.spec, result.roi
    return RunRecord(
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={"signetscan": __version__, "python": platform.python_version(), **_library_versions()},
        key=key,
        slide=SlideRecord(
            name=name,
            format_name=slide.format_name,
            decoder=slide.decoder,
            fingerprint=slide.fingerprint,
            dimensions=slide.dimensions,
            mpp=known_mpp(slide),
            bounds=slide.bounds,
            concerns=result.concerns,
            identity=identity,
        ),
        model=ModelRecord(
            name=spec.name,
            sha256=model.sha256,
            precision=spec.precision,
            mpp=spec.mpp,
            class_names=spec.class_names,
            intended_use=spec.intended_use,
            learnt_from=spec.training_data,
            threshold=spec.score_threshold if isinstance(spec, DetectionSpec) else None,
            cautions=spec.cautions,
        ),
        provider=model.runs_on.name,
        options=asdict(result.options),
        roi=None if roi is None else RoiRecord(polygons=len(roi.regions), digest=roi.digest),
        geojson_origin=origin,
        tiles=TileCounts(grid=result.tiles, scanned=result.tiles_scanned),
        unread_mm2=round(result.unread_mm2, 6),
        unread=tuple((round(x0, 2), round(y0, 2), round(x1, 2), round(y1, 2)) for x0, y0, x1, y1 in result.unread),
        tissue_mm2=None if result.tissue_mm2 is None else round(result.tissue_mm2, 4),
        detections=result.counts(spec.class_names),
        seconds={stage: round(seconds, 3) for stage, seconds in result.seconds.items()},
        files={},
        unfit={},
    )


def read_run_record(path: Path) -> RunRecord:
    """Read a run record.

    Raises:
        ResultError: the file cannot be read, or is not a run record; the message names the file and the wrong value.
    """
    try:
        return RunRecord.from_json(JsonTable.of_file(path, MOST_BYTES))
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror or error}"
        raise ResultError(message) from error
    except (JsonError, MppError) as error:
        message = f"{path}: not a run record that this version of signetscan reads: {error}"
        raise ResultError(message) from error


def finished_record(path: Path, key: str, state: str = "") -> RunRecord | None:
    """The record at a path, if its slide need not be scanned again; else None.

    Args:
        path: path of the record.
        key: the key that the run would have. All files of the record must still have the bytes that were written.
        state: identifies sizes and times of the slide's files. A slide with unread area is scanned again when any has
            changed: a copy may have been mended where no sample of its content lies.
    """
    try:
        record = read_run_record(path)
        if record.key != key or (record.unread_mm2 > 0 and record.slide.identity.state != state):
            return None
        is_whole = all(file.is_whole(path.with_name(file.name)) for file in record.files.values())
    except (ResultError, OSError):
        return None  # no record, a damaged one, or a missing file: the slide is to be scanned again
    return record if is_whole else None


def write_run_record(path: Path, record: RunRecord) -> None:
    """Write a record as JSON.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_text(path) as file:
        json.dump(record.to_json(), file, indent=2, allow_nan=False)
        file.write("\n")


def _texts(table: JsonTable) -> dict[str, str]:
    return {name: table.text(name) for name in table.values}


def _counts(table: JsonTable) -> dict[str, int]:
    counts = {name: table.whole(name, low=0) for name in table.values}
    if sum(counts.values()) > MOST_DETECTIONS:
        message = f"{table.name} counts more than {MOST_DETECTIONS:,}"
        raise JsonError(message)
    return counts


def _seconds(table: JsonTable) -> dict[str, float]:
    return {name: table.number(name, low=0) for name in table.values}


def _point(table: JsonTable, key: str) -> tuple[int, int]:
    match table.wholes(key):
        case (x, y) if max(abs(x), abs(y)) <= MAX_SIDE:
            return x, y
    message = f"{key} must be two whole numbers, a point of the slide"
    raise JsonError(message)


def _boxes(table: JsonTable, key: str) -> tuple[Box, ...]:
    boxes: list[Box] = []
    for value in table.array(key):
        match value:
            case [x0, y0, x1, y1] if is_number(x0) and is_number(y0) and is_number(x1) and is_number(y1):
                boxes.append((float(x0), float(y0), float(x1), float(y1)))
            case _:
                message = f"{key} must hold boxes of four numbers"
                raise JsonError(message)
    return tuple(boxes)


def _option(table: JsonTable, name: str) -> Value:
    """An option's value. Its type is not checked against the option, which other versions may have changed."""
    value = table.table("options").values[name]
    if value is None or _is_scalar(value):
        return value
    if isinstance(value, list):
        # Filtering tells the type checker that all are scalars, which `all(...)` would not.
        scalars = tuple(item for item in value if _is_scalar(item))
        if len(scalars) == len(value):
            return scalars
    message = f"options.{name[:60]} must be a value or a list of values"
    raise JsonError(message)


def _is_scalar(value: object) -> TypeGuard[bool | int | float | str]:
    return isinstance(value, bool | str) or is_number(value)


def _option_json(value: Value) -> Json:
    if isinstance(value, tuple):
        return [_scalar_json(item) for item in value]
    return None if value is None else _scalar_json(value)


def _scalar_json(value: Scalar) -> bool | int | float | str:
    return str(value) if isinstance(value, Path) else value


def _library_versions() -> dict[str, str]:
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
