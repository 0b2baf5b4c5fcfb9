"""Tiles of real tissue on which a model file is tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from signetscan.errors import SlideError
from signetscan.scan.tiling import TileGrid
from signetscan.scan.tissue import find_tissue
from signetscan.slides import SlideAtMpp, open_slide

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.models.spec import ModelSpec

REAL_TILES = 4
"""Tiles of each slide on which a model file is checked."""


def real_tiles(
    path: Path, spec: ModelSpec, count: int = REAL_TILES, *, mpp: float | None = None
) -> list[NDArray[np.uint8]]:
    """Tiles of a slide or image, spread over its tissue, at the model's mpp.

    Args:
        path: the file.
        spec: the contract, which has the sizes of tiles and pixels.
        count: most tiles to return.
        mpp: size of a level-0 pixel, µm/px, instead of the file's; the model's if neither is known.

    Raises:
        SlideError: the file cannot be read, or shows no tissue.
    """
    with open_slide(path, mpp=mpp, default_mpp=spec.mpp) as slide:
        view, mask = SlideAtMpp(slide, spec.mpp), find_tissue(slide)
        width, height = view.dimensions
        grid = TileGrid(
            width=width,
            height=height,
            tile_size=spec.tile_size,
            overlap=0,
            stride=spec.stride,
            exact=spec.tile_size_is_fixed,
        )
        tiles = [tile for tile in grid if mask.touches(*(np.array(tile.owned) * (view.scale * 2)).tolist())]
        if not tiles:
            message = f"{path}: shows no tissue to check the model on; name another slide"
            raise SlideError(message)
        chosen = tiles[:: -(-len(tiles) // count)]
        # Copies, because what a slide reads may be read-only, of which torch warns.
        return [view.read(tile.x, tile.y, tile.width, tile.height).copy() for tile in chosen]
