"""Does tiling change the classes of tissue? Compares the class maps of tiled runs with that of one pass over the slide.

    python scripts/tools/check_region_tiling.py SLIDE [--model glands] [--tile-size 512 --tile-size 1024 ...]

Printed is the share of the places with tissue in either map that have the same class in both, and how far the slide's
score moves. Near its edge a tile shows less of the surroundings of a place; how much less, the model's margin decides.
The tissue is the same in all runs. One pass takes memory that grows with the slide, so a small slide is wanted.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np

from signetscan.models.segmenter import load_segmenter
from signetscan.models.store import find_model
from signetscan.scan.class_map import NOT_SCANNED
from signetscan.scan.options import SegmentOptions
from signetscan.scan.segment import segment_slide
from signetscan.slides import SlideAtMpp, open_slide

if TYPE_CHECKING:
    from signetscan.models.segmenter import Segmenter
    from signetscan.scan.segment import SegmentationResult
    from signetscan.slides import Slide


def segmented(slide: Slide, segmenter: Segmenter, tile_size: int) -> SegmentationResult:
    """What a model says of a slide in tiles of a size."""
    options = SegmentOptions(tile_size=tile_size, batch_size=1, trim_tiles=False)
    return segment_slide(slide, segmenter, options)


def main() -> None:
    """Print one line for one pass, and one for each size of tiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slide")
    parser.add_argument("--model", default="glands")
    parser.add_argument("--tile-size", type=int, action="append", help="by default 512, 768, 1024 and 1536")
    given = parser.parse_args()
    segmenter = load_segmenter(find_model(given.model), device="cpu")
    spec = segmenter.spec
    with open_slide(given.slide) as slide:
        longest = max(SlideAtMpp(slide, spec.mpp).dimensions)
        size = -(-(longest + 2 * spec.margin) // spec.stride) * spec.stride
        whole = segmented(slide, segmenter, size)
        classes, tissue = whole.class_map.classes, whole.class_map.classes != NOT_SCANNED
        print(f"one pass: {whole.tiles_scanned} tile of {size} px, {np.count_nonzero(tissue)} places of tissue")
        for tile_size in given.tile_size or (512, 768, 1024, 1536):
            tiled = segmented(slide, segmenter, tile_size)
            places = tissue | (tiled.class_map.classes != NOT_SCANNED)
            alike = np.count_nonzero(tiled.class_map.classes[places] == classes[places]) / np.count_nonzero(places)
            moved = (tiled.slide_score or 0) - (whole.slide_score or 0)
            print(f"{tiled.tiles_scanned} tiles of {tile_size} px: {alike:.5f} alike, slide score {moved:+.5f}")


if __name__ == "__main__":
    main()
