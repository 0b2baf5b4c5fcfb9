"""Reading a folder of annotated images, whatever its layout."""

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
    f"give a folder with {POSITIVE_FOLDER} and {NEGATIVE_FOLDER} (DigestPath 2019), one with images and a .xml (VOC) "
    "or .geojson (QuPath) of the same name beside each, or one with slides and their .geojson"
)


def read_dataset(
    path: Path, *, classes: Sequence[str] | None = None, mpp: float | None = None, full_truth: bool = False
) -> Dataset:
    """Read all annotations of a folder; pixels are left for later.

    The layout is told by what is in the folder: DigestPath's folders, images with VOC-like XML, images with QuPath's
    GeoJSON, or slides with QuPath's GeoJSON.

    Args:
        path: the folder.
        classes: names of the classes to learn, in any case; by default the only one there is, and in the layout of
            DigestPath every object, whatever its name.
        mpp: size of a pixel, µm: that of the images, or the one at which slides are read; by default what the data
            set's record says, else 0.25.
        full_truth: whether to take the boxes from the folder in which the simulator keeps all of them.

    Returns:
        The images, and warnings about what was left out or looks odd.

    Raises:
        AnnotationError: nothing can be learnt from the folder, or a file in it cannot be used; the message names it.
        SlideError: a slide cannot be opened.
        OptionError: `mpp` is not the size of a pixel.
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
        message = f"{path}: only a simulated data set has the full truth, and it has a folder {POSITIVE_FOLDER}"
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
    pictures = files_in(root, (*IMAGE_SUFFIXES, *SLIDE_SUFFIXES))
    slides = by_stem([file for file in pictures if is_slide(file)], (*SLIDE_SUFFIXES, *TIFF_SUFFIXES))
    xml, geojson = files_in(xml_root, XML_SUFFIXES), files_in(root, TRAINING_GEOJSON_SUFFIXES)
    of_slide = [file for file in geojson if without_suffix(file.name, TRAINING_GEOJSON_SUFFIXES) in slides]
    plain = [file for file in pictures if file not in slides.values()]
    of_image = [file for file in geojson if file not in of_slide]
    stems = {without_suffix(file.name, IMAGE_SUFFIXES) for file in plain}
    layouts = {
        "slides with .geojson": bool(of_slide),
        "images with .geojson": any(without_suffix(file.name, TRAINING_GEOJSON_SUFFIXES) in stems for file in of_image),
        "images with .xml": any(file.stem in stems for file in xml),
    }
    there = [name for name, is_there in layouts.items() if is_there]
    if len(there) > 1:
        message = f"{path}: {' and '.join(there)} are mixed in it; put each kind into a folder of its own"
        raise AnnotationError(message)
    if not there:
        message = f"{path}: no image or slide with annotations in it; {LAYOUTS}"
        raise AnnotationError(message)
    if of_slide:
        for file in plain:
            remarks.add("Images beside the slides left out", file.name)
        return read_slides(path, slides, geojson, mpp, remarks)
    for file in slides.values():
        remarks.add("Slides beside the images left out", file.name)
    images = by_stem(plain, IMAGE_SUFFIXES)
    if layouts["images with .geojson"]:
        return read_qupath(images, geojson, mpp, remarks)
    return read_voc(images, xml, remarks)


def _remarks(images: Sequence[AnnotatedImage], layout: str, *, mpp_given: bool) -> list[str]:
    """What looks odd in the whole set."""
    remarks = []
    if not any(image.normal for image in images):
        remarks.append("No image is declared normal: the clean group is positives only, and every negative is doubtful")
    slides = {image.slide for image in images}
    if len(slides) == 1:
        remarks.append(f"All images are of one slide ({slides.pop()}), so that none can be held out for validation")
    if layout == SLIDES:
        return remarks
    sizes = sorted({(image.width, image.height) for image in images})
    if len(sizes) > 1:
        shown = listed([f"{width} x {height}" for width, height in sizes])
        remarks.append(f"Images of {len(sizes)} sizes, px: {shown}; all are taken to show the same µm per pixel")
    if layout == DIGESTPATH:
        return remarks
    if not mpp_given:
        remarks.append(f"The images' pixels are taken to be {MPP:g} µm wide; if they are not, say how wide")
    unknown = sum(NAME.fullmatch(image.path.stem) is None for image in images)
    if unknown and len(slides) > 1:
        remarks.append(f"Names of {unknown} images do not tell the slide: each is held out or learnt from on its own")
    return remarks
