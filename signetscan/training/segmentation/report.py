"""The report of a training run for segmentation, for people: its curves, its figures, and held-out images."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from signetscan.dataset import hold_out
from signetscan.dataset.masks.images import BACKGROUND, IGNORED
from signetscan.dataset.masks.pixels import PixelStore
from signetscan.dataset.masks.view import MaskedView
from signetscan.evaluation.plots import BLUE, GREEN, GREY, ORANGE, RED
from signetscan.evaluation.regions import class_dice, dice_of
from signetscan.evaluation.segmented_images import OPTIONS, judge_images, places_of
from signetscan.plurals import counted
from signetscan.reports.page import number, write_page
from signetscan.reports.pictures import QUALITY, figure_uri, picture_uri
from signetscan.scan.class_map import FIRST_CLASS
from signetscan.scan.segment import segment_slide
from signetscan.training.crops import cache_bytes
from signetscan.training.devices import choose_device
from signetscan.training.loop import BEST, LAST
from signetscan.training.plots import plot_history
from signetscan.training.report_tables import duration, epochs_table, options_table
from signetscan.training.segmentation.cautions import cautions_of, masked_split_cautions
from signetscan.training.segmentation.checkpoint import load_segmentation_checkpoint
from signetscan.training.segmentation.engine import describe_masked
from signetscan.training.segmentation.options import SegmentationOptions
from signetscan.training.segmentation.segmenter import TorchSegmenter
from signetscan.training.segmentation.spec import make_segmentation_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.dataset.masks.images import MaskedDataset, MaskedImage
    from signetscan.evaluation.regions import RegionResult
    from signetscan.models.segmentation_spec import Colour
    from signetscan.training.options import Device
    from signetscan.training.segmentation.checkpoint import SegmentationCheckpoint

    Progress = Callable[[int, int], None]

REPORT = "report.html"
"""Name of the report in the run's folder."""
SHOWN = 8
"""Most pictures of a kind."""
PICTURE_PX = 320
"""Longest side of a picture, pixels."""
OPACITY = 0.45
"""Opacity of a class's colour over the tissue."""
COLUMNS = {
    "epoch": ("Epoch", ".0f"),
    "loss_pixels": ("Loss over pixels", ".4f"),
    "loss_dice": ("1 - soft Dice", ".4f"),
    "rate": ("Learning rate", ".2e"),
    "mean_dice": ("Mean Dice of the classes", ".3f"),
    "dice": ("Dice of all classes", ".3f"),
    "scored_dice": ("Dice of the scored classes", ".3f"),
    "image_dice": ("Mean Dice of images", ".3f"),
    "auc": ("AUC", ".3f"),
    "seconds": ("Seconds", ".0f"),
}
"""Columns of the table of epochs, with their headings and the format of their numbers."""
CURVES = {
    "Loss over pixels": {"loss_pixels": ("", BLUE)},
    "1 - soft Dice": {"loss_dice": ("", BLUE)},
    "Held-out images": {
        "mean_dice": ("mean Dice of the classes", BLUE),
        "dice": ("Dice of all classes", ORANGE),
        "scored_dice": ("Dice of the scored classes", GREEN),
        "auc": ("AUC", RED),
    },
    "Learning rate": {"rate": ("", GREY)},
}
"""For each plot, the columns that it shows, with their labels and colours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A held-out image, with what people outlined and with what the network says."""

    truth: str
    """Picture with the mask's classes, as a data URI."""
    predicted: str
    """Picture with the network's classes."""
    dice: float
    """Dice of all classes but the background."""
    score: float
    """The image's score."""
    name: str
    """The image's."""


