"""Parser of folders of images with QuPath's GeoJSON beside each.

An annotation of the class `Normal` or `Normal region` declares its image normal. Objects in an ignored area are learnt
neither as cells nor as background.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations import Meaning, interpret, read_geojson
from signetscan.dataset.file_pairs import by_stem, paired
from signetscan.dataset.parsed import ParsedFolder, parsed_image
from signetscan.suffixes import TRAINING_GEOJSON_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.annotations import Annotations, MarkedObjects, Region
    from signetscan.dataset.remarks import Remarks

LAYOUT = "images with QuPath GeoJSON"


def read_qupath(images: dict[str, Path], files: Sequence[Path], mpp: float, remarks: Remarks) -> ParsedFolder:
    """Read all annotations.

    Args:
        images: images by their names without suffix.
        files: the GeoJSON files.
        mpp: size of the images' pixels, µm.
        remarks: collects what was left out.

    Raises:
        AnnotationError: a file cannot be used; the message names it.
    """
    folder = ParsedFolder(layout=LAYOUT)
    for path, file in paired(images, by_stem(files, TRAINING_GEOJSON_SUFFIXES), remarks):
        marked = interpret(read_counted(file, remarks), (mpp, mpp))
        remark_marks(marked, file.name, remarks)
        cells = marked.cells
        folder.images.append(
            parsed_image(
                path,
                file.name,
                cells.boxes,
                cells.names,
                normal=any(region.normal for region in marked.regions),
                ignored=boxes_around(marked.ignored),
            )
        )
    return folder


def read_counted(file: Path, remarks: Remarks) -> Annotations:
    """Read a GeoJSON file, and remark on what its parser leaves out.

    Raises:
        AnnotationError: the file cannot be used.
    """
    annotations = read_geojson(file)
    for reason, count in annotations.left_out.items():
        remarks.add(f"Left out, being {reason}", file.name, count)
    return annotations


def remark_marks(marked: MarkedObjects, file: str, remarks: Remarks) -> None:
    """Remark on rejected objects, and on objects in ignored areas."""
    remarks.add("Rejected objects left out, being no cells", file, marked.count(Meaning.REJECTED))
    remarks.add("Objects in ignored areas left out", file, marked.count(Meaning.IGNORED))


def boxes_around(regions: Sequence[Region]) -> NDArray[np.float64]:
    """The boxes around regions, (M, 4), in the regions' frame."""
    return np.array([region.box for region in regions], np.float64).reshape(-1, 4)
