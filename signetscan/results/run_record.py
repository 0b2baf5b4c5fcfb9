"""The run record: what was done to which slide with what, written last, beside the results."""

from __future__ import annotations

import json
import platform
from collections import Counter
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, TypeGuard

from signetscan import __version__
from signetscan.atomic import atomic_text
from signetscan.errors import MppError, ResultError
from signetscan.json_values import JsonError, JsonTable, is_number, parse_json
from signetscan.slides.mpp import Mpp, MppSource
from signetscan.slides.protocol import MAX_SIDE, Bounds, known_mpp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from signetscan.boxes import Box
    from signetscan.json_values import Json
    from signetscan.models.detector import Detector
    from signetscan.options import Scalar, Value
    from signetscan.scan.detect import SlideResult
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
    "scikit-image",
    "tifffile",
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
"""Names of options in records of schema 1, and those that they have now."""
MOST_BYTES = 1 << 24
"""A record takes some kilobytes; each area that could not be read adds a line."""
MOST_DETECTIONS = 1 << 40
"""No slide has more; a file that says so is damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideRecord:
    """The slide."""

    name: str
    """What it is called in results, without folders; maybe a pseudonym."""
    format_name: str
    """What kind of file it is."""
    decoder: str
    """What turned its tiles into pixels."""
    fingerprint: str
    """Identifies its content."""
    dimensions: tuple[int, int]
    """Width and height, level-0 pixels."""
    mpp: Mpp
    """Size of a level-0 pixel."""
    bounds: Bounds | None
    """The scanned part, where the file declares one."""

    @classmethod
    def from_json(cls, table: JsonTable) -> Self:
        """From its part of a record."""
        mpp, bounds = table.table("mpp"), table.table_or_none("bounds")
        return cls(
            name=table.text("name"),
            format_name=table.text("format"),
            decoder=table.text_or("decoder", ""),
            fingerprint=table.text("fingerprint"),
            dimensions=(table.whole("width_px", low=1), table.whole("height_px", low=1)),
            mpp=Mpp(mpp.number("x"), mpp.number("y"), _source(mpp.text("source"))),
            bounds=None if bounds is None else Bounds(*(bounds.whole(name) for name in ("x", "y", "width", "height"))),
        )

    def to_json(self) -> dict[str, Json]:
        """Its part of a record."""
        mpp: dict[str, Json] = {"x": self.mpp.x, "y": self.mpp.y, "source": self.mpp.source}
        return {
            "name": self.name,
            "format": self.format_name,
            "decoder": self.decoder,
            "fingerprint": self.fingerprint,
            "width_px": self.dimensions[0],
            "height_px": self.dimensions[1],
            "mpp": mpp,
            "bounds": None if self.bounds is None else asdict(self.bounds),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """The model."""

    name: str
    sha256: str
    """Of its file."""
    precision: str
    """Of its numbers, such as fp32."""
    mpp: float
    """At which it works, µm/px."""
    class_names: tuple[str, ...]
    """Name of each label."""
    intended_use: str
    """What it says that it is for; empty if it does not say."""

    @classmethod
    def from_json(cls, table: JsonTable) -> Self:
        """From its part of a record."""
        return cls(
            name=table.text("name"),
            sha256=table.text("sha256"),
            precision=table.text("precision"),
            mpp=table.number("mpp", low=0),
            class_names=table.texts("classes"),
            intended_use=table.text_or("intended_use", ""),
        )

    def to_json(self) -> dict[str, Json]:
        """Its part of a record."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "precision": self.precision,
            "mpp": self.mpp,
            "classes": list(self.class_names),
            "intended_use": self.intended_use,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RoiRecord:
    """The region of interest to which a scan kept."""

    polygons: int
    """How many polygons it is made of."""
    digest: str
    """Identifies them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileCounts:
    """Tiles of a scan."""

    grid: int
    """In the grid."""
    scanned: int
    """Read and given to the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """A file of results."""

    name: str
    """Its name, without folders."""
    size: int
    """Bytes."""

    @classmethod
    def of(cls, path: Path) -> Self:
        """A file that has just been written."""
        return cls(name=path.name, size=path.stat().st_size)

    @classmethod
    def from_json(cls, table: JsonTable) -> Self:
        """From its part of a record. A name that leads into another folder is refused."""
        name = table.text("name")
        if PurePath(name).name != name:
            message = f"{table.name}.name must be the name of a file, not {name[:60]!r}"
            raise JsonError(message)
        return cls(name=name, size=table.whole("bytes", low=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What was done to a slide, and what came of it. See `docs/results.md` for its file."""

    finished: str
    """When it ended, UTC, ISO 8601."""
    versions: Mapping[str, str]
    """Of signetscan, Python and `LIBRARIES`."""
    key: str
    """The same for runs whose results are; see `signetscan.results.run_key`."""
    slide: SlideRecord
    model: ModelRecord
    provider: str
    """What the model ran on, as its runtime names it."""
    options: Mapping[str, Value]
    """The options in force, by name."""
    roi: RoiRecord | None
    """None where the whole slide was scanned."""
    geojson_origin: tuple[int, int]
    """The point that GeoJSON takes as (0, 0), level-0 pixels."""
    tiles: TileCounts
    unread_mm2: float
    """Area that could not be decoded, mm²."""
    unread: tuple[Box, ...]
    """Where it lies, x0, y0, x1, y1 in level-0 pixels."""
    tissue_mm2: float | None
    """Area of the tissue mask, mm²; None where no mask was used."""
    detections: Mapping[str, int]
    """Number of detections of each class."""
    seconds: Mapping[str, float]
    """Time that each stage took."""
    files: Mapping[str, ResultFile]
    """The files of results, by format."""
    unfit: Mapping[str, str]
    """Formats that cannot hold this slide's detections, and why."""

    @classmethod
    def from_json(cls, table: JsonTable) -> Self:
        """Check and take over what a record says.

        Raises:
            JsonError: a value is missing or cannot be; the message names it.
            MppError: the size of a pixel cannot be right.
        """
        if table.whole("schema") > SCHEMA:
            message = f"a later version of signetscan wrote it, with schema {table.whole('schema')}"
            raise JsonError(message)
        roi, tiles, files = table.table_or_none("roi"), table.table("tiles"), table.table("files")
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
        )

    def to_json(self) -> dict[str, Json]:
        """What is written, in the order of the file."""
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
            "roi": roi,
            "geojson_origin_px": list(self.geojson_origin),
            "tiles": {"grid": self.tiles.grid, "scanned": self.tiles.scanned},
            "unread_mm2": self.unread_mm2,
            "unread_px": [list(box) for box in self.unread],
            "tissue_mm2": self.tissue_mm2,
            "detections": dict(self.detections),
            "seconds": dict(self.seconds),
            "files": {name: {"name": file.name, "bytes": file.size} for name, file in self.files.items()},
            "unfit": dict(self.unfit),
        }

    @property
    def total(self) -> int:
        """Detections of all classes."""
        return sum(self.detections.values())

    def with_files(self, files: Mapping[str, ResultFile], unfit: Mapping[str, str]) -> RunRecord:
        """The record once further files are written.

        Args:
            files: what was written, by format.
            unfit: why a format could not be.
        """
        before = {name: why for name, why in self.unfit.items() if name not in files}
        return replace(self, files={**self.files, **files}, unfit=before | dict(unfit))


