"""The report of a training run, for people: what it learnt from, how it went, how good it is, and what that looks like.

It is made from the run's checkpoints and its data, so it can be made again at any time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from signetscan.dataset import hold_out
from signetscan.errors import TrainingError
from signetscan.evaluation import AssessOptions, assess
from signetscan.evaluation.assessment import FIGURES
from signetscan.evaluation.plots import plot_calibration, plot_froc, plot_pr_curve, plot_thresholds
from signetscan.reports import figure_uri, write_page
from signetscan.reports.page import counted, number
from signetscan.training.checkpoint import load_checkpoint
from signetscan.training.devices import choose_device
from signetscan.training.engine import BEST, LAST, data_digest, describe
from signetscan.training.gallery import WINDOW_UM, make_gallery
from signetscan.training.options import TrainOptions
from signetscan.training.plots import plot_history
from signetscan.training.validation import detect_images

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from signetscan.dataset import AnnotatedImage, Dataset
    from signetscan.evaluation import Assessment, ImageResult
    from signetscan.json_values import Json
    from signetscan.training.checkpoint import Checkpoint
    from signetscan.training.options import Device

    Progress = Callable[[int, int], None]

REPORT = "report.html"
"""Name of the report in the run's folder."""
ROWS = 60
"""Rows of the table of epochs."""

COLUMNS = {
    "epoch": ("Epoch", ".0f"),
    "loss_class": ("Loss of classes", ".4f"),
    "loss_box": ("Loss of boxes", ".4f"),
    "rate": ("Learning rate", ".2e"),
    "froc": ("FROC", ".3f"),
    "recall": ("Recall", ".3f"),
    "precision": ("Precision", ".3f"),
    "fps_score": ("FPs score", ".2f"),
    "threshold": ("Threshold", ".4f"),
    "seconds": ("Seconds", ".0f"),
}
"""Columns of that table, with their headings and the form of their numbers."""

JUDGED = {
    "froc": "FROC",
    "recall": "Recall",
    "precision": "Precision",
    "fps_score": "FPs score",
    "f1": "F1",
    "ap50": "AP50",
    "ece": "Calibration error",
}
"""Figures of the best epoch."""


def write_report(
    folder: Path, dataset: Dataset, *, device: Device = "auto", on_progress: Progress | None = None
) -> Path:
    """Write `report.html` into the folder of a training run, one self-contained file.

    Args:
        folder: the run's folder, with its checkpoints.
        dataset: the images that the run was on; those it held out are scanned once more.
        device: where to scan them; see `choose_device`.
        on_progress: called with (images scanned, images to scan).

    Returns:
        The report's path.

    Raises:
        TrainingError: a checkpoint cannot be read, or the run was on other data.
        AnnotationError: an image cannot be decoded.
        SlideError: a slide cannot be read.
        DeviceError: the device is not there.
        OutputError: the report cannot be written, or matplotlib is not installed.
    """
    best, last = (load_checkpoint(folder / name) for name in (BEST, LAST))
    if (last.data_digest, last.class_names) != (data_digest(dataset.images), dataset.class_names):
        message = f"{folder}: the run was on other images, annotations or classes; name those that it learnt from"
        raise TrainingError(message)
    options = last.options
    learn, held_out = hold_out(dataset.images, options.validation_split, options.fold, options.seed)
    best_epoch, history = best.epoch if held_out else None, _with_true_froc(last.history)
    values = {
        "run": folder.resolve().name,
        "class_names": last.class_names,
        "epochs_done": last.epoch,
        "epochs_planned": options.epochs,
        "facts": _facts(dataset, learn, held_out, last),
        "warnings": [warning.rstrip(".") for warning in dataset.warnings],
        "options": _options(options),
        "epochs": _epochs(history, best_epoch),
        "curves": [(title, figure_uri(figure)) for title, figure in plot_history(history, best_epoch).items()],
        "cards": _cards(history[best.epoch - 1], best, last),
        "normals": sum(image.normal for image in held_out),
        "threshold": best.threshold,
        "held_out": describe(held_out) if held_out else "",
    }
    if held_out:
        where = choose_device(device)
        results = detect_images(best.make_network().to(where), best, held_out, where, on_progress=on_progress)
        values |= _judged(results, held_out, best)
    write_page(folder / REPORT, "training.html", **values)
    return folder / REPORT


