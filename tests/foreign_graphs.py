"""Small graphs like those of other libraries, what each finds on a tile in numpy, and importing them.

Each looks at the mean colours of 16 squares of its picture, and makes of each one box, a score for each of two classes,
and all that from weights that are drawn once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper, parser

from signetscan.errors import ModelError, OptionError, OutputError
from signetscan.foreign.importing import ImportedDetector, import_model
from signetscan.foreign.options import ImportOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Found = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]
    Outputs = dict[str, NDArray[Any]]

SIDE = 64
"""Side of the pictures, pixels."""
CLASSES = ("Signet ring cell", "Mitosis")

SEE = """
    pooled = AveragePool <kernel_shape = [16, 16], strides = [16, 16]> (images)
    cells = Reshape (pooled, cell_shape)
    rows = Transpose <perm = [0, 2, 1]> (cells)
    mixed = MatMul (rows, weights)
    features = Add (mixed, bias)
    parts = Sigmoid (features)
    centred = Slice (parts, zero, four, two)
    logits = Slice (features, four, six, two)
    by_class = Sigmoid (logits)
    pixels = Mul (centred, side)
    centre = Slice (pixels, zero, two, two)
    extent = Slice (pixels, two, four, two)
    half = Mul (extent, halved)
    low = Sub (centre, half)
    high = Add (centre, half)
    corners = Concat <axis = 2> (low, high)
    best, index = TopK <axis = 2> (by_class, one)
    score = Reshape (best, keep_two)
    label = Reshape (index, keep_two)
