"""Parser of folders of images with QuPath's GeoJSON beside each.

An annotation of the class `Normal` or `Normal region` declares its image normal. Objects in an ignored area are learnt
neither as cells nor as background.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations import Meaning, interpret, read_geojson
from signetscan.dataset.parsed import ImageObjects, ParsedFolder, parsed_image
from signetscan.dataset.remarks import remark_reading
from signetscan.suffixes import IMAGE_SUFFIXES, TRAINING_GEOJSON_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.annotations import Annotations, MarkedObjects, Region
    from signetscan.dataset.found import FoundFiles
    from signetscan.dataset.remarks import Remarks

LAYOUT = "images with QuPath GeoJSON"


def has_qupath(found: FoundFiles) -> bool:
    """Whether an image has a GeoJSON file of its name that is not a slide's."""
    images = {found.key(path, IMAGE_SUFFIXES) for path in found.images} - set(found.slides_by_key())
    return any(found.key(path, TRAINING_GEOJSON_SUFFIXES) in images for path in found.geojson)


def read_qupath(found: FoundFiles, mpp: float, remarks: Remarks) -> ParsedFolder:
    """Read all annotations.

    Args:
        found: the files of the folder.
        mpp: size of the images' pixels, µm.
        remarks: collects what was left out.

    Raises:
        AnnotationError: a file cannot be used; the message names it.
    """
    folder = ParsedFolder(layout=LAYOUT)
    files = found.by_key(found.geojson, TRAINING_GEOJSON_SUFFIXES)
    for path, file in found.paired(found.images_by_key(), files, remarks):
        name = found.name(file)
        marked = interpret(read_counted(file, name, remarks), (mpp, mpp))
        remark_marks(marked, name, remarks)
        cells, normal = marked.cells, any(region.normal for region in marked.regions)
        objects = ImageObjects(boxes=cells.boxes, names=cells.names, ignored=boxes_around(marked.ignored))
        folder.add(parsed_image(path, found.name(path), name, objects, remarks, normal=normal))
    return folder


def read_counted(file: Path, name: str, remarks: Remarks) -> Annotations:
    """Read a GeoJSON file, and remark on what its parser leaves out.

    Args:
        file: the file.
        name: its name, for remarks.
        remarks: collects what was left out.

    Raises:
        AnnotationError: the file cannot be used.
    """
    annotations = read_geojson(file)
    remark_reading(annotations, name, remarks)
    return annotations


def remark_marks(marked: MarkedObjects, file: str, remarks: Remarks) -> None:
    """Remark on rejected objects, on objects in ignored areas, and on areas of tissue."""
    remarks.add("Rejected objects left out, being no cells", file, marked.count(Meaning.REJECTED))
    remarks.add("Objects in ignored areas left out", file, marked.count(Meaning.IGNORED))
    remarks.add("Areas of tissue left out, larger than any cell", file, marked.count(Meaning.TISSUE))


def boxes_around(regions: Sequence[Region]) -> NDArray[np.float64]:
    """The boxes around regions, (M, 4), in the regions' frame."""
    return np.array([region.box for region in regions], np.float64).reshape(-1, 4)
