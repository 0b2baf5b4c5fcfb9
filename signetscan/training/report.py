"""The report of a training run, for people: its data, its options and curves, its figures, and example crops.

It is made from the run's checkpoints and data, so it can be made again at any time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from signetscan.dataset import hold_out
from signetscan.errors import TrainingError
from signetscan.evaluation import AssessOptions, assess
from signetscan.evaluation.assessment import FIGURES
from signetscan.evaluation.plots import plot_calibration, plot_froc, plot_pr_curve, plot_thresholds
from signetscan.plurals import counted
from signetscan.reports.page import number, write_page
from signetscan.reports.pictures import figure_uri
from signetscan.training.cautions import cautions_of, split_cautions, threshold_cautions
from signetscan.training.checkpoint import load_checkpoint
from signetscan.training.devices import choose_device
from signetscan.training.engine import data_digest, describe
from signetscan.training.gallery import WINDOW_UM, make_gallery
from signetscan.training.history import chosen_by, froc_of
from signetscan.training.loop import BEST, LAST
from signetscan.training.options import TrainOptions
from signetscan.training.plots import plot_history
from signetscan.training.report_tables import duration, epochs_table, options_table
from signetscan.training.thresholds import ThresholdBasis
from signetscan.training.validation import detect_images

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from signetscan.dataset import AnnotatedImage, Dataset
    from signetscan.evaluation import Assessment, ImageResult
    from signetscan.training.checkpoint import Checkpoint
    from signetscan.training.options import Device

    Progress = Callable[[int, int], None]

REPORT = "report.html"
"""Name of the report in the run's folder."""
COLUMNS = {
    "epoch": ("Epoch", ".0f"),
    "loss_class": ("Classification loss", ".4f"),
    "loss_box": ("Box loss", ".4f"),
    "rate": ("Learning rate", ".2e"),
    "ap50": ("AP50", ".3f"),
    "froc": ("FROC", ".3f"),
    "threshold": ("Threshold", ".4f"),
    "recall": ("Recall", ".3f"),
    "precision": ("Precision", ".3f"),
    "f1": ("F1", ".3f"),
    "false_positives_per_normal": ("False positives per normal image", ".2f"),
    "seconds": ("Seconds", ".0f"),
}
"""Columns of that table, with their headings and the format of their numbers."""

FIGURE_TITLES = {
    "recall": "Recall",
    "precision": "Precision in images with cells",
    "f1": "F1",
    "false_positives_per_normal": "False positives per normal image",
    "ap50": "AP50",
    "froc": "FROC",
    "ece": "Calibration error",
}
"""Figures of the best epoch that the report shows, with their titles."""


