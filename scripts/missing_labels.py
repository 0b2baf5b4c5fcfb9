"""How much does each loss suffer from missing boxes? The controlled experiment of the DGHM paper (its table 4).

    python scripts/missing_labels.py WORK [--seeds 3] [--steps 1500] [--device auto] [--report docs]

Simulated images, whose truth is known, take the place of DigestPath: a share of the training boxes is dropped at
random, a small detector is trained with each loss, and it is scored on test images with all their boxes. All runs of
one seed see the same images, crops and dropped boxes. Results go to WORK/results.csv, one row a run; a script that was
stopped goes on where it was. `--report` writes the table and the plot. On a GPU ask for more: `--steps 6000 --seeds 5`.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING

import numpy as np
import torch

from signetscan.concurrency import cpu_count
from signetscan.dataset import read_dataset
from signetscan.evaluation import evaluate
from signetscan.outputs.atomic import atomic_text
from signetscan.simulate.image_set import ImageSetOptions, write_image_set
from signetscan.training.checkpoint import load_checkpoint
from signetscan.training.engine import LAST, choose_device, train
from signetscan.training.losses import LossOptions
from signetscan.training.options import TrainOptions
from signetscan.training.retinanet import Architecture
from signetscan.training.validation import detect_images

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from signetscan.dataset import AnnotatedImage, Dataset

RATES = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
LOSSES = ("ce", "focal", "ghm-c", "dghm-c")
ORDER = (0.7, 0.3, 0.5, 0.2, 0.0, 0.4, 0.6)
"""Rates in the order of running: the telling ones first."""

PAPER = {
    "ce": {0.2: 0.5255, 0.3: 0.4490, 0.4: 0.3870, 0.5: 0.3513, 0.6: 0.2682, 0.7: 0.1866},
    "focal": {0.2: 0.4541, 0.3: 0.3856, 0.4: 0.2719, 0.5: 0.2172, 0.6: 0.1837, 0.7: 0.1050},
    "ghm-c": {0.2: 0.6545, 0.3: 0.6968, 0.4: 0.6480, 0.5: 0.6669, 0.6: 0.5138, 0.7: 0.4089},
    "dghm-c": {0.2: 0.8630, 0.3: 0.8331, 0.4: 0.7922, 0.5: 0.7412, 0.6: 0.7128, 0.7: 0.6720},
}
"""FROC in the paper's table 4, on DigestPath, whose given boxes are taken as complete."""

TRAIN_SEED, TEST_SEED = 101, 202
IMAGES, TEST_IMAGES = 60, 12
"""Images with cells, and as many without."""

LOWEST = 0.001
"""Detections down to here are ranked: missing boxes push the scores of plain losses far down."""
SUBMITTED = 0.5
"""Score from which detections count as submitted. The paper's FROC is of a submitted list, as the challenge's was: a
loss that pushes the scores of cells down loses them there, even where it still ranks them above everything else."""

COLUMNS = ("loss", "missing", "seed", "steps", "froc", "froc_submitted", "recall_submitted", "fps_submitted", "seconds")


