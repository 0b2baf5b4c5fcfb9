"""Preparing tiles and decoding outputs in numpy, one by one: the slow way, by which a wrapped graph is checked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, assert_never

import numpy as np
from PIL import Image

from signetscan.foreign.inputs import IMAGENET, Axes, Normalisation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from signetscan.foreign.inputs import Picture
    from signetscan.foreign.kinds import Arrays, BoxConvention, Number, PlaceConvention

    Row = tuple[tuple[float, ...], float, int]
    """Corners of a box, its score and its label."""


def prepare(picture: Picture, tile: NDArray[np.uint8]) -> dict[str, NDArray[Number]]:
    """The inputs of a foreign graph for a tile (H, W, 3), by name."""
    inputs, side = picture.inputs, picture.resized or picture.side
    if picture.resized is not None:
        tile = np.asarray(Image.fromarray(tile).resize((side, side), Image.Resampling.BILINEAR))
    pixels = _scaled(picture, tile.astype(np.float32))
    if picture.blue_first:
        pixels = pixels[:, :, ::-1]
    turned = pixels if inputs.axes is Axes.BHWC else pixels.transpose(2, 0, 1)
    prepared: NDArray[Number] = np.ascontiguousarray(turned).astype(inputs.pixel_type)
    # A graph that takes a fixed number of pictures gets the same one so often.
    made = {inputs.image: prepared if inputs.axes is Axes.CHW else np.stack([prepared] * (inputs.batch or 1))}
    if inputs.sizes is not None:
        made[inputs.sizes] = np.full((inputs.batch or 1, 2), side).astype(inputs.size_type)
    return made


def _scaled(picture: Picture, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    match IMAGENET if picture.pixels == "imagenet" else picture.pixels:
        case "0-255":
            return pixels
        case "0-1":
            return pixels / np.float32(255)
        case "symmetric":
            return (pixels - np.float32(127.5)) / np.float32(127.5)
        case Normalisation(mean=mean, deviation=deviation):
            less, divisor = np.array(mean, np.float32), np.array(deviation, np.float32)
            return (pixels / np.float32(255) - less) / divisor
        case other:
            assert_never(other)


def decode(
    convention: BoxConvention, arrays: Arrays
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Decode the outputs of a foreign graph for a tile.

    Returns:
        boxes (K, 4), x0, y0, x1, y1 in tile pixels; scores (K), falling; labels (K).
    """
    rows = sorted(_rows(convention, arrays), key=lambda row: -row[1])
    if convention.kind == "rf-detr":
        rows = rows[: arrays[convention.outputs.boxes].shape[1]]
    boxes = np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score, _ in rows], np.float32)
    labels = [label - convention.first_label if score > 0 else 0 for _, score, label in rows]
    return boxes, scores, np.array(labels, np.int64)


def _rows(convention: BoxConvention, arrays: Arrays) -> Iterator[Row]:
    """Box, score and the graph's own label of each row of the first picture."""
    outputs = convention.outputs
    first = arrays if convention.kind == "torchvision" else {name: array[0] for name, array in arrays.items()}
    boxes = first[outputs.boxes].astype(np.float64).tolist()
    match convention.kind:
        case "rt-detr" | "torchvision":
            for corners, score, label in zip(boxes, first[outputs.scores], first[outputs.labels], strict=True):
                is_background = convention.kind == "torchvision" and label < convention.first_label
                yield tuple(corners), 0.0 if is_background else float(score), int(label)
        case "mmdetection":
            for (*corners, score), label in zip(boxes, first[outputs.labels], strict=True):
                yield tuple(corners), score, int(label)
        case "yolo-end-to-end":
            for *corners, score, label in boxes:
                yield tuple(corners), score, int(label)
        case "yolo":
            for x, y, width, height, *scores in zip(*boxes, strict=True):
                yield _corners(x, y, width, height), max(scores), scores.index(max(scores))
        case "rf-detr":
            yield from _pairs(convention, boxes, first[outputs.scores].astype(np.float64))
        case _:
            assert_never(convention.kind)


def _pairs(convention: BoxConvention, boxes: Iterable[tuple[float, ...]], logits: NDArray[np.float64]) -> Iterator[Row]:
    """Each box with each class."""
    start = convention.first_label
    for box, row in zip(boxes, logits, strict=True):
        corners = _corners(*(convention.picture.side * value for value in box))
        for label in range(start, start + convention.classes):
            yield corners, 1 / (1 + math.exp(-row[label])), label


def _corners(x: float, y: float, width: float, height: float) -> tuple[float, ...]:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def decode_places(convention: PlaceConvention, output: NDArray[Number]) -> NDArray[np.float64]:
    """The probabilities that a model file should give for a tile, or for a patch of one.

    Args:
        convention: what the output means.
        output: it, for one picture or several of the same.

    Returns:
        (C, rows, columns), from 0 to 1.
    """
    values = output[0].astype(np.float64)
    if convention.kind == "patches":
        values = values[:, None, None]
    if convention.values == "logits" and convention.is_single:
        values = 1 / (1 + np.exp(-values))
    elif convention.values == "logits":
        # The largest is taken away first, so that nothing overflows.
        shares = np.exp(values - values.max(axis=0))
        values = shares / shares.sum(axis=0)
    if convention.is_single:
        values = np.concatenate([1 - values, values])
    count, rows, columns = values.shape
    each = convention.averaged
    blocks = values.reshape(count, rows // each, each, columns // each, each)
    means: NDArray[np.float64] = blocks.mean(axis=(2, 4))
    return means
