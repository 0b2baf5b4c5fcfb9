"""How much does each loss suffer from missing boxes? The controlled experiment of the DGHM paper (its table 4).

    python scripts/experiments/missing_labels.py WORK [--data simulated] [--seeds 3] [--methods M ...] [--rates R ...]
    python scripts/experiments/missing_labels.py WORK --report docs

A share of the training boxes is dropped at random, a small detector is trained by each method, and it is scored on test
images with all their boxes. All runs of one seed see the same images, crops and dropped boxes; another seed has others.
Data sets are described in `missing_labels_data.py`, methods in `signetscan.testing.missing_labels`. Results go to
WORK/DATA.csv, a row a run; a script that was stopped goes on where it was. On a GPU ask for more: `--steps 20000
--seeds 5`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from missing_labels_data import DATA, image_sets

from signetscan.concurrency import cpu_count, process_map
from signetscan.evaluation import average_precision, evaluate, make_tally, pr_curve
from signetscan.models.detection_spec import LEAST_SCORE
from signetscan.testing.missing_labels.boxes import count_right, drop_boxes, is_among, matched
from signetscan.testing.missing_labels.methods import METHODS, ORDER, RATES, Job, followers, jobs_for
from signetscan.testing.missing_labels.report import COLUMNS, SUBMITTED, write_report
from signetscan.testing.run_tables import read_rows, write_rows
from signetscan.training.anchors import levels_needed
from signetscan.training.checkpoint import load_checkpoint
from signetscan.training.devices import choose_device
from signetscan.training.engine import train
from signetscan.training.loop import LAST
from signetscan.training.options import Architecture, TrainOptions
from signetscan.training.pseudo_labels import label_images
from signetscan.training.thresholds import choose_threshold
from signetscan.training.validation import detect_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signetscan.dataset import AnnotatedImage, Dataset
    from signetscan.evaluation import ImageResult
    from signetscan.training.checkpoint import Checkpoint
    from signetscan.training.options import Device
    from signetscan.training.retinanet import RetinaNet

LOWEST = 0.001
"""Detections down to here are ranked: missing boxes push the scores of plain losses far down."""


def options_for(method: str, seed: int, steps: int) -> TrainOptions:
    """A small detector from scratch; everything but the loss is the same for all.

    Of its three FPN levels the coarsest is left out when it is scored, unless cells are so large that it has any to
    find. It is 4 positions wide in a crop, all at the border, and what it learns there, never to find anything, need
    not hold within a whole image: in 1 of 54 runs (DGHM-C, 50% missing, seed 0) it covered normal images with boxes of
    65 px. With five levels that happened in 3 of 22 runs. `signetscan train` therefore makes no more levels than are
    needed.
    """
    return TrainOptions(
        architecture=Architecture(width=16, fpn_channels=32, head_depth=2, fpn_levels=3),
        loss=METHODS[method].loss,
        patch=170,
        patch_step=64,
        crop=128,  # patch and crop have the sides of the paper's in about the same ratio
        batch_size=8,
        normals_per_positive=3.0,
        batches=max(steps // 5, 1),
        epochs=5,
        learning_rate=1e-3,
        schedule="cosine",
        validation_split=0.0,
        seed=seed,
    )


def run_job(work: Path, data: str, steps: int, device: Device, job: Job) -> list[dict[str, str]]:
    """Train and score one method, and those that start from it."""
    torch.set_num_threads(1)  # two runs on a core each are done sooner than one after the other on both
    seed, rate, method = job
    sets = image_sets(work, data, seed)
    dataset = sets.learn
    partial_images = drop_boxes(dataset.images, rate, seed)
    rows = []
    for name in [method, *followers(method)]:
        images, mined, right = partial_images, 0, 0
        if METHODS[name].teacher is not None:
            teacher = load_checkpoint(run_folder(work, data, job) / LAST)
            labels = label_images(teacher, partial_images, choose_device(device))
            images, mined = labels.images, labels.added
            right = count_right(dataset.images, partial_images, images)
        out = run_folder(work, data, (seed, rate, name))
        options, resume = options_for(name, seed, steps), (out / LAST).exists()
        train(replace(dataset, images=images), options, out, device=device, resume=resume)
        row = {"method": name, "missing": f"{rate:.1f}", "seed": str(seed), "steps": str(steps)}
        checkpoint = load_checkpoint(out / LAST)
        network = judged_network(checkpoint, dataset).to(choose_device(device))
        results = detect_images(network, checkpoint, sets.test.images, choose_device(device), lowest=LOWEST)
        row |= score(results, network, checkpoint, dataset, partial_images)
        if sets.choose is not None:
            row |= at_threshold(results, network, checkpoint, drop_boxes(sets.choose.images, rate, seed))
        rows.append(row | {"mined": str(mined), "mined_right": str(right)})
    return rows


def run_folder(work: Path, data: str, job: Job) -> Path:
    """Where a run's checkpoints are."""
    seed, rate, method = job
    return work / "runs" / data / f"{method}-{rate:.1f}-{seed}"


