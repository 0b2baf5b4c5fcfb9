"""What does it cost to know slides and results by their content? Prints seconds, and each as a share of the work.

    python scripts/benchmarks/bench_resume.py [--slide tests/data/sample.svs] [--megabytes 2048] [--detections 1000000]

- The content of a slide: the bytes that are read of a file of random bytes, from the cache of the system.
- SHA-256 of results: of a CSV and a GeoJSON of many detections, against the time that writing them takes.
- A slide that is done: opening it, its content and the SHA-256 of its results, against the scan.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from signetscan.batch.find import find_slides
from signetscan.batch.options import BatchOptions
from signetscan.batch.slide import scan_slide
from signetscan.detections import Detections
from signetscan.formats.csv_file import write_csv
from signetscan.formats.geojson import write_geojson
from signetscan.models.detector import load_detector
from signetscan.models.store import find_model
from signetscan.results.record_parts import ResultFile
from signetscan.slides import Mpp
from signetscan.slides.fingerprint import BLOCK_BYTES, BLOCKS, content_of

if TYPE_CHECKING:
    from collections.abc import Callable

MEBI = 1 << 20


def main() -> None:
    """Time all three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slide", type=Path, default=Path("tests/data/sample.svs"))
    parser.add_argument("--megabytes", type=int, default=2048)
    parser.add_argument("--detections", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _content(Path(folder) / "large", arguments.megabytes)
        _results(Path(folder), arguments.detections)
        _done(Path(folder) / "out", arguments.slide)


def seconds(work: Callable[[], object]) -> float:
    """The time that some work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _content(path: Path, megabytes: int) -> None:
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(MEBI))
    read = min(megabytes, BLOCKS * BLOCK_BYTES // MEBI)
    took = seconds(lambda: content_of([path]))
    print(f"content of a slide of {megabytes} MiB: {read} MiB read and hashed in {took:.2f} s")
    path.unlink()


def _results(folder: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 90_000, (count, 2)).round(2)
    found = Detections(
        boxes=np.concatenate([low, low + 40], axis=1),
        scores=rng.random(count, np.float32),
        labels=np.zeros(count, np.int64),
    )
    names, files = ("Signet ring cell",), [folder / "a.csv", folder / "a.geojson"]

    def write() -> None:
        write_csv(files[0], found, names, source="s", mpp=Mpp(0.25, 0.25))
        write_geojson(files[1], found, names, source="s")

    written, hashed = seconds(write), seconds(lambda: [ResultFile.of(path) for path in files])
    size = sum(path.stat().st_size for path in files) / 1e6
    print(f"results of {count:,} detections, {size:.0f} MB: written in {written:.1f} s, hashed in {hashed:.1f} s")
    print(f"  {hashed / written:.0%} of the time that writing takes")


def _done(out: Path, slide: Path) -> None:
    detector = load_detector(find_model("fast"), device="cpu")
    out.mkdir()
    request = BatchOptions(out=out, model="fast", device="cpu")
    (task,) = find_slides([slide])
    scanned, skipped = (seconds(lambda: scan_slide(task, request, detector)) for _ in range(2))
    print(f"{slide.name}: scanned in {scanned:.1f} s, found to be done in {skipped:.2f} s")


if __name__ == "__main__":
    main()
