"""How fast are a slide's tiles read, by OpenSlide and directly? Prints unique megapixels a second, and ratios.

    python scripts/benchmarks/bench_decode.py SLIDE... [--mpp MPP] [--threads N] [--rounds 5]

Every tile of the grid of a scan at --mpp (by default the slide's own) is read, as `signetscan detect` reads it, from a
slide just opened, and what tiles share is counted once. All ways are timed in turn, round after round, so that a noisy
machine slows all alike; the median counts. Opening, with the check that both ways give the same pixels, is timed apart.
"""

from __future__ import annotations

import argparse
import time
from itertools import product
from pathlib import Path
from statistics import median

from signetscan.concurrency import cpu_count, ordered_map
from signetscan.scan.tiling import TileGrid
from signetscan.slides import Mpp, SlideAtMpp
from signetscan.slides.openslide_slide import OpenSlideSlide

TILINGS = ((1024, 256), (2048, 256))
"""Tile size and overlap, pixels."""
STRIDE = 32


def seconds(path: Path, mpp: float | None, tiling: tuple[int, int], *, direct: bool, threads: int) -> list[float]:
    """Seconds to open the slide and to read all tiles of its grid, and megapixels of the plane they cover."""
    started = time.perf_counter()
    with OpenSlideSlide(path, direct=direct) as slide:
        opened = time.perf_counter()
        if direct and slide.decoder == "openslide":
            message = f"{path}: is left to OpenSlide"
            raise SystemExit(message)
        slide.mpp = slide.mpp or Mpp(0.25, 0.25)
        view = SlideAtMpp(slide, mpp or slide.mpp.x)
        width, height = view.dimensions
        grid = TileGrid(width=width, height=height, tile_size=tiling[0], overlap=tiling[1], stride=STRIDE)
        for _ in ordered_map(
            lambda tile: view.read(tile.x, tile.y, tile.width, tile.height), grid, workers=threads, ahead=threads + 1
        ):
            pass
        return [opened - started, time.perf_counter() - opened, width * height / 1e6]


def main() -> None:
    """Time both readers on 1 and on all threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", nargs="+", type=Path)
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--threads", type=int, default=cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    ways = list(product(TILINGS, sorted({1, arguments.threads}), (False, True)))
    for path in arguments.slides:
        times: dict[tuple[tuple[int, int], int, bool], list[list[float]]] = {way: [] for way in ways}
        for turn in range(arguments.rounds + 1):
            for tiling, threads, direct in ways:
                taken = seconds(path, arguments.mpp, tiling, direct=direct, threads=threads)
                if turn > 0:  # the first round warms up
                    times[tiling, threads, direct].append(taken)
        print(f"{path.name}: {times[ways[0]][0][2]:.1f} Mpx")
        print("tile  overlap  threads  OpenSlide  direct (Mpx/s)  ratio (lowest to highest of the rounds)")
        for tiling, threads in dict.fromkeys(way[:2] for way in ways):
            slow, fast = times[tiling, threads, False], times[tiling, threads, True]
            speeds = [median(megapixels / read for _, read, megapixels in rounds) for rounds in (slow, fast)]
            ratios = sorted(one[1] / other[1] for one, other in zip(slow, fast, strict=True))
            print(
                f"{tiling[0]:4d}  {tiling[1]:7d}  {threads:7d}  {speeds[0]:9.1f}  {speeds[1]:6.1f}          "
                f"{median(ratios):5.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            )
        opening = [
            1000 * median(one[0] for way in ways if way[2] is direct for one in times[way]) for direct in (False, True)
        ]
        print(f"opening: {opening[0]:.1f} ms by OpenSlide, {opening[1]:.1f} ms with the direct reader and its check\n")


if __name__ == "__main__":
    main()
