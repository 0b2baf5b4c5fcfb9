"""The contract of a model file that is made of a foreign graph."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import onnx

from signetscan.errors import OptionError
from signetscan.foreign.inputs import Normalisation
from signetscan.foreign.kinds import BoxConvention
from signetscan.foreign.understanding import BACKGROUNDS
from signetscan.formats.colours import tissue_colours
from signetscan.models.detection_spec import DetectionSpec
from signetscan.models.segmentation_spec import SegmentationSpec, SlideScore
from signetscan.models.spec import FieldsOfMaker
from signetscan.models.writing import graphs_in

if TYPE_CHECKING:
    from signetscan.foreign.kinds import Convention, PlaceConvention
    from signetscan.foreign.options import ImportOptions
    from signetscan.foreign.reading import ForeignModel
    from signetscan.foreign.understanding import Understood
    from signetscan.json_values import Json

USUAL_STRIDE = 32
"""Stride of the coarsest feature map of most networks, pixels."""
USUAL_THRESHOLD, USUAL_IOU = 0.5, 0.5
"""Score threshold of a detector for which nobody has chosen one, and IoU from which boxes are the same."""
UNKNOWN = "unknown"
"""Stands for what nobody said."""
THRESHOLD_CAUTION = f"nobody chose its score threshold: {USUAL_THRESHOLD} is that of all imported models"
MARGIN_SHARE = 8
"""The usual margin of a segmenter is this part of a tile: then a place sees an eighth of a tile around it, or more."""
PATCHES_SIDE = 1024
"""Tiles of patches are about so large, pixels, where a network takes any number of patches at once."""
TOP_SHARE = 0.01
"""Part of the tissue over which the slide's score is the mean, as in models trained here."""


def shared_values(
    foreign: ForeignModel, understood: Understood, options: ImportOptions, *, name: str, mpp: float | None
) -> FieldsOfMaker:
    """What the contract of the model file says, whatever its task.

    Args:
        foreign: the foreign file.
        understood: what is known of its graph.
        options: what users say of it.
        name: short name of the model.
        mpp: size of the pixels that the network learnt from, µm/px; None if the file's config says it.

    Raises:
        OptionError: nobody says the size of the pixels.
    """
    said, config, convention = understood.said, understood.config, understood.convention
    size = mpp or (None if config is None else config.mpp)
    if size is None:
        message = "it does not say the size of the pixels that it learnt from; say it in µm/px"
        raise OptionError(message, options=("mpp",))
    return FieldsOfMaker(
        name=name,
        mpp=size,
        class_names=understood.names,
        training_data=options.training_data or said.description or UNKNOWN,
        recipe=_recipe(foreign, convention),
        licence=options.licence or said.licence or UNKNOWN,
        intended_use=options.intended_use or UNKNOWN,
        precision=_precision(foreign.model),
        batch_size=convention.picture.inputs.batch,
    )


def detection_spec(
    convention: BoxConvention, shared: FieldsOfMaker, options: ImportOptions, stride: int | None
) -> DetectionSpec:
    """The contract of a model file that detects.

    Args:
        convention: what the graph takes and gives.
        shared: what the contracts of all tasks say.
        options: what users say of it.
        stride: what its file says of the stride of its coarsest feature map, pixels.

    Raises:
        ModelError: a value cannot be.
    """
    side = convention.picture.side
    stride = math.gcd(side, stride or USUAL_STRIDE)
    quarter = side // 4 // stride * stride
    return DetectionSpec(
        **shared,
        tile_size=side,
        tile_overlap=quarter if options.overlap is None else options.overlap,
        stride=stride,
        score_threshold=USUAL_THRESHOLD if options.threshold is None else options.threshold,
        nms_iou=USUAL_IOU if options.nms_iou is None else options.nms_iou,
        cautions=() if options.threshold is not None else (THRESHOLD_CAUTION,),
        tile_size_is_fixed=True,
    )


def segmentation_spec(convention: PlaceConvention, shared: FieldsOfMaker, options: ImportOptions) -> SegmentationSpec:
    """The contract of a model file that segments.

    Args:
        convention: what the graph takes and gives.
        shared: what the contracts of all tasks say.
        options: what users say of it.

    Raises:
        ModelError: a value cannot be.
        OptionError: an option names no class, or nothing tells which class is of no interest.
    """
    side, step, names = convention.picture.side, convention.output_stride, shared["class_names"]
    background = _background(convention, names, options)
    scored = tuple(_index(name, names, "scored") for name in options.scored)
    # Where any number of pictures is taken at once, tiles hold several patches.
    is_cut = convention.kind == "patches" and shared["batch_size"] is None
    margin = 0 if convention.kind == "patches" else side // MARGIN_SHARE // step * step
    return SegmentationSpec(
        **shared,
        tile_size=side * max(1, round(PATCHES_SIDE / side)) if is_cut else side,
        stride=step * math.gcd(side // step, max(1, USUAL_STRIDE // step)),
        output_stride=step,
        margin=margin if options.margin is None else options.margin,
        class_colours=tissue_colours(len(names), background),
        background=background,
        slide_score=SlideScore(
            classes=scored or tuple(label for label in range(len(names)) if label != background), top_share=TOP_SHARE
        ),
        tile_size_is_fixed=not is_cut,
    )


def _background(convention: PlaceConvention, names: tuple[str, ...], options: ImportOptions) -> int:
    """The index of the class of no interest.

    Raises:
        OptionError: nothing tells.
    """
    if options.background is not None:
        return _index(options.background, names, "background")
    known = [label for label, name in enumerate(names) if name.casefold().strip("_ ") in BACKGROUNDS]
    if convention.is_single:
        return 0
    if len(known) != 1:
        message = f"nothing tells which class is of no interest ({', '.join(names)}); name it"
        raise OptionError(message, options=("background",))
    return known[0]


def _index(name: str, names: tuple[str, ...], option: str) -> int:
    if name not in names:
        message = f"there is no class {name!r}, but {', '.join(names)}"
        raise OptionError(message, options=(option,))
    return names.index(name)


def _recipe(foreign: ForeignModel, convention: Convention) -> dict[str, Json]:
    """Where the model is from, and how its graph was understood."""
    pixels: Json
    match convention.picture.pixels:
        case Normalisation(mean=mean, deviation=deviation):
            pixels = {"mean": list(mean), "deviation": list(deviation)}
        case named:
            pixels = named
    recipe: dict[str, Json] = {
        "imported_from": foreign.path.name,
        "sha256": foreign.sha256,
        "kind": convention.kind,
        "pixels": pixels,
        "colours": "bgr" if convention.picture.blue_first else "rgb",
    }
    if convention.picture.resized is not None:
        recipe["resized"] = convention.picture.resized
    if isinstance(convention, BoxConvention):
        return recipe | {"first_label": convention.first_label}
    return recipe | {"values": convention.values}


def _precision(model: onnx.ModelProto) -> str:
    """The arithmetic of a graph's convolutions and products of matrices: fp32, fp16 or int8."""
    nodes = [node for graph in graphs_in(model.graph) for node in graph.node]
    if any("QuantizeLinear" in node.op_type or node.op_type.startswith("QLinear") for node in nodes):
        return "int8"
    weights = [tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) >= 2]
    return "fp16" if weights.count(onnx.TensorProto.FLOAT16) > len(weights) / 2 else "fp32"
