"""Parser of folders in the layout of DigestPath 2019.

Images in `sig-train-pos/*.jpeg`, with `*.xml` of the same name, have signet ring cells, not all of them boxed; images
in `sig-train-neg/*.jpeg` have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.annotations import read_boxes_xml
from signetscan.dataset.file_pairs import WITHOUT_IMAGE, by_stem, files_in
from signetscan.dataset.parsed import ImageObjects, ParsedFolder, parsed_image
from signetscan.dataset.remarks import listed
from signetscan.errors import AnnotationError
from signetscan.suffixes import PICTURE_SUFFIXES, XML_SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.dataset.remarks import Remarks

POSITIVE_FOLDER, NEGATIVE_FOLDER, TRUTH_FOLDER = "sig-train-pos", "sig-train-neg", "truth"
"""Images with cells, images without cells, and the simulator's full annotations of the former."""
PACKED_FOLDER = "Signet_ring_cell_dataset"
"""Folder in DigestPath's archive that has the other ones."""
CLASS_NAME = "Signet ring cell"
"""The only class of DigestPath."""

LAYOUT = "DigestPath 2019"


def digestpath_root(folder: Path) -> Path | None:
    """The folder with `sig-train-pos` in it: this one or the one in it; None if neither has it."""
    for root in (folder, folder / PACKED_FOLDER):
        if (root / POSITIVE_FOLDER).is_dir():
            return root
    return None


def read_digestpath(root: Path, remarks: Remarks, *, any_class: bool, full_truth: bool) -> ParsedFolder:
    """Read all annotations.

    Args:
        root: the folder with `sig-train-pos` in it.
        remarks: collects what was left out.
        any_class: whether every object is a signet ring cell, whatever its name.
        full_truth: whether to read the boxes from `truth/`, where the simulator writes all of them.

    Raises:
        AnnotationError: a file is missing or cannot be used; the message names it.
    """
    positives = by_stem(files_in(root / POSITIVE_FOLDER, PICTURE_SUFFIXES), PICTURE_SUFFIXES)
    if not positives:
        message = f"{root / POSITIVE_FOLDER}: no image (.jpeg, .jpg or .png) with signet ring cells"
        raise AnnotationError(message)
    truth = root / (TRUTH_FOLDER if full_truth else POSITIVE_FOLDER)
    files = {stem: truth / f"{stem}.xml" for stem in positives}
    missing = [positives[stem].name for stem, file in files.items() if not file.is_file()]
    if missing:
        message = (
            f"{truth}: {len(missing)} of {len(positives)} images of {POSITIVE_FOLDER} have no .xml of the same name: "
            f"{listed(missing)}; add the files, or move images without any cell to {NEGATIVE_FOLDER}"
        )
        raise AnnotationError(message)
    for path in files_in(truth, XML_SUFFIXES):
        if path.stem not in positives:
            remarks.add(WITHOUT_IMAGE, path.name)
    folder = ParsedFolder(layout=LAYOUT)
    for stem, path in positives.items():
        annotations = read_boxes_xml(files[stem])
        names = (CLASS_NAME,) * len(annotations.names) if any_class else annotations.names
        objects = ImageObjects(boxes=annotations.boxes, names=names, drawn_on=annotations.image_size)
        folder.add(parsed_image(path, path.name, files[stem].name, objects, remarks, normal=False))
    if (root / NEGATIVE_FOLDER).is_dir():
        for path in files_in(root / NEGATIVE_FOLDER, XML_SUFFIXES):
            remarks.add(f"Annotation files in {NEGATIVE_FOLDER} not read: its images have no cell", path.name)
        for path in files_in(root / NEGATIVE_FOLDER, PICTURE_SUFFIXES):
            if path.stem in positives:
                message = f"{root}: {path.stem} is in both {POSITIVE_FOLDER} and {NEGATIVE_FOLDER}; keep one"
                raise AnnotationError(message)
            folder.add(parsed_image(path, path.name, path.name, ImageObjects(), remarks, normal=True))
    return folder
