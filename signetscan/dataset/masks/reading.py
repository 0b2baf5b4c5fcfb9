"""Reading a folder of images with masks in any of the layouts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from signetscan.annotations import check_is_no_project
from signetscan.class_names import problem_of_names
from signetscan.dataset.found import find_files
from signetscan.dataset.image_names import names_slide
from signetscan.dataset.masks.digestpath import LAYOUT as DIGESTPATH
from signetscan.dataset.masks.digestpath import MPP as DIGESTPATH_MPP
from signetscan.dataset.masks.digestpath import NEGATIVE_FOLDER, POSITIVE_FOLDER, read_tissue, tissue_root
from signetscan.dataset.masks.folders import IMAGES, MASKS, class_folders, is_pair, read_class_folders, read_pair
from signetscan.dataset.masks.images import MaskedDataset
from signetscan.dataset.masks.slides import LAYOUT as SLIDES
from signetscan.dataset.masks.slides import read_outlined_slides
from signetscan.dataset.options import MAX_MPP, MPP
from signetscan.dataset.remarks import Remarks
from signetscan.dataset.slides import has_slides
from signetscan.dataset.twice import contents_of
from signetscan.errors import AnnotationError, OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from signetscan.dataset.images import Place
    from signetscan.dataset.masks.images import MaskedImage
    from signetscan.dataset.masks.parsed import ParsedMasks

KNOWN_LAYOUTS = (
    f"name a folder with {POSITIVE_FOLDER} and {NEGATIVE_FOLDER} (DigestPath 2019), one with the folders {IMAGES} and "
    f"{MASKS}, one with a folder for each class that has these two, or one with slides and their .geojson"
)
"""End of messages about folders of no known layout."""


def has_masks(path: Path) -> bool:
    """Whether a folder has images with masks, in any of the layouts.

    Raises:
        AnnotationError: the folder cannot be read.
    """
    return path.is_dir() and (tissue_root(path) is not None or is_pair(path) or bool(class_folders(path)))


def read_masked_dataset(
    path: Path, *, classes: Sequence[str] = (), fallback: Sequence[str] = (), mpp: float | None = None
) -> MaskedDataset:
    """Read which images with masks a folder has, and check them; the pixels of large masks are not looked at.

    Args:
        path: the folder, in the layout of DigestPath's tissue images; or with the folders `images` and `masks`, or with
            a folder for each class that has these two; or with slides on which people outlined tissue in QuPath.
        classes: the classes to learn, in the order of their labels; see `read_class_folders`, `read_pair` and
            `read_outlined_slides`. DigestPath's layout has one, "lesion".
        fallback: names of the classes of a single pair of folders, whose masks have none, if `classes` are not given.
        mpp: size of the images' pixels, or of the pixels at which slides are read, µm; by default 0.5 for DigestPath's,
            and 0.25 for others.

    Returns:
        The images, and warnings about what was left out or looks odd.

    Raises:
        AnnotationError: the folder has nothing to learn from, or a file in it cannot be used; the message names it.
        SlideError: a slide cannot be opened.
        OptionError: `mpp` is out of range.
    """
    check_is_no_project(path)
    if mpp is not None and not 0 < mpp <= MAX_MPP:
        message = f"mpp must be above 0 and at most {MAX_MPP:g} µm/px, not {mpp}"
        raise OptionError(message, options=("mpp",))
    remarks = Remarks()
    folder = _read(path, classes, fallback, MPP if mpp is None else mpp, remarks)
    images = _each_once(folder.images, remarks)
    problem = problem_of_names(folder.class_names)
    if problem:
        message = f"{path}: no model can be made of these classes: {problem}; give the class another name"
        raise AnnotationError(message, options=("classes",))
    is_digestpath, of_slides = folder.layout == DIGESTPATH, folder.layout == SLIDES
    return MaskedDataset(
        images=tuple(images),
        class_names=folder.class_names,
        mpp=mpp if mpp is not None else DIGESTPATH_MPP if is_digestpath else MPP,
        layout=folder.layout,
        warnings=(
            *remarks.lines(),
            *_warnings(images, mpp_known=is_digestpath or of_slides or mpp is not None, of_slides=of_slides),
        ),
    )


def _read(path: Path, classes: Sequence[str], fallback: Sequence[str], mpp: float, remarks: Remarks) -> ParsedMasks:
    if not path.is_dir():
        message = f"{path}: {'not a' if path.exists() else 'no such'} folder; {KNOWN_LAYOUTS}"
        raise AnnotationError(message)
    root = tissue_root(path)
    if root is not None:
        if classes:
            message = f"{path}: DigestPath's tissue images have one class; leave its name out"
            raise AnnotationError(message, options=("classes",))
        return read_tissue(root, remarks)
    if is_pair(path):
        return read_pair(path, classes or fallback, remarks)
    if class_folders(path):
        return read_class_folders(path, classes, remarks)
    found = find_files(path)
    if has_slides(found):
        return read_outlined_slides(found, mpp, classes, remarks)
    message = f"{path}: has no images with masks; {KNOWN_LAYOUTS}"
    raise AnnotationError(message)


def _each_once(images: Sequence[MaskedImage], remarks: Remarks) -> list[MaskedImage]:
    """The images, each file once, and all that share a file of one slide, so that no pixel is learnt and held out."""
    content_of = contents_of({image.path: image.place is None for image in images})
    first: dict[tuple[str, Place | None], MaskedImage] = {}
    same_slide: dict[str, str] = {}
    for image in images:
        content = content_of[image.path], image.place
        if content in first:
            name = f"{image.path.parent.parent.name}/{image.name}"
            remarks.add("Images given twice under two names, taken once with the mask of the first", name)
            same_slide[image.slide] = first[content].slide
        else:
            first[content] = image
    return [replace(image, slide=same_slide.get(image.slide, image.slide)) for image in first.values()]


def _warnings(images: Sequence[MaskedImage], *, mpp_known: bool, of_slides: bool) -> list[str]:
    """Remarks on the data set as a whole."""
    warnings: list[str] = []
    of_slide: dict[str, int] = defaultdict(int)
    for image in images:
        of_slide[image.slide] += 1
    if len(of_slide) == 1:
        warnings.append(f"All images are of one slide ({next(iter(of_slide))}), so none can be held out for validation")
    if not mpp_known:
        warnings.append(f"The images' pixels are assumed to be {MPP:g} µm wide; give their mpp if they are not")
    unknown = 0 if of_slides else sum(not names_slide(image.path.stem) for image in images)
    if unknown and len(of_slide) > 1:
        warnings.append(f"Images whose names do not tell the slide, each taken for a slide of its own: {unknown}")
    return warnings
