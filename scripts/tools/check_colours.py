"""How often slides and pictures that are known to be H&E are said not to look like it.

Also, how many of them absorb more blue than red light, as H&E would if red and blue were swapped.

Usage: python scripts/tools/check_colours.py FILE... [--mpp UM]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from signetscan.scan.look import LIGHT_SHARE, TINT, TISSUE_OD
from signetscan.scan.options import DEFAULT_MIN_TISSUE_UM2
from signetscan.scan.overview import MAX_OVERVIEW_SIDE, read_overview
from signetscan.scan.survey import survey_slide
from signetscan.slides import open_slide
from signetscan.slides.concerns import ConcernKind
from signetscan.slides.protocol import known_mpp

if TYPE_CHECKING:
    from signetscan.slides import Slide

FINE_UM = 1.0
"""Size of the pixels by which red and blue are compared, µm."""


def main() -> None:
    """Print the files that are said to have odd colours, and how many they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--mpp", type=float, help="size of a pixel, µm, where a file does not say it")
    arguments = parser.parse_args()
    odd, red_to_blue = 0, []
    for path in arguments.files:
        with open_slide(path, default_mpp=arguments.mpp) as slide:
            concerns = survey_slide(slide, min_area_um2=DEFAULT_MIN_TISSUE_UM2).concerns
            red_to_blue.append(_red_to_blue(slide))
        messages = [concern.message for concern in concerns if concern.kind is ConcernKind.COLOURS]
        odd += bool(messages)
        for message in messages:
            print(f"{path}: {message}")
    print(f"{odd} of {len(arguments.files)} files")
    ratios = np.array(red_to_blue)
    told = (1 / ratios < ratios.min()).mean()
    print(
        f"red over blue absorption: {ratios.min():.2f} to {ratios.max():.2f}, median {np.median(ratios):.2f}; below 1 "
        f"in {(ratios < 1).sum()}; if swapped, {told:.0%} would be below all of these"
    )


def _red_to_blue(slide: Slide) -> float:
    """How much more red than blue light the tissue of a slide absorbs, as a ratio of summed optical densities."""
    step = max(FINE_UM / known_mpp(slide).x, max(slide.dimensions) / MAX_OVERVIEW_SIDE, 1.0)
    pixels = read_overview(slide, step).pixels.reshape(-1, 3).astype(np.float32)
    lightness = pixels.mean(axis=1)
    light = np.median(pixels[lightness >= np.quantile(lightness, 1 - LIGHT_SHARE)], axis=0)
    lamp = light if np.ptp(light) <= TINT * light.max() else np.full(3, light.max())
    density = np.log((lamp + 1) / (pixels + 1)).clip(0)
    red, _, blue = density[density.max(axis=1) > TISSUE_OD].sum(axis=0).tolist()
    return float((red + 1e-6) / (blue + 1e-6))


if __name__ == "__main__":
    main()
