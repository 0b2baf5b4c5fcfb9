"""Reading a folder of annotated images in any of the layouts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.dataset.classes import choose_classes, with_classes
from signetscan.dataset.digestpath import LAYOUT as DIGESTPATH
from signetscan.dataset.digestpath import NEGATIVE_FOLDER, POSITIVE_FOLDER, digestpath_root, read_digestpath
from signetscan.dataset.file_pairs import by_stem, files_in
from signetscan.dataset.image_names import NAME
from signetscan.dataset.images import Dataset
from signetscan.dataset.options import MAX_MPP, MPP
from signetscan.dataset.qupath import read_qupath
from signetscan.dataset.record import read_dataset_record
from signetscan.dataset.remarks import Remarks, listed
from signetscan.dataset.slides import LAYOUT as SLIDES
from signetscan.dataset.slides import is_slide, read_slides
from signetscan.dataset.voc import IMAGE_FOLDER, XML_FOLDER, read_voc
from signetscan.errors import AnnotationError, OptionError
from signetscan.suffixes import (
    IMAGE_SUFFIXES,
    SLIDE_SUFFIXES,
    TIFF_SUFFIXES,
    TRAINING_GEOJSON_SUFFIXES,
    XML_SUFFIXES,
    without_suffix,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from signetscan.dataset.images import AnnotatedImage
    from signetscan.dataset.parsed import ParsedFolder

LAYOUTS = (
    f"name a folder with {POSITIVE_FOLDER} and {NEGATIVE_FOLDER} (DigestPath 2019), one with images and a .xml (VOC) "
    "or .geojson (QuPath) of the same name beside each, or one with slides and their .geojson"
)
"""End of messages about folders of no known layout."""


def read_dataset(
    path: Path, *, classes: Sequence[str] | None = None, mpp: float | None = None, full_truth: bool = False
) -> Dataset:
    """Read all annotations of a folder, without the images' pixels.

    The files in the folder decide the layout: DigestPath's folders, images with VOC-like XML, images with QuPath's
    GeoJSON, or slides with QuPath's GeoJSON.

    Args:
        path: the folder.
        classes: names of the classes to learn, in upper or lower case; by default the only class there is, and every
            object, whatever its name, in the layout of DigestPath.
        mpp: size of the images' pixels, or of the pixels at which slides are read, µm; by default that of the data
            set's record, or 0.25.
        full_truth: whether to read the boxes from the folder in which the simulator writes all of them.

    Returns:
        The images, and warnings about what was left out or looks odd.

    Raises:
        AnnotationError: the folder has nothing to learn from, or a file in it cannot be used; the message names it.
        SlideError: a slide cannot be opened.
        OptionError: `mpp` is out of range.
    """
    if mpp is not None and not 0 < mpp <= MAX_MPP:
        message = f"mpp must be above 0 and at most {MAX_MPP:g} µm/px, not {mpp}"
        raise OptionError(message)
    if not path.is_dir():
        message = f"{path}: {'not a' if path.exists() else 'no such'} folder; {LAYOUTS}"
        raise AnnotationError(message)
    remarks = Remarks()
    record = read_dataset_record(path) if mpp is None else None
    mpp = mpp if record is None else record.mpp
    root = digestpath_root(path)
    if root is not None:
        folder = read_digestpath(root, remarks, any_class=not classes, full_truth=full_truth)
    elif full_truth:
        message = f"{path}: only simulated data sets have the full truth, and this has no folder {POSITIVE_FOLDER}"
        raise AnnotationError(message)
    else:
        folder = _read_beside(path, MPP if mpp is None else mpp, remarks)
    class_names = choose_classes(path, folder, classes)
    images = with_classes(path, folder, class_names, remarks)
    return Dataset(
        images=images,
        class_names=class_names,
        mpp=MPP if mpp is None else mpp,
        layout=folder.layout,
        warnings=(*remarks.lines(), *_remarks(images, folder.layout, mpp_given=mpp is not None)),
    )


def _read_beside(path: Path, mpp: float, remarks: Remarks) -> ParsedFolder:
    """Read a folder in which each image or slide has its annotation file beside it."""
    root, xml_root = path, path
    if (path / IMAGE_FOLDER).is_dir() and (path / XML_FOLDER).is_dir():
        root, xml_root = path / IMAGE_FOLDER, path / XML_FOLDER
    images_or_slides = files_in(root, (*IMAGE_SUFFIXES, *SLIDE_SUFFIXES))
    slides = by_stem([file for file in images_or_slides if is_slide(file)], (*SLIDE_SUFFIXES, *TIFF_SUFFIXES))
    plain_images = [file for file in images_or_slides if file not in slides.values()]
    image_stems = {without_suffix(file.name, IMAGE_SUFFIXES) for file in plain_images}
    xml, geojson = files_in(xml_root, XML_SUFFIXES), files_in(root, TRAINING_GEOJSON_SUFFIXES)
    geojson_stems = {without_suffix(file.name, TRAINING_GEOJSON_SUFFIXES) for file in geojson}
    layouts = {
        "slides with .geojson": bool(geojson_stems & slides.keys()),
        "images with .geojson": bool((geojson_stems - slides.keys()) & image_stems),
        "images with .xml": any(file.stem in image_stems for file in xml),
    }
    present = [name for name, is_present in layouts.items() if is_present]
    if len(present) > 1:
        message = f"{path}: has both {' and '.join(present)}; put each kind into a folder of its own"
        raise AnnotationError(message)
    if not present:
        message = f"{path}: has no image or slide with annotations; {LAYOUTS}"
        raise AnnotationError(message)
    if layouts["slides with .geojson"]:
        for file in plain_images:
            remarks.add("Images beside the slides left out", file.name)
        return read_slides(path, slides, geojson, mpp, remarks)
    for file in slides.values():
        remarks.add("Slides beside the images left out", file.name)
    images = by_stem(plain_images, IMAGE_SUFFIXES)
    if layouts["images with .geojson"]:
        return read_qupath(images, geojson, mpp, remarks)
    return read_voc(images, xml, remarks)


def _remarks(images: Sequence[AnnotatedImage], layout: str, *, mpp_given: bool) -> list[str]:
    """Remarks on the data set as a whole."""
    remarks: list[str] = []
    if not any(image.normal for image in images):
        remarks.append("No image is declared normal, so the loss can trust no negative")
    slides = {image.slide for image in images}
    if len(slides) == 1:
        remarks.append(f"All images are of one slide ({slides.pop()}), so none can be held out for validation")
    if layout == SLIDES:
        return remarks
    sizes = sorted({(image.width, image.height) for image in images})
    if len(sizes) > 1:
        shown = listed([f"{width} x {height}" for width, height in sizes])
        remarks.append(f"Images of {len(sizes)} sizes, px: {shown}; all are assumed to have the same mpp")
    if layout == DIGESTPATH:
        return remarks
    if not mpp_given:
        remarks.append(f"The images' pixels are assumed to be {MPP:g} µm wide; give their mpp if they are not")
    unknown = sum(NAME.fullmatch(image.path.stem) is None for image in images)
    if unknown and len(slides) > 1:
        remarks.append(f"Images whose names do not tell the slide, each taken for a slide of its own: {unknown}")
    return remarks
