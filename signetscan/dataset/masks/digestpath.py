"""Parser of DigestPath's tissue images.

Images in `tissue-train-pos-v1/NAME.jpg`, with `NAME_mask.jpg`, have lesions, not all of which are outlined; images in
`tissue-train-neg` have none, and no mask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.dataset.file_pairs import WITHOUT_IMAGE, by_stem, files_in
from signetscan.dataset.image_names import slide_of
from signetscan.dataset.masks.images import BACKGROUND_NAME, Mask
from signetscan.dataset.masks.parsed import ParsedMasks, masked_image
from signetscan.dataset.remarks import listed
from signetscan.errors import AnnotationError
from signetscan.suffixes import PICTURE_SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.dataset.remarks import Remarks

POSITIVE_FOLDER, NEGATIVE_FOLDER = "tissue-train-pos-v1", "tissue-train-neg"
"""Images with lesions and their masks; images without lesions."""
PACKED_FOLDER = "Colonoscopy_tissue_segment_dataset"
"""Folder in DigestPath's archive that has the other two."""
MASK_ENDING = "_mask"
CLASS_NAME = "lesion"
"""The only class that is outlined."""
MPP = 0.5
"""Size of a pixel, µm: the images are at x20, where scanners have about this."""
LAYOUT = "DigestPath 2019, tissue"


def tissue_root(folder: Path) -> Path | None:
    """The folder with `tissue-train-pos-v1` in it: this one or the one in it; None if neither has it."""
    for root in (folder, folder / PACKED_FOLDER):
        if (root / POSITIVE_FOLDER).is_dir():
            return root
    return None


def read_tissue(root: Path, remarks: Remarks) -> ParsedMasks:
    """Read which images there are, and check their sizes and those of their masks.

    Args:
        root: the folder with `tissue-train-pos-v1` in it.
        remarks: collects what was left out.

    Raises:
        AnnotationError: a file is missing or cannot be used; the message names it.
    """
    files = by_stem(files_in(root / POSITIVE_FOLDER, PICTURE_SUFFIXES), PICTURE_SUFFIXES)
    masks = {stem.removesuffix(MASK_ENDING): file for stem, file in files.items() if stem.endswith(MASK_ENDING)}
    positives = {stem: file for stem, file in files.items() if not stem.endswith(MASK_ENDING)}
    if not positives:
        message = f"{root / POSITIVE_FOLDER}: no image (.jpg, .jpeg or .png) with lesions"
        raise AnnotationError(message)
    missing = [positives[stem].name for stem in sorted(positives.keys() - masks.keys())]
    if missing:
        message = (
            f"{root / POSITIVE_FOLDER}: {len(missing)} of {len(positives)} images have no mask, NAME{MASK_ENDING}.jpg: "
            f"{listed(missing)}; add the masks, or move images without any lesion to {NEGATIVE_FOLDER}"
        )
        raise AnnotationError(message)
    for stem in sorted(masks.keys() - positives.keys()):
        remarks.add(WITHOUT_IMAGE, masks[stem].name)
    images = [
        masked_image(file, Mask(path=masks[stem], label=1, shows=(1,)), slide=slide_of(stem))
        for stem, file in positives.items()
    ]
    if (root / NEGATIVE_FOLDER).is_dir():
        for stem, file in by_stem(files_in(root / NEGATIVE_FOLDER, PICTURE_SUFFIXES), PICTURE_SUFFIXES).items():
            if stem.endswith(MASK_ENDING):
                remarks.add(f"Masks in {NEGATIVE_FOLDER} not read: its images have no lesion", file.name)
            elif stem in positives:
                message = f"{root}: {stem} is in both {POSITIVE_FOLDER} and {NEGATIVE_FOLDER}; keep one"
                raise AnnotationError(message)
            else:
                images.append(masked_image(file, None, slide=slide_of(stem)))
    return ParsedMasks(layout=LAYOUT, images=images, class_names=(BACKGROUND_NAME, CLASS_NAME))
