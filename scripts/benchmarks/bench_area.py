"""Does a slide cost what its tissue costs, and does memory stay where it is? Virtual slides with more and more tissue.

    python scripts/benchmarks/bench_area.py --source SLIDE [--side 40000] [--shares 0.02 0.1 ...] [--model NAME]
        [--out docs]

Each slide (`virtual_slide.py`) is scanned by `signetscan detect` in a process of its own. Prints tissue, seconds and
the most memory that the process held; with --out, writes `area.png` too.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from virtual_slide import write_virtual_slide

from signetscan.models.store import DEFAULT_MODEL
from signetscan.slides import open_slide
from signetscan.testing.memory import run_measured

if TYPE_CHECKING:
    from collections.abc import Sequence

SHARES = (0.02, 0.1, 0.2, 0.4, 0.8)


def scan(slide: Path, model: str, out: Path) -> tuple[float, float, float]:
    """Tissue in mm2, seconds, and peak memory in MiB."""
    command = [sys.executable, "-m", "signetscan", "detect", str(slide), "--model", model, "--out", str(out), "-q"]
    started = time.perf_counter()
    _, memory = run_measured(command)
    seconds = time.perf_counter() - started
    record = json.loads((out / f"{slide.stem}.run.json").read_text(encoding="utf-8"))
    return record["tissue_mm2"], seconds, memory


def draw(rows: Sequence[tuple[float, float, float]], path: Path) -> None:
    """Seconds against tissue, with the straight line that fits best."""
    area, seconds, _ = np.array(rows).T
    slope, start = np.polyfit(area, seconds, 1)
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(area, seconds, "o")
    axes.axline((0, start), slope=slope, color="0.6", label=f"{slope:.3f} s per mm2 and {start:.1f} s")
    axes.set(xlabel="tissue, mm2", ylabel="seconds", xlim=(0, None), ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Scan all slides and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="slide that the tissue is taken from")
    parser.add_argument("--side", type=int, default=40_000, help="width and height of the slides, pixels of 0.25 um")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="tissue of the plane")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch, open_slide(arguments.source) as source:
        for share in arguments.shares:
            slide = Path(scratch) / "virtual.svs"
            write_virtual_slide(slide, source, arguments.side, share)
            rows.append(scan(slide, arguments.model, Path(scratch)))
            tissue, seconds, memory = rows[-1]
            print(f"{tissue:8.1f} mm2  {seconds:8.1f} s  {seconds / tissue:6.3f} s/mm2  {memory:6.0f} MiB", flush=True)
    if arguments.out:
        draw(rows, arguments.out / "area.png")


if __name__ == "__main__":
    main()