def options_for(loss: str, seed: int, steps: int) -> TrainOptions:
    """A small detector from scratch; everything but the loss is the same for all."""
    return TrainOptions(
        architecture=Architecture(width=32, pyramid=64, head_depth=2),
        loss=LossOptions(name=loss),
        crop=256,
        batch=8,
        normals_per_positive=3.0,  # as in the paper; the share of normal crops decides much about the plain losses
        batches=max(steps // 5, 1),
        epochs=5,
        rate=1e-3,
        schedule="cosine",
        validation_share=0.0,
        seed=seed,
    )


def image_sets(work: Path) -> tuple[Dataset, Dataset]:
    """Images to learn from and to test on, drawn once."""
    sets = []
    for name, seed, count in (("train", TRAIN_SEED, IMAGES), ("test", TEST_SEED, TEST_IMAGES)):
        folder = work / name
        if not (folder / "dataset.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            write_image_set(folder, ImageSetOptions(seed=seed, positives=count, negatives=count), workers=cpu_count())
        sets.append(read_dataset(folder))
    return sets[0], sets[1]


def drop_boxes(images: Sequence[AnnotatedImage], share: float, seed: int) -> tuple[AnnotatedImage, ...]:
    """The same images without a share of all boxes. What is dropped at 30% is dropped at 50% too."""
    total = sum(len(image.boxes) for image in images)
    kept = np.ones(total, np.bool_)
    kept[np.random.default_rng([seed, 9]).permutation(total)[: round(share * total)]] = False
    parts, start = [], 0
    for image in images:
        mine = kept[start : start + len(image.boxes)]
        parts.append(replace(image, boxes=image.boxes[mine], labels=image.labels[mine]))
        start += len(image.boxes)
    return tuple(parts)


def planned(seeds: int) -> Iterator[tuple[int, float, str]]:
    """All runs, seed by seed, so that there is a whole table early."""
    for seed in range(seeds):
        for rate in ORDER:
            for loss in LOSSES:
                yield seed, rate, loss


def read_rows(path: Path) -> list[dict[str, str]]:
    """The runs finished so far."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """All finished runs, as a whole or not at all."""
    with atomic_text(path) as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def run_one(
    work: Path,
    dataset: Dataset,
    test: Dataset,
    options: TrainOptions,
    rate: float,
    device: str,
) -> dict[str, str]:
    """Train with one loss at one missing rate, and score on the test images."""
    out = work / "runs" / f"{options.loss.name}-{rate:.1f}-{options.seed}"
    seen = replace(dataset, images=drop_boxes(dataset.images, rate, options.seed))
    train(seen, options, out, device=device, resume=(out / LAST).exists())  # type: ignore[arg-type] # from a choice
    checkpoint = load_checkpoint(out / LAST)
    where = choose_device(device)  # type: ignore[arg-type]
    results = detect_images(checkpoint.make_network().to(where), checkpoint, test.images, where, lowest=LOWEST)
    submitted = [
        replace(result, detections=result.detections.select(result.detections.scores >= SUBMITTED))
        for result in results
    ]
    ranked, listed = evaluate(results, SUBMITTED), evaluate(submitted, SUBMITTED)
    return {
        "loss": options.loss.name,
        "missing": f"{rate:.1f}",
        "seed": str(options.seed),
        "steps": str(options.batches * options.epochs),
        "froc": f"{ranked.froc:.4f}",
        "froc_submitted": f"{listed.froc:.4f}",
        "recall_submitted": f"{listed.recall:.4f}",
        "fps_submitted": f"{listed.fps_score:.2f}",
        "seconds": f"{sum(row['seconds'] for row in checkpoint.history):.0f}",
    }


def main() -> None:
    """Run what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--report", type=Path, help="folder for missing-labels.md and .png; nothing is run")
    arguments = parser.parse_args()
    work = arguments.work
    results = work / "results.csv"
    if arguments.report:
        write_report(arguments.report, read_rows(results))
        return
    work.mkdir(parents=True, exist_ok=True)
    dataset, test = image_sets(work)
    rows = read_rows(results)
    done = {(row["seed"], row["missing"], row["loss"]) for row in rows}
    for seed, rate, loss in planned(arguments.seeds):
        if (str(seed), f"{rate:.1f}", loss) in done:
            continue
        row = run_one(work, dataset, test, options_for(loss, seed, arguments.steps), rate, arguments.device)
        rows.append(row)
        write_rows(results, rows)
        print(" ".join(f"{name} {value}" for name, value in row.items()), flush=True)


def table_of(rows: Sequence[dict[str, str]]) -> dict[str, dict[float, list[float]]]:
    """FROC of each seed, by loss and missing rate."""
    table: dict[str, dict[float, list[float]]] = {loss: {rate: [] for rate in RATES} for loss in LOSSES}
    for row in rows:
        table[row["loss"]][float(row["missing"])].append(float(row["froc"]))
    return table


def cell(values: Sequence[float]) -> str:
    """Mean and spread over seeds."""
    if not values:
        return ""
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def write_report(folder: Path, rows: Sequence[dict[str, str]]) -> None:
    """The table, with the paper's beside it, and the plot."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    table = table_of(rows)
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["| loss | " + " | ".join(f"{rate:.0%}" for rate in RATES) + " |", "|---" * (len(RATES) + 1) + "|"]
    for loss in LOSSES:
        lines.append(f"| {loss} | " + " | ".join(cell(table[loss][rate]) for rate in RATES) + " |")
        paper = (f"{PAPER[loss][rate]:.3f}" if rate in PAPER[loss] else "" for rate in RATES)
        lines.append(f"| *paper, DigestPath* | {' | '.join(paper)} |")
    with atomic_text(folder / "missing-labels-table.md") as file:
        file.write("\n".join(lines) + "\n")
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for index, loss in enumerate(LOSSES):
        rates = [rate for rate in RATES if table[loss][rate]]
        means = [mean(table[loss][rate]) for rate in rates]
        spreads = [stdev(table[loss][rate]) if len(table[loss][rate]) > 1 else 0.0 for rate in rates]
        shifted = [100 * rate for rate in rates]
        axes.errorbar(shifted, means, spreads, marker="o", capsize=3, color=f"C{index}", label=loss)
        axes.plot([100 * rate for rate in PAPER[loss]], list(PAPER[loss].values()), ":", color=f"C{index}", alpha=0.6)
    axes.set(xlabel="boxes missing in training, %", ylabel="FROC on full truth", ylim=(0, 1))
    axes.set_title("Simulated cells (solid); the paper's DigestPath (dotted)")
    axes.legend()
    figure.savefig(folder / "missing-labels.png", dpi=120)


if __name__ == "__main__":
    torch.set_num_threads(cpu_count())
    main()
