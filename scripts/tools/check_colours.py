"""How often slides and pictures that are known to be H&E are said not to look like it.

Usage: python scripts/tools/check_colours.py FILE... [--mpp UM]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from signetscan.scan.options import DEFAULT_MIN_TISSUE_UM2
from signetscan.scan.survey import survey_slide
from signetscan.slides import open_slide
from signetscan.slides.concerns import ConcernKind


def main() -> None:
    """Print the files that are said to have odd colours, and how many they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--mpp", type=float, help="size of a pixel, µm, where a file does not say it")
    arguments = parser.parse_args()
    odd = 0
    for path in arguments.files:
        with open_slide(path, default_mpp=arguments.mpp) as slide:
            concerns = survey_slide(slide, min_area_um2=DEFAULT_MIN_TISSUE_UM2).concerns
        messages = [concern.message for concern in concerns if concern.kind is ConcernKind.COLOURS]
        odd += bool(messages)
        for message in messages:
            print(f"{path}: {message}")
    print(f"{odd} of {len(arguments.files)} files")


if __name__ == "__main__":
    main()
