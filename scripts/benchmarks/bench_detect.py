"""How close is `signetscan detect` to what it cannot avoid: decoding the pixels and running the network?

    python scripts/benchmarks/bench_detect.py SLIDE ... [--model NAME] [--rounds 3] [--checkpoint FILE] [--sahi PYTHON]

For each slide, in unique megapixels a second (level-0 pixels of what is scanned, so that overlap counts once):

    decode   reading the same tiles, on all cores, and nothing else
    network  the model on tiles that are decoded already, and nothing else
    detect   `signetscan detect` as a user runs it, from the start of the process to the last file

and detect as a share of the two floors: min(decode, network), which overlapping the two on separate hardware could
reach, and 1 / (1 / decode + 1 / network), which is the bound where both share the same cores. All are timed in turn,
round after round, so that a noisy machine slows all alike; the median counts. Two others may be timed beside:

    script   by --checkpoint, of the same weights: what one would write otherwise (bench_script.py)
    sahi     by --sahi, a Python that has `sahi` and `signetscan[cpu]`: SAHI with the same model, tiles and overlap;
             it gets the rectangle around the tissue as an image in memory, and its time is taken per megapixel of that
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from signetscan.boxes import area
from signetscan.concurrency import ordered_map
from signetscan.models.detector import load_detector
from signetscan.models.store import DEFAULT_MODEL, find_model
from signetscan.scan.options import ResolvedScanOptions, ScanOptions
from signetscan.scan.plan import plan_scan
from signetscan.slides import SlideAtMpp, open_slide

if TYPE_CHECKING:
    from collections.abc import Callable

    from signetscan.models.detector import Detector
    from signetscan.scan.tiling import Tile

NETWORK_TILES = 12
"""Tiles that the network is timed on, spread over the slide; its speed does not depend on what they show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What every candidate has to do."""

    slide: Path
    detector: Detector
    options: ResolvedScanOptions
    tiles: list[Tile]
    """What `signetscan detect` scans."""
    whole_tiles: list[Tile]
    """The same before they are cut down to their tissue, for those who know no such thing."""
    scale: float
    """Level-0 pixels per tile pixel."""
    megapixels: float
    """Unique level-0 pixels, in millions."""


def make_job(slide: Path, detector: Detector) -> Job:
    """The tiles with tissue."""
    options = ScanOptions().resolve(detector)
    with open_slide(slide) as opened:
        view = SlideAtMpp(opened, detector.spec.mpp)
        tiles = plan_scan(view, options.cut(detector.spec), options).tiles
        whole_tiles = plan_scan(view, options.cut(detector.spec), replace(options, trim_tiles=False)).tiles
        scale = view.scale[0]
    return Job(
        slide=slide,
        detector=detector,
        options=options,
        tiles=tiles,
        whole_tiles=whole_tiles,
        scale=scale,
        megapixels=float(area(np.array([tile.seen for tile in tiles]) * scale).sum() / 1e6),
    )


def read(view: SlideAtMpp, tile: Tile) -> np.ndarray:
    """A tile's pixels."""
    return view.read(tile.x, tile.y, tile.width, tile.height)


def time_decode(job: Job) -> float:
    """Seconds to read all tiles on all cores."""
    with open_slide(job.slide) as slide:
        view = SlideAtMpp(slide, job.detector.spec.mpp)
        started = time.perf_counter()
        for _ in ordered_map(
            partial(read, view), job.tiles, workers=job.options.read_threads, ahead=2 * job.options.read_threads
        ):
            pass
        return time.perf_counter() - started


