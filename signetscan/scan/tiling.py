"""Cutting a plane into overlapping tiles, each of which owns a part of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from signetscan.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from signetscan.boxes import Box


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
    """Least margin that a trimmed tile leaves around what matters in it, view pixels."""
    beyond: int = 0
    """How far tiles reach beyond the edges of the plane, view pixels."""
    step: int = 0
    """The parts that tiles own begin and end at multiples of it, view pixels; 0 if they may do so anywhere."""

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

    def _whole_steps(self, length: int) -> int:
        return max(1, math.floor(length / self.step + 0.5)) * self.step


def trim(tile: Tile, around: Box, *, margin: int, stride: int) -> Tile:
    """Trim a tile to the part of it that matters.

    Args:
        tile: the tile; its own part stays the same.
        around: x0, y0, x1, y1 of what matters in its own part, view pixels.
        margin: least margin to leave around that within the tile, view pixels.
        stride: the tile's edges move by multiples of it, view pixels.
    """
    left, right = _trim_axis(tile.x, tile.width, around[0] - margin, around[2] + margin, stride)
    top, bottom = _trim_axis(tile.y, tile.height, around[1] - margin, around[3] + margin, stride)
    return replace(tile, x=left, y=top, width=right - left, height=bottom - top)


def _trim_axis(start: int, side: int, low: float, high: float, stride: int) -> tuple[int, int]:
    first, last = math.floor((low - start) / stride) * stride, math.ceil((high - start) / stride) * stride
    return start + max(0, first), start + min(side, last)


def in_strips(grid: TileGrid, pixels: float) -> list[Tile]:
    """All tiles of a grid in vertical strips, row by row within each.

    Args:
        grid: the grid.
        pixels: about the most view pixels that a row of tiles within a strip covers; a row has at least one tile.
    """
    columns = max(1, int(pixels / (grid.tile_width * grid.tile_height)))
    return sorted(grid, key=lambda tile: (tile.index % grid.columns // columns, tile.index))
