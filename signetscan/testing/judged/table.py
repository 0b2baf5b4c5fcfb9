"""What was judged, as a table to publish and as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING

from signetscan.atomic import atomic_text
from signetscan.models.detection_spec import LEAST_SCORE
from signetscan.models.spec import in_one_line
from signetscan.plurals import counted

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.evaluation import Interval
    from signetscan.json_values import Json
    from signetscan.testing.judged.judge import Judged

DECIMALS = {"fps_score": 2}
"""Decimals of figures that are no shares."""


def markdown(judged: Judged, data: str) -> str:
    """A page in Markdown; `data` names the images."""
    spec, options = judged.spec, judged.options
    rows = [(meaning, *_cells(value, DECIMALS.get(name, 4))) for name, (meaning, value) in judged.figures.items()]
    if judged.rate is not None:
        rate = judged.rate
        interval = f"{rate.low:.3g} to {rate.high:.3g}"
        rows.append(("false positives per mm² of tissue on normal images", f"{rate.per_mm2:.3g}", interval))
    images = f"{counted(judged.positives, 'positive image')} with {counted(judged.cells, 'cell')}"
    resampled = f"{counted(options.bootstrap, 'resample')} of the {judged.resampled}, seed {options.seed}"
    images += f" and {counted(judged.normals, 'normal image')} of {counted(judged.slides, 'slide')}"
    at = f"the model's own threshold, {judged.threshold:.4g}; detections were made from score {LEAST_SCORE:g} on"
    versions = ", ".join(f"{name} {version}" for name, version in judged.versions.items())
    lines = [
        f"# {spec.name} on {data}",
        "",
        "| figure | value | 95% interval |",
        "|---|---|---|",
        *(f"| {meaning} | {value} | {interval} |" for meaning, value, interval in rows),
        "",
        f"- Model: {spec.name}, SHA-256 {judged.sha256}, {spec.precision}, works at {spec.mpp:g} µm/px",
        f"- What it learnt from: {in_one_line(spec.training_data)}",
        *(f"- Caution: the model is to be doubted: {caution}" for caution in spec.cautions),
        f"- Data: {data}: {images}, {judged.mpp:g} µm/px",
        f"- Hit: {judged.rule}",
        f"- Recall, precision, FPs score, F1 and false positives per mm² are at {at}",
        f"- Intervals: {resampled if judged.resampled else 'none, for lack of images of each kind'}",
        f"- Versions: {versions}",
        *(f"- Note: {note}" for note in judged.notes),
    ]
    return "\n".join(lines) + "\n"


def judged_json(judged: Judged, data: str) -> dict[str, Json]:
    """The same for programs; figures that are not defined are null."""
    return {
        "data": data,
        "model": {
            "name": judged.spec.name,
            "sha256": judged.sha256,
            "learnt_from": judged.spec.training_data,
            "cautions": list(judged.spec.cautions),
        },
        "versions": dict(judged.versions),
        "mpp": judged.mpp,
        "hit": judged.rule,
        "threshold": judged.threshold,
        "intervals": {
            "resampled": None if judged.resampled is None else str(judged.resampled),
            "resamples": judged.options.bootstrap,
            "seed": judged.options.seed,
        },
        "counts": {
            "positive_images": judged.positives,
            "normal_images": judged.normals,
            "slides": judged.slides,
            "cells": judged.cells,
            "failed": judged.failed,
        },
        "figures": {
            name: {
                "value": _plain(figure.value),
                "low": _plain(figure.low),
                "high": _plain(figure.high),
                "meaning": meaning,
            }
            for name, (meaning, figure) in judged.figures.items()
        },
        "false_positives_per_mm2": None if judged.rate is None else asdict(judged.rate),
        "notes": list(judged.notes),
    }


def write_judged(out: Path, judged: Judged, data: str) -> tuple[Path, Path]:
    """Write `judged.json` and `judged.md` into a folder.

    Raises:
        OutputError: a file cannot be written.
    """
    paths = out / "judged.json", out / "judged.md"
    with atomic_text(paths[0]) as file:
        json.dump(judged_json(judged, data), file, indent=2, allow_nan=False, ensure_ascii=False)
        file.write("\n")
    with atomic_text(paths[1]) as file:
        file.write(markdown(judged, data))
    return paths


def _cells(figure: Interval, decimals: int) -> tuple[str, str]:
    """Value and interval of a figure, as text."""
    if math.isnan(figure.value):
        return "not known", ""
    interval = "" if math.isnan(figure.low) else f"{figure.low:.{decimals}f} to {figure.high:.{decimals}f}"
    return f"{figure.value:.{decimals}f}", interval


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)
