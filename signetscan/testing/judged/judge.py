"""Running a model over a folder of annotated images, and its figures with intervals."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from signetscan.batch.events import Ended
from signetscan.batch.options import BatchOptions
from signetscan.batch.outcome import SlideFailed, SlideScanned, SlideSkipped, record_file
from signetscan.batch.run import scan_slides
from signetscan.dataset import MPP, NEGATIVE_FOLDER, POSITIVE_FOLDER, slide_of
from signetscan.dataset.digestpath import digestpath_root
from signetscan.dataset.file_pairs import files_in
from signetscan.errors import AnnotationError
from signetscan.evaluation import (
    AssessOptions,
    TruthOptions,
    assess,
    make_tally,
    read_results,
)
from signetscan.evaluation.assessment import FIGURES, figures_of
from signetscan.evaluation.bootstrap import intervals, units_of
from signetscan.evaluation.matching import ImageResult
from signetscan.evaluation.normal_tissue import NormalTissue, rates
from signetscan.models.detection_spec import LEAST_SCORE
from signetscan.models.detector import load_detector
from signetscan.models.store import find_model
from signetscan.results.reading import load_result
from signetscan.scan.options import ScanOptions
from signetscan.suffixes import IMAGE_SUFFIXES, PICTURE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from signetscan.batch.events import Event
    from signetscan.evaluation import Interval, Tally
    from signetscan.evaluation.bootstrap import Resampled
    from signetscan.models.detection_spec import DetectionSpec
    from signetscan.models.runtime import Device
    from signetscan.results.calibration import Rate
    from signetscan.results.reading import StoredResult
    from signetscan.testing.judged.points import PointRule

LEFT_OUT = frozenset({"ece"})
"""Figures of `evaluate` that the table does not have."""
LEFT_OUT_OF_POINTS = LEFT_OUT | {"false_positives_per_normal"}
"""Those that the table of points does not have; false positives per mm² say the same there."""
BOX_RULE = "DigestPath: the box of the cell and that of the detection have an IoU of at least 0.3, one to one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Points as truth."""

    of_image: Mapping[str, NDArray[np.float64]]
    """(N, 4) for each image by its name, as `read_points` gives them."""
    rule: PointRule
    """What a hit is."""
    words: str
    """The rule in words."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """What a model's detections on annotated images are worth."""

    spec: DetectionSpec
    """The model."""
    sha256: str
    """SHA-256 of its file."""
    versions: Mapping[str, str]
    """Versions of signetscan and of the libraries that it ran with."""
    mpp: float
    """Size of the images' pixels, µm."""
    rule: str
    """What a hit is, in words."""
    figures: Mapping[str, tuple[str, Interval]]
    """Meaning and value of each figure, by name."""
    rate: Rate | None
    """False positives per mm² of normal images at the model's threshold; None without normal images."""
    positives: int
    """Images with cells."""
    normals: int
    """Images without cells."""
    slides: int
    """Slides that the images are from; images whose names do not say it count as one each."""
    cells: int
    """Cells of the truth."""
    resampled: Resampled | None
    """What intervals are resampled from; None if there are none."""
    threshold: float
    """The model's threshold."""
    options: AssessOptions
    """Resamples."""
    notes: tuple[str, ...]
    """What was left out or assumed."""
    failed: int
    """Images that could not be scanned."""


def judge(
    model: str,
    folder: Path,
    out: Path,
    *,
    mpp: float | None = None,
    device: Device = "auto",
    points: Points | None = None,
    full_truth: bool = False,
    on_event: Callable[[Event], None] = lambda _: None,
) -> Judged:
    """Scan the images of a folder, down to a low score, and judge the detections against the truth.

    Args:
        model: name or file of the model.
        folder: images in the layout of DigestPath 2019, or with boxes in another layout that `evaluate` reads; with
            `points` just images.
        out: folder for the results, in `detections`; a run that was stopped goes on.
        mpp: size of the images' pixels, µm; by default 0.25 in DigestPath's layout, else what the files say.
        device: where the model runs.
        points: points in place of boxes as truth.
        full_truth: whether `folder` is a simulated data set of which all cells count.
        on_event: is given each event of the scan.

    Raises:
        SignetscanError: as `scan_slides` and `read_results` do.
    """
    images = images_of_folder(folder)
    if mpp is None and digestpath_root(folder) is not None:
        mpp = MPP
    detector = load_detector(find_model(model), device="cpu")
    options = AssessOptions(threshold=detector.spec.score_threshold)
    request = BatchOptions(out=out / "detections", model=model, device=device, mpp=mpp, formats=("csv",))
    stored, failures = _scan(images, request, on_event)
    notes = [f"{name} could not be scanned and is left out: {why}" for name, why in failures.items()]
    if points is None:
        read = read_results(request.out, folder, TruthOptions(full_truth=full_truth))
        results, notes = list(read.results), [*notes, *read.notes]
        assessed = assess(results, options).figures
        figures = {name: (FIGURES[name], value) for name, value in assessed.items() if name not in LEFT_OUT}
    else:
        results, left_out = _with_points(stored, points)
        notes += left_out
        figures = point_figures(results, points.rule, detector.spec.score_threshold, options)
    units = units_of(results)
    first = next(iter(stored.values())).record
    return Judged(
        spec=detector.spec,
        sha256=detector.sha256,
        versions=first.versions,
        mpp=first.slide.mpp.x,
        rule=BOX_RULE if points is None else points.words,
        figures=figures,
        rate=_rate(results, stored, detector.spec.score_threshold, options),
        positives=sum(not result.normal for result in results),
        normals=sum(result.normal for result in results),
        slides=len({result.slide for result in results}),
        cells=sum(len(result.truth) for result in results),
        resampled=None if units is None else units.resampled,
        threshold=detector.spec.score_threshold,
        options=options,
        notes=tuple(notes),
        failed=len(failures),
    )


