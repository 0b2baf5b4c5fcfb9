"""Reading tiles of a damaged slide: what can be decoded is kept, and the rest is recorded, to the piece."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from signetscan.errors import SlideError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.boxes import Box
    from signetscan.scan.tiling import Tile
    from signetscan.slides import SlideAtMpp

logger = logging.getLogger(__name__)

PIECE = 256
"""Side of the pieces in which a tile that cannot be decoded is tried again, view pixels."""
BLANK = 255
"""What is shown to the model in place of what cannot be decoded: glass."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TilePixels:
    """The pixels of a tile, as far as they could be read."""

    pixels: NDArray[np.uint8]
    """(H, W, 3)."""
    unread: tuple[Box, ...] = ()
    """Pieces, within what the tile owns, that could not be decoded, view pixels."""
    error: str = ""
    """Why the first of them could not."""


@dataclass(slots=True, kw_only=True)
class Damage:
    """Unread parts of a slide."""

    areas: list[Box] = field(default_factory=list)
    """Pieces, view pixels; none overlap."""
    error: str = ""
    """Why the first of them could not."""

    def add(self, tile: TilePixels) -> None:
        """Record the unread parts of a tile."""
        self.areas += tile.unread
        self.error = self.error or tile.error

    @property
    def area(self) -> float:
        """View pixels."""
        return sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in self.areas)


def read_tile(view: SlideAtMpp, tile: Tile) -> TilePixels:
    """Read a tile; where it cannot be decoded, as much of it as can."""
    try:
        return TilePixels(pixels=view.read(tile.x, tile.y, tile.width, tile.height))
    except SlideError as error:
        logger.info("reading what can be read: %s", error)
        return _in_pieces(view, tile, str(error))


def _in_pieces(view: SlideAtMpp, tile: Tile, error: str) -> TilePixels:
    pixels = np.full((tile.height, tile.width, 3), BLANK, np.uint8)
    unread: list[Box] = []
    for y in range(tile.y, tile.y + tile.height, PIECE):
        for x in range(tile.x, tile.x + tile.width, PIECE):
            width, height = min(PIECE, tile.x + tile.width - x), min(PIECE, tile.y + tile.height - y)
            try:
                pixels[y - tile.y :, x - tile.x :][:height, :width] = view.read(x, y, width, height)
            except SlideError:
                owned = tile.clip(x, y, width, height)
                if owned[0] < owned[2] and owned[1] < owned[3]:
                    unread.append(owned)
    return TilePixels(pixels=pixels, unread=tuple(unread), error=error)
