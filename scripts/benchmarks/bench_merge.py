"""How long do merging and writing take, and how much memory? Prints seconds, peak memory and the ratio to plain ways.

    python scripts/benchmarks/bench_merge.py [--candidates 5000000] [--detections 1000000] [--labels 1] [--pile 0]
        [--huge 0]

Candidates are those of a slide of 100,000 x 100,000 px: cells 60 px wide, half of them in crowded clusters, each found
by 2 to 10 boxes with scores on a grid of 0.0001, and one candidate in five alone. `--pile` puts some of them on one
spot, `--huge` makes some of them thousands of pixels wide.

Every job runs in a process of its own. On a busy machine the seconds of the CPU say more than those of the clock.
Memory is the most that the process held, and how much more that is than with the input alone. The plain ways:

    k-d tree    scipy's tree of the centres and its pairs within reach: only the first step of a merge by pairs
    numpy loop  the usual suppression of boxes one by one against all others
    seam band   of candidates that are suppressed within their tile already, as in a scan: only those so near the edge
                of their tile's part that one of another tile may overlap them are merged; the rest is kept as it is
    json        json.dumps of each feature
    csv         csv.writer with a row at a time
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from signetscan.boxes import centres
from signetscan.detections import Detections
from signetscan.formats.csv_file import write_csv
from signetscan.formats.geojson import write_geojson
from signetscan.scan.merge import SEAM_MARGIN, best_first, merge_tiles, suppress
from signetscan.slides import Mpp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

SIDE = 100_000
TILE = 928
NMS_IOU = 0.4
NAMES = ("Signet ring cell", "Other cell")
MIB = 1 << 20


def candidates(count: int, labels: int, pile: int, huge: int) -> Detections:
    """Candidates (slide pixels) in the order of tiles."""
    rng = np.random.default_rng(0)
    cells = max(2, int(count * 0.8 / 6))
    clusters = rng.uniform(2000, SIDE - 2000, (cells // 1600 + 1, 2))
    crowded = clusters[rng.integers(0, len(clusters), cells // 2)] + rng.normal(0, 600, (cells // 2, 2))
    middle = np.concatenate([crowded, rng.uniform(100, SIDE - 100, (cells - cells // 2, 2))])
    size = rng.normal(60, 8, (cells, 1)).clip(30, 120) * rng.uniform(0.87, 1.15, (cells, 2))
    cell = np.repeat(np.arange(cells), rng.integers(2, 11, cells))[:count]
    alone = count - len(cell)
    middle = np.concatenate([middle[cell] + rng.normal(0, 2, (len(cell), 2)), rng.uniform(0, SIDE, (alone, 2))])
    size = np.concatenate([size[cell] * rng.normal(1, 0.04, (len(cell), 2)), rng.normal(60, 6, (alone, 2))])
    score = rng.uniform(0.3, 1, cells)[cell] - rng.exponential(0.08, len(cell))
    score = np.concatenate([score, rng.uniform(0.05, 0.5, alone)]).clip(0.05, 1)
    label = np.concatenate([rng.integers(0, labels, cells)[cell], rng.integers(0, labels, alone)])
    middle[:pile] = SIDE / 2 + rng.normal(0, 6, (min(pile, count), 2))
    size[pile : pile + huge] = rng.uniform(5000, 60_000, (min(huge, count - pile), 2))
    order = np.lexsort(middle.astype(np.int64).T // TILE)
    boxes = np.concatenate([middle - size / 2, middle + size / 2], axis=1)
    return Detections(boxes=boxes, scores=score.astype(np.float32).round(4), labels=label).select(order)


def loaded(folder: Path) -> Detections:
    """Detections that `make` kept as files."""
    return Detections(**{name: np.load(folder / f"{name}.npy") for name in ("boxes", "scores", "labels")})


def tiles_of(found: Detections) -> list[Detections]:
    """The candidates of each tile."""
    tiles = (centres(found.boxes) // TILE).astype(np.int32)
    cuts = np.flatnonzero((tiles[1:] != tiles[:-1]).any(axis=1)) + 1
    return [
        Detections(boxes=found.boxes[a:b], scores=found.scores[a:b], labels=found.labels[a:b])
        for a, b in zip([0, *cuts.tolist()], [*cuts.tolist(), len(found)], strict=True)
    ]


def merge(found: Detections, _: Path) -> None:
    """Our merge, of one part a tile."""
    merge_tiles(tiles_of(found), NMS_IOU)


def seam_band(found: Detections, _: Path) -> None:
    """A merge that looks only at what may overlap a box of another tile."""
    whole = Detections.concatenate(tiles_of(found))
    # Two boxes that overlap enough differ in a side by a factor of 1 / IoU at most, and so their centres are no farther
    # apart than this; see `neighbours`.
    reach = (whole.boxes[:, 2:] - whole.boxes[:, :2]) * (1 - NMS_IOU) / (1 + NMS_IOU) / NMS_IOU + SEAM_MARGIN
    inside = centres(whole.boxes) % TILE
    band: NDArray[np.bool_] = np.any((inside <= reach) | (TILE - inside <= reach), axis=1)
    merged = Detections.concatenate([whole.select(~band), suppress(whole.select(band), NMS_IOU)])
    merged.select(best_first(merged))


def tree(found: Detections, _: Path) -> None:
    """A k-d tree's pairs of centres within the reach of the largest box."""
    reach = float((found.boxes[:, 2:] - found.boxes[:, :2]).max()) * (1 - NMS_IOU) / (1 + NMS_IOU)
    cKDTree(centres(found.boxes)).query_pairs(reach, p=np.inf, output_type="ndarray")