def images_of_folder(folder: Path) -> list[Path]:
    """The images of a folder: those of both folders of DigestPath's layout, else the images in it, else its slides.

    Raises:
        AnnotationError: the folder cannot be read.
    """
    root = digestpath_root(folder)
    if root is None:
        return files_in(folder, IMAGE_SUFFIXES) or [folder]
    parts = [root / name for name in (POSITIVE_FOLDER, NEGATIVE_FOLDER) if (root / name).is_dir()]
    return [image for part in parts for image in files_in(part, PICTURE_SUFFIXES)]


def _scan(
    images: Sequence[Path], request: BatchOptions, on_event: Callable[[Event], None]
) -> tuple[dict[str, StoredResult], dict[str, str]]:
    """The results of all images by name, and the reasons why others failed."""
    stored: dict[str, StoredResult] = {}
    failures: dict[str, str] = {}
    with closing(scan_slides(images, request, ScanOptions(threshold=LEAST_SCORE))) as events:
        for event in events:
            on_event(event)
            match event:
                case Ended(outcome=SlideScanned() | SlideSkipped() as outcome):
                    stored[outcome.name] = load_result(record_file(outcome))
                case Ended(outcome=SlideFailed() as outcome):
                    failures[outcome.name] = outcome.reason
                case _:
                    pass
    if not stored:
        message = f"no image could be scanned: {'; '.join(failures.values())}"
        raise AnnotationError(message)
    return stored, failures


def _with_points(stored: Mapping[str, StoredResult], points: Points) -> tuple[list[ImageResult], list[str]]:
    """The images of which the points are known, and what is left out."""
    results = [
        ImageResult(
            detections=each.scanned.detections,
            truth=points.of_image[name],
            normal=not len(points.of_image[name]),
            name=name,
            slide=slide_of(name),
        )
        for name, each in stored.items()
        if name in points.of_image
    ]
    if not results:
        message = "no image has the name of one in the points, apart from suffixes; see whether they belong together"
        raise AnnotationError(message)
    without = len(stored) - len(results)
    return results, [f"images of which no points are given, left out: {without}"] if without else []


def point_figures(
    results: Sequence[ImageResult], rule: PointRule, threshold: float, options: AssessOptions
) -> dict[str, tuple[str, Interval]]:
    """The figures of `evaluate`, with the rule in place of an IoU; AP at that rule stands for AP50."""
    tally = make_tally(results, rule=rule)
    figures = partial(_point_values, tally, threshold)
    with_intervals = intervals(
        figures, figures(tally.weights()), units_of(results), count=options.bootstrap, seed=options.seed
    )
    meanings = FIGURES | {"ap": "AP of all images at this rule of matching, COCO's interpolation"}
    return {name: (meanings[name], value) for name, value in with_intervals.items()}


def _point_values(tally: Tally, threshold: float, weights: NDArray[np.int64]) -> dict[str, float]:
    values = figures_of(tally, tally, threshold, weights)
    return {"ap" if name == "ap50" else name: value for name, value in values.items() if name not in LEFT_OUT_OF_POINTS}


def _rate(
    results: Sequence[ImageResult], stored: Mapping[str, StoredResult], threshold: float, options: AssessOptions
) -> Rate | None:
    """False positives per mm² of tissue on the normal images."""
    tissues = []
    for result in results:
        record = stored[result.name].record if result.normal and result.name in stored else None
        if record is not None and record.tissue_mm2:
            scores = result.detections.scores
            tissues.append(NormalTissue(slide=result.slide, tissue_mm2=record.tissue_mm2, scores=scores))
    if not tissues:
        return None
    return rates(tissues, (threshold,), bootstrap=options.bootstrap, seed=options.seed)[0]