def write_segmentation_report(
    folder: Path, dataset: MaskedDataset, *, device: Device = "auto", on_progress: Progress | None = None
) -> Path:
    """Write `report.html` into the folder of a run for segmentation, one self-contained file.

    Args:
        folder: the run's folder, with its checkpoints.
        dataset: the images that the run was on; the held-out ones are segmented again.
        device: device to segment them on; see `choose_device`.
        on_progress: called with (images done, images to do).

    Returns:
        The report's path.

    Raises:
        TrainingError: a checkpoint cannot be read.
        AnnotationError: an image cannot be decoded.
        DeviceError: `cuda` was asked for, and there is no GPU.
        OutputError: the report cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    best, last = (load_segmentation_checkpoint(folder / name) for name in (BEST, LAST))
    options = last.options
    learn, held_out = hold_out(dataset.images, options.validation_split, options.fold, options.seed)
    best_epoch = best.epoch if held_out else None
    cautions = (f"The model is to be doubted: {caution}" for caution in cautions_of(best))
    values = {
        "run": folder.resolve().name,
        "class_names": last.class_names[1:],
        "epochs_done": last.epoch,
        "epochs_planned": options.epochs,
        "cards": _cards(best, last),
        "facts": [
            ("Layout", dataset.layout),
            ("Learnt from", _with_slides(learn)),
            ("Held out", _with_slides(held_out) if held_out else "nothing"),
            ("Scored classes", ", ".join(last.class_names[label] for label in last.scored)),
            ("Pixel size", f"{last.mpp:g} µm/px"),
            ("Fingerprint of the data", last.data_digest[:16]),
        ],
        "warnings": [
            *(warning.rstrip(".") for warning in dataset.warnings),
            *masked_split_cautions(learn, held_out, dataset.class_names, options),
            *cautions,
        ],
        "curves": [
            (title, figure_uri(figure)) for title, figure in plot_history(last.history, best_epoch, CURVES).items()
        ],
        "epochs": epochs_table(last.history, COLUMNS, best_epoch),
        "options": options_table(options.as_dict(), SegmentationOptions().as_dict()),
        "held_out": describe_masked(held_out) if held_out else "",
    }
    if held_out:
        with PixelStore(folder, cache_bytes()) as store:
            views = [MaskedView(store, image, last.mpp / dataset.mpp) for image in held_out]
            values |= _evaluation(best, views, device, on_progress)
    write_page(folder / REPORT, "segmentation.html", **values)
    return folder / REPORT


def _with_slides(images: Sequence[MaskedImage]) -> str:
    slides = len({image.slide for image in images})
    return f"{describe_masked(images)}, of {counted(slides, 'slide', separator=',')}"


def _cards(best: SegmentationCheckpoint, last: SegmentationCheckpoint) -> list[tuple[str, str]]:
    row, cards = best.history[-1], [("Epochs", str(last.epoch))]
    if best.held_out is not None:
        cards = [("Best epoch", f"{best.epoch} of {last.epoch}")]
        cards += [(COLUMNS[name][0], number(row[name])) for name in ("mean_dice", "dice", "scored_dice", "auc")]
    return [*cards, ("Time", duration(sum(row["seconds"] for row in last.history)))]


def _evaluation(
    best: SegmentationCheckpoint, views: Sequence[MaskedView], device: Device, on_progress: Progress | None
) -> dict[str, object]:
    """The values of the template's second half."""
    torch_device = choose_device(device)
    spec = make_segmentation_spec(best, name="report")
    segmenter = TorchSegmenter(best.make_network().to(torch_device), spec, torch_device)
    results = judge_images(segmenter, views, on_progress)
    each = class_dice(results)
    confusion = np.sum([result.confusion for result in results], axis=0)
    shares = confusion / confusion.sum(axis=1, keepdims=True).clip(1)
    shown = [index for index in _by_dice(results) if results[index].confusion[BACKGROUND + 1 :].any()]
    worst, best_ones = shown[:SHOWN], shown[SHOWN:][-SHOWN:][::-1]
    return {
        "figures": [] if best.held_out is None else list(best.held_out.figures.items()),
        "resampled": "" if best.held_out is None else best.held_out.intervals,
        "classes": [
            (name, _hex(colour), number(dice), [f"{share:.1%}" for share in row])
            for name, colour, dice, row in zip(best.class_names, spec.class_colours, each, shares, strict=True)
        ],
        "groups": [
            ("Images with the lowest Dice", [_comparison(segmenter, views[i], results[i]) for i in worst]),
            ("Images with the highest Dice", [_comparison(segmenter, views[i], results[i]) for i in best_ones]),
        ],
    }


def _hex(colour: Colour) -> str:
    red, green, blue = colour
    return f"#{red:02x}{green:02x}{blue:02x}"


def _by_dice(results: Sequence[RegionResult]) -> list[int]:
    """Indices of images, the lowest Dice of all classes first."""
    return sorted(range(len(results)), key=lambda index: _dice(results[index]))


def _dice(result: RegionResult) -> float:
    value = dice_of(result.confusion, range(BACKGROUND + 1, len(result.confusion)))
    return 1.0 if math.isnan(value) else value


def _comparison(segmenter: TorchSegmenter, view: MaskedView, result: RegionResult) -> Comparison:
    """Pictures of an image, reduced by leaving out rows and columns."""
    image, spec = view.image, segmenter.spec
    found = segment_slide(view.as_slide(spec.mpp), segmenter, OPTIONS).class_map
    step = -(-max(image.width, image.height) // PICTURE_PX)
    rows, columns = np.arange(0, image.height, step), np.arange(0, image.width, step)
    pixels = view.image_pixels()[::step, ::step]
    truth = np.concatenate([view.image_labels(int(row), 1)[:, ::step] for row in rows])
    in_rows, in_columns = places_of(found, rows, columns)
    predicted = found.classes[np.ix_(in_rows, in_columns)] - FIRST_CLASS
    return Comparison(
        truth=_overlay(pixels, truth, spec.class_colours),
        predicted=_overlay(pixels, predicted, spec.class_colours),
        dice=_dice(result),
        score=result.score,
        name=image.name,
    )


def _overlay(pixels: NDArray[np.uint8], labels: NDArray[np.uint8], colours: Sequence[Colour]) -> str:
    """Tissue with the colour of each class but the background over it, as a JPEG in a data URI."""
    shown = np.where(labels == IGNORED, np.uint8(BACKGROUND), labels)
    over = np.array(colours, np.float32)[shown]
    opacity = np.where(shown == BACKGROUND, 0.0, OPACITY)[..., None]
    mixed = (pixels * (1 - opacity) + over * opacity).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(mixed).save(buffer, "JPEG", quality=QUALITY)
    return picture_uri(buffer, "image/jpeg")
