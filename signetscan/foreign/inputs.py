"""The inputs of a foreign graph: how it takes a picture."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

import numpy as np

from signetscan.errors import ModelError
from signetscan.models.spec import LARGEST_SIDE, MOST_TILES
from signetscan.plurals import counted
from signetscan.texts import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike

    from signetscan.foreign.options import Pixels

PIXEL_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
"""The types of pixels that a graph may take, by the runtime's name."""
SIZE_TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32}
"""The types that the input for the sizes of pictures may have."""
COLOURS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """Values from 0 to 1, less a mean and divided by a deviation, of red, green and blue."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225))
"""That of torchvision, and of most networks that began with weights of ImageNet."""


class Axes(Enum):
    """The order of the axes of a picture: batch, channels (colours), height, width."""

    BCHW = auto()
    BHWC = auto()
    CHW = auto()


class DeclaredValue(Protocol):
    """An input or output of a graph, as the runtime tells it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def type(self) -> str:
        """Its type, such as "tensor(float)"."""

    @property
    def shape(self) -> Sequence[int | str | None]:
        """Its sizes; a text or None where one is free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphInputs:
    """The inputs of a foreign graph."""

    image: str
    """Name of the input that takes pictures."""
    axes: Axes
    """The order of its axes."""
    pixel_type: DTypeLike
    """Type of its pixels."""
    batch: int | None
    """Number of pictures that it takes at once; None if it leaves that open."""
    side: int | None
    """Height and width of its pictures, pixels; None if it leaves them open."""
    sizes: str | None = None
    """Name of the input that takes width and height of each picture, (B, 2); None if there is none."""
    size_type: DTypeLike = np.int64
    """Type of that input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """How a tile becomes what a foreign graph takes."""

    inputs: GraphInputs
    """The graph's inputs."""
    side: int
    """Side of the tile, or of the patch of a tile, pixels."""
    pixels: Pixels | Normalisation
    """What the graph takes for a pixel."""
    blue_first: bool
    """Whether its colours are blue, green, red."""
    resized: int | None = None
    """Side to which the tile is resized for the graph, as Pillow does (bilinear); None if it is not."""


def find_inputs(declared: Sequence[DeclaredValue]) -> GraphInputs:
    """Find out how a graph takes pictures.

    Args:
        declared: its inputs.

    Raises:
        ModelError: it has inputs that signetscan cannot fill; the message names them.
    """
    images = [value for value in declared if value.type in PIXEL_TYPES and len(value.shape) in {3, 4}]
    others = [value for value in declared if value not in images]
    sizes = others[0] if others and _takes_sizes(others[0]) else None
    if len(images) != 1 or len(others) > (sizes is not None):
        listed = ", ".join(f"{printable(value.name, 60)} {value.type} {list(value.shape)}" for value in declared)
        message = f"its inputs are {listed or 'none'}; signetscan can fill one picture, and its size at most"
        raise ModelError(message)
    image = images[0]
    axes = _axes(image.shape)
    shape = [size if isinstance(size, int) else None for size in image.shape]
    height, width = (shape[-2], shape[-1]) if axes is not Axes.BHWC else (shape[1], shape[2])
    if height is not None and width is not None and height != width:
        message = f"it takes pictures of {width} x {height} px; signetscan scans square tiles, so export it for those"
        raise ModelError(message)
    side, batch = height or width, 1 if axes is Axes.CHW else shape[0]
    if side is not None and side > LARGEST_SIDE:
        message = f"it takes pictures of {side} px; the largest tiles have {LARGEST_SIDE} px"
        raise ModelError(message)
    if batch is not None and not 1 <= batch <= MOST_TILES:
        message = f"it takes {counted(batch, 'picture')} at once; {MOST_TILES} at most are possible"
        raise ModelError(message)
    return GraphInputs(
        image=image.name,
        axes=axes,
        pixel_type=PIXEL_TYPES[image.type],
        batch=batch,
        side=side,
        sizes=None if sizes is None else sizes.name,
        size_type=np.int64 if sizes is None else SIZE_TYPES[sizes.type],
    )


def _takes_sizes(value: DeclaredValue) -> bool:
    """Whether an input takes width and height of each picture."""
    return value.type in SIZE_TYPES and len(value.shape) == 2 and (value.shape[1] == 2 or "size" in value.name)


def _axes(shape: Sequence[int | str | None]) -> Axes:
    """The order of the axes; free ones are taken for the usual order.

    Raises:
        ModelError: the picture has another number of colours than three.
    """
    channels = shape[-3]
    if len(shape) == 4 and shape[3] == COLOURS and channels != COLOURS:
        return Axes.BHWC
    if channels == COLOURS or not isinstance(channels, int):
        return Axes.CHW if len(shape) == 3 else Axes.BCHW
    found = counted(channels, "channel") if len(shape) == 4 else f"the shape {list(shape)}"
    message = f"it takes pictures of {found}; tiles have the three colours red, green and blue"
    raise ModelError(message)
