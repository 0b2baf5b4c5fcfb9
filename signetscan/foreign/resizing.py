"""Resizing pictures as Pillow does, as nodes of a graph: a product with a matrix along each axis.

ONNX has an operator for it, but in its old forms it does not average where pictures get smaller, and graphs of the
newest form are rare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.foreign.nodes import Nodes


def bilinear_weights(source: int, target: int) -> NDArray[np.float32]:
    """How much each of `source` pixels counts in each of `target` pixels, (target, source).

    A triangle whose half width is a pixel of the coarser side, as in Pillow's `Image.resize` with BILINEAR.
    """
    scale = source / target
    centres = (np.arange(target) + 0.5)[:, None] * scale
    apart = np.abs(np.arange(source) + 0.5 - centres) / max(scale, 1)
    weights = (1 - apart).clip(0)
    normalised: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalised


def resized(nodes: Nodes, pixels: str, side: int, target: int) -> str:
    """Add nodes that resize square pictures.

    Args:
        nodes: where to add them.
        pixels: name of the pictures, float32 (B, side, side, 3), whole numbers from 0 to 255.
        side: their side, pixels.
        target: the side that they get, pixels.

    Returns:
        The name of the resized pictures, (B, target, target, 3), whole numbers again: Pillow rounds after each axis.
    """
    weights = bilinear_weights(side, target)
    planes = nodes.add("Transpose", pixels, perm=[0, 3, 1, 2])
    wide = _rounded(nodes, nodes.add("MatMul", planes, nodes.constant(weights.T)))
    both = _rounded(nodes, nodes.add("MatMul", nodes.constant(weights), wide))
    return nodes.add("Transpose", both, perm=[0, 2, 3, 1])


def _rounded(nodes: Nodes, values: str) -> str:
    """The nearest whole numbers; halves are rounded up."""
    return nodes.add("Floor", nodes.add("Add", values, nodes.number(0.5)))
