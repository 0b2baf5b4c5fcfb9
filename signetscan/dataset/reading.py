"""Reading a folder of annotated images in any of the layouts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from signetscan.annotations import check_is_no_project
from signetscan.dataset.classes import choose_classes, others_as_normal, with_classes
from signetscan.dataset.coco import LAYOUT as COCO
from signetscan.dataset.coco import has_coco, read_coco_folder
from signetscan.dataset.digestpath import LAYOUT as DIGESTPATH
from signetscan.dataset.digestpath import NEGATIVE_FOLDER, POSITIVE_FOLDER, digestpath_root, read_digestpath
from signetscan.dataset.found import JSON_SUFFIXES, TEXT_SUFFIXES, YAML_SUFFIXES, find_files
from signetscan.dataset.image_names import names_slide
from signetscan.dataset.images import Dataset
from signetscan.dataset.options import MAX_MPP, MPP
from signetscan.dataset.parts import assign_parts
from signetscan.dataset.qupath import has_qupath, read_qupath
from signetscan.dataset.record import read_dataset_record
from signetscan.dataset.remarks import Remarks, listed
from signetscan.dataset.slides import LAYOUT as SLIDES
from signetscan.dataset.slides import has_slides, read_slides
from signetscan.dataset.twice import each_once
from signetscan.dataset.voc import LAYOUT as VOC
from signetscan.dataset.voc import has_voc, read_voc
from signetscan.dataset.yolo import LAYOUT as YOLO
from signetscan.dataset.yolo import has_yolo, read_yolo
from signetscan.errors import AnnotationError, OptionError
from signetscan.suffixes import GEOJSON_SUFFIXES, XML_SUFFIXES, suffix_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from signetscan.dataset.found import FoundFiles
    from signetscan.dataset.images import AnnotatedImage
    from signetscan.dataset.parsed import ParsedFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A layout in which each image or slide has its annotations beside it, or all images in one file."""

    name: str
    """What the folder has, for messages."""
    suffixes: tuple[str, ...]
    """Suffixes of its annotation files."""
    is_there: Callable[[FoundFiles], bool]
    """Whether a folder has images in this layout."""
    read: Callable[[FoundFiles, float, Remarks], ParsedFolder]
    """Reads all annotations, given the size of the images' pixels, µm."""
    of_slides: bool = False
    """Whether its images are parts of slides."""


LAYOUTS = (
    Layout(
        name="slides with .geojson",
        suffixes=GEOJSON_SUFFIXES,
        is_there=has_slides,
        read=read_slides,
        of_slides=True,
    ),
    Layout(name="images with .geojson", suffixes=GEOJSON_SUFFIXES, is_there=has_qupath, read=read_qupath),
    Layout(
        name="images with .xml",
        suffixes=XML_SUFFIXES,
        is_there=has_voc,
        read=lambda found, _, remarks: read_voc(found, remarks),
    ),
    Layout(
        name="images with .txt (YOLO)",
        suffixes=(*TEXT_SUFFIXES, *YAML_SUFFIXES),
        is_there=has_yolo,
        read=lambda found, _, remarks: read_yolo(found, remarks),
    ),
    Layout(
        name="images with COCO .json",
        suffixes=JSON_SUFFIXES,
        is_there=has_coco,
        read=lambda found, _, remarks: read_coco_folder(found, remarks),
    ),
)
"""All layouts but DigestPath's, whose folders have names of their own."""
ONE_FILE = (*JSON_SUFFIXES, *YAML_SUFFIXES)
"""Suffixes of files that stand for the data set in their folder."""
KNOWN_LAYOUTS = (
    f"name a folder with {POSITIVE_FOLDER} and {NEGATIVE_FOLDER} (DigestPath 2019), one with images and a .xml (VOC), "
    ".txt (YOLO) or .geojson (QuPath) of the same name beside each, one with images and a .json for all (COCO), or one "
    "with slides and their .geojson"
)
"""End of messages about folders of no known layout."""


