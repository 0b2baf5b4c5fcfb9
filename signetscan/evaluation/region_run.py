"""Evaluation of a segmentation against masks, in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.atomic import make_folder
from signetscan.errors import AnnotationError
from signetscan.evaluation.options import AssessOptions, MaskOptions
from signetscan.evaluation.paired import on_same_images
from signetscan.evaluation.region_assessment import assess_regions, compare_regions
from signetscan.evaluation.region_report import (
    paired_regions_json,
    region_assessment_json,
    write_region_assessment,
)
from signetscan.evaluation.region_set import read_region_set
from signetscan.extras import require

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from signetscan.evaluation.region_assessment import PairedRegions, RegionAssessment
    from signetscan.evaluation.region_set import RegionSet
    from signetscan.json_values import Json

    Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RegionEvaluation:
    """The result of an evaluation of regions."""

    assessment: RegionAssessment
    """The figures."""
    source: dict[str, Json]
    """What was evaluated, as in the JSON: predictions, truth and notes."""
    notes: tuple[str, ...]
    """What was left out or assumed, and why some figures are missing or may mislead."""
    paths: tuple[Path, ...]
    """The files that were written."""
    paired: PairedRegions | None = None
    """The comparison with another segmentation; None if none was asked for."""

    def to_json(self) -> dict[str, Json]:
        """All figures as plain values."""
        return region_assessment_json(self.assessment, source=self.source)


def evaluate_regions(
    predictions: Path,
    truth: Path,
    mask_options: MaskOptions | None = None,
    options: AssessOptions | None = None,
    *,
    against: Path | None = None,
    out: Path | None = None,
    on_progress: Progress | None = None,
) -> RegionEvaluation:
    """Evaluate a segmentation against masks, and write the figures and plots if a folder is given.

    Args:
        predictions: results of `signetscan segment` of the images, or the file of a model, which is run on them.
        truth: a folder of images with masks: DigestPath's tissue images, `images` and `masks`, or these two in a folder
            for each class; or of slides with what people outlined on them in QuPath.
        mask_options: classes, pixel size and least regions.
        options: number and seed of resamples; threshold and IoU do not matter.
        against: another segmentation of the same images, or another model, to compare with.
        out: folder for `metrics.json`, `images.csv` and the plots, created if needed; None writes nothing.
        on_progress: called with (images done, images in all) after each image.

    Raises:
        AnnotationError: a mask cannot be used, or has other classes or another size; or no two files belong together.
        ResultError: a result is damaged, of a detection, or of another model than the others.
        ModelError: the model file cannot be used.
        OptionError: an option is out of range, or does not fit.
        MissingExtraError: plots are asked for, and matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    if out is not None:  # before the work, which may take hours
        require("matplotlib")
        make_folder(out)
    mask_options, options = mask_options or MaskOptions(), options or AssessOptions()
    first = read_region_set(predictions, truth, mask_options, on_progress)
    assessment = assess_regions(first.results, first.classes, options)
    notes = (*first.notes, *_caveats(assessment))
    paired: PairedRegions | None = None
    if against is not None:
        second = read_region_set(against, truth, mask_options, on_progress)
        paired, remarks = _compared(first, second, against, options)
        notes = (*notes, *remarks)
    source: dict[str, Json] = {
        "predictions": str(predictions),
        "truth": str(truth),
        "notes": list(notes),
        **({} if paired is None else {"against": paired_regions_json(paired)}),
    }
    paths = () if out is None else tuple(write_region_assessment(out, assessment, source=source))
    return RegionEvaluation(assessment=assessment, source=source, notes=notes, paths=paths, paired=paired)


def _compared(
    first: RegionSet, second: RegionSet, path: Path, options: AssessOptions
) -> tuple[PairedRegions, list[str]]:
    """The comparison of two segmentations, and what was left out of the second.

    Raises:
        AnnotationError: they have other classes, or no image in common.
    """
    if first.classes != second.classes:
        message = (
            f"{path}: its classes are {', '.join(second.classes.names)}, those of the first "
            f"{', '.join(first.classes.names)}, or they tell images by others; compare models of the same classes"
        )
        raise AnnotationError(message, options=("against",))
    ours, theirs, alone = on_same_images(first.results, second.results, path)
    remarks = [*(f"{path}: {line}" for line in second.notes if line not in first.notes), *alone]
    return compare_regions(ours, theirs, first.classes, options, path), remarks


def _caveats(assessment: RegionAssessment) -> list[str]:
    """Reasons why some figures are missing or may mislead."""
    caveats: list[str] = []
    if not assessment.positives:
        caveats.append("No image shows a scored class: there is no Dice of images and no AUC")
    elif not assessment.normals:
        caveats.append("All images show a scored class: there is no AUC")
    unseen = [name for name, (true, _) in assessment.regions.items() if not true]
    if unseen:
        caveats.append(f"The truth has no region of {', '.join(unseen)}: nothing tells how it is found")
    if assessment.resampled is not None and assessment.resampled.few:
        caveats.append(f"Intervals are from {assessment.resampled.described('scored classes')}")
    if assessment.options.bootstrap and not assessment.resampled:
        caveats.append("No intervals: they need at least two images of each kind, with a scored class and without")
    return caveats
