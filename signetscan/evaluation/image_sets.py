"""Truth of many images in the layouts of COCO and YOLO, where no file of boxes stands for one image alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.annotations.coco import may_be_coco
from signetscan.dataset.coco import coco_files, coco_images, is_normal, objects_of
from signetscan.dataset.found import JSON_SUFFIXES, YAML_SUFFIXES, find_files, path_parts, suffixes_below
from signetscan.dataset.parsed import ImageObjects
from signetscan.dataset.reading import found_files
from signetscan.dataset.yolo import has_yolo, read_yolo
from signetscan.errors import AnnotationError
from signetscan.suffixes import GEOJSON_SUFFIXES, IMAGE_SUFFIXES, XML_SUFFIXES, without_suffix

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.dataset.found import FoundFiles
    from signetscan.dataset.parsed import ParsedImage
    from signetscan.dataset.remarks import Remarks


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTruth:
    """The truth of one image."""

    file: Path
    """File that has it."""
    objects: ImageObjects
    """Its objects, image pixels."""
    normal: bool
    """Whether it was annotated and has none."""


def truth_of_images(path: Path, remarks: Remarks) -> dict[str, ImageTruth] | None:
    """The truth of each image by its name without suffix, if a file or folder is in the layout of COCO or YOLO.

    A COCO file needs no images, but YOLO's labels do, because they are parts of an image's width and height.

    Returns:
        The truth, or None if the path has another layout.

    Raises:
        AnnotationError: a file cannot be used.
    """
    suffix = path.suffix.lower()
    if path.is_file():
        if suffix in JSON_SUFFIXES and may_be_coco(path):
            return _of_coco([path], path.parent, remarks)
        return _of_yolo(found_files(path), remarks) if suffix in YAML_SUFFIXES else None
    # Before files are opened: where there are GeoJSON or XML files, those are the truth.
    below = suffixes_below(path)
    if below & {*GEOJSON_SUFFIXES, *XML_SUFFIXES}:
        return None
    found = find_files(path)
    files = coco_files(found)
    if files:
        return _of_coco(files, path, remarks)
    return _of_yolo(found, remarks) if has_yolo(found) else None


def _of_coco(files: list[Path], root: Path, remarks: Remarks) -> dict[str, ImageTruth]:
    truth: dict[str, ImageTruth] = {}
    for file in files:
        for image in coco_images(file, file.relative_to(root).as_posix(), remarks):
            name = without_suffix("/".join(path_parts(image.file_name)), IMAGE_SUFFIXES)
            if name in truth:
                message = f"{file}: {image.file_name} is in {truth[name].file.name} already; name one file as TRUTH"
                raise AnnotationError(message)
            truth[name] = ImageTruth(file=file, objects=objects_of(image), normal=is_normal(image, remarks))
    return truth


def _of_yolo(found: FoundFiles, remarks: Remarks) -> dict[str, ImageTruth]:
    return {
        without_suffix(parsed.region, IMAGE_SUFFIXES): ImageTruth(
            file=found.root / parsed.file, objects=_objects(parsed), normal=parsed.image.normal
        )
        for parsed in read_yolo(found, remarks).images
    }


def _objects(parsed: ParsedImage) -> ImageObjects:
    image = parsed.image
    return ImageObjects(
        boxes=image.boxes, names=parsed.names, ignored=image.ignored, drawn_on=(image.width, image.height)
    )