def read_dataset(
    path: Path,
    *,
    classes: Sequence[str] | None = None,
    mpp: float | None = None,
    full_truth: bool = False,
    others_are_normal: bool = False,
) -> Dataset:
    """Read all annotations of a folder and of the folders below it, without the images' pixels.

    The files decide the layout: DigestPath's folders, images with VOC-like XML, with QuPath's GeoJSON, with YOLO's
    labels or with COCO's JSON, or slides with QuPath's GeoJSON. Test images, by the lists or folders of the data set,
    are left out.

    Args:
        path: the folder; or a COCO file or YOLO's `data.yaml` in it, if the folder has several.
        classes: names of the classes to learn, in upper or lower case; by default the only class there is, and every
            object, whatever its name, in the layout of DigestPath.
        mpp: size of the images' pixels, or of the pixels at which slides are read, µm; by default that of the data
            set's record, or 0.25.
        full_truth: whether to read the boxes from the folder in which the simulator writes all of them.
        others_are_normal: whether images that have objects of other classes only are known to have no cell. Only in the
            layouts of VOC, YOLO and COCO: in the others, images are declared normal by themselves.

    Returns:
        The images, and warnings about what was left out or looks odd.

    Raises:
        AnnotationError: the folder has nothing to learn from, or a file in it cannot be used; the message names it.
        SlideError: a slide cannot be opened.
        OptionError: `mpp` is out of range, or the layout declares normal images by itself.
    """
    if mpp is not None and not 0 < mpp <= MAX_MPP:
        message = f"mpp must be above 0 and at most {MAX_MPP:g} µm/px, not {mpp}"
        raise OptionError(message)
    check_is_no_project(path)
    is_one_file = path.is_file() and bool(suffix_of(path.name, ONE_FILE))
    if not path.is_dir() and not is_one_file:
        message = f"{path}: {'not a' if path.exists() else 'no such'} folder; {KNOWN_LAYOUTS}"
        raise AnnotationError(message)
    remarks = Remarks()
    record = read_dataset_record(path) if mpp is None else None
    mpp = mpp if record is None else record.mpp
    root = None if is_one_file else digestpath_root(path)
    if root is not None:
        folder = read_digestpath(root, remarks, any_class=not classes, full_truth=full_truth)
    elif full_truth:
        message = f"{path}: only simulated data sets have the full truth, and this has no folder {POSITIVE_FOLDER}"
        raise AnnotationError(message)
    else:
        folder = _read_beside(path, MPP if mpp is None else mpp, remarks)
    folder.images = each_once(folder.images, remarks)
    class_names = choose_classes(path, folder, classes, remarks)
    if others_are_normal:
        if folder.layout not in (VOC, YOLO, COCO):
            message = f"{path}: {folder.layout}: here images are declared normal by themselves, so no others can be"
            raise OptionError(message, options=("others_are_normal",))
        folder.images = others_as_normal(folder.images, class_names, remarks)
    images = with_classes(path, folder, class_names, remarks)
    return Dataset(
        images=images,
        class_names=class_names,
        mpp=MPP if mpp is None else mpp,
        layout=folder.layout,
        warnings=(*remarks.lines(), *_remarks(images, folder.layout, mpp_given=mpp is not None)),
    )


def _read_beside(path: Path, mpp: float, remarks: Remarks) -> ParsedFolder:
    """Read a folder in which each image or slide has its annotation file beside it, or one file has them all."""
    found = found_files(path)
    present = [layout for layout in LAYOUTS if layout.is_there(found)]
    if len(present) > 1:
        kinds = " and ".join(layout.name for layout in present)
        message = f"{path}: has both {kinds}; put each kind into a folder of its own"
        raise AnnotationError(message)
    if not present:
        unread = listed([found.name(file) for file in found.annotation_files])
        seen = f" among its files ({unread})" if unread else ""
        message = f"{path}: has no image or slide with annotations{seen}; {KNOWN_LAYOUTS}"
        raise AnnotationError(message)
    (layout,) = present
    for file in found.images if layout.of_slides else found.slides:
        kind = "Images beside the slides left out" if layout.of_slides else "Slides beside the images left out"
        remarks.add(kind, found.name(file))
    _remark_unread(found, layout, remarks)
    folder = layout.read(found, mpp, remarks)
    folder.images = assign_parts(found, folder.images, folder.settings, remarks)
    return folder


def found_files(path: Path) -> FoundFiles:
    """The files of a data set: of a folder; or of the folder of a COCO file or `data.yaml`, with that file alone.

    Raises:
        AnnotationError: the folder cannot be read, or has too many files.
    """
    if path.is_dir():
        return find_files(path)
    # COCO's own folders are images/ and annotations/, side by side.
    up = path.parent.name.casefold() == "annotations" and path.suffix.lower() in JSON_SUFFIXES
    found = find_files(path.parent.parent if up else path.parent)
    if path.suffix.lower() in JSON_SUFFIXES:
        return replace(found, json=(path,), xml=(), geojson=(), texts=())
    return replace(found, yaml=(path,), xml=(), geojson=(), json=())


def _remark_unread(found: FoundFiles, layout: Layout, remarks: Remarks) -> None:
    """Remark on annotation files of kinds that do not belong to the layout."""
    for file in found.annotation_files:
        if not suffix_of(file.name, layout.suffixes):
            remarks.add(f"Files left out, which do not belong to {layout.name}", found.name(file))


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
    unknown = sum(not names_slide(image.path.stem) for image in images)
    if unknown and len(slides) > 1:
        remarks.append(f"Images whose names do not tell the slide, each taken for a slide of its own: {unknown}")
    return remarks