def time_network(job: Job) -> float:
    """Seconds that the model takes for all tiles, by those of a sample."""
    with open_slide(job.slide) as slide:
        view = SlideAtMpp(slide, job.detector.spec.mpp)
        sample = [read(view, tile) for tile in job.tiles[:: -(-len(job.tiles) // NETWORK_TILES)]]
    size = job.options.batch_size
    batches = [np.stack(sample[start : start + size]) for start in range(0, len(sample), size)]
    job.detector.detect(batches[0], job.options.threshold)
    started = time.perf_counter()
    for batch in batches:
        job.detector.detect(batch, job.options.threshold)
    seconds = time.perf_counter() - started
    return seconds * sum(tile.width * tile.height for tile in job.tiles) / sum(tile[..., 0].size for tile in sample)


def time_detect(job: Job, model: str) -> float:
    """Seconds of the whole command."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "signetscan", "detect", str(job.slide), "--model", model, "--out", out, "-q"]
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - started


def time_script(job: Job, checkpoint: Path) -> float:
    """Seconds of the script in bench_script.py, in a process of its own too."""
    script = Path(__file__).with_name("bench_script.py")
    places = "\n".join(f"{round(tile.x * job.scale)} {round(tile.y * job.scale)}" for tile in job.whole_tiles)
    whole = job.whole_tiles[0]
    numbers = [str(number) for number in (job.scale, whole.width, whole.height, job.options.threshold)]
    command = [sys.executable, str(script), str(job.slide), str(checkpoint), *numbers]
    started = time.perf_counter()
    subprocess.run(command, check=True, input=places, text=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def time_sahi(job: Job, python: Path, model: Path) -> float:
    """Seconds that SAHI would take for the tissue, by its speed on the rectangle around it."""
    corners = np.array([tile.seen for tile in job.tiles]) * job.scale
    left, top, right, bottom = (
        round(float(edge)) for edge in (*corners[:, :2].min(axis=0), *corners[:, 2:].max(axis=0))
    )
    overlap = job.options.overlap / job.options.tile_size
    numbers = [job.scale, overlap, job.options.tile_size, left, top, right - left, bottom - top]
    script = Path(__file__).with_name("bench_sahi.py")
    command = [str(python), str(script), str(job.slide), str(model), *map(str, numbers)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.split()[0]) * job.megapixels * 1e6 / ((right - left) * (bottom - top))


def main() -> None:
    """Time all in turn and print a table a slide."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", type=Path, nargs="+", metavar="SLIDE")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--checkpoint", type=Path, help="of the same weights, to time a plain script beside")
    parser.add_argument("--sahi", type=Path, metavar="PYTHON", help="a Python that has SAHI, to time it beside")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    detector = load_detector(find_model(arguments.model), device=arguments.device)
    for slide in arguments.slides:
        job = make_job(slide, detector)
        candidates: dict[str, Callable[[], float]] = {
            "decode": partial(time_decode, job),
            "network": partial(time_network, job),
            "detect": partial(time_detect, job, arguments.model),
        }
        if arguments.checkpoint:
            candidates["script"] = partial(time_script, job, arguments.checkpoint)
        if arguments.sahi:
            candidates["sahi"] = partial(time_sahi, job, arguments.sahi, find_model(arguments.model))
        seconds: dict[str, list[float]] = {name: [] for name in candidates}
        for _ in range(arguments.rounds):
            for name, candidate in candidates.items():
                seconds[name].append(candidate())
        report(job, {name: median(values) for name, values in seconds.items()})


def report(job: Job, seconds: dict[str, float]) -> None:
    """Print one slide's table."""
    tile_pixels = sum(tile.width * tile.height for tile in job.tiles) / 1e6
    print(f"{job.slide.name} by {job.detector.spec.name} on {job.detector.runs_on.name}: {len(job.tiles)} tiles,")
    print(f"{job.megapixels:.1f} unique level-0 Mpx; the network sees {tile_pixels:.1f} Mpx")
    for name, value in seconds.items():
        print(f"  {name:8s} {job.megapixels / value:8.2f} Mpx/s  {value:8.2f} s")
    slower = max(seconds["decode"], seconds["network"])
    both = seconds["decode"] + seconds["network"]
    print(f"  detect is {slower / seconds['detect']:.2f} of the slower, {both / seconds['detect']:.2f} of both in turn")
    for name in seconds.keys() & {"script", "sahi"}:
        print(f"  detect is {seconds[name] / seconds['detect']:.2f} times as fast as {name}")


if __name__ == "__main__":
    main()
