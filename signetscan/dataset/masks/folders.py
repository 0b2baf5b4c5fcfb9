"""Parser of folders of images and masks: `images/NAME.jpg` and `masks/NAME.png` side by side.

Either a data set has one such pair of folders, or one for each class, such as `polyp/images` and `polyp/masks`. In the
second case a mask outlines, with one value besides 0, what the class is of. In the first, its values are numbers of
classes, or it outlines the only one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.dataset.file_pairs import WITHOUT_FILE, WITHOUT_IMAGE, by_stem, files_in
from signetscan.dataset.image_names import slide_of
from signetscan.dataset.masks.class_choice import choose_names
from signetscan.dataset.masks.images import BACKGROUND_NAME, Mask
from signetscan.dataset.masks.parsed import ParsedMasks, masked_image
from signetscan.dataset.masks.pixels import read_picture
from signetscan.errors import AnnotationError
from signetscan.suffixes import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from signetscan.dataset.masks.images import MaskedImage
    from signetscan.dataset.remarks import Remarks

IMAGES, MASKS = "images", "masks"
"""Names of the two folders of a pair."""
LAYOUT = "images and masks"
CLASS_LAYOUT = "images and masks, in a folder for each class"
EMPTY_MASK = "Images whose mask is empty, taken for background as a whole"
JPEG_SUFFIXES = (".jpeg", ".jpg")


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskFile:
    """An image, its mask, and what values the mask has besides 0."""

    image: Path
    mask: Path
    values: tuple[int, ...]
    """In ascending order; only 255 for a JPEG, which has no exact values."""


def class_folders(root: Path) -> list[Path]:
    """The folders in a folder that have both `images` and `masks`, sorted.

    Raises:
        AnnotationError: the folder cannot be read.
    """
    try:
        return sorted(folder for folder in root.iterdir() if not folder.name.startswith(".") and is_pair(folder))
    except OSError as error:
        message = f"{root}: cannot be read: {error.strerror}"
        raise AnnotationError(message) from error


def is_pair(folder: Path) -> bool:
    """Whether a folder has both `images` and `masks`."""
    return (folder / IMAGES).is_dir() and (folder / MASKS).is_dir()


def read_class_folders(root: Path, classes: Sequence[str], remarks: Remarks) -> ParsedMasks:
    """Read a data set with a pair of folders for each class.

    Args:
        root: the folder that has the classes' folders.
        classes: the classes to learn, in the order of their labels: the name of a folder, or `NAME=FOLDER,FOLDER` to
            learn what several folders hold as one class. Each folder is a class if there are none.
        remarks: collects what was left out.

    Raises:
        AnnotationError: a file cannot be used, or a class is in no folder or twice; the message names it.
    """
    folders = class_folders(root)
    chosen = choose_names(f"{root}", "folder", [folder.name for folder in folders], classes)
    names = (BACKGROUND_NAME, *dict.fromkeys(chosen.values()))
    images: list[MaskedImage] = []
    for folder in folders:
        if folder.name not in chosen:
            remarks.add("Images left out, of folders that are no class", folder.name, _count(folder / IMAGES))
            continue
        label = names.index(chosen[folder.name])
        for file in _mask_files(folder, remarks):
            if len(file.values) > 1:
                message = (
                    f"{file.mask}: has the values {_shown(file.values)} besides 0, but its folder is one class, "
                    f"{folder.name}; save it with one value for all that it outlines"
                )
                raise AnnotationError(message)
            images.append(_image(file, label, cut=127 if file.values == (255,) else 0, remarks=remarks))
    return ParsedMasks(layout=CLASS_LAYOUT, images=images, class_names=names)


def _count(folder: Path) -> int:
    return len(files_in(folder, IMAGE_SUFFIXES))


def read_pair(root: Path, classes: Sequence[str], remarks: Remarks) -> ParsedMasks:
    """Read a data set with a single pair of folders.

    Args:
        root: the folder that has `images` and `masks`.
        classes: names of the classes: of the values 1, 2 and so on of the masks, or of all that they outline.
        remarks: collects what was left out.

    Raises:
        AnnotationError: a file cannot be used, or the masks have more classes than there are names.
    """
    files = _mask_files(root, remarks)
    examples = {value: file.mask for file in reversed(files) for value in file.values}
    values = sorted(examples)
    if not classes:
        message = f"{root}: masks do not say what they outline; name the classes, in the order of the masks' values"
        raise AnnotationError(message, options=("classes",))
    names = (BACKGROUND_NAME, *(name.strip() for name in classes))
    outlines = values in ([], [255]) and len(classes) == 1
    if not outlines and values and values[-1] >= len(names):
        named = "the name of 1 class is" if len(classes) == 1 else f"the names of {len(classes)} classes are"
        message = (
            f"{examples[values[-1]]}: has the value {values[-1]}, but {named} given, for the "
            f"values from 1 on; all masks together have {_shown(values)}"
        )
        raise AnnotationError(message, options=("classes",))
    images = [_image(file, 1 if outlines else None, cut=127, remarks=remarks) for file in files]
    return ParsedMasks(layout=LAYOUT, images=images, class_names=names)


def _image(file: MaskFile, label: int | None, *, cut: int, remarks: Remarks) -> MaskedImage:
    if not file.values:
        remarks.add(EMPTY_MASK, file.image.name)
    mask = Mask(path=file.mask, label=label, cut=cut, shows=file.values if label is None else (label,))
    checked = masked_image(file.image, mask, slide=slide_of(file.image.stem))
    return checked if file.values else masked_image(file.image, None, slide=checked.slide)


def _mask_files(folder: Path, remarks: Remarks) -> list[MaskFile]:
    """The images of a pair of folders that have a mask; others are remarked on.

    Raises:
        AnnotationError: a mask cannot be decoded, or no image has a mask.
    """
    images = by_stem(files_in(folder / IMAGES, IMAGE_SUFFIXES), IMAGE_SUFFIXES)
    masks = _masks_by_stem(folder / MASKS, images)
    for stem in sorted(masks.keys() - images.keys()):
        remarks.add(WITHOUT_IMAGE, f"{folder.name}/{MASKS}/{masks[stem].name}")
    for stem in sorted(images.keys() - masks.keys()):
        remarks.add(WITHOUT_FILE.replace("an annotation file", "a mask"), f"{folder.name}/{IMAGES}/{images[stem].name}")
    both = sorted(images.keys() & masks.keys())
    if not both:
        message = f"{folder / MASKS}: no mask has the name of an image in {folder / IMAGES}; name it as its image"
        raise AnnotationError(message)
    return [MaskFile(image=images[stem], mask=masks[stem], values=_values(masks[stem])) for stem in both]


def _masks_by_stem(folder: Path, images: Mapping[str, Path]) -> dict[str, Path]:
    """Masks by the names of their images, which may be followed by `_mask`."""
    files = by_stem(files_in(folder, IMAGE_SUFFIXES), IMAGE_SUFFIXES)
    return {stem if stem in images else stem.removesuffix("_mask"): file for stem, file in files.items()}


def _values(mask: Path) -> tuple[int, ...]:
    """The values of a mask besides 0."""
    if mask.suffix.lower() in JPEG_SUFFIXES:
        return (255,)
    # bincount is faster than unique, which sorts.
    counts = np.bincount(read_picture(mask, "mask").ravel(), minlength=256)
    return tuple(int(value) for value in np.flatnonzero(counts) if value)


def _shown(values: Sequence[int]) -> str:
    shown = ", ".join(map(str, values[:8]))
    return f"{shown} and {len(values) - 8} more" if len(values) > 8 else shown