# ---- what it learnt from, and how -----------------------------------------------------------------------------------


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
    return f"{describe(images, pseudo_labels)}, of {counted(len({image.slide for image in images}), 'slide')}"


def _options(options: TrainOptions) -> list[dict[str, str | None]]:
    """All options; `usual` is the recipe's value where the run has another."""
    mine, recipe = (_flat(one.as_dict()) for one in (options, TrainOptions()))
    for name in ("architecture.classes", "seed"):  # no part of a recipe
        recipe[name] = mine[name]
    return [
        {"name": name.replace(".", ": ").replace("_", " "), "value": value, "usual": _other(recipe.get(name), value)}
        for name, value in mine.items()
    ]


def _other(usual: str | None, value: str) -> str | None:
    return None if usual == value else usual


def _flat(values: Mapping[str, Json], above: str = "") -> dict[str, str]:
    """Nested values as text, by names such as `loss.name`."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{above}{name}.")
        else:
            flat[above + name] = _text(value)
    return flat


def _text(value: Json) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _epochs(history: Sequence[Mapping[str, float]], best_epoch: int | None) -> dict[str, object]:
    """The table of epochs; of a long run evenly chosen rows, with the best and the last."""
    step = -(-len(history) // ROWS)
    kept = [
        row
        for index, row in enumerate(history)
        if (len(history) - 1 - index) % step == 0 or int(row["epoch"]) == best_epoch
    ]
    columns = {name: style for name, style in COLUMNS.items() if name in history[-1]}
    rows = [
        (
            int(row["epoch"]) == best_epoch,
            [number(row.get(name, math.nan), form) for name, (_, form) in columns.items()],
        )
        for row in kept
    ]
    return {
        "columns": [heading for heading, _ in columns.values()],
        "rows": rows,
        "left_out": len(history) - len(kept),
    }


def _with_true_froc(history: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """The metrics without a FROC where there was no normal image: it is then only the recall of all detections."""
    return [
        {**row, "froc": math.nan} if "froc" in row and math.isnan(row["fps_score"]) else dict(row) for row in history
    ]


def _cards(row: Mapping[str, float], best: Checkpoint, last: Checkpoint) -> list[tuple[str, str]]:
    cards = [("Epochs", str(last.epoch))]
    if "froc" in row:
        cards = [
            ("Best epoch", f"{best.epoch} of {last.epoch}"),
            ("FROC", number(row["froc"])),
            ("Recall", number(row["recall"])),
            ("Precision", number(row["precision"])),
            ("FPs score", number(row["fps_score"], ".1f")),
        ]
    seconds = sum(row["seconds"] for row in last.history)
    return [*cards, ("Threshold", number(best.threshold, ".4f")), ("Time", _duration(seconds))]


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


# ---- how good it is -------------------------------------------------------------------------------------------------


def _judged(results: Sequence[ImageResult], images: Sequence[AnnotatedImage], best: Checkpoint) -> dict[str, object]:
    """What the second half of the template asks for."""
    how = AssessOptions(threshold=best.threshold)
    found = {
        name: assess([result.of_class(label) for result in results], how) for label, name in enumerate(best.class_names)
    }
    resampled = next(iter(found.values())).resampled  # the images are the same for all classes
    return {
        "by_class": [_class_view(name, assessment) for name, assessment in found.items()],
        "iou": how.iou,
        "resamples": how.bootstrap,
        "resampled": resampled,
        "false_positives_per_normal": best.options.false_positives_per_normal,
        "window_um": WINDOW_UM,
        "gallery": make_gallery(results, images, best),
    }


def _class_view(name: str, assessment: Assessment) -> dict[str, object]:
    rows = []
    for figure, title in JUDGED.items():
        found, form = assessment.figures[figure], ".2f" if figure == "fps_score" else ".3f"
        ends = "" if math.isnan(found.low) else f"{number(found.low, form)} to {number(found.high, form)}"
        meaning = FIGURES[figure].removeprefix("FROC: ")
        rows.append({"name": title, "value": number(found.value, form), "interval": ends, "meaning": meaning})
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
