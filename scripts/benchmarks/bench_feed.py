"""How fast is a network fed? The loop of a scan with a network that takes no time, beside what cannot be avoided.

    python scripts/benchmarks/bench_feed.py SLIDE... [--model NAME] [--threads N] [--rounds 5]

For each slide, unique level-0 megapixels of what is scanned, for each second of all cores (CPU) and for each second
that passes (wall):

    feed       `run_on_tiles` on the tiles that `signetscan detect` scans, with one read thread, and with --threads
    libjpeg    decoding each JPEG tile that they touch once, in one thread, and nothing else
    OpenSlide  `read_region` of the same windows, in one thread, averaged to the model's resolution by Pillow

All are timed in turn, round after round, so that a noisy machine slows all alike; the best round counts.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
import openslide
import tifffile

from signetscan.boxes import area
from signetscan.concurrency import cpu_count
from signetscan.models.detector import load_detector
from signetscan.models.store import DEFAULT_MODEL, find_model
from signetscan.scan.options import ScanOptions
from signetscan.scan.pipeline import damage_of, run_on_tiles
from signetscan.scan.plan import plan_scan
from signetscan.slides import SlideAtMpp, open_slide

if TYPE_CHECKING:
    from collections.abc import Callable

    from signetscan.models.detector import Detector
    from signetscan.scan.options import ResolvedScanOptions
    from signetscan.scan.tiling import Tile


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is read of a slide."""

    path: Path
    mpp: float
    """Of the model, µm/px."""
    detector: Detector
    options: ResolvedScanOptions
    tiles: list[Tile]
    level: int
    """The level that is read."""
    scale: tuple[float, float]
    """Level-0 pixels per view pixel."""
    downsample: float
    """Level-0 pixels per pixel of the level."""
    megapixels: float
    """Unique level-0 pixels, in millions."""


def make_job(path: Path, detector: Detector) -> Job:
    """The tiles with tissue."""
    options = ScanOptions().resolve(detector)
    with open_slide(path) as slide:
        view = SlideAtMpp(slide, detector.spec.mpp)
        tiles = plan_scan(view, options.cut(detector.spec), options).tiles
        seen = view.to_level0(np.array([tile.seen for tile in tiles], np.float64))
        return Job(
            path=path,
            mpp=detector.spec.mpp,
            detector=detector,
            options=options,
            tiles=tiles,
            level=view.level,
            scale=view.scale,
            downsample=slide.level_downsamples[view.level],
            megapixels=float(area(seen).sum() / 1e6),
        )


def feed(job: Job, threads: int) -> None:
    """Run the scan's loop with a network that takes no time."""
    with open_slide(job.path) as slide:
        view, options = SlideAtMpp(slide, job.mpp), replace(job.options, read_threads=threads)
        damage = damage_of(view, plan_scan(view, options.cut(job.detector.spec), options))
        found = run_on_tiles(
            lambda batch: [None] * len(batch), view, job.tiles, options, runs_on=job.detector.runs_on, damage=damage
        )
        for _ in found:
            pass


def opening(job: Job) -> None:
    """What `feed` does before it reads the first tile."""
    feed(replace(job, tiles=[]), 1)


def decode(job: Job) -> None:
    """Decode each JPEG tile that the windows touch."""
    with tifffile.TiffFile(job.path) as file:
        page = [page for page in file.pages if isinstance(page, tifffile.TiffPage) and page.is_tiled][job.level]
        across = -(-page.imagewidth // page.tilewidth)
        for index in sorted(touched(job, page, across)):
            file.filehandle.seek(page.dataoffsets[index])
            data = file.filehandle.read(page.databytecounts[index])
            stored = tifffile.PHOTOMETRIC(page.photometric).name
            imagecodecs.jpeg8_decode(data, tables=page.jpegtables, colorspace=stored, outcolorspace="RGB")


def touched(job: Job, page: tifffile.TiffPage, across: int) -> set[int]:
    """Indices of the tiles of a page that the windows touch."""
    indices: set[int] = set()
    ratio_x, ratio_y = (scale / job.downsample for scale in job.scale)
    for tile in job.tiles:
        right = min((tile.x + tile.width) * ratio_x, page.imagewidth)
        bottom = min((tile.y + tile.height) * ratio_y, page.imagelength)
        for row in range(int(max(tile.y, 0) * ratio_y) // page.tilelength, int(bottom - 1) // page.tilelength + 1):
            first, last = int(max(tile.x, 0) * ratio_x) // page.tilewidth, int(right - 1) // page.tilewidth
            indices.update(range(row * across + first, row * across + last + 1))
    return indices


def by_openslide(job: Job) -> None:
    """Read and average the same windows, as one would without signetscan."""
    with openslide.OpenSlide(job.path) as slide:
        for tile in job.tiles:
            width, height = (
                round(side * scale / job.downsample)
                for side, scale in zip((tile.width, tile.height), job.scale, strict=True)
            )
            location = round(tile.x * job.scale[0]), round(tile.y * job.scale[1])
            picture = slide.read_region(location, job.level, (width, height)).convert("RGB")
            np.asarray(picture.reduce(max(1, round(width / tile.width))))


def seconds(work: Callable[[], None]) -> tuple[float, float]:
    """CPU seconds of all threads, and seconds that pass."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    """Time all in turn and print a table a slide."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", type=Path, nargs="+", metavar="SLIDE")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--threads", type=int, default=cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    detector = load_detector(find_model(arguments.model))
    for path in arguments.slides:
        job = make_job(path, detector)
        ways = {
            "opening": partial(opening, job),
            "feed, 1 read thread": partial(feed, job, 1),
            f"feed, {arguments.threads} read threads": partial(feed, job, arguments.threads),
            "libjpeg, 1 thread": partial(decode, job),
            "OpenSlide, 1 thread": partial(by_openslide, job),
        }
        taken = [{name: seconds(work) for name, work in ways.items()} for _ in range(arguments.rounds)]
        best = {name: [min(once[name][clock] for once in taken) for clock in (0, 1)] for name in ways}
        report(job, best)


def report(job: Job, best: dict[str, list[float]]) -> None:
    """Print one slide's table; opening, with its look for tissue, is taken off the feed."""
    print(f"{job.path.name} for {job.detector.spec.name}: {len(job.tiles)} tiles, {job.megapixels:.1f} Mpx")
    opened = best.pop("opening")
    floor = job.megapixels / best["libjpeg, 1 thread"][0]
    print(f"{'':24s}{'Mpx/CPU s':>10s}{'of libjpeg':>12s}{'Mpx/s':>8s}")
    for name, (cpu, wall) in best.items():
        before = opened if name.startswith("feed") else (0.0, 0.0)
        per_cpu, per_wall = job.megapixels / (cpu - before[0]), job.megapixels / (wall - before[1])
        print(f"{name:24s}{per_cpu:10.1f}{per_cpu / floor:12.2f}{per_wall:8.1f}")


if __name__ == "__main__":
    main()
