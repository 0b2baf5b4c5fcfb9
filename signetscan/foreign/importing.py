"""Importing a foreign model: the ONNX graph of another library becomes a model file that keeps the contract."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import onnx

from signetscan.atomic import part_path
from signetscan.errors import ModelError, OptionError, OutputError
from signetscan.foreign.check import Agreement, check_wrapped, made_up_tiles, takes_any_batch
from signetscan.foreign.in_numpy import prepare
from signetscan.foreign.inputs import find_inputs
from signetscan.foreign.kinds import USUAL_PIXELS, Convention, GraphOutputs, classes_of, find_outputs
from signetscan.foreign.metadata import read_metadata
from signetscan.foreign.options import ImportOptions
from signetscan.foreign.reading import read_foreign
from signetscan.foreign.wrapping import wrap
from signetscan.models.detection_spec import DetectionSpec
from signetscan.models.detector import load_detector
from signetscan.models.runtime import model_errors, open_session
from signetscan.models.writing import graphs_in, save_graph
from signetscan.plurals import counted
from signetscan.scan.real_tiles import real_tiles

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.foreign.inputs import GraphInputs
    from signetscan.foreign.metadata import SaidOfItself
    from signetscan.foreign.options import GraphKind
    from signetscan.foreign.reading import ForeignModel
    from signetscan.models.detector import OnnxDetector
    from signetscan.models.runtime import Session

USUAL_STRIDE = 32
"""Stride of the coarsest feature map of most detectors, pixels."""
USUAL_THRESHOLD = 0.5
"""Score threshold of a model for which nobody has chosen one."""
UNKNOWN = "unknown"
"""Stands for what nobody said."""
THRESHOLD_CAUTION = f"nobody chose its score threshold: {USUAL_THRESHOLD} is that of all imported models"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedModel:
    """A model file that was made of a foreign one, and how closely it follows it."""

    path: Path
    """The model file."""
    kind: GraphKind
    """The kind of the foreign graph."""
    spec: DetectionSpec
    """Its contract."""
    agreement: Agreement
    """How closely it follows the foreign graph."""


def import_model(path: Path, out: Path, *, mpp: float, options: ImportOptions | None = None) -> ImportedModel:
    """Wrap a foreign ONNX graph as a model file, which is written only if it finds what the foreign graph finds.

    Both are run on made-up tiles, and on tiles of the slides in `check_on`; the outputs of the foreign one are decoded
    by other code, box by box.

    Args:
        path: the foreign file; weights in files beside it are taken into the model file.
        out: the model file to write.
        mpp: size of the pixels that the network learnt from, µm/px.
        options: what the file does not say of itself; the defaults of `ImportOptions` if None.

    Raises:
        ModelError: the file cannot be read or wrapped, or the model file finds something else; nothing is written.
        OptionError: an option does not fit the graph, or is needed because the file does not say it.
        SlideError: a slide or image to check on cannot be read, or shows no tissue.
        DeviceError: ONNX Runtime is not installed.
        OutputError: the model file cannot be written.
    """
    options = options or ImportOptions()
    if out.resolve() == path.resolve():
        message = f"{out}: this is the foreign file itself; choose another name for the model file"
        raise OutputError(message)
    foreign = read_foreign(path)
    session = open_session(foreign.model.SerializeToString(), path, device="cpu")
    try:
        said = read_metadata(foreign.metadata)
        convention, names = _understood(session, said, options)
        spec = _spec(foreign, said, convention, options, class_names=names, name=options.name or out.stem, mpp=mpp)
        tiles = made_up_tiles(convention.side)
        tiles += [tile for slide in options.check_on for tile in real_tiles(slide, spec)]
        with part_path(out) as part:
            spec, agreement = _written(foreign, session, convention, spec, part, tiles)
    except (ModelError, OptionError) as error:
        message = f"{path}: {error}"
        raise type(error)(message, options=error.options) from error
    return ImportedModel(path=out, kind=convention.kind, spec=spec, agreement=agreement)


def _understood(session: Session, said: SaidOfItself, options: ImportOptions) -> tuple[Convention, tuple[str, ...]]:
    """What a foreign graph takes and gives, and the names of its classes.

    Raises:
        ModelError: it is of no kind that can be wrapped.
        OptionError: an option does not fit it, or is missing.
    """
    inputs = find_inputs(session.inputs)
    side = _side(inputs, said, options)
    # Only names, types and shapes of what it gives are looked at here, so that any pixels will do.
    trial = Convention(
        kind="rt-detr",
        inputs=inputs,
        outputs=GraphOutputs(boxes=""),
        pixels="0-255",
        blue_first=False,
        side=side,
        classes=0,
        first_label=0,
    )
    with model_errors():
        arrays = session.run_on(prepare(trial, made_up_tiles(side)[0]))
    kind, outputs = find_outputs(arrays, inputs, options.kind)
    convention = replace(
        trial,
        kind=kind,
        outputs=outputs,
        pixels=options.pixels or USUAL_PIXELS[kind],
        blue_first=options.colours == "bgr",
        first_label=int(kind == "torchvision") if options.first_label is None else options.first_label,
    )
    names = options.classes or said.class_names
    if not names:
        message = "it does not say the names of its classes; name them in the order of its labels"
        raise OptionError(message, options=("classes",))
    _check_pixels(convention)
    _check_classes(convention, names, classes_of(kind, outputs, arrays))
    return replace(convention, classes=len(names)), names


def _side(inputs: GraphInputs, said: SaidOfItself, options: ImportOptions) -> int:
    """The side of the tiles, pixels.

    Raises:
        OptionError: it takes other tiles than those asked for, or nobody says which.
    """
    if inputs.side is not None and options.tile_size not in {None, inputs.side}:
        message = f"it takes pictures of {inputs.side} px only, not of {options.tile_size} px"
        raise OptionError(message, options=("tile_size",))
    side = inputs.side or options.tile_size or said.side
    if side is None:
        message = "it takes pictures of any size, and does not say what it learnt from; say the side of its pictures"
        raise OptionError(message, options=("tile_size",))
    return side


def _check_pixels(convention: Convention) -> None:
    """Check that the input can hold the pixels.

    Raises:
        OptionError: it cannot.
    """
    if convention.inputs.pixel_type is np.uint8 and convention.pixels != "0-255":
        message = f"its input takes bytes, which cannot be pixels of the kind {convention.pixels}; they are 0-255"
        raise OptionError(message, options=("pixels",))


def _check_classes(convention: Convention, names: tuple[str, ...], room: int | None) -> None:
    """Check the number of classes against that for which the outputs have room, if they tell.

    Raises:
        OptionError: it is another.
    """
    # RF-DETR has a logit more than classes.
    spare = int(convention.kind == "rf-detr")
    last = convention.first_label + len(names)
    if room is not None and not (last <= room <= len(names) + spare):
        message = (
            f"its outputs have room for {counted(room, 'class', 'classes')}, but there are "
            f"{counted(len(names), 'name')}, from label {convention.first_label} on"
        )
        raise OptionError(message, options=("classes", "first_label"))


def _spec(
    foreign: ForeignModel,
    said: SaidOfItself,
    convention: Convention,
    options: ImportOptions,
    *,
    class_names: tuple[str, ...],
    name: str,
    mpp: float,
) -> DetectionSpec:
    """The contract of the model file."""
    side = convention.side
    stride = math.gcd(side, said.stride or USUAL_STRIDE)
    quarter = side // 4 // stride * stride
    return DetectionSpec(
        name=name,
        mpp=mpp,
        tile_size=side,
        tile_overlap=quarter if options.overlap is None else options.overlap,
        stride=stride,
        class_names=class_names,
        score_threshold=USUAL_THRESHOLD if options.threshold is None else options.threshold,
        nms_iou=options.nms_iou,
        training_data=options.training_data or said.description or UNKNOWN,
        recipe={
            "imported_from": foreign.path.name,
            "sha256": foreign.sha256,
            "kind": convention.kind,
            "pixels": convention.pixels,
            "colours": options.colours,
            "first_label": convention.first_label,
        },
        licence=options.licence or said.licence or UNKNOWN,
        intended_use=options.intended_use or UNKNOWN,
        precision=_precision(foreign.model),
        cautions=() if options.threshold is not None else (THRESHOLD_CAUTION,),
        tile_size_is_fixed=True,
        batch_size=convention.inputs.batch,
    )


def _precision(model: onnx.ModelProto) -> str:
    """The arithmetic of a graph's convolutions and products of matrices: fp32, fp16 or int8."""
    nodes = [node for graph in graphs_in(model.graph) for node in graph.node]
    if any("QuantizeLinear" in node.op_type or node.op_type.startswith("QLinear") for node in nodes):
        return "int8"
    weights = [tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) >= 2]
    return "fp16" if weights.count(onnx.TensorProto.FLOAT16) > len(weights) / 2 else "fp32"


def _written(
    foreign: ForeignModel,
    session: Session,
    convention: Convention,
    spec: DetectionSpec,
    part: Path,
    tiles: list[NDArray[np.uint8]],
) -> tuple[DetectionSpec, Agreement]:
    """Write the model file and check it; gives its contract, and how closely it follows the foreign graph.

    Raises:
        ModelError: it finds something else.
    """
    detector = _saved(foreign, convention, spec, part)
    # Many graphs leave the batch open, and then take one picture all the same.
    if spec.batch_size is None and not takes_any_batch(detector, tiles):
        detector = _saved(foreign, convention, replace(spec, batch_size=1), part)
    return detector.spec, check_wrapped(detector, session, convention, tiles)


def _saved(foreign: ForeignModel, convention: Convention, spec: DetectionSpec, part: Path) -> OnnxDetector:
    """Wrap the foreign graph as a model file, and load that.

    Raises:
        ModelError: the wrapped graph cannot be loaded.
    """
    save_graph(wrap(foreign.model, convention, spec.batch_size), spec, part)
    try:
        return load_detector(part, device="cpu")
    except ModelError as error:
        message = f"its graph cannot be wrapped: {str(error).removeprefix(f'{part}: ')}"
        raise ModelError(message) from error
