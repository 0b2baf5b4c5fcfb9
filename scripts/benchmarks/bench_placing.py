"""How much of what a network sees is glass, and how much does it see twice? Tiles of a grid, and placed by the tissue.

    python scripts/benchmarks/bench_placing.py [SLIDE ...] [--made SIDE] [--model NAME] [--tile-size N] [--overlap N]

No tile is read and no network runs. --made adds drawn masks of ragged tissue, on planes of SIDE view pixels. Prints,
for each slide and mask, the number of tiles, what they show as a multiple of the tissue (with the margin around it that
is scanned too), and which shares of that are glass and seen before.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from signetscan.models.detector import load_detector
from signetscan.models.store import DEFAULT_MODEL, find_model
from signetscan.scan.options import ScanOptions
from signetscan.scan.plan import place_tiles
from signetscan.scan.tissue import MARGIN_UM, find_tissue, whole_slide
from signetscan.slides import ArraySlide, SlideAtMpp, open_slide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signetscan.scan.tiling import Cut, Tile
    from signetscan.scan.tissue import TissueMask

MADE = {"pieces": (200.0, 0.0, 0.15), "strips": (60.0, 0.3, 0.25), "crumbs": (25.0, 0.6, 0.4)}
"""Size of the shapes, mask pixels; how much is glass; how ragged they are."""


def made_mask(view: SlideAtMpp, size: float, glass: float, ragged: float) -> TissueMask:
    """A drawn mask for a slide."""
    whole = whole_slide(view.slide)
    rng = np.random.default_rng(1)
    coarse, fine = (ndimage.gaussian_filter(rng.standard_normal(whole.mask.shape), by) for by in (size, size / 8))
    core = coarse / coarse.std() + ragged * fine / fine.std() > glass
    mask = ndimage.distance_transform_edt(~core) <= MARGIN_UM / np.sqrt(whole.pixel_um2)
    return replace(whole, mask=np.asarray(mask), core=np.asarray(core))


def show(name: str, tiles: Sequence[Tile], mask: TissueMask, view: SlideAtMpp) -> None:
    """Print a line."""
    seen = glass = 0.0
    pixel = mask.pixel[0] / view.scale[0], mask.pixel[1] / view.scale[1]
    for tile in tiles:
        left, right = (round(edge / pixel[0]) for edge in (max(tile.x, 0), tile.x + tile.width))
        top, bottom = (round(edge / pixel[1]) for edge in (max(tile.y, 0), tile.y + tile.height))
        part = mask.mask[top:bottom, left:right]
        seen += tile.width * tile.height
        glass += tile.width * tile.height - np.count_nonzero(part) * pixel[0] * pixel[1]
    tissue = np.count_nonzero(mask.mask) * pixel[0] * pixel[1]
    again = seen - glass - tissue
    print(f"  {name:10} {len(tiles):6} tiles  {seen / tissue:.3f}  glass {glass / seen:.1%}  again {again / seen:.1%}")


def compare(name: str, view: SlideAtMpp, mask: TissueMask, cut: Cut) -> None:
    """Print both ways of placing tiles."""
    print(f"{name}: {np.mean(mask.mask):.1%} of the plane is scanned")
    grid = cut.grid(*view.dimensions)
    placed = [cut.placed(tile, grid) for tile in grid]
    scale = np.tile(view.scale, 2)
    show("grid", [tile for tile in placed if mask.touches(*(np.array(tile.owned) * scale).tolist())], mask, view)
    show("by tissue", place_tiles(mask, view, cut), mask, view)


def main() -> None:
    """Compare for all slides and drawn masks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", nargs="*")
    parser.add_argument("--made", type=int, metavar="SIDE")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--tile-size", type=int)
    parser.add_argument("--overlap", type=int)
    arguments = parser.parse_args()
    detector = load_detector(find_model(arguments.model))
    options = ScanOptions(tile_size=arguments.tile_size, overlap=arguments.overlap).resolve(detector)
    cut, mpp = options.cut(detector.spec), detector.spec.mpp
    print(f"{detector.spec.name}: tiles of {options.tile_size} px that overlap by {options.overlap} px at {mpp} um/px")
    for path in arguments.slides:
        with open_slide(path) as slide:
            compare(path, SlideAtMpp(slide, mpp), find_tissue(slide), cut)
    for name, (size, glass, ragged) in MADE.items() if arguments.made else ():
        plane = np.broadcast_to(np.uint8(0), (arguments.made, arguments.made, 3))
        view = SlideAtMpp(ArraySlide([plane], mpp=mpp), mpp)
        compare(name, view, made_mask(view, size, glass, ragged), cut)


if __name__ == "__main__":
    main()
