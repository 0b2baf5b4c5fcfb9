"""How much does each loss of segmentation suffer from glands that nobody outlined?

    python scripts/experiments/dropped_outlines.py WORK --source ebhi-seg --weights FILE [--seeds 0 1 2] [--rates R ...]
    python scripts/experiments/dropped_outlines.py WORK --report docs

A share of the outlined glands is dropped at random from the training masks, each as a whole; the same small network is
trained with each loss, and judged on full masks of other cases. All runs of one seed and rate see the same images and
masks. What is to be found, and in which images, is in `signetscan.testing.dropped_outlines.masks`; the losses are in
`methods` beside it. Results go to WORK/DATA.csv, a row a run; a script that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image

from signetscan.testing.dropped_outlines.figures import at_threshold, best_threshold, judged, ranking
from signetscan.testing.dropped_outlines.masks import Data, drop_outlines, image_sets, reduced_dataset, truth_of
from signetscan.testing.dropped_outlines.methods import METHODS, ORDER, RATES, Job, jobs_for
from signetscan.testing.dropped_outlines.report import COLUMNS, write_report
from signetscan.testing.run_tables import read_rows, write_rows
from signetscan.training.loop import LAST
from signetscan.training.segmentation.checkpoint import load_segmentation_checkpoint
from signetscan.training.segmentation.engine import train_on_masks
from signetscan.training.segmentation.options import (
    STRIDE,
    TRUSTS_CLEAN_ONLY,
    SegmentationArchitecture,
    SegmentationOptions,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signetscan.dataset.masks.images import MaskedDataset, MaskedImage
    from signetscan.testing.dropped_outlines.figures import Judged, Values
    from signetscan.training.segmentation.network import SegmentationNet

OUTPUT_STRIDE = 2
JUDGED_AT_ONCE = 32
"""Images in a batch when a network is judged."""
AGAIN = 60
"""Training images with outlines on which a network is judged too, to see what it makes of those that were dropped."""


def options_for(method: str, seed: int, steps: int) -> SegmentationOptions:
    """A small network; everything but the loss is the same for all."""
    return SegmentationOptions(
        architecture=SegmentationArchitecture(
            backbone="efficientnet-lite0", decoder_channels=32, output_stride=OUTPUT_STRIDE
        ),
        loss=METHODS[method].loss,
        dice_weight=METHODS[method].dice_weight,
        patch=128,
        patch_step=128,
        crop=64,
        batch_size=8,
        batches=steps,
        epochs=1,
        learning_rate=1e-3,
        warm_up=20,
        augment="plain",
        max_scale=1.15,
        precision="fp32",  # on a CPU, bf16 is slower with this backbone
        validation_split=0.0,
        seed=seed,
    )


def run_job(work: Path, data: Data, dataset: MaskedDataset, job: Job, steps: int, weights: Path) -> dict[str, str]:
    """Train and judge one network."""
    started = time.perf_counter()
    seed, rate, method = job
    sets = image_sets(dataset, seed)
    masks = work / "masks" / f"{data}-{rate}-{seed}"
    learn, choose = (drop_outlines(images, rate, seed, masks) for images in (sets.learn, sets.choose))
    out = work / "runs" / f"{data}-{method}-{rate}-{seed}"
    shutil.rmtree(out, ignore_errors=True)  # of a run that was stopped
    options = options_for(method, seed, steps)
    # No option says so: which losses trust clean pixels only is a part of each.
    trusting = ("ce",) if METHODS[method].clean_dice else TRUSTS_CLEAN_ONLY
    with patch("signetscan.training.segmentation.losses.TRUSTS_CLEAN_ONLY", trusting):
        train_on_masks(replace(dataset, images=learn.images), options, out, weights=weights, device="cpu")
    network = load_segmentation_checkpoint(out / LAST).make_network()
    shutil.rmtree(out)
    trained = time.perf_counter() - started
    test = judge(network, sets.test)
    threshold = best_threshold(judge(network, choose.images))
    figures = {
        "kept": learn.kept / learn.outlines,
        "pixels_kept": learn.pixels_kept,
        "without": float(learn.without),
        **ranking(test),
        **{f"{name}_at_half": value for name, value in at_threshold(test, 0.5).items()},
        "threshold": threshold,
        **{f"{name}_chosen": value for name, value in at_threshold(test, threshold).items()},
        **learnt(network, sets.learn, learn.images),
        "seconds_training": trained,
        "seconds": time.perf_counter() - started,
    }
    row = {"method": method, "dropped": f"{rate:.1f}", "seed": str(seed), "steps": str(steps)}
    return row | {name: f"{value:.4f}" for name, value in figures.items()}


def learnt(network: SegmentationNet, whole: Sequence[MaskedImage], seen: Sequence[MaskedImage]) -> dict[str, float]:
    """Which part of the outlined and of the dropped places of training images a network finds, at 0.5."""
    pairs = [pair for pair in zip(whole, seen, strict=True) if pair[0].mask is not None]
    places = np.linspace(0, len(pairs) - 1, AGAIN).round().astype(int)
    chosen = [pairs[place] for place in places]
    found = probabilities(network, [image for image, _ in chosen])
    sums = {"kept_recall": [0.0, 0.0], "dropped_recall": [0.0, 0.0]}
    for (image, partial), map_ in zip(chosen, found, strict=True):
        full, left = (at_stride(truth_of(each)) for each in (image, partial))
        for name, places_of in (("kept_recall", left), ("dropped_recall", full & ~left)):
            sums[name][0] += float((map_[places_of] >= 0.5).sum())
            sums[name][1] += float(places_of.sum())
    return {name: both / total for name, (both, total) in sums.items() if total}


def judge(network: SegmentationNet, images: Sequence[MaskedImage]) -> Judged:
    """What a network says of images, against their masks."""
    truths = [at_stride(truth_of(image)) for image in images]
    return judged(probabilities(network, images), truths, [image.mask is not None for image in images])


def at_stride(
    truth: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """The truth at the centres of the output's places, as in training."""
    return truth[OUTPUT_STRIDE // 2 :: OUTPUT_STRIDE, OUTPUT_STRIDE // 2 :: OUTPUT_STRIDE]


@torch.inference_mode()
def probabilities(network: SegmentationNet, images: Sequence[MaskedImage]) -> list[Values]:
    """The probability of what is to be found, at each place of each image, all in one pass."""
    found: list[Values] = []
    for start in range(0, len(images), JUDGED_AT_ONCE):
        several = images[start : start + JUDGED_AT_ONCE]
        side = max(-(-max(image.width, image.height) // STRIDE) * STRIDE for image in several)
        pixels = np.full((len(several), side, side, 3), 255, np.uint8)
        for index, image in enumerate(several):
            with Image.open(image.path) as picture:
                pixels[index, : image.height, : image.width] = np.asarray(picture.convert("RGB"))
        maps = torch.softmax(network(torch.from_numpy(pixels)), dim=1)[:, 1].numpy()
        for image, map_ in zip(several, maps, strict=True):
            rows, columns = (len(range(OUTPUT_STRIDE // 2, n, OUTPUT_STRIDE)) for n in (image.height, image.width))
            found.append(map_[:rows, :columns].astype(np.float64))
    return found


def main() -> None:
    """Run what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--source", type=Path, help="EBHI-Seg's folder, with a folder for each grade")
    parser.add_argument("--weights", type=Path, help="ImageNet weights of efficientnet-lite0")
    parser.add_argument("--data", default="lesions", choices=get_args(Data))
    usual = [name for name, method in METHODS.items() if not method.aside]
    parser.add_argument("--methods", nargs="+", default=usual, choices=list(METHODS), metavar="METHOD")
    parser.add_argument("--rates", nargs="+", type=float, default=ORDER, choices=RATES, metavar="RATE")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="SEED")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--report", type=Path, help="folder for the tables and plots; nothing is run")
    arguments = parser.parse_args()
    results = arguments.work / f"{arguments.data}.csv"
    rows = read_rows(results)
    if arguments.report:
        write_report(arguments.report, arguments.data, rows)
        return
    if arguments.source is None or arguments.weights is None:
        parser.error("give --source and --weights, or --report")
    torch.set_num_threads(1)
    dataset = reduced_dataset(arguments.source, arguments.data, arguments.work / "images")
    done = {(int(row["seed"]), float(row["dropped"]), row["method"]) for row in rows}
    for job in jobs_for(arguments.seeds, arguments.rates, arguments.methods, done):
        row = run_job(arguments.work, arguments.data, dataset, job, arguments.steps, arguments.weights)
        rows.append(row)
        write_rows(results, COLUMNS, rows)
        print(" ".join(f"{name} {value}" for name, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