def loop(found: Detections, _: Path) -> None:
    """Suppression as in the well-known script of Fast R-CNN."""
    x0, y0, x1, y1 = found.boxes.T
    areas = (x1 - x0) * (y1 - y0)
    order: NDArray[np.intp] = found.scores.argsort()[::-1]
    while len(order):
        best, rest = order[0], order[1:]
        width = np.maximum(0, np.minimum(x1[best], x1[rest]) - np.maximum(x0[best], x0[rest]))
        overlap = width * np.maximum(0, np.minimum(y1[best], y1[rest]) - np.maximum(y0[best], y0[rest]))
        order = rest[overlap / (areas[best] + areas[rest] - overlap) <= NMS_IOU]


def geojson(found: Detections, path: Path) -> None:
    """Our GeoJSON."""
    write_geojson(path, found, NAMES, source="slide:model", origin=(1000, 70))


def dumped(found: Detections, path: Path) -> None:
    """json.dumps of one feature after another."""
    space = uuid.uuid4()
    with path.open("w") as file:
        for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
            x0, y0, x1, y1 = box.round(2).tolist()
            ring = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
            classification = {"name": NAMES[label], "color": [0, 0, 0]}
            feature = {
                "type": "Feature",
                "id": str(uuid.uuid5(space, str(box))),
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "properties": {"classification": classification, "measurements": {"Score": round(float(score), 4)}},
            }
            file.write(json.dumps(feature) + ",\n")


def table(found: Detections, path: Path) -> None:
    """Our CSV."""
    write_csv(path, found, NAMES, source="slide:model", mpp=Mpp(0.25, 0.25))


def rows(found: Detections, path: Path) -> None:
    """csv.writer with a row at a time."""
    space = uuid.uuid4()
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        for box, score, label in zip(found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True):
            um = [f"{edge * 0.25:.3f}" for edge in box]
            place = [f"{edge:.2f}" for edge in box]
            writer.writerow([uuid.uuid5(space, str(place)), NAMES[label], f"{score:.4f}", *place, *um])


JOBS: dict[str, Callable[[Detections, Path], None]] = {
    "merge": merge,
    "seam band": seam_band,
    "k-d tree": tree,
    "numpy loop": loop,
    "geojson": geojson,
    "json": dumped,
    "table": table,
    "csv": rows,
}


def peak() -> float:
    """The most memory that this process has held, MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


def make(folder: Path, found: Detections) -> None:
    """Keep detections as files."""
    for name in ("boxes", "scores", "labels"):
        np.save(folder / f"{name}.npy", getattr(found, name))


def run(job: str, folder: Path) -> None:
    """Run one job in this process and print its seconds (clock, CPU) and the peaks before and after it."""
    found = loaded(folder)
    before = peak()
    started, worked = time.perf_counter(), time.process_time()
    JOBS[job](found, folder / "output")
    print(json.dumps([time.perf_counter() - started, time.process_time() - worked, before, peak()]))


def child(job: str, folder: Path, *options: str) -> str:
    """Run this script for one job; nothing large is held here, because a child's peak starts with its parent's."""
    command = [sys.executable, __file__, "--job", job, "--folder", str(folder), *options]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def compared(ours: str, plain: str | None, count: int, variant: Sequence[str] = ()) -> None:
    """Time our way, and a plain one on the same input."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        child("make", folder, "--candidates", str(count), *variant)
        base = 0.0
        for job in filter(None, (ours, plain)):
            seconds, worked, before, after = json.loads(child(job, folder))
            line = f"{job:10s} {count:9,d} {seconds:8.2f} {worked:8.2f} {after:8.0f} {after - before:+8.0f}"
            print(f"{line} {seconds / base:8.1f} x {ours}" if base else line)
            base = seconds


def main() -> None:
    """Merge and write, then merge and write smaller inputs beside plain ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=5_000_000)
    parser.add_argument("--detections", type=int, default=1_000_000)
    for name, default in (("--labels", 1), ("--pile", 0), ("--huge", 0)):
        parser.add_argument(name, type=int, default=default)
    parser.add_argument("--suppressed", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--job", choices=["make", *JOBS], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    variant = (arguments.labels, arguments.pile, arguments.huge)
    if arguments.job == "make":
        made = candidates(arguments.candidates, *variant)
        if arguments.suppressed:
            made = Detections.concatenate([suppress(part, NMS_IOU) for part in tiles_of(made)])
        make(arguments.folder, made)
    elif arguments.job:
        run(arguments.job, arguments.folder)
    else:
        print("job            count  seconds      CPU peak MiB   growth    ratio")
        options = [part for name in ("labels", "pile", "huge") for part in (f"--{name}", str(getattr(arguments, name)))]
        compared("merge", None, arguments.candidates, options)
        compared("merge", "seam band", arguments.candidates, ["--suppressed"])
        compared("merge", "k-d tree", arguments.candidates)
        compared("merge", "numpy loop", min(20_000, arguments.candidates))
        for ours, plain in (("geojson", "json"), ("table", "csv")):
            compared(ours, None, arguments.detections, ("--labels", "2"))
            compared(ours, plain, arguments.detections // 10, ("--labels", "2"))


if __name__ == "__main__":
    main()