def record_of_scan(
    slide: Slide,
    detector: Detector,
    result: SlideResult,
    *,
    name: str,
    key: str,
    origin: tuple[int, int],
) -> RunRecord:
    """The record of a scan, without files, which are added when they are written.

    Args:
        slide: the slide.
        detector: the model.
        result: what the scan gave.
        name: what the slide is called in results.
        key: what `run_key` gave.
        origin: the point taken as (0, 0) in the GeoJSON file, level-0 pixels.

    Raises:
        MppError: the slide's mpp is unknown.
    """
    names, roi = detector.spec.class_names, result.roi
    counts = Counter(names[label] for label in result.detections.labels.tolist())
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
        ),
        model=ModelRecord(
            name=detector.spec.name,
            sha256=detector.sha256,
            precision=detector.spec.precision,
            mpp=detector.spec.mpp,
            class_names=names,
            intended_use=detector.spec.intended_use,
        ),
        provider=detector.runs_on.name,
        options=asdict(result.options),
        roi=None if roi is None else RoiRecord(polygons=len(roi.regions), digest=roi.digest),
        geojson_origin=origin,
        tiles=TileCounts(grid=result.tiles, scanned=result.tiles_scanned),
        unread_mm2=round(result.unread_mm2, 6),
        unread=tuple((round(x0, 2), round(y0, 2), round(x1, 2), round(y1, 2)) for x0, y0, x1, y1 in result.unread),
        tissue_mm2=None if result.tissue_mm2 is None else round(result.tissue_mm2, 4),
        detections={name: counts[name] for name in names},
        seconds={stage: round(seconds, 3) for stage, seconds in result.seconds.items()},
        files={},
        unfit={},
    )


def read_run_record(path: Path) -> RunRecord:
    """Read a run record.

    Raises:
        ResultError: it cannot be read, or is none; the message names the file and the value that is wrong.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            message = "it is far too long"
            raise JsonError(message)
        return RunRecord.from_json(JsonTable.of(parse_json(path.read_bytes())))
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror or error}"
        raise ResultError(message) from error
    except (JsonError, MppError) as error:
        message = f"{path}: not a run record that this version of signetscan reads: {error}"
        raise ResultError(message) from error


def finished_record(path: Path, key: str) -> RunRecord | None:
    """The record of a run that is done: it has the key, and its files are there with the sizes that it gives."""
    try:
        record = read_run_record(path)
        whole = all(path.with_name(file.name).stat().st_size == file.size for file in record.files.values())
    except (ResultError, OSError):
        return None  # there is none, it is damaged, or a file is gone: the slide is scanned again
    return record if whole and record.key == key else None


def write_run_record(path: Path, record: RunRecord) -> None:
    """Write a record as JSON.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_text(path) as file:
        json.dump(record.to_json(), file, indent=2, allow_nan=False)
        file.write("\n")


def _source(text: str) -> MppSource:
    """Where an mpp comes from; records of schema 1 named the flag of one that the user gave."""
    if text.startswith("-"):
        return MppSource.GIVEN
    try:
        return MppSource(text)
    except ValueError as error:
        message = f"slide.mpp.source must be one of {', '.join(MppSource)}, not {text[:60]!r}"
        raise JsonError(message) from error


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
    """An option's value, whatever the version that had it."""
    value = table.table("options").values[name]
    if value is None or _is_scalar(value):
        return value
    if isinstance(value, list):
        scalars = tuple(each for each in value if _is_scalar(each))
        if len(scalars) == len(value):
            return scalars
    message = f"options.{name[:60]} must be a value or a list of values"
    raise JsonError(message)


def _is_scalar(value: object) -> TypeGuard[bool | int | float | str]:
    return isinstance(value, bool | str) or is_number(value)


def _option_json(value: Value) -> Json:
    if isinstance(value, tuple):
        return [_scalar_json(each) for each in value]
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
