"""Reading tiles of a damaged slide: keeps what can be read, and records the pieces that cannot.

A piece cannot be read if it cannot be decoded, or if the file does not hold it although tissue belongs there.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from signetscan.errors import SlideError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from signetscan.boxes import Box
    from signetscan.scan.tiling import Tile
    from signetscan.slides import SlideAtMpp
    from signetscan.slides.protocol import Window

logger = logging.getLogger(__name__)

PIECE = 256
"""Side of the pieces in which a tile is read again after it could not be decoded, view pixels: a usual
side of stored tiles, so that a damaged one costs little of its surroundings."""
MOST_GAPS = 32
"""Gaps of a piece that are told apart; stored tiles make a few, but transparency may be drawn in any shape."""
BLANK = 255
"""Grey level that stands in for pixels that cannot be decoded: the model sees white glass there."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TilePixels:
    """The pixels of a tile, as far as they could be read."""

    pixels: NDArray[np.uint8]
    """(H, W, 3)."""
    unread: tuple[Box, ...] = ()
    """Pieces of the part that the tile owns that could not be decoded, view pixels."""
    gaps: tuple[Box, ...] = ()
    """Pieces of that part that the file does not hold, view pixels; most are glass that was never scanned."""
    error: str = ""
    """Why the tile could not be decoded as a whole; empty if it could."""


@dataclass(slots=True, kw_only=True)
class Damage:
    """Unread parts of a slide."""

    held_tissue: Callable[[Box], bool]
    """Whether a piece that the file does not hold, view pixels, must have shown tissue."""
    areas: list[Box] = field(default_factory=list)
    """Pieces that could not be read, view pixels; none overlap."""
    blank: list[Box] = field(default_factory=list)
    """Pieces of glass that the file does not hold, view pixels."""
    error: str = ""
    """Why the first unread piece could not be read."""

    def add(self, tile: TilePixels) -> None:
        """Record the unread parts of a tile."""
        lost = [gap for gap in tile.gaps if self.held_tissue(gap)]
        self.areas += [*tile.unread, *lost]
        self.blank += [gap for gap in tile.gaps if gap not in lost]
        self.error = self.error or tile.error or ("the file does not hold it" if lost else "")

    @property
    def area(self) -> float:
        """Unread area, view pixels."""
        return sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in self.areas)


def read_tile(view: SlideAtMpp, tile: Tile) -> TilePixels:
    """Read a tile, or as much of it as can be decoded."""
    try:
        window = view.read_window(tile.x, tile.y, tile.width, tile.height)
        return TilePixels(pixels=window.pixels, gaps=tuple(_gaps(window, tile, tile.x, tile.y)))
    except SlideError as error:
        logger.info("reading the tile in pieces: %s", error)
        return _in_pieces(view, tile, str(error))


def _in_pieces(view: SlideAtMpp, tile: Tile, error: str) -> TilePixels:
    pixels = np.full((tile.height, tile.width, 3), BLANK, np.uint8)
    unread: list[Box] = []
    gaps: list[Box] = []
    for y in range(tile.y, tile.y + tile.height, PIECE):
        for x in range(tile.x, tile.x + tile.width, PIECE):
            width, height = min(PIECE, tile.x + tile.width - x), min(PIECE, tile.y + tile.height - y)
            try:
                window = view.read_window(x, y, width, height)
                pixels[y - tile.y :, x - tile.x :][:height, :width] = window.pixels
                gaps += _gaps(window, tile, x, y)
            except SlideError:
                # Neighbouring tiles read the rest of the piece too; by recording only its own part, no tile counts an
                # unread pixel that another counts.
                owned = tile.clip(x, y, width, height)
                if owned[0] < owned[2] and owned[1] < owned[3]:
                    unread.append(owned)
    return TilePixels(pixels=pixels, unread=tuple(unread), gaps=tuple(gaps), error=error)


def _gaps(window: Window, tile: Tile, left: int, top: int) -> Iterator[Box]:
    """Rectangles that cover what the file does not hold of a tile's own part, view pixels.

    Args:
        window: pixels of the tile, or of a part of it.
        tile: the tile.
        left: left edge of the window, view pixels.
        top: its top edge.
    """
    if window.missing is None:
        return
    for y in range(0, window.missing.shape[0], PIECE):
        for x in range(0, window.missing.shape[1], PIECE):
            for x0, y0, x1, y1 in _rectangles(window.missing[y : y + PIECE, x : x + PIECE]):
                owned = tile.clip(left + x + x0, top + y + y0, x1 - x0, y1 - y0)
                if owned[0] < owned[2] and owned[1] < owned[3]:
                    yield owned


def _rectangles(mask: NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    """Rectangles x0, y0, x1, y1 that cover a mask once; one around all of it if it is too ragged."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if len(rows) == 0:
        return []
    edges = [0, *(np.flatnonzero((mask[1:] != mask[:-1]).any(axis=1)) + 1).tolist(), len(mask)]
    found = []
    for top, bottom in pairwise(edges):
        turns = np.flatnonzero(np.diff(np.pad(mask[top].astype(np.int8), 1))).reshape(-1, 2)
        found += [(int(left), top, int(right), bottom) for left, right in turns]
        if len(found) > MOST_GAPS:
            return [(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)]
    return found
