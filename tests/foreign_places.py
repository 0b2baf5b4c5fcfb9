"""Small graphs like those of other libraries that segment or classify patches, and what each says, in numpy.

Each looks at the mean colours of squares of its picture, and gives a weighted sum of them for each class.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper, parser

from signetscan.foreign.importing import ImportedSegmenter, import_model
from signetscan.foreign.options import ImportOptions

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIDE = 64
"""Side of the pictures, pixels."""
NAMES = ("Other", "Gland", "Lesion")
MEAN, DEVIATION = (0.7, 0.5, 0.6), (0.1, 0.2, 0.3)
CONFIG: dict[str, Any] = {
    "spec_version": "1.0",
    "architecture": "resnet34",
    "num_classes": 3,
    "class_names": [*NAMES],
    "patch_size_pixels": 96,
    "spacing_um_px": 0.5,
    "transform": [
        {"name": "Resize", "arguments": {"size": SIDE}},
        {"name": "ToTensor"},
        {"name": "Normalize", "arguments": {"mean": [*MEAN], "std": [*DEVIATION]}},
    ],
}
"""A config.json of the WSInfer zoo."""


def place_graph(
    kind: str,
    *,
    classes: int = 3,
    step: int = 4,
    batch: int | str = "n",
    opset: int = 17,
    last: str = "Identity",
    weight: float = 4.0,
    outputs: str = "out",
) -> onnx.ModelProto:
    """The graph of a kind; `last` makes what it gives of logits, of which the classes stand last."""
    of_places = f"pooled = AveragePool <kernel_shape = [{step}, {step}], strides = [{step}, {step}]> (images)"
    see = of_places if kind == "segmentation" else "pooled = GlobalAveragePool (images)"
    shape = f"{classes}, {SIDE // step}, {SIDE // step}" if kind == "segmentation" else f"{classes}"
    end = "Transpose <perm = [0, 3, 1, 2]> (values)" if kind == "segmentation" else "Reshape (values, flat)"
    more = f", float[{batch}, {shape}] aux" if outputs != "out" else ""
    body = f"""
        {see}
        turned = Transpose <perm = [0, 2, 3, 1]> (pooled)
        product = MatMul (turned, weights)
        logits = Add (product, bias)
        values = {last} (logits)
        {outputs.partition(",")[0]} = {end}
    """
    if more:
        body += f"aux = Identity ({outputs.partition(',')[0]})"
    model = parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : {opset}]> '
        f"seen (float[{batch}, 3, {SIDE}, {SIDE}] images) => "
        f"(float[{batch}, {shape}] {outputs.partition(',')[0]}{more}) {{ {body} }}"
    )
    weights, bias = weights_of(classes, weight)
    constants = {"weights": weights, "bias": bias, "flat": np.array([-1 if batch == "n" else batch, classes])}
    used = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in constants.items() if name in used
    )
    onnx.checker.check_model(model)
    return model


def weights_of(classes: int, weight: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights with which grey of middle lightness, from 0 to 1, is of no class in particular."""
    rng = np.random.default_rng(3)
    weights = rng.normal(0, weight, (3, classes)).astype(np.float32)
    return weights, rng.normal(-0.5 * weights.sum(axis=0), 0.02).astype(np.float32)


def logits_of(pixels: NDArray[np.float64], step: int, classes: int, weight: float = 4.0) -> NDArray[np.float64]:
    """What a graph gives before `last` for pixels (H, W, 3) as it takes them: (H / step, W / step, C)."""
    height, width = pixels.shape[:2]
    means = pixels.reshape(height // step, step, width // step, step, 3).mean(axis=(1, 3))
    weights, bias = weights_of(classes, weight)
    logits: NDArray[np.float64] = means @ weights.astype(np.float64) + bias
    return logits


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    normalised: NDArray[np.float64] = shares / shares.sum(axis=-1, keepdims=True)
    return normalised


def write_places(path: Path, kind: str, **changes: object) -> Path:
    onnx.save(place_graph(kind, **changes), path)  # type: ignore[arg-type]
    return path


def write_config(path: Path, **changes: object) -> Path:
    path.write_text(json.dumps(CONFIG | changes))
    return path


def imported_places(path: Path, *, mpp: float | None = 0.5, **options: object) -> ImportedSegmenter:
    values: dict[str, Any] = {"classes": NAMES, "pixels": "0-1"} | options
    model = import_model(path, path.with_name("out.onnx"), mpp=mpp, options=ImportOptions(**values))
    assert isinstance(model, ImportedSegmenter)
    return model
