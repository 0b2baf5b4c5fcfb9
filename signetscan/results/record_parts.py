"""The parts of a run record."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from signetscan.formats.class_areas import ClassArea
from signetscan.json_values import JsonError, JsonTable
from signetscan.scan.fields import Field
from signetscan.slides.concerns import Concern, ConcernKind
from signetscan.slides.fingerprint import FileIdentity
from signetscan.slides.mpp import Mpp, MppSource
from signetscan.slides.protocol import MAX_SIDE, Bounds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

    from signetscan.json_values import Json
    from signetscan.scan.class_map import ClassMap


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideRecord:
    """The slide."""

    name: str
    """Its name in results, without folders; may be a pseudonym."""
    format_name: str
    """Format of its file."""
    decoder: str
    """What decoded its tiles; empty in records that do not say."""
    fingerprint: str
    """Identifies the scan that it is: the same for copies, and for a copy that was mended."""
    dimensions: tuple[int, int]
    """Width and height, level-0 pixels."""
    mpp: Mpp
    """Size of a level-0 pixel."""
    bounds: Bounds | None
    """The part that the scanner scanned, level-0 pixels; None where the file declares none."""
    concerns: tuple[Concern, ...] = ()
    """What was suspicious about it; empty in records that do not say."""
    identity: FileIdentity = field(default_factory=FileIdentity)
    """What tells its files from others; unknown in records of former versions."""

    @classmethod
    def from_json(cls, table: JsonTable) -> Self:
        """Read this part of a record."""
        mpp, bounds = table.table("mpp"), table.table_or_none("bounds")
        return cls(
            name=table.text("name"),
            format_name=table.text("format"),
            decoder=table.text_or("decoder", ""),
            fingerprint=table.text("fingerprint"),
            dimensions=(table.whole("width_px", low=1), table.whole("height_px", low=1)),
            mpp=Mpp(mpp.number("x"), mpp.number("y"), _source(mpp.text("source"))),
            bounds=None if bounds is None else Bounds(*(bounds.whole(name) for name in ("x", "y", "width", "height"))),
            concerns=tuple(_concerns(table)),
            identity=FileIdentity(**{name: table.text_or(name, "") for name in ("content", "state", "place")}),
        )

    def to_json(self) -> dict[str, Json]:
        """This part of a record."""
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
            "concerns": [{"kind": concern.kind, "message": concern.message} for concern in self.concerns],
            **asdict(self.identity),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """The model."""

    name: str
    sha256: str
    """SHA-256 of its file."""
    precision: str
    """Precision of its arithmetic, such as fp32."""
    mpp: float
    """Pixel size at which it works, µm/px."""
    class_names: tuple[str, ...]
    """Name of each label."""
    intended_use: str
    """Its own statement of what it is for; empty if it makes none."""
    learnt_from: str = ""
    """Its own statement of what it learnt from; empty if it makes none, and in records of earlier versions."""
    cautions: tuple[str, ...] = ()
    """Why to doubt it, as ends of sentences about it."""
    threshold: float | None = None
    """The score threshold that it was shipped with; None in records of earlier versions."""

    @classmethod
    def from_json(cls, table: JsonTable) -> Self:
        """Read this part of a record."""
        return cls(
            name=table.text("name"),
            sha256=table.text("sha256"),
            precision=table.text("precision"),
            mpp=table.number("mpp", low=0),
            class_names=table.texts("classes"),
            intended_use=table.text_or("intended_use", ""),
            learnt_from=table.text_or("learnt_from", ""),
            cautions=table.texts("cautions") if "cautions" in table.values else (),
            threshold=table.number_or_none("threshold", low=0) if "threshold" in table.values else None,
        )

    def to_json(self) -> dict[str, Json]:
        """This part of a record."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "precision": self.precision,
            "mpp": self.mpp,
            "classes": list(self.class_names),
            "intended_use": self.intended_use,
            "learnt_from": self.learnt_from,
            "cautions": list(self.cautions),
            "threshold": self.threshold,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RoiRecord:
    """The region of interest to which a scan was kept."""

    polygons: int
    """How many polygons it has."""
    digest: str
    """Identifies the polygons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileCounts:
    """Numbers of tiles."""

    grid: int
    """Tiles that would cover the whole slide."""
    scanned: int
    """Tiles that were read and given to the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRecord:
    """The class map of a slide."""

    rows: int
    columns: int
    pixel: tuple[float, float]
    """Width and height of a pixel of the map, level-0 pixels; the map begins at the slide's origin."""

    @classmethod
    def from_json(cls, table: JsonTable) -> Self:
        """Read this part of a record."""
        width, height = table.number("pixel_width_px", low=0), table.number("pixel_height_px", low=0)
        rows, columns = table.whole("rows", low=1), table.whole("columns", low=1)
        if min(width, height) * min(rows, columns) == 0 or max(rows * height, columns * width) > 2 * MAX_SIDE:
            message = f"{table.name} must have pixels of a size, and be no larger than a slide"
            raise JsonError(message)
        return cls(rows=rows, columns=columns, pixel=(width, height))

    @classmethod
    def of(cls, class_map: ClassMap) -> Self:
        """Describe a class map."""
        rows, columns = class_map.classes.shape
        return cls(rows=rows, columns=columns, pixel=class_map.pixel)

    def to_json(self) -> dict[str, Json]:
        """This part of a record."""
        width, height = self.pixel
        return {"rows": self.rows, "columns": self.columns, "pixel_width_px": width, "pixel_height_px": height}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionsRecord:
    """What a segmentation says of a slide."""

    slide_score: float | None
    """The slide's score, 0 to 1; None if no tissue was scanned."""
    classes: tuple[ClassArea, ...]
    """The area of each class."""
    background: str = ""
    """The class that is of no interest; empty in records that do not say."""
    scored: tuple[str, ...] = ()
    """The classes that score the slide; none in records that do not say."""
    top_share: float | None = None
    """The part of the tissue over which the score is a mean; None in records that do not say."""
    fields: tuple[Field, ...] = ()
    """The most suspicious fields, the most suspicious first; none in records that do not say."""
    map: MapRecord | None = None
    """The class map; None in records that do not say."""

    @classmethod
    def from_json(cls, table: JsonTable) -> Self:
        """Read this part of a record."""
        classes = table.table("classes")
        class_map = table.table_or_none("map")
        return cls(
            map=None if class_map is None else MapRecord.from_json(class_map),
            slide_score=table.number_or_none("slide_score", low=0),
            classes=tuple(_class_area(name, classes.table(name)) for name in classes.values),
            background=table.text_or("background", ""),
            scored=table.texts("scored_classes") if "scored_classes" in table.values else (),
            top_share=table.number_or_none("top_share", low=0),
            fields=tuple(_fields(table)) if "fields" in table.values else (),
        )

    def to_json(self) -> dict[str, Json]:
        """This part of a record."""
        classes: dict[str, Json] = {
            area.name: {
                "mm2": area.mm2,
                "share_of_tissue": area.share,
                "regions": area.regions,
                "colour": list(area.colour),
            }
            for area in self.classes
        }
        return {
            "slide_score": self.slide_score,
            "classes": classes,
            "background": self.background,
            "scored_classes": list(self.scored),
            "top_share": self.top_share,
            "fields": [{"x": field.x, "y": field.y, "probability": field.probability} for field in self.fields],
            "map": None if self.map is None else self.map.to_json(),
        }


