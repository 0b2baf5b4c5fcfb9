"""The kinds of foreign graphs: what the outputs of each mean, and by what they are known.

B is the batch, N the number of boxes, n that of classes; boxes are in pixels of the input unless said otherwise.

| kind | outputs |
|---|---|
| rt-detr | boxes (B, N, 4) as corners, scores (B, N), labels (B, N); as RT-DETR, D-FINE and DEIM are exported |
| rf-detr | `dets` (B, N, 4): centre, width and height, as parts of the side; `labels` (B, N, n): logits |
| yolo | (B, 4 + n, N): centre, width and height, and a score for each class |
| yolo-end-to-end | (B, N, 6): corners, score, label |
| torchvision | boxes (N, 4) as corners, scores (N), labels (N), of which 0 is the background |
| mmdetection | (B, N, 5): corners and score; labels (B, N) |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never, get_args

import numpy as np

from signetscan.errors import ModelError
from signetscan.foreign.options import GraphKind
from signetscan.texts import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from signetscan.foreign.inputs import GraphInputs
    from signetscan.foreign.options import Pixels

    Number = np.float16 | np.float32 | np.float64 | np.int32 | np.int64 | np.uint8
    Arrays = Mapping[str, NDArray[Number]]
    Shape = tuple[int | None, ...]

USUAL_PIXELS: dict[GraphKind, Pixels] = {
    "rt-detr": "0-1",
    "rf-detr": "imagenet",
    "yolo": "0-1",
    "yolo-end-to-end": "0-1",
    "torchvision": "0-1",
    "mmdetection": "imagenet",
}
"""What the networks of a kind take for a pixel, if nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphOutputs:
    """The outputs of a foreign graph by what they hold."""

    boxes: str
    """Name of the output that holds boxes, and in some kinds scores and labels with them."""
    scores: str = ""
    """Name of the output that holds scores or, in the kind rf-detr, logits; empty if `boxes` holds them."""
    labels: str = ""
    """Name of the output that holds labels; empty if another one holds them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """What a foreign graph takes and gives: all that must be known to wrap it."""

    kind: GraphKind
    """The kind of its outputs."""
    inputs: GraphInputs
    """Its inputs."""
    outputs: GraphOutputs
    """Its outputs."""
    pixels: Pixels
    """What it takes for a pixel."""
    blue_first: bool
    """Whether its colours are blue, green, red."""
    side: int
    """Side of the tiles that it gets, pixels."""
    classes: int
    """Number of classes."""
    first_label: int
    """Its number for the first class."""


def find_outputs(arrays: Arrays, inputs: GraphInputs, kind: GraphKind | None = None) -> tuple[GraphKind, GraphOutputs]:
    """Find out which kind of graph gave some outputs, and which of them holds what.

    Args:
        arrays: the outputs for one picture, by name.
        inputs: the graph's inputs.
        kind: the kind, if it is known.

    Raises:
        ModelError: they are of no kind that is known, or not of the kind that they are said to be.
    """
    listed = ", ".join(f"{printable(name, 60)} {array.dtype} {array.shape}" for name, array in arrays.items())
    if kind is not None:
        outputs = _outputs_of(kind, arrays)
        if outputs is None:
            message = f"it is no graph of the kind {kind}: its outputs are {listed}"
            raise ModelError(message, options=("kind",))
        return kind, outputs
    for known in get_args(GraphKind):
        outputs = _outputs_of(known, arrays)
        if outputs is not None and _is_certain(known, arrays, inputs):
            return known, outputs
    kinds = ", ".join(get_args(GraphKind))
    message = f"nothing tells of which kind it is ({kinds}): its outputs are {listed}"
    raise ModelError(message, options=("kind",))


def classes_of(kind: GraphKind, outputs: GraphOutputs, arrays: Arrays) -> int | None:
    """The number of classes for which the outputs for one picture have room; None if they do not tell."""
    match kind:
        case "yolo":
            return int(arrays[outputs.boxes].shape[1]) - 4
        case "rf-detr":
            return int(arrays[outputs.scores].shape[2])
        case _:
            return None


def _outputs_of(kind: GraphKind, arrays: Arrays) -> GraphOutputs | None:
    """Which output holds what in a graph of a kind; None if they are not those of this kind."""
    match kind:
        case "rt-detr":
            return _three(arrays, boxes=(None, None, 4), others=2)
        case "torchvision":
            return _three(arrays, boxes=(None, 4), others=1)
        case "rf-detr":
            boxes = [name for name in _floats(arrays, (None, None, 4)) if name != "labels"]
            logits = [name for name in _floats(arrays, (None, None, None)) if name not in boxes[:1]]
            known = len(arrays) == 2 and boxes and logits
            return GraphOutputs(boxes=boxes[0], scores=logits[0]) if known else None
        case "mmdetection":
            dets, labels = _floats(arrays, (None, None, 5)), _wholes(arrays, 2)
            return GraphOutputs(boxes=dets[0], labels=labels[0]) if len(arrays) == 2 and dets and labels else None
        case "yolo" | "yolo-end-to-end":
            (name, array) = next(iter(arrays.items()))
            if len(arrays) != 1 or not _floats(arrays, (None, None, None)):
                return None
            end_to_end = array.shape[2] == 6
            raw = 5 <= array.shape[1] < array.shape[2]
            return GraphOutputs(boxes=name) if (raw if kind == "yolo" else end_to_end) else None
        case _:
            assert_never(kind)


def _is_certain(kind: GraphKind, arrays: Arrays, inputs: GraphInputs) -> bool:
    """Whether outputs whose shapes fit a kind can be of no other."""
    match kind:
        case "rt-detr":  # otherwise their boxes may be parts of the side
            return inputs.sizes is not None
        case "rf-detr":  # those of the original DETR fit too, but need a softmax
            return set(arrays) == {"dets", "labels"}
        case _:
            return True


def _three(arrays: Arrays, *, boxes: Shape, others: int) -> GraphOutputs | None:
    """Boxes of a shape, and scores and labels with fewer axes."""
    found = _floats(arrays, boxes), _floats(arrays, (None,) * others), _wholes(arrays, others)
    if len(arrays) != 3 or not all(found):
        return None
    return GraphOutputs(boxes=found[0][0], scores=found[1][0], labels=found[2][0])


def _floats(arrays: Arrays, shape: Shape) -> list[str]:
    """The names of arrays of numbers that have a shape; None stands for any size."""
    return [
        name
        for name, array in arrays.items()
        if np.issubdtype(array.dtype, np.floating)
        and array.ndim == len(shape)
        and all(wanted in {None, size} for wanted, size in zip(shape, array.shape, strict=True))
    ]


def _wholes(arrays: Arrays, axes: int) -> list[str]:
    """The names of arrays of whole numbers that have so many axes."""
    return [name for name, array in arrays.items() if np.issubdtype(array.dtype, np.integer) and array.ndim == axes]
