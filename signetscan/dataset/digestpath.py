"""A folder in the layout of DigestPath 2019.

`sig-train-pos/*.jpeg` with `*.xml` of the same stem hold signet ring cells, not all of them boxed;
`sig-train-neg/*.jpeg` hold none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.annotations import read_boxes_xml
from signetscan.dataset.file_pairs import WITHOUT_IMAGE, by_stem, files_in
from signetscan.dataset.parsed import ParsedFolder, parsed_image
from signetscan.dataset.remarks import listed
from signetscan.errors import AnnotationError
from signetscan.suffixes import PICTURE_SUFFIXES, XML_SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.dataset.remarks import Remarks

POSITIVE_FOLDER, NEGATIVE_FOLDER, TRUTH_FOLDER = "sig-train-pos", "sig-train-neg", "truth"
PACKED_FOLDER = "Signet_ring_cell_dataset"
"""Folder that DigestPath is packed in."""
CLASS_NAME = "Signet ring cell"

LAYOUT = "DigestPath 2019"


def digestpath_root(folder: Path) -> Path | None:
    """The folder that holds `sig-train-pos`: this one or the one in it; None where neither does."""
    for root in (folder, folder / PACKED_FOLDER):
        if (root / POSITIVE_FOLDER).is_dir():
            return root
    return None


def read_digestpath(root: Path, remarks: Remarks, *, any_class: bool, full_truth: bool) -> ParsedFolder:
    """Read all annotations.

    Args:
        root: the folder that holds `sig-train-pos`.
        remarks: takes what was left out.
        any_class: whether every object is a signet ring cell, whatever its name.
        full_truth: whether to take the boxes from `truth/`, where the simulator keeps all of them.

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
        read = read_boxes_xml(files[stem])
        names = (CLASS_NAME,) * len(read.names) if any_class else read.names
        folder.images.append(parsed_image(path, files[stem].name, read.boxes, names, normal=False))
    if (root / NEGATIVE_FOLDER).is_dir():
        for path in files_in(root / NEGATIVE_FOLDER, XML_SUFFIXES):
            remarks.add(f"Annotation files in {NEGATIVE_FOLDER} not read: its images hold no cell", path.name)
        for path in files_in(root / NEGATIVE_FOLDER, PICTURE_SUFFIXES):
            folder.images.append(parsed_image(path, path.name, normal=True))
    return folder
