"""Calibrating a model's threshold on slides that a site knows to be normal."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from signetscan import __version__
from signetscan.batch.events import Ended
from signetscan.batch.options import CalibrateOptions
from signetscan.batch.outcome import SlideFailed, SlidePlanned, SlideScanned, SlideSkipped, record_file
from signetscan.batch.run import scan_slides
from signetscan.dataset.file_pairs import files_in
from signetscan.dataset.image_names import slide_of
from signetscan.errors import OptionError, ResultError
from signetscan.evaluation.normal_tissue import NormalTissue, rates, shown_thresholds, threshold_within, total_mm2
from signetscan.formats.result_files import READABLE_FORMATS
from signetscan.models.detection_spec import LEAST_SCORE
from signetscan.results.calibration import CALIBRATION_NAME, Calibration, write_calibration
from signetscan.results.reading import load_result
from signetscan.scan.options import ScanOptions
from signetscan.suffixes import PICTURE_SUFFIXES, slide_files

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from signetscan.batch.events import Event
    from signetscan.batch.options import BatchOptions
    from signetscan.batch.outcome import SlideOutcome
    from signetscan.results.record_parts import ModelRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRun:
    """What a calibration came to."""

    calibration: Calibration | None
    """The calibration; None in a dry run, and if every slide failed."""
    path: Path | None
    """Its file; None if there is none."""
    tissue_mm2: float
    """Area of the normal tissue, mm²; in a dry run what would be scanned."""
    failed: int
    """Slides that failed."""


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What has been seen of the slides so far."""

    tissues: list[NormalTissue] = field(default_factory=list)
    model: ModelRecord | None = None
    planned_mm2: float = 0.0
    failed: int = 0

    def add(self, outcome: SlideOutcome) -> None:
        """Add a slide: its scores, which are read back from its results, and the area of its tissue."""
        match outcome:
            case SlideFailed():
                self.failed += 1
            case SlidePlanned():
                self.planned_mm2 += outcome.plan.tissue_mm2 or 0.0
            case SlideScanned() | SlideSkipped():
                self.model = outcome.record.model
                area_mm2 = (outcome.record.tissue_mm2 or 0.0) - outcome.record.unread_mm2
                if area_mm2 > 0:
                    tissue = NormalTissue(slide=_slide_of(outcome.name), tissue_mm2=area_mm2, scores=_scores(outcome))
                    self.tissues.append(tissue)


def calibrate(
    paths: Sequence[Path],
    request: BatchOptions,
    options: ScanOptions | None = None,
    calibrate_options: CalibrateOptions | None = None,
    *,
    on_event: Callable[[Event], None] | None = None,
) -> CalibrationRun:
    """Count a model's false positives on slides that are known to be normal, and choose the threshold for a budget.

    The slides are scanned as by `scan_slides`, down to a low score, and their results kept in the folder `request.out`,
    so that a run that was stopped goes on, and what was found can be looked at. Last, `calibration.json` is written
    there, from which `scan_slides` takes its threshold (`BatchOptions.calibration`). Every detection is taken for a
    false positive, and counted per mm² of the tissue that was scanned, all slides together. The threshold is the lowest
    at which they are within the budget; where the tissue does not tell it, the calibration has none, and says why.

    Example:
        run = calibrate([Path("normal")], BatchOptions(model="mine.onnx", out=Path("site")))
        print(run.calibration.threshold)

    Args:
        paths: slides, images, folders of them, and patterns, all of normal tissue, or normal within `request.roi`. In
            a folder without slides, its JPEG and PNG images are taken.
        request: options of the batch; `out` should be a folder of its own.
        options: how each slide is scanned. Its threshold is the lowest score that is looked at, 0.02 by default.
        calibrate_options: the budget, and how intervals are computed.
        on_event: is given each event of the batch, the first of which is `Begun` and the last `Finished`.

    Raises:
        ResultError: no tissue was found on any slide.
        SignetscanError: as `scan_slides` does.
    """
    calibrate_options, options = calibrate_options or CalibrateOptions(), options or ScanOptions()
    if not options.tissue_mask:
        message = "false positives are counted per mm² of tissue, which must be found for that"
        raise OptionError(message, options=("tissue_mask",))
    if request.calibration is not None:
        message = "a calibration looks at all scores, and takes no threshold from another calibration"
        raise OptionError(message, options=("calibration",))
    if options.threshold is None:
        options = replace(options, threshold=LEAST_SCORE)
    if not set(READABLE_FORMATS) & set(request.formats):
        request = replace(request, formats=(*request.formats, READABLE_FORMATS[0]))
    paths = [found for path in paths for found in _with_pictures(path)]
    seen = _Seen()
    with closing(scan_slides(paths, request, options)) as events:
        for event in events:
            if on_event is not None:
                on_event(event)
            if isinstance(event, Ended):
                seen.add(event.outcome)
    if seen.model is None:  # a dry run, or every slide failed
        return CalibrationRun(calibration=None, path=None, tissue_mm2=seen.planned_mm2, failed=seen.failed)
    calibration = _calibration(seen, seen.model, options.threshold or 0.0, calibrate_options)
    path = request.out / CALIBRATION_NAME
    write_calibration(path, calibration)
    return CalibrationRun(
        calibration=calibration, path=path, tissue_mm2=calibration.tissue_mm2, failed=calibration.failed
    )


def _calibration(seen: _Seen, model: ModelRecord, lowest_score: float, options: CalibrateOptions) -> Calibration:
    """The calibration by what was seen.

    Raises:
        ResultError: no tissue was seen.
    """
    if not seen.tissues:
        message = "no tissue was found on any slide, so there is nothing to count false positives on: look at them"
        raise ResultError(message)
    budget = options.false_positives_per_mm2
    threshold = threshold_within(seen.tissues, budget, lowest_score)
    thresholds = shown_thresholds(lowest_score, threshold)
    return Calibration(
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        model=model.name,
        model_sha256=model.sha256,
        budget=budget,
        threshold=threshold,
        lowest_score=lowest_score,
        tissue_mm2=total_mm2(seen.tissues),
        slides=len({tissue.slide for tissue in seen.tissues}),
        failed=seen.failed,
        rates=rates(seen.tissues, thresholds, bootstrap=options.bootstrap, seed=options.seed),
    )


def _with_pictures(path: Path) -> list[Path]:
    """The JPEG and PNG images in a folder that has no slides; any other path as it is."""
    if not path.is_dir() or next(slide_files(path), None) is not None:
        return [path]
    return files_in(path, PICTURE_SUFFIXES) or [path]


def _slide_of(name: str) -> str:
    """The slide of an image, if its name says so as DigestPath's names do; else it counts as a slide of its own."""
    last = name.rpartition("/")[2]
    return name if slide_of(last) == last else slide_of(last)


def _scores(outcome: SlideScanned | SlideSkipped) -> NDArray[np.float32]:
    return load_result(record_file(outcome)).scanned.detections.scores
