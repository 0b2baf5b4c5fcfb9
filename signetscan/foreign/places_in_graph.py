"""Decoding the classes of places as nodes of a graph, and cutting tiles into patches; `in_numpy.py` does it slowly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from signetscan.foreign.kinds import PlaceConvention
    from signetscan.foreign.nodes import Nodes

FULL = 255
"""A probability of 1 in the output."""


def cut_patches(nodes: Nodes, tiles: str, side: int) -> tuple[str, str]:
    """Add nodes that cut tiles into patches.

    Args:
        nodes: where to add them.
        tiles: name of the tiles, uint8 (B, N * side, M * side, 3).
        side: side of a patch, pixels.

    Returns:
        The names of the patches, uint8 (B * N * M, side, side, 3), and of the list (B, N, M).
    """
    shape, length = nodes.add("Shape", tiles), nodes.whole(side)
    batch, height, width = (nodes.part(shape, axis, axis + 1, axis=0) for axis in range(3))
    rows, columns = (nodes.add("Div", pixels, length) for pixels in (height, width))
    cut = nodes.add("Concat", batch, rows, length, columns, length, nodes.whole(3), axis=0)
    parts = nodes.add("Transpose", nodes.add("Reshape", tiles, cut), perm=[0, 1, 3, 2, 4, 5])
    return nodes.reshape(parts, -1, side, side, 3), nodes.add("Concat", batch, rows, columns, axis=0)


def decode_places(nodes: Nodes, convention: PlaceConvention, grid: str | None) -> str:
    """Add nodes that decode the output of a foreign graph.

    Args:
        nodes: where to add them.
        convention: what the output means.
        grid: name of the list (B, rows, columns) by which tiles were cut into patches; None if they were not.

    Returns:
        The name of the probabilities times 255, uint8 (B, C, rows, columns).
    """
    values = nodes.cast(convention.output.name, np.float32)
    if convention.kind == "patches":
        shape = nodes.whole(-1, 1, 1) if grid is None else grid
        channels = nodes.part(nodes.add("Shape", values), 1, 2, axis=0)
        values = nodes.add("Reshape", values, nodes.add("Concat", shape, channels, axis=0))
    else:
        values = nodes.add("Transpose", values, perm=[0, 2, 3, 1])
    # Classes last: in old opsets, a softmax along another axis means something else.
    shares = nodes.add("Transpose", _probabilities(nodes, convention, values), perm=[0, 3, 1, 2])
    if convention.averaged > 1:
        each = [convention.averaged] * 2
        shares = nodes.add("AveragePool", shares, kernel_shape=each, strides=each)
    whole = nodes.add("Round", nodes.add("Mul", shares, nodes.number(FULL)))
    return nodes.cast(whole, np.uint8)


def _probabilities(nodes: Nodes, convention: PlaceConvention, values: str) -> str:
    """The probabilities of all classes (B, rows, columns, C), from 0 to 1."""
    if convention.values == "probabilities":
        # Those of a softmax may be above 1 by the last bit.
        shares = nodes.add("Clip", values, nodes.number(0), nodes.number(1))
    elif convention.is_single:
        shares = nodes.add("Sigmoid", values)
    else:
        return nodes.add("Softmax", values, axis=-1)
    if not convention.is_single:
        return shares
    return nodes.add("Concat", nodes.add("Sub", nodes.number(1), shares), shares, axis=3)
