"""Parser of COCO's instances files: the objects of many images in one JSON file."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations.bounds import read_bounded
from signetscan.annotations.objects import LARGEST_COORDINATE
from signetscan.annotations.outlines import box_around
from signetscan.annotations.voc import known_size
from signetscan.errors import AnnotationError
from signetscan.json_values import JsonError, is_number, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.json_values import Json

MAX_COCO_BYTES = 64_000_000
"""Largest file that is read: a hundred thousand outlines are smaller, and no file of this size takes over 2 GB."""
KEYS = (b'"images"', b'"annotations"')
"""What the text of every such file holds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CocoImage:
    """An image of a COCO file and its objects."""

    file_name: str
    """Path of the image as the file has it, with "/" between folders."""
    size: tuple[int, int] | None
    """Width and height of the image, pixels; None if the file does not say."""
    boxes: NDArray[np.float64]
    """(N, 4), image pixels, unchecked."""
    names: tuple[str, ...]
    """Name of each box's category; empty if the file has none."""
    crowds: NDArray[np.float64]
    """(M, 4), image pixels, around objects that nobody drew one by one (`iscrowd`), in which nothing counts."""
    annotations: int
    """Number of annotations that the file has of it, usable or not."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CocoFile:
    """The content of a COCO file."""

    images: tuple[CocoImage, ...]
    """All images, in the order of the file."""
    left_out: dict[str, int]
    """Number of entries that were left out, by reason."""


def may_be_coco(path: Path) -> bool:
    """Whether a JSON file is not too large and has the keys of a COCO file somewhere.

    Raises:
        AnnotationError: the file cannot be read.
    """
    try:
        if path.stat().st_size > MAX_COCO_BYTES:
            return False
    except OSError:
        return False
    content = read_bounded(path, MAX_COCO_BYTES)
    return all(key in content for key in KEYS)


def check_is_no_coco_result(path: Path) -> None:
    """Check that a file does not hold detections as COCO's tools take them: a list of image_id, bbox and score.

    Raises:
        AnnotationError: it does.
    """
    if path.suffix.lower() != ".json" or not path.is_file():
        return
    with path.open("rb") as file:
        start = file.read(4096).lstrip()
    if start.startswith(b"[") and b'"image_id"' in start and b'"bbox"' in start:
        message = (
            f"{path}: COCO's list of detections, whose image_id says nothing without the file of the images; write a "
            "CSV for each image, called as the image, with the columns x0, y0, x1, y1 and score, and name their folder"
        )
        raise AnnotationError(message)


def read_coco(path: Path) -> CocoFile:
    """Read a COCO file of instances. An object without a `bbox` gets the box around its polygons.

    Raises:
        AnnotationError: it cannot be read, is too large, or is no COCO file.
    """
    try:
        content = parse_json(read_bounded(path, MAX_COCO_BYTES))
    except JsonError as error:
        message = f"{path}: {error}"
        raise AnnotationError(message) from error
    if not isinstance(content, dict):
        message = f"{path}: not a COCO file: a list, where an object with images and annotations should be"
        raise AnnotationError(message)
    lists = {key: content.get(key) for key in ("images", "annotations", "categories")}
    for key, value in lists.items():
        if not isinstance(value, list):
            message = f"{path}: not a COCO file of instances: it has no list of {key}"
            raise AnnotationError(message)
    return _parse(*(value if isinstance(value, list) else [] for value in lists.values()))


def _parse(images: list[Json], annotations: list[Json], categories: list[Json]) -> CocoFile:
    left_out: Counter[str] = Counter()
    names = {number: _text(entry.get("name")) for number, entry in _entries(categories)}
    of_image: dict[int | str, list[dict[str, Json]]] = defaultdict(list)
    for entry in annotations:
        image_id = entry.get("image_id") if isinstance(entry, dict) else None
        if isinstance(entry, dict) and isinstance(image_id, int | str):
            of_image[image_id].append(entry)
        else:
            left_out["annotations that name no image"] += 1
    parsed: list[CocoImage] = []
    left_out["entries of images without an id and a file_name"] += len(images)
    for image_id, image in _entries(images):
        file_name = image.get("file_name")
        if not isinstance(file_name, str):
            continue
        left_out["entries of images without an id and a file_name"] -= 1
        parsed.append(_image(file_name, image, of_image.pop(image_id, []), names, left_out))
    left_out["annotations of images that the file does not list"] += sum(map(len, of_image.values()))
    return CocoFile(images=tuple(parsed), left_out={reason: count for reason, count in left_out.items() if count})


def _entries(values: list[Json]) -> Iterator[tuple[int | str, dict[str, Json]]]:
    """The objects of a list that have an id, with it."""
    for value in values:
        if isinstance(value, dict) and isinstance(number := value.get("id"), int | str):
            yield number, value


def _image(
    file_name: str,
    entry: dict[str, Json],
    annotations: list[dict[str, Json]],
    names: dict[int | str, str],
    left_out: Counter[str],
) -> CocoImage:
    boxes: list[list[float]] = []
    crowds: list[list[float]] = []
    chosen: list[str] = []
    for annotation in annotations:
        box = _box(annotation)
        category = annotation.get("category_id")
        if box is None:
            left_out["annotations without a bbox of four numbers or a polygon"] += 1
        elif annotation.get("iscrowd") in (1, True) or annotation.get("ignore") in (1, True):
            crowds.append(box)
        elif not isinstance(category, int | str) or category not in names:
            left_out["annotations of a category that the file does not list"] += 1
        else:
            boxes.append(box)
            chosen.append(names[category])
    sides = [entry.get("width"), entry.get("height")]
    return CocoImage(
        file_name=file_name.replace("\\", "/"),
        size=known_size([float(side) if is_number(side) else math.nan for side in sides]),
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        names=tuple(chosen),
        crowds=np.array(crowds, np.float64).reshape(-1, 4),
        annotations=len(annotations),
    )


def _box(annotation: dict[str, Json]) -> list[float] | None:
    """x0, y0, x1, y1 of an object: its `bbox`, or the box around its polygons; None if it has neither."""
    edges = _coordinates(annotation.get("bbox"))
    if len(edges) == 4 and min(edges[2:]) > 0:
        left, top, width, height = edges
        return [left, top, left + width, top + height]
    polygons = annotation.get("segmentation")
    rings: list[NDArray[np.float64]] = []
    for polygon in polygons if isinstance(polygons, list) else ():
        numbers = _coordinates(polygon)
        if len(numbers) < 6 or len(numbers) % 2:
            return None
        rings.append(np.array(numbers).reshape(-1, 2))
    return [*box_around(rings)] if rings else None


def _coordinates(value: Json) -> list[float]:
    """The numbers of a list of coordinates; empty if it is none."""
    values = value if isinstance(value, list) else []
    numbers = [float(number) for number in values if is_number(number) and abs(number) <= LARGEST_COORDINATE]
    return numbers if len(numbers) == len(values) else []


def _text(value: Json) -> str:
    return value.strip() if isinstance(value, str) else ""