def write_report(
    folder: Path, dataset: Dataset, *, device: Device = "auto", on_progress: Progress | None = None
) -> Path:
    """Write `report.html` into the folder of a training run, one self-contained file.

    Args:
        folder: the run's folder, with its checkpoints.
        dataset: the images that the run was on; the held-out ones are scanned again.
        device: device to scan them on; see `choose_device`.
        on_progress: called with (images scanned, images to scan).

    Returns:
        The report's path.

    Raises:
        TrainingError: a checkpoint cannot be read, or the run was on other data.
        AnnotationError: an image cannot be decoded.
        SlideError: a slide cannot be read.
        DeviceError: `cuda` was asked for, and there is no GPU.
        OutputError: the report cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    best, last = (load_checkpoint(folder / name) for name in (BEST, LAST))
    if (last.data_digest, last.class_names) != (data_digest(dataset.images), dataset.class_names):
        message = f"{folder}: the run was on other images, annotations or classes; name the data that it learnt from"
        raise TrainingError(message)
    options = last.options
    learn, held_out = hold_out(dataset.images, options.validation_split, options.fold, options.seed)
    best_epoch, history = best.epoch if held_out else None, _with_true_froc(last.history)
    if not 0 < best.epoch <= len(history):
        message = f"{folder}: {BEST} is not of the run in {LAST}; start a new run"
        raise TrainingError(message)
    cautions = (f"The model is to be doubted: {caution}" for caution in cautions_of(best))
    values = {
        "run": folder.resolve().name,
        "class_names": last.class_names,
        "epochs_done": last.epoch,
        "epochs_planned": options.epochs,
        "facts": _facts(dataset, learn, held_out, last),
        "warnings": [
            *(warning.rstrip(".") for warning in dataset.warnings),
            *split_cautions(learn, held_out, dataset.class_names),
            *cautions,
        ],
        "options": options_table(options.as_dict(), TrainOptions().as_dict()),
        "epochs": epochs_table(history, COLUMNS, best_epoch),
        "curves": [(title, figure_uri(figure)) for title, figure in plot_history(history, best_epoch).items()],
        "cards": _cards(history[best.epoch - 1], best, last),
        "normals": sum(image.normal for image in held_out),
        "threshold": best.threshold,
        "by_false_positives": best.threshold_basis in (ThresholdBasis.FALSE_POSITIVES, None),
        "about_threshold": "; ".join(threshold_cautions(best)),
        "chosen_by": chosen_by(history),
        "held_out": describe(held_out) if held_out else "",
    }
    if held_out:
        torch_device = choose_device(device)
        network = best.make_network().to(torch_device)
        results = detect_images(network, best, held_out, torch_device, on_progress=on_progress)
        values |= _evaluation(results, held_out, best)
    write_page(folder / REPORT, "training.html", **values)
    return folder / REPORT


# ---- data, options and epochs ---------------------------------------------------------------------------------------


def _facts(
    dataset: Dataset, learn: Sequence[AnnotatedImage], held_out: Sequence[AnnotatedImage], last: Checkpoint
) -> list[tuple[str, str]]:
    cells = {
        name: sum(int((image.labels == label).sum()) for image in dataset.images)
        for label, name in enumerate(dataset.class_names)
    }
    return [
        ("Layout", dataset.layout),
        ("Learnt from", _with_slides(learn, dataset.pseudo_labels)),
        ("Held out", _with_slides(held_out) if held_out else "nothing"),
        ("Boxes of each class", ", ".join(f"{name}: {count:,}" for name, count in cells.items())),
        ("Pixel size", f"{dataset.mpp:g} µm/px"),
        ("Fingerprint of the data", last.data_digest[:16]),
    ]


def _with_slides(images: Sequence[AnnotatedImage], pseudo_labels: int = 0) -> str:
    slides = len({image.slide for image in images})
    return f"{describe(images, pseudo_labels)}, of {counted(slides, 'slide', separator=',')}"


def _with_true_froc(history: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """The metrics without the FROC where no image was normal: there it is only the recall of all detections."""
    return [{**row, "froc": froc_of(row)} if "froc" in row else dict(row) for row in history]


def _cards(row: Mapping[str, float], best: Checkpoint, last: Checkpoint) -> list[tuple[str, str]]:
    cards = [("Epochs", str(last.epoch))]
    if "froc" in row:
        cards = [
            ("Best epoch", f"{best.epoch} of {last.epoch}"),
            ("AP50", number(row.get("ap50", math.nan))),
            ("Recall", number(row["recall"])),
            ("Precision", number(row["precision"])),
            ("F1", number(row.get("f1", math.nan))),
        ]
    seconds = sum(row["seconds"] for row in last.history)
    return [*cards, ("Threshold", number(best.threshold, ".4f")), ("Time", duration(seconds))]


# ---- evaluation on held-out images ----------------------------------------------------------------------------------


def _evaluation(
    results: Sequence[ImageResult], images: Sequence[AnnotatedImage], best: Checkpoint
) -> dict[str, object]:
    """The values of the template's second half."""
    options = AssessOptions(threshold=best.threshold)
    assessments = {
        name: assess([result.of_class(label) for result in results], options)
        for label, name in enumerate(best.class_names)
    }
    resampled = next(iter(assessments.values())).resampled  # the images are the same for all classes
    return {
        "by_class": [_class_view(name, assessment) for name, assessment in assessments.items()],
        "iou": options.iou,
        "resamples": options.bootstrap,
        "resampled": resampled,
        "false_positives_per_normal": best.options.false_positives_per_normal,
        "window_um": WINDOW_UM,
        "gallery": make_gallery(results, images, best),
    }


def _class_view(name: str, assessment: Assessment) -> dict[str, object]:
    rows = []
    for figure, title in FIGURE_TITLES.items():
        interval, style = assessment.figures[figure], ".2f" if figure == "false_positives_per_normal" else ".3f"
        ends = "" if math.isnan(interval.low) else f"{number(interval.low, style)} to {number(interval.high, style)}"
        meaning = FIGURES[figure].removeprefix("FROC: ")
        rows.append({"name": title, "value": number(interval.value, style), "interval": ends, "meaning": meaning})
    plots = (
        ("FROC curve", plot_froc),
        ("Precision and recall", plot_pr_curve),
        ("Thresholds", plot_thresholds),
        ("Calibration", plot_calibration),
    )
    return {
        "name": name,
        "rows": rows,
        "plots": [(title, figure_uri(plot(assessment))) for title, plot in plots],
    }
