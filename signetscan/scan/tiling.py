"""Cutting a plane into overlapping tiles, each of which owns a part of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from signetscan.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from signetscan.boxes import Box


SAME_PX = 1e-6
"""Edges as near as this are the same; between level-0 and view pixels the last bits get lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One tile. All numbers are view pixels, from the slide's origin."""

    index: int
    """Number in the grid, row by row."""
    x: int
    """Left edge."""
    y: int
    """Top edge."""
    width: int
    """Width."""
    height: int
    """Height."""
    owned: Box
    """x0, y0, x1, y1 of the part whose objects this tile reports; the parts of all tiles cover the plane once."""

    @property
    def seen(self) -> Box:
        """x0, y0, x1, y1 of the owned part that the tile shows: all of it, unless the tile is trimmed."""
        return self.clip(self.x, self.y, self.width, self.height)

    def clip(self, x: int, y: int, width: int, height: int) -> Box:
        """x0, y0, x1, y1 of the part of a rectangle that this tile owns; empty if x0 >= x1 or y0 >= y1."""
        x0, y0, x1, y1 = self.owned
        return max(x0, x), max(y0, y), min(x1, x + width), min(y1, y + height)


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGrid:
    """Overlapping tiles of one size that cover a plane.

    Tiles start at multiples of `stride`, so that a fully convolutional network sees each object at the same phase of
    its grid in every tile as in one pass over the whole plane. There are as few tiles as the largest size allows, and
    they are only as large as that number requires: of the largest size, two tiles would overlap by most of their side
    on a plane that is a little wider than one of them. Exact tiles are of the largest size all the same.

    Raises:
        OptionError: the numbers do not make a grid.
    """

    width: int
    """Width of the plane, view pixels."""
    height: int
    """Height of the plane, view pixels."""
    tile_size: int
    """Largest side of a tile, view pixels; a multiple of `stride`."""
    overlap: int
    """Least overlap of neighbouring tiles, view pixels; a multiple of `stride` below `tile_size`."""
    stride: int
    """Positions and sides of tiles are multiples of this, view pixels."""
    exact: bool = False
    """Whether all tiles are of the largest size, for a model that takes no other."""

    def __post_init__(self) -> None:
        if min(self.width, self.height, self.stride) < 1:
            message = f"a plane of {self.width} x {self.height} at stride {self.stride} has no tiles"
            raise OptionError(message)
        if self.tile_size % self.stride or self.overlap % self.stride or self.tile_size < self.stride:
            message = f"tile size {self.tile_size} and overlap {self.overlap} must be multiples of {self.stride} px"
            raise OptionError(message, options=("tile_size", "overlap"))
        if not 0 <= self.overlap < self.tile_size:
            message = f"overlap {self.overlap} must be from 0 to below the tile size {self.tile_size}"
            raise OptionError(message, options=("tile_size", "overlap"))

    @property
    def tile_width(self) -> int:
        """Width of every tile."""
        return self._side(self.width)

    @property
    def tile_height(self) -> int:
        """Height of every tile."""
        return self._side(self.height)

    @property
    def columns(self) -> int:
        """Number of tiles in a row."""
        return self._count(self.width)

    @property
    def rows(self) -> int:
        """Number of tiles in a column."""
        return self._count(self.height)

    def __len__(self) -> int:
        return self.columns * self.rows

    def __getitem__(self, index: int) -> Tile:
        if not 0 <= index < len(self):
            message = f"tile {index} of {len(self)}"
            raise IndexError(message)
        row, column = divmod(index, self.columns)
        x, x0, x1 = self._span(column, self.columns, self.width, self.tile_width)
        y, y0, y1 = self._span(row, self.rows, self.height, self.tile_height)
        return Tile(index=index, x=x, y=y, width=self.tile_width, height=self.tile_height, owned=(x0, y0, x1, y1))

    def __iter__(self) -> Iterator[Tile]:
        return (self[index] for index in range(len(self)))

    def _count(self, length: int) -> int:
        # n tiles cover n * (side - overlap) + overlap pixels; -(-a // b) rounds up.
        return 1 + max(0, -(-(length - self.tile_size) // (self.tile_size - self.overlap)))

    def _side(self, length: int) -> int:
        if self.exact:
            return self.tile_size
        # The same sum, solved for the side: the smallest with which so many tiles cover the length.
        count = self._count(length)
        return self._up(-(-(length + (count - 1) * self.overlap) // count))

    def _up(self, length: int) -> int:
        """The next multiple of the stride."""
        return -(-length // self.stride) * self.stride

    def _start(self, position: int, count: int, length: int, side: int) -> int:
        if position == count - 1:  # ends at the edge of the plane, or less than a stride beyond it unless it is larger
            return max(0, self._up(length - side))
        return position * (side - self.overlap)

    def _span(self, position: int, count: int, length: int, side: int) -> tuple[int, float, float]:
        """Start of a tile along one axis, and both ends of its own part, which goes to the middle of each overlap."""
        start = self._start(position, count, length, side)
        low, high = 0.0, float(length)
        if position > 0:
            low = (self._start(position - 1, count, length, side) + side + start) / 2
        if position < count - 1:
            high = (self._start(position + 1, count, length, side) + start + side) / 2
        return start, low, high


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How a plane is cut into tiles for a model."""

    tile_size: int
    """Largest side of a tile, view pixels."""
    overlap: int
    """Least overlap of neighbouring tiles, view pixels."""
    stride: int
    """Sides of tiles, and the distances between their positions, are multiples of it, view pixels."""
    exact: bool = False
    """Whether all tiles are of the largest size, for a model that takes no other."""
    margin: int
    """Least margin that tiles which are placed by the tissue show around their own part, view pixels."""
    beyond: int = 0
    """How far tiles reach beyond the edges of the plane, view pixels."""
    step: int = 0
    """The parts that tiles own begin and end at multiples of it, view pixels; 0 if they may do so anywhere."""

    @property
    def glass_margin(self) -> int:
        """Least margin around the tissue where it ends within their own part, view pixels: anywhere in a step.

        Glass around a cell is something to see too: half the margin would move the scores of one cell in thirty.
        """
        return self.margin + self.step

    def plane(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of what is cut, view pixels: those of the view, rounded to whole steps."""
        if not self.step:
            return width, height
        return self._whole_steps(width), self._whole_steps(height)

    def grid(self, width: int, height: int) -> TileGrid:
        """The tiles for a view of a width and height, view pixels; `placed` says where they lie.

        Raises:
            OptionError: tile size and overlap do not make a grid.
        """
        plane = self.plane(width, height)
        return TileGrid(
            width=plane[0] + 2 * self.beyond,
            height=plane[1] + 2 * self.beyond,
            tile_size=self.tile_size,
            overlap=self.overlap,
            stride=self.stride,
            exact=self.exact,
        )

    def placed(self, tile: Tile, grid: TileGrid) -> Tile:
        """A tile of a grid, where it lies in the view."""
        if not self.step:
            return tile
        width, height = grid.width - 2 * self.beyond, grid.height - 2 * self.beyond
        x0, y0, x1, y1 = (math.floor((edge - self.beyond) / self.step) * self.step for edge in tile.owned)
        owned = (max(x0, 0), max(y0, 0), min(x1, width), min(y1, height))
        return replace(tile, x=tile.x - self.beyond, y=tile.y - self.beyond, owned=owned)

    def edges(self, length: int, square: int) -> list[float]:
        """Where parts of a plane may begin and end along one axis, so that their tiles are no larger than they need be.

        Args:
            length: width or height of the plane, view pixels.
            square: how many strides are from one edge to the next.

        Returns:
            Rising view pixels, the first 0 and the last the length.
        """
        # What is shown before the part then begins at a multiple of the stride.
        first = self.margin % self.stride - self.beyond
        inner = range(first, length, square * self.stride)
        return [0.0, *(float(edge) for edge in inner if edge > 0), float(length)]

    def fitted(self, index: int, owned: Box, around: Box, size: tuple[int, int]) -> Tile:
        """A tile that shows what matters in its own part, with margins, as far as the plane and what is beyond it go.

        Args:
            index: its number.
            owned: x0, y0, x1, y1 of its own part, view pixels.
            around: x0, y0, x1, y1 of what matters in it.
            size: width and height of the view, view pixels.
        """
        plane = self.plane(*size)
        left, right = self._fit((owned[0], owned[2]), (around[0], around[2]), plane[0])
        top, bottom = self._fit((owned[1], owned[3]), (around[1], around[3]), plane[1])
        return Tile(index=index, x=left, y=top, width=right - left, height=bottom - top, owned=owned)

    def _fit(self, owned: tuple[float, float], around: tuple[float, float], length: int) -> tuple[int, int]:
        """Where a tile begins and ends along one axis."""
        low, high = owned[0] - self.margin, owned[1] + self.margin
        if around[0] - owned[0] > SAME_PX:
            low = max(low, around[0] - self.glass_margin)
        if owned[1] - around[1] > SAME_PX:
            high = min(high, around[1] + self.glass_margin)
        first = max(math.floor((low + self.beyond) / self.stride), 0)
        last = min(math.ceil((high + self.beyond) / self.stride), -(-(length + 2 * self.beyond) // self.stride))
        return first * self.stride - self.beyond, last * self.stride - self.beyond

    def _whole_steps(self, length: int) -> int:
        return max(1, math.floor(length / self.step + 0.5)) * self.step


def in_strips(grid: TileGrid, pixels: float) -> list[Tile]:
    """All tiles of a grid in vertical strips, row by row within each.

    Args:
        grid: the grid.
        pixels: about the most view pixels that a row of tiles within a strip covers; a row has at least one tile.
    """
    columns = max(1, int(pixels / (grid.tile_width * grid.tile_height)))
    return sorted(grid, key=lambda tile: (tile.index % grid.columns // columns, tile.index))