def _class_area(name: str, table: JsonTable) -> ClassArea:
    """The area of a class."""
    area = ClassArea(
        name=name,
        mm2=table.number("mm2", low=0),
        share=table.number("share_of_tissue", low=0),
        regions=table.whole("regions", low=0),
    )
    if "colour" not in table.values:
        return area
    match table.wholes("colour"):
        case (red, green, blue) if all(0 <= part <= 255 for part in (red, green, blue)):
            return replace(area, colour=(red, green, blue))
    message = f"{table.name}.colour must be red, green and blue, 0 to 255"
    raise JsonError(message)


def _fields(table: JsonTable) -> Iterator[Field]:
    """The fields of a slide."""
    for index, value in enumerate(table.array("fields")):
        field = JsonTable.of(value, f"{table.name}.fields.{index}")
        yield Field(x=field.number("x"), y=field.number("y"), probability=field.number("probability", low=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """A file of results."""

    name: str
    """Its name, without folders."""
    size: int
    """Its size, bytes."""
    sha256: str = ""
    """SHA-256 of its bytes, hexadecimal; empty in records of former versions."""
    more: tuple[ResultFile, ...] = ()
    """The other parts, if the results are in parts and this is the first."""

    @classmethod
    def of(cls, path: Path, *more: Path) -> Self:
        """Describe a file that has just been written, and if it is the first part, the others.

        Raises:
            OSError: one cannot be read.
        """
        rest = tuple(cls.of(part) for part in more)
        return cls(name=path.name, size=path.stat().st_size, sha256=_sha256(path), more=rest)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all files."""
        return (self.name, *(part.name for part in self.more))

    def is_whole(self, path: Path) -> bool:
        """Whether a file has the bytes that were written; the size alone decides where the record has no SHA-256.

        Args:
            path: the file; other parts are looked for beside it.

        Raises:
            OSError: it cannot be read.
        """
        is_same = path.stat().st_size == self.size and (not self.sha256 or self.sha256 == _sha256(path))
        return is_same and all(part.is_whole(path.with_name(part.name)) for part in self.more)

    @classmethod
    def from_json(cls, table: JsonTable) -> Self:
        """Read this part of a record. A name that leads into another folder is refused."""
        name = table.text("name")
        if PurePath(name).name != name:
            message = f"{table.name}.name must be the name of a file, not {name[:60]!r}"
            raise JsonError(message)
        more = table.array("more") if table.values.get("more") is not None else []
        return cls(
            name=name,
            size=table.whole("bytes", low=0),
            sha256=table.text_or("sha256", ""),
            more=tuple(cls._part(value, f"{table.name}.more[{number}]") for number, value in enumerate(more)),
        )

    @classmethod
    def _part(cls, value: Json, name: str) -> Self:
        """Read a further part, which has none itself."""
        part = cls.from_json(JsonTable.of(value, name))
        if part.more:
            message = f"{name}.more must not be there"
            raise JsonError(message)
        return part

    def to_json(self) -> dict[str, Json]:
        """This part of a record."""
        facts: dict[str, Json] = {"name": self.name, "bytes": self.size, "sha256": self.sha256}
        return facts | ({"more": [part.to_json() for part in self.more]} if self.more else {})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _concerns(table: JsonTable) -> Iterator[Concern]:
    if table.values.get("concerns") is None:  # written before there were any
        return
    for number, value in enumerate(table.array("concerns")):
        concern = JsonTable.of(value, f"{table.name}.concerns[{number}]")
        try:
            kind = ConcernKind(concern.text("kind"))
        except ValueError as error:
            message = f"{concern.name}.kind must be one of {', '.join(ConcernKind)}"
            raise JsonError(message) from error
        yield Concern(kind=kind, message=concern.text("message"))


def _source(text: str) -> MppSource:
    """Where an mpp comes from."""
    if text.startswith("-"):  # schema 1 stored the name of the flag by which the user gave the mpp
        return MppSource.GIVEN
    try:
        return MppSource(text)
    except ValueError as error:
        message = f"slide.mpp.source must be one of {', '.join(MppSource)}, not {text[:60]!r}"
        raise JsonError(message) from error
