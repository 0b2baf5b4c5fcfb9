"""A folder of images with the GeoJSON that QuPath exported for each beside it.

An annotation of the class `Normal` or `Normal region` declares its image normal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from signetscan.annotations import read_geojson
from signetscan.dataset.found import Gathered, by_stem, found_image, paired

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from signetscan.annotations import Annotations, Region
    from signetscan.boxes import Box
    from signetscan.dataset.notes import Notes

POSITIVE_NAMES = {"positive region", "region", "region*", "roi"}
"""Classes, in small letters, of annotations around a part that was annotated; `Region*` is one of QuPath's own."""
NORMAL_NAMES = {"normal", "normal region"}
"""The same around a part that holds no cell."""

LAYOUT = "images with QuPath GeoJSON"
ENDINGS = (".truth.geojson", ".geojson", ".geojson.gz")


class Area(NamedTuple):
    """A part of an image or slide that was annotated as a whole."""

    box: Box
    """x0, y0, x1, y1 around it, in the file's frame."""
    normal: bool
    """Whether it is declared to hold no cell."""
    is_rectangle: bool = True
    """Whether it fills the box, as far as is known."""


def read_qupath(images: dict[str, Path], files: Sequence[Path], notes: Notes) -> Gathered:
    """Read all annotations.

    Args:
        images: images by their names without ending.
        files: the GeoJSON files.
        notes: takes what was left out.

    Raises:
        AnnotationError: a file cannot be used; the message names it.
    """
    gathered = Gathered(layout=LAYOUT)
    for path, file in paired(images, by_stem(files, ENDINGS), notes):
        read = read_counted(file, notes)
        areas, objects = areas_and_objects(read, unclassified=False)
        names = tuple(read.names[index] for index in objects)
        normal = any(area.normal for area in areas)
        gathered.found.append(found_image(path, file.name, read.boxes[objects], names, normal=normal))
    return gathered


def read_counted(file: Path, notes: Notes) -> Annotations:
    """Read a GeoJSON file, and count what its reader leaves out.

    Raises:
        AnnotationError: it cannot be used.
    """
    read = read_geojson(file)
    for reason, count in read.left_out.items():
        notes.add(f"Left out, being {reason}", file.name, count)
    return read


def areas_and_objects(read: Annotations, *, unclassified: bool) -> tuple[list[Area], list[int]]:
    """Tell annotations around areas from objects.

    Args:
        read: a GeoJSON file.
        unclassified: whether an annotation without a class is an area too.

    Returns:
        The areas from left to right, and the indices of all other objects.
    """
    areas = [Area(region.box, region.normal, _is_rectangle(region)) for region in read.regions]
    objects = []
    for index, (name, kind) in enumerate(zip(read.names, read.kinds, strict=True)):
        folded = name.casefold()
        is_area = folded in POSITIVE_NAMES | NORMAL_NAMES or (unclassified and not folded)
        if kind == "annotation" and is_area:
            x0, y0, x1, y1 = read.boxes[index].tolist()
            areas.append(Area((x0, y0, x1, y1), folded in NORMAL_NAMES))
        else:
            objects.append(index)
    return sorted(areas), objects


def _is_rectangle(region: Region) -> bool:
    """Whether all corners of the outline are corners of the box around it."""
    x0, y0, x1, y1 = region.box
    corners = [corner for ring in region.rings for corner in ring.tolist()]
    return len(region.rings) == 1 and all(x in (x0, x1) and y in (y0, y1) for x, y in corners)
