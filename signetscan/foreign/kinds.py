"""The kinds of foreign graphs: what the outputs of each mean, and by what they are known.

B is the batch, N the number of boxes, n that of classes; boxes are in pixels of the input unless said otherwise. A
graph that knows one class besides the background may give a single value, n = 1.

| kind | outputs |
|---|---|
| rt-detr | boxes (B, N, 4) as corners, scores (B, N), labels (B, N); as RT-DETR, D-FINE and DEIM are exported |
| rf-detr | `dets` (B, N, 4): centre, width and height, as parts of the side; `labels` (B, N, n): logits |
| yolo | (B, 4 + n, N): centre, width and height, and a score for each class |
| yolo-end-to-end | (B, N, 6): corners, score, label |
| torchvision | boxes (N, 4) as corners, scores (N), labels (N), of which 0 is the background |
| mmdetection | (B, N, 5): corners and score; labels (B, N) |
| segmentation | (B, n, rows, columns): logits or probabilities of each place; if there are several, that called `out` |
| patches | (B, n): logits or probabilities of each picture |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never, get_args

import numpy as np

from signetscan.errors import ModelError
from signetscan.foreign.options import BoxKind, GraphKind
from signetscan.texts import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from signetscan.foreign.inputs import GraphInputs, Picture
    from signetscan.foreign.options import Pixels, PlaceKind, Values

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
    "segmentation": "imagenet",
    "patches": "imagenet",
}
MAIN_OUTPUT = "out"
"""Name that torchvision gives to what counts, besides what only training needs."""
"""What the networks of a kind take for a pixel, if nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxOutputs:
    """The outputs of a foreign graph that detects, by what they hold."""

    kind: BoxKind
    """The kind of the graph."""
    boxes: str
    """Name of the output that holds boxes, and in some kinds scores and labels with them."""
    scores: str = ""
    """Name of the output that holds scores or, in the kind rf-detr, logits; empty if `boxes` holds them."""
    labels: str = ""
    """Name of the output that holds labels; empty if another one holds them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOutput:
    """The output of a foreign graph that says of which class places are."""

    kind: PlaceKind
    """The kind of the graph."""
    name: str
    """Its name."""


Outputs = BoxOutputs | PlaceOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxConvention:
    """What a foreign graph that detects takes and gives: all that must be known to wrap it."""

    picture: Picture
    """What it takes."""
    outputs: BoxOutputs
    """What it gives."""
    classes: int
    """Number of classes."""
    first_label: int
    """Its number for the first class."""

    @property
    def kind(self) -> BoxKind:
        """The kind of the graph."""
        return self.outputs.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceConvention:
    """What a foreign graph that says of which class places are takes and gives."""

    picture: Picture
    """What it takes."""
    output: PlaceOutput
    """What it gives."""
    values: Values
    """What the numbers are."""
    is_single: bool
    """Whether it gives a single value, that of the class that is not the background."""
    step: int
    """Pixels of a tile per pixel of the output, along each side; of patches, their side."""
    averaged: int
    """Pixels of the output, along each side, of which the model file gives the mean."""

    @property
    def kind(self) -> PlaceKind:
        """The kind of the graph."""
        return self.output.kind

    @property
    def output_stride(self) -> int:
        """Pixels of a tile per pixel of the model file's output, along each side."""
        return self.step * self.averaged


Convention = BoxConvention | PlaceConvention


def find_outputs(arrays: Arrays, inputs: GraphInputs, kind: GraphKind | None = None) -> Outputs:
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
        return outputs
    for known in get_args(GraphKind):
        outputs = _outputs_of(known, arrays)
        if outputs is not None and _is_certain(known, arrays, inputs):
            return outputs
    kinds = ", ".join(get_args(GraphKind))
    message = f"nothing tells of which kind it is ({kinds}): its outputs are {listed}"
    raise ModelError(message, options=("kind",))


def classes_of(outputs: BoxOutputs, arrays: Arrays) -> int | None:
    """The number of classes for which the outputs for one picture have room; None if they do not tell."""
    match outputs.kind:
        case "yolo":
            return int(arrays[outputs.boxes].shape[1]) - 4
        case "rf-detr":
            return int(arrays[outputs.scores].shape[2])
        case _:
            return None


def _outputs_of(kind: GraphKind, arrays: Arrays) -> Outputs | None:
    """Which output holds what in a graph of a kind; None if they are not those of this kind."""
    if kind == "segmentation" or kind == "patches":  # noqa: PLR1714 - so that the type is narrowed
        found = _floats(arrays, (None,) * (4 if kind == "segmentation" else 2))
        name = found[0] if len(arrays) == 1 and found else MAIN_OUTPUT
        return PlaceOutput(kind=kind, name=name) if name in found else None
    return _boxes_of(kind, arrays)


def _boxes_of(kind: BoxKind, arrays: Arrays) -> BoxOutputs | None:
    """Which output holds what in a graph that detects."""
    match kind:
        case "rt-detr":
            return _three(kind, arrays, boxes=(None, None, 4), others=2)
        case "torchvision":
            return _three(kind, arrays, boxes=(None, 4), others=1)
        case "rf-detr":
            boxes = [name for name in _floats(arrays, (None, None, 4)) if name != "labels"]
            logits = [name for name in _floats(arrays, (None, None, None)) if name not in boxes[:1]]
            known = len(arrays) == 2 and boxes and logits
            return BoxOutputs(kind=kind, boxes=boxes[0], scores=logits[0]) if known else None
        case "mmdetection":
            dets, labels = _floats(arrays, (None, None, 5)), _wholes(arrays, 2)
            known = len(arrays) == 2 and dets and labels
            return BoxOutputs(kind=kind, boxes=dets[0], labels=labels[0]) if known else None
        case "yolo" | "yolo-end-to-end":
            (name, array) = next(iter(arrays.items()))
            if len(arrays) != 1 or not _floats(arrays, (None, None, None)):
                return None
            end_to_end = array.shape[2] == 6
            raw = 5 <= array.shape[1] < array.shape[2]
            return BoxOutputs(kind=kind, boxes=name) if (raw if kind == "yolo" else end_to_end) else None
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


def _three(kind: BoxKind, arrays: Arrays, *, boxes: Shape, others: int) -> BoxOutputs | None:
    """Boxes of a shape, and scores and labels with fewer axes."""
    found = _floats(arrays, boxes), _floats(arrays, (None,) * others), _wholes(arrays, others)
    if len(arrays) != 3 or not all(found):
        return None
    return BoxOutputs(kind=kind, boxes=found[0][0], scores=found[1][0], labels=found[2][0])


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