def judged_network(checkpoint: Checkpoint, dataset: Dataset) -> RetinaNet:
    """The network of a run, without the FPN levels that have no cell of the data to find."""
    network = checkpoint.make_network()
    del network.pyramid.smooth[levels_needed(np.concatenate([image.boxes for image in dataset.images])) :]
    return network


def score(
    results: Sequence[ImageResult],
    network: RetinaNet,
    checkpoint: Checkpoint,
    dataset: Dataset,
    seen: Sequence[AnnotatedImage],
) -> dict[str, str]:
    """All figures of a detector: of its results on test images, and on the boxes that it learnt from or did not see."""
    listed = {least: evaluate([submitted(result, least) for result in results], least) for least in SUBMITTED}
    learnt = [image for image in dataset.images if not image.normal]
    where = network.classify.last.weight.device
    again = detect_images(network, checkpoint, learnt, where, lowest=SUBMITTED[0])
    hits = np.concatenate(
        [matched(image.boxes, result.detections.boxes) for image, result in zip(learnt, again, strict=True)]
    )
    kept = np.concatenate(
        [
            is_among(image.boxes, less.boxes)
            for image, less in zip(dataset.images, seen, strict=True)
            if not image.normal
        ]
    )
    return {
        "froc": f"{evaluate(results, LOWEST).froc:.4f}",
        **{
            f"{name}_from_{least}": f"{value:.4f}"
            for least, scores in listed.items()
            for name, value in (
                ("froc", scores.froc),
                ("recall", scores.recall),
                ("precision", scores.precision),
                ("fps", scores.fps_score),
            )
        },
        "ap50": f"{average_precision(pr_curve(make_tally(results, 0.5))):.4f}",
        "kept_recall": f"{hits[kept].mean():.4f}",
        "dropped_recall": f"{hits[~kept].mean():.4f}" if (~kept).any() else "",
        "seconds": f"{sum(row['seconds'] for row in checkpoint.history):.0f}",
    }


def at_threshold(
    results: Sequence[ImageResult], network: RetinaNet, checkpoint: Checkpoint, choose: Sequence[AnnotatedImage]
) -> dict[str, str]:
    """Figures on the test images at the threshold that users would get: chosen where as many boxes are missing."""
    where = network.classify.last.weight.device
    found = detect_images(network, checkpoint, choose, where, lowest=LEAST_SCORE)
    threshold, _ = choose_threshold(found, checkpoint.options.false_positives_per_normal, lowest=LEAST_SCORE)
    scores = evaluate(results, threshold)
    figures = {"threshold": threshold, "recall": scores.recall, "precision": scores.precision, "f1": scores.f1}
    return {name: f"{value:.4f}" for name, value in figures.items()}


def submitted(result: ImageResult, least: float) -> ImageResult:
    """Without what scores too low to be handed in."""
    return replace(result, detections=result.detections.select(result.detections.scores >= least))


def main() -> None:
    """Run what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--data", default="simulated", choices=DATA)
    first = [name for name, method in METHODS.items() if method.teacher is None]
    usual = [name for name in first if not METHODS[name].aside]
    parser.add_argument("--methods", nargs="+", default=usual, choices=first, metavar="METHOD", help=", ".join(first))
    parser.add_argument("--rates", nargs="+", type=float, default=ORDER, choices=RATES, metavar="RATE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--jobs", type=int, default=cpu_count(), help="runs at a time; 1 on a GPU")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--report", type=Path, help="folder for the tables and plots; nothing is run")
    arguments = parser.parse_args()
    results = arguments.work / f"{arguments.data}.csv"
    rows = read_rows(results)
    if arguments.report:
        write_report(arguments.report, arguments.data, rows)
        return
    arguments.work.mkdir(parents=True, exist_ok=True)
    for seed in range(arguments.seeds):
        image_sets(arguments.work, arguments.data, seed)  # here, before several processes ask for them
    done = {(int(row["seed"]), float(row["missing"]), row["method"]) for row in rows}
    jobs = list(jobs_for(arguments.seeds, arguments.rates, arguments.methods, done))
    work = partial(run_job, arguments.work, arguments.data, arguments.steps, arguments.device)
    for new in process_map(work, jobs, workers=arguments.jobs):
        names = {(row["seed"], row["missing"], row["method"]) for row in new}
        rows = [row for row in rows if (row["seed"], row["missing"], row["method"]) not in names] + new
        write_rows(results, COLUMNS, rows)
        for row in new:
            print(" ".join(f"{name} {value}" for name, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
