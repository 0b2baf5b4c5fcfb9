"""Reading tiles of a damaged slide: keeps what can be decoded, and records the pieces that cannot."""

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
"""Side of the pieces in which a tile is read again after it could not be decoded, view pixels: a usual
side of stored tiles, so that a damaged one costs little of its surroundings."""
BLANK = 255
"""Grey level that stands in for pixels that cannot be decoded: the model sees white glass there."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TilePixels:
    """The pixels of a tile, as far as they could be read."""

    pixels: NDArray[np.uint8]
    """(H, W, 3)."""
    unread: tuple[Box, ...] = ()
    """Pieces of the part that the tile owns that could not be decoded, view pixels."""
    error: str = ""
    """Why the tile could not be decoded as a whole; empty if it could."""


@dataclass(slots=True, kw_only=True)
class Damage:
    """Unread parts of a slide."""

    areas: list[Box] = field(default_factory=list)
    """Pieces that could not be decoded, view pixels; none overlap."""
    error: str = ""
    """Why the first of them could not be decoded."""

    def add(self, tile: TilePixels) -> None:
        """Record the unread parts of a tile."""
        self.areas += tile.unread
        self.error = self.error or tile.error

    @property
    def area(self) -> float:
        """Unread area, view pixels."""
        return sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in self.areas)


def read_tile(view: SlideAtMpp, tile: Tile) -> TilePixels:
    """Read a tile, or as much of it as can be decoded."""
    try:
        return TilePixels(pixels=view.read(tile.x, tile.y, tile.width, tile.height))
    except SlideError as error:
        logger.info("reading the tile in pieces: %s", error)
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
                # Neighbouring tiles read the rest of the piece too; by recording only its own part, no tile counts an
                # unread pixel that another counts.
                owned = tile.clip(x, y, width, height)
                if owned[0] < owned[2] and owned[1] < owned[3]:
                    unread.append(owned)
    return TilePixels(pixels=pixels, unread=tuple(unread), error=error)
