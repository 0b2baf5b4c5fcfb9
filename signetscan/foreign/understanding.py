"""Finding out what a foreign graph takes and gives, by what it declares and does, and by what users say."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

import numpy as np

from signetscan.errors import ModelError, OptionError
from signetscan.foreign.check import made_up_tiles
from signetscan.foreign.in_numpy import prepare
from signetscan.foreign.inputs import Normalisation, Picture, find_inputs
from signetscan.foreign.kinds import (
    USUAL_PIXELS,
    BoxConvention,
    BoxOutputs,
    PlaceConvention,
    PlaceOutput,
    classes_of,
    find_outputs,
)
from signetscan.foreign.metadata import CLASSIFICATION, DETECTION, read_metadata
from signetscan.foreign.options import PlaceKind
from signetscan.foreign.wsinfer import read_config
from signetscan.models.runtime import model_errors
from signetscan.models.spec import LARGEST_STRIDE
from signetscan.plurals import counted
from signetscan.texts import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from signetscan.foreign.inputs import DeclaredValue, GraphInputs
    from signetscan.foreign.kinds import Arrays, Convention, Number
    from signetscan.foreign.metadata import SaidOfItself
    from signetscan.foreign.options import GraphKind, ImportOptions, Values
    from signetscan.foreign.reading import ForeignModel
    from signetscan.foreign.wsinfer import PatchConfig
    from signetscan.models.runtime import Session

FINE_STEP = 4
"""Tile pixels per pixel of the output where a network's output is finer: as fine as those of networks trained here."""
SUM_ERROR = 1e-3
"""Probabilities of all classes that were computed in half precision add up to 1 within this."""
BACKGROUND = "Background"
"""Name of the class of no interest, where a network has no output for it."""
BACKGROUNDS = {"background", "other"}
"""Names, in lower case, that can only be that of the class of no interest."""
MOST_VALUES = 1 << 28
"""Most values that an output may declare for a picture: four times those of 16 classes at each pixel of 2048 x 2048."""
OF_BOXES = ("first_label", "overlap", "threshold", "nms_iou")
"""Options that only kinds have that detect."""
OF_PLACES = ("values", "background", "scored", "margin", "output_stride")
"""Options that only the kinds segmentation and patches have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """What is known of a foreign graph."""

    convention: Convention
    """What it takes and gives."""
    said: SaidOfItself
    """What its file says of itself."""
    config: PatchConfig | None
    """What a config.json says of it."""
    names: tuple[str, ...]
    """Names of its classes in the order of labels."""


def understand(foreign: ForeignModel, session: Session, options: ImportOptions) -> Understood:
    """Find out what a foreign graph takes and gives, and the names of its classes.

    Raises:
        ModelError: it is of no kind that can be wrapped.
        OptionError: an option does not fit it, or is missing.
    """
    said = read_metadata(foreign.metadata)
    config = None if options.config is None else read_config(options.config)
    with model_errors():  # names of sizes may be no text
        inputs = find_inputs(session.inputs)
        _check_sizes(session.outputs)
    side = _side(inputs, said, config, options)
    # Only names, types, shapes and sums of what it gives are looked at here, so that any pixels will do.
    picture = Picture(
        inputs=inputs,
        side=side,
        resized=None if config is None else config.resized,
        pixels="0-255",
        blue_first=options.colours == "bgr",
    )
    with model_errors():
        arrays = [session.run_on(prepare(picture, tile)) for tile in made_up_tiles(side)]
    outputs = find_outputs(arrays[0], inputs, options.kind)
    _check_options(outputs.kind, options)
    _check_task(outputs.kind, said)
    picture = replace(
        picture, pixels=options.pixels or (USUAL_PIXELS[outputs.kind] if config is None else config.pixels)
    )
    _check_pixels(picture)
    names = options.classes or (() if config is None else config.class_names) or said.class_names
    if not names:
        message = "it does not say the names of its classes; name them in the order of its labels"
        raise OptionError(message, options=("classes",))
    if isinstance(outputs, BoxOutputs):
        boxes = _boxes(picture, outputs, names, arrays[0], options)
        return Understood(convention=boxes, said=said, config=config, names=names)
    values = [each[outputs.name] for each in arrays]
    _check_names(names, values[0].shape[1])
    places = _places(picture, outputs, values, options)
    named = (BACKGROUND, *names) if places.is_single else names
    return Understood(convention=places, said=said, config=config, names=named)


def _boxes(
    picture: Picture, outputs: BoxOutputs, names: tuple[str, ...], arrays: Arrays, options: ImportOptions
) -> BoxConvention:
    """What the outputs of a graph that detects mean.

    Raises:
        OptionError: they have room for another number of classes.
    """
    first = int(outputs.kind == "torchvision") if options.first_label is None else options.first_label
    room = classes_of(outputs, arrays)
    # RF-DETR has a logit more than classes.
    spare = int(outputs.kind == "rf-detr")
    if room is not None and not (first + len(names) <= room <= len(names) + spare):
        message = f"{_room(room)}, but there are {counted(len(names), 'name')}, from label {first} on"
        raise OptionError(message, options=("classes", "first_label"))
    return BoxConvention(picture=picture, outputs=outputs, classes=len(names), first_label=first)


def _places(
    picture: Picture, output: PlaceOutput, arrays: Sequence[NDArray[Number]], options: ImportOptions
) -> PlaceConvention:
    """What the output of a graph means that says of which class places are.

    Args:
        picture: what the graph takes.
        output: its output.
        arrays: what it gave for some pictures.
        options: what users say of it.

    Raises:
        ModelError: it has no whole number of pixels for each place.
        OptionError: nothing tells what it gives, or it cannot have the output stride asked for.
    """
    side = picture.side
    step = side if output.kind == "patches" else _step(side, arrays[0].shape)
    convention = PlaceConvention(
        picture=picture,
        output=output,
        values=_values(arrays, options.values),
        is_single=arrays[0].shape[1] == 1,
        step=step,
        averaged=1,
    )
    wanted = options.output_stride
    if wanted is None:
        wanted = FINE_STEP if step < FINE_STEP and FINE_STEP % step == 0 and side % FINE_STEP == 0 else step
    if wanted % step or side % wanted:
        message = f"the output stride must be a multiple of {step} px, and a part of the side {side} px, not {wanted}"
        raise OptionError(message, options=("output_stride",))
    return replace(convention, averaged=wanted // step)


def _step(side: int, shape: Sequence[int]) -> int:
    """Pixels of a picture per place of a segmentation (B, C, rows, columns), along each side.

    Raises:
        ModelError: it is no whole number, or too large.
    """
    rows, columns = shape[2:]
    if not rows or rows != columns or side % rows or side // rows > LARGEST_STRIDE:
        message = (
            f"it gives {columns} x {rows} places for pictures of {side} x {side} px; each must be a square of whole "
            f"pixels, up to {LARGEST_STRIDE}"
        )
        raise ModelError(message)
    return side // rows


def _values(arrays: Sequence[NDArray[Number]], said: Values | None) -> Values:
    """What a graph gives for some pictures, (B, C) or (B, C, rows, columns) each.

    Raises:
        ModelError: a value is no number.
        OptionError: nothing tells, or it is not what it is said to be.
    """
    sums = np.concatenate([array.astype(np.float64).sum(axis=1).ravel() for array in arrays])
    if not np.isfinite(sums).all():
        message = "it gives values for made-up tiles that are not finite numbers"
        raise ModelError(message)
    in_range = all(((array >= -SUM_ERROR) & (array <= 1 + SUM_ERROR)).all() for array in arrays)
    is_single = arrays[0].shape[1] == 1
    apart = float(np.abs(sums - 1).max())
    can_be = in_range and (is_single or apart <= SUM_ERROR)
    if said == "probabilities" and not can_be:
        why = (
            f"those of all classes differ from 1 by up to {apart:.3g} together"
            if in_range
            else "some are not in 0 to 1"
        )
        message = f"it gives no probabilities of classes of which each place has one: {why}"
        raise OptionError(message, options=("values",))
    if said is None and can_be and is_single:
        message = "it gives values from 0 to 1, which may be probabilities or logits; say which"
        raise OptionError(message, options=("values",))
    return said or ("probabilities" if can_be else "logits")


def _check_names(names: tuple[str, ...], room: int) -> None:
    """Check the number of class names against that of the values for each place.

    Raises:
        OptionError: it is another.
    """
    if len(names) != room:
        message = f"{_room(room)}, but there are {counted(len(names), 'name')}"
        raise OptionError(message, options=("classes",))


def _room(room: int) -> str:
    return f"its outputs have room for {counted(room, 'class', 'classes')}"


def _side(inputs: GraphInputs, said: SaidOfItself, config: PatchConfig | None, options: ImportOptions) -> int:
    """The side of the tiles, or of the patches in them, pixels.

    Raises:
        OptionError: it takes other pictures than those asked for, or nobody says which.
    """
    if config is not None:
        taken = config.resized or config.side
        if inputs.side not in {None, taken} or options.tile_size not in {None, config.side}:
            asked = options.tile_size or config.side
            message = f"it takes pictures of {inputs.side or taken} px, and its config makes {taken} px of {asked} px"
            raise OptionError(message, options=("config", "tile_size"))
        return config.side
    if inputs.side is not None and options.tile_size not in {None, inputs.side}:
        message = f"it takes pictures of {inputs.side} px only, not of {options.tile_size} px"
        raise OptionError(message, options=("tile_size",))
    side = inputs.side or options.tile_size or said.side
    if side is None:
        message = "it takes pictures of any size, and does not say what it learnt from; say the side of its pictures"
        raise OptionError(message, options=("tile_size",))
    return side


def _check_sizes(outputs: Sequence[DeclaredValue]) -> None:
    """Refuse a graph that promises more for a picture than any memory holds, before it is run.

    Raises:
        ModelError: it does.
    """
    for value in outputs:
        if math.prod(size for size in value.shape if isinstance(size, int)) > MOST_VALUES:
            message = f"its output {printable(value.name, 60)} has the shape {list(value.shape)}, too large for a tile"
            raise ModelError(message)


def _check_options(kind: GraphKind, options: ImportOptions) -> None:
    """Refuse options that graphs of a kind do not have.

    Raises:
        OptionError: there is one.
    """
    is_place = kind in get_args(PlaceKind)
    others = (*(OF_BOXES if is_place else OF_PLACES), *(() if kind == "patches" else ("config",)))
    more = ("margin", "output_stride") if kind == "patches" else ()
    given = [name for name in (*others, *more) if getattr(options, name) not in {None, ()}]
    if given:
        message = f"graphs of the kind {kind} have no use for this; leave it out"
        raise OptionError(message, options=tuple(given))


def _check_task(kind: GraphKind, said: SaidOfItself) -> None:
    """Check what a file says of its task against the outputs.

    Raises:
        ModelError: its outputs are those of another task.
    """
    fits = {None: True, CLASSIFICATION: kind == "patches", DETECTION: kind not in get_args(PlaceKind)}
    if not fits[said.task]:
        message = f"it says that its task is {said.task!r}, but its outputs are of the kind {kind}"
        raise ModelError(message, options=("kind",))


def _check_pixels(picture: Picture) -> None:
    """Check that the input can hold the pixels.

    Raises:
        OptionError: it cannot.
    """
    if picture.inputs.pixel_type is np.uint8 and picture.pixels != "0-255":
        kind = "of its config" if isinstance(picture.pixels, Normalisation) else f"of the kind {picture.pixels}"
        message = f"its input takes bytes, which cannot be pixels {kind}; they are 0-255"
        raise OptionError(message, options=("pixels",))
