"""How long does a slide take to come from an archive, beside its file?

    python scripts/benchmarks/bench_archive.py ADDRESS FILE [--rounds 5]

ADDRESS is that of a series in an archive that speaks DICOMweb, FILE one of the files of the same series. In turn, both
are opened and their level 0 is read in windows of 1024 px by two threads. Prints the seconds of each round, their
ratio, and the median of the ratios.
"""

from __future__ import annotations

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from signetscan.slides import open_slide
from signetscan.slides.addresses import parse_place

if TYPE_CHECKING:
    from signetscan.slides.addresses import AnyPlace

WINDOW = 1024
THREADS = 2


def seconds_of(place: AnyPlace) -> float:
    """Seconds that it takes to open a slide and to read its level 0."""
    started = time.perf_counter()
    with open_slide(place, default_mpp=0.5) as slide, ThreadPoolExecutor(THREADS) as pool:
        width, height = slide.dimensions
        corners = [(x, y) for y in range(0, height, WINDOW) for x in range(0, width, WINDOW)]
        for window in pool.map(lambda corner: slide.read_region(corner, 0, (WINDOW, WINDOW)), corners):
            assert window.shape == (WINDOW, WINDOW, 3)  # noqa: S101
    return time.perf_counter() - started


def main() -> None:
    """Read both in turn, after a first round that is not counted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", type=parse_place)
    parser.add_argument("file", type=parse_place)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    seconds_of(options.address)
    ratios = []
    for _ in range(options.rounds):
        archived, file = seconds_of(options.address), seconds_of(options.file)
        ratios.append(archived / file)
        print(f"archive {archived:.2f} s, file {file:.2f} s, ratio {ratios[-1]:.2f}")
    print(f"median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