"""
"""From `images` (B, 3, 64, 64) to boxes and scores in all forms in which graphs give them."""

BODIES = {
    "yolo": "joined = Concat <axis = 2> (pixels, by_class)  output0 = Transpose <perm = [0, 2, 1]> (joined)",
    "yolo-end-to-end": "named = Cast <to = 1> (index)  output0 = Concat <axis = 2> (corners, best, named)",
    "rf-detr": "dets = Identity (centred)  labels = Identity (logits)",
    "mmdetection": "dets = Concat <axis = 2> (corners, best)  labels = Identity (label)",
    "rt-detr": """
        ratio = Cast <to = 1> (orig_target_sizes)
        twice = Concat <axis = 1> (ratio, ratio)
        wide = Reshape (twice, to_rows)
        unit = Div (corners, side)
        boxes = Mul (unit, wide)
        scores = Identity (score)
        labels = Identity (label)
    """,
    "torchvision": """
        flat_score = Reshape (score, flat)
        is_sure = Greater (flat_score, halved)
        flat_boxes = Reshape (corners, fours)
        flat_label = Reshape (label, flat)
        numbered = Add (flat_label, one)
        boxes = Compress <axis = 0> (flat_boxes, is_sure)
        labels = Compress <axis = 0> (numbered, is_sure)
        scores = Compress <axis = 0> (flat_score, is_sure)
    """,
}
OUTPUTS = {
    "yolo": "float[{batch}, 6, 16] output0",
    "yolo-end-to-end": "float[{batch}, 16, 6] output0",
    "rf-detr": "float[{batch}, 16, 4] dets, float[{batch}, 16, 2] labels",
    "mmdetection": "float[{batch}, 16, 5] dets, int64[{batch}, 16] labels",
    "rt-detr": "int64[{batch}, 16] labels, float[{batch}, 16, 4] boxes, float[{batch}, 16] scores",
    "torchvision": "float[found, 4] boxes, int64[found] labels, float[found] scores",
}
USUAL_PIXELS = {"rf-detr": "imagenet", "mmdetection": "imagenet"}


def foreign_graph(kind: str, *, batch: int | str = 1, opset: int = 17, weight: float = 2.0) -> onnx.ModelProto:
    """The graph of a kind, with weights of a size that suits its pixels."""
    image = "float[3, 64, 64] image" if kind == "torchvision" else f"float[{batch}, 3, 64, 64] images"
    more = f", int64[{batch}, 2] orig_target_sizes" if kind == "rt-detr" else ""
    before = "images = Reshape (image, as_batch)" if kind == "torchvision" else ""
    outputs = OUTPUTS[kind].format(batch=batch)
    model = parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : {opset}]> seen ({image}{more}) => ({outputs}) '
        f"{{ {before} {SEE} {BODIES[kind]} }}"
    )
    rng = np.random.default_rng(1)
    constants: dict[str, NDArray[Any]] = {
        "weights": rng.normal(0, weight, (3, 6)).astype(np.float32),
        "bias": rng.normal(0, 1, (16, 6)).astype(np.float32),
        "cell_shape": np.array([0, 3, 16]),
        "zero": np.array([0]),
        "one": np.array([1]),
        "two": np.array([2]),
        "four": np.array([4]),
        "six": np.array([6]),
        "side": np.array(SIDE, np.float32),
        "halved": np.array(0.5, np.float32),
        "keep_two": np.array([0, 0]),
        "to_rows": np.array([0, 1, 4]),
        "flat": np.array([-1]),
        "fours": np.array([-1, 4]),
        "as_batch": np.array([1, 3, SIDE, SIDE]),
    }
    used = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in constants.items() if name in used
    )
    onnx.checker.check_model(model)
    return model


def write_foreign(path: Path, kind: str, **changes: object) -> Path:
    """Write the graph of a kind as a file."""
    onnx.save(foreign_graph(kind, **changes), path)  # type: ignore[arg-type]
    return path


def imported(path: Path, **options: object) -> ImportedDetector:
    """Import a file as out.onnx beside it."""
    values: dict[str, Any] = {"classes": CLASSES, "threshold": 0.3} | options
    model = import_model(path, path.with_name("out.onnx"), mpp=0.5, options=ImportOptions(**values))
    assert isinstance(model, ImportedDetector)
    return model


def refused(path: Path, says: str, **options: object) -> None:
    """Import a file that must be refused, in one line that names it."""
    with pytest.raises((ModelError, OptionError, OutputError), match=says) as caught:
        imported(path, **options)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not path.with_name("out.onnx").exists()


def scaled(tile: NDArray[np.uint8], pixels: str) -> NDArray[np.float64]:
    """A tile (H, W, 3) as a network takes it, (3, H, W)."""
    unit = tile.astype(np.float64).transpose(2, 0, 1) / 255
    mean, deviation = (np.array(each)[:, None, None] for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    ways: dict[str, NDArray[np.float64]] = {
        "0-255": unit * 255,
        "0-1": unit,
        "symmetric": unit * 2 - 1,
        "imagenet": (unit - mean) / deviation,
    }
    return ways[pixels]


def found_by(model: onnx.ModelProto, kind: str, tile: NDArray[np.uint8], pixels: str = "") -> Found:
    """What a graph finds on a tile: boxes, scores and labels by falling score."""
    picture = scaled(tile, pixels or USUAL_PIXELS.get(kind, "0-1")).astype(np.float32)
    feeds = {"image": picture} if kind == "torchvision" else {"images": picture[None]}
    if kind == "rt-detr":
        feeds["orig_target_sizes"] = np.array([[SIDE, SIDE]])
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [value.name for value in session.get_outputs()]
    boxes, scores, labels = DECODED[kind](dict(zip(names, session.run(names, feeds), strict=True)))
    order = np.argsort(-scores, kind="stable")
    return boxes[order].astype(np.float64), scores[order].astype(np.float64), labels[order].astype(np.int64)


def cornered(centred: NDArray[Any]) -> NDArray[np.float64]:
    x, y, width, height = centred.astype(np.float64).T
    return np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1)


def of_yolo(outputs: Outputs) -> Found:
    rows = outputs["output0"][0].T
    return cornered(rows[:, :4]), rows[:, 4:].max(axis=1), rows[:, 4:].argmax(axis=1)


def of_end_to_end(outputs: Outputs) -> Found:
    rows = outputs["output0"][0]
    return rows[:, :4], rows[:, 4], rows[:, 5]


def of_rf_detr(outputs: Outputs) -> Found:
    scores = (1 / (1 + np.exp(-outputs["labels"][0].astype(np.float64)))).reshape(-1)
    best = np.argsort(-scores, kind="stable")[:16]
    return cornered(outputs["dets"][0] * SIDE)[best // 2], scores[best], best % 2


def of_mmdetection(outputs: Outputs) -> Found:
    return outputs["dets"][0][:, :4], outputs["dets"][0][:, 4], outputs["labels"][0]


def of_rt_detr(outputs: Outputs) -> Found:
    return outputs["boxes"][0], outputs["scores"][0], outputs["labels"][0]


def of_torchvision(outputs: Outputs) -> Found:
    return outputs["boxes"], outputs["scores"], outputs["labels"] - 1


DECODED: dict[str, Callable[[Outputs], Found]] = {
    "yolo": of_yolo,
    "yolo-end-to-end": of_end_to_end,
    "rf-detr": of_rf_detr,
    "mmdetection": of_mmdetection,
    "rt-detr": of_rt_detr,
    "torchvision": of_torchvision,
}
