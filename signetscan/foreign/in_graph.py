"""Preparing tiles and decoding boxes as nodes of a graph; `in_numpy.py` does the same slowly, to check it."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import numpy as np

from signetscan.foreign.inputs import IMAGENET, Axes, Normalisation
from signetscan.foreign.resizing import resized

if TYPE_CHECKING:
    from signetscan.foreign.inputs import Picture
    from signetscan.foreign.kinds import BoxConvention
    from signetscan.foreign.nodes import Nodes


def prepare(nodes: Nodes, picture: Picture, tiles: str) -> None:
    """Add nodes that make the inputs of a foreign graph of tiles.

    Args:
        nodes: where to add them; the last ones have the names of the inputs.
        picture: what the graph takes.
        tiles: name of the tiles, uint8 (B, H, W, 3).
    """
    inputs, side = picture.inputs, picture.resized or picture.side
    if inputs.sizes is not None:
        batch = nodes.part(nodes.add("Shape", tiles), 0, 1, axis=0)
        shape = nodes.add("Concat", batch, nodes.whole(2), axis=0)
        nodes.cast(nodes.add("Expand", nodes.whole(side, side), shape), inputs.size_type)
        nodes.name_last(inputs.sizes)
    numbers = nodes.cast(tiles, np.float32)
    if picture.resized is not None:
        numbers = resized(nodes, numbers, picture.side, picture.resized)
    pixels = nodes.cast(_scaled(nodes, picture, numbers), inputs.pixel_type)
    match inputs.axes:
        case Axes.BHWC:
            nodes.add("Identity", pixels)
        case Axes.BCHW:
            nodes.add("Transpose", pixels, perm=[0, 3, 1, 2])
        case Axes.CHW:
            nodes.reshape(nodes.add("Transpose", pixels, perm=[0, 3, 1, 2]), 3, side, side)
        case _:
            assert_never(inputs.axes)
    nodes.name_last(inputs.image)


def _scaled(nodes: Nodes, picture: Picture, pixels: str) -> str:
    """The pixels (B, H, W, 3) as the network takes them; before, they are from 0 to 255, red first."""
    match IMAGENET if picture.pixels == "imagenet" else picture.pixels:
        case "0-255":
            scaled = pixels
        case "0-1":
            scaled = nodes.add("Div", pixels, nodes.number(255))
        case "symmetric":
            scaled = nodes.add("Div", nodes.add("Sub", pixels, nodes.number(127.5)), nodes.number(127.5))
        case Normalisation(mean=mean, deviation=deviation):
            scaled = nodes.add("Div", pixels, nodes.number(255))
            scaled = nodes.add("Sub", scaled, nodes.constant(np.array(mean, np.float32)))
            scaled = nodes.add("Div", scaled, nodes.constant(np.array(deviation, np.float32)))
        case other:
            assert_never(other)
    return nodes.add("Gather", scaled, nodes.whole(2, 1, 0), axis=3) if picture.blue_first else scaled


def decode(nodes: Nodes, convention: BoxConvention) -> tuple[str, str, str]:
    """Add nodes that decode the outputs of a foreign graph.

    Args:
        nodes: where to add them.
        convention: what the outputs mean.

    Returns:
        The names of boxes (B, K, 4), scores (B, K), falling, and labels (B, K), as in the contract.
    """
    first = nodes.whole(convention.first_label)
    if convention.kind == "rf-detr":
        boxes, scores, labels = _best_pairs(nodes, convention)
    else:
        boxes, scores, labels = _best_rows(nodes, *_rows(nodes, convention))
        labels = nodes.add("Sub", labels, first)
    # A row without a score is padding, for which some libraries have the label -1.
    counts = nodes.add("Greater", scores, nodes.number(0))
    return boxes, scores, nodes.add("Where", counts, labels, nodes.whole(0))


def _rows(nodes: Nodes, convention: BoxConvention) -> tuple[str, str, str]:
    """Boxes (B, N, 4) in tile pixels, scores (B, N) and labels (B, N) as a graph gives them."""
    outputs = convention.outputs
    boxes = nodes.cast(outputs.boxes, np.float32)
    match convention.kind:
        case "rt-detr":
            return boxes, nodes.cast(outputs.scores, np.float32), nodes.cast(outputs.labels, np.int64)
        case "torchvision":
            scores = nodes.reshape(nodes.cast(outputs.scores, np.float32), 1, -1)
            labels = nodes.reshape(nodes.cast(outputs.labels, np.int64), 1, -1)
            is_background = nodes.add("Less", labels, nodes.whole(convention.first_label))
            scores = nodes.add("Where", is_background, nodes.number(0), scores)
            return nodes.reshape(boxes, 1, -1, 4), scores, labels
        case "mmdetection":
            scores = nodes.reshape(nodes.part(boxes, 4, 5, axis=2), 0, 0)
            return nodes.part(boxes, 0, 4, axis=2), scores, nodes.cast(outputs.labels, np.int64)
        case "yolo-end-to-end":
            scores, labels = (nodes.reshape(nodes.part(boxes, at, at + 1, axis=2), 0, 0) for at in (4, 5))
            return nodes.part(boxes, 0, 4, axis=2), scores, nodes.cast(labels, np.int64)
        case "yolo":
            rows = nodes.add("Transpose", boxes, perm=[0, 2, 1])
            by_class = nodes.part(rows, 4, 4 + convention.classes, axis=2)
            best, label = nodes.add_many("TopK", by_class, nodes.whole(1), count=2, axis=2)
            scores, labels = nodes.reshape(best, 0, 0), nodes.reshape(label, 0, 0)
            return _corners(nodes, nodes.part(rows, 0, 4, axis=2)), scores, labels
        case _:
            raise ValueError(convention.kind)


def _best_rows(nodes: Nodes, boxes: str, scores: str, labels: str) -> tuple[str, str, str]:
    """All rows by falling score."""
    count = nodes.part(nodes.add("Shape", scores), 1, 2, axis=0)
    falling, order = nodes.add_many("TopK", scores, count, count=2, axis=1)
    return _rows_at(nodes, boxes, order), falling, nodes.add("GatherElements", labels, order, axis=1)


def _best_pairs(nodes: Nodes, convention: BoxConvention) -> tuple[str, str, str]:
    """The best pairs of a box and a class by falling score, as many as there are boxes."""
    outputs, first = convention.outputs, convention.first_label
    logits = nodes.part(nodes.cast(outputs.scores, np.float32), first, first + convention.classes, axis=2)
    scores = nodes.reshape(nodes.add("Sigmoid", logits), 0, -1)
    boxes = nodes.cast(outputs.boxes, np.float32)
    count = nodes.part(nodes.add("Shape", boxes), 1, 2, axis=0)
    falling, pair = nodes.add_many("TopK", scores, count, count=2, axis=1)
    classes = nodes.whole(convention.classes)
    corners = nodes.add("Mul", _corners(nodes, boxes), nodes.number(convention.picture.side))
    return _rows_at(nodes, corners, nodes.add("Div", pair, classes)), falling, nodes.add("Mod", pair, classes)


def _corners(nodes: Nodes, centred: str) -> str:
    """Boxes as corners, from centres, widths and heights (B, N, 4)."""
    centre, half = nodes.part(centred, 0, 2, axis=2), nodes.part(centred, 2, 4, axis=2)
    half = nodes.add("Div", half, nodes.number(2))
    return nodes.add("Concat", nodes.add("Sub", centre, half), nodes.add("Add", centre, half), axis=2)


def _rows_at(nodes: Nodes, boxes: str, order: str) -> str:
    """The boxes (B, K, 4) at an order (B, K)."""
    places = nodes.add("Expand", nodes.reshape(order, 0, 0, 1), nodes.whole(1, 1, 4))
    return nodes.add("GatherElements", boxes, places, axis=1)
