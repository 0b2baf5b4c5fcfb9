"""What two sets of detections of the same slides have in common: of two runs, or of a run and a reviewer.

A detection of A and one of B are of the same cell by the rule by which a detection finds a cell (`matching`): best
first, each of A looks at the one of B that it overlaps most, and each of B is found once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations import Annotations, Meaning
from signetscan.annotations.marks import in_any
from signetscan.boxes import centres
from signetscan.dataset.corrections import sort_corrections
from signetscan.dataset.qupath import remark_marks
from signetscan.dataset.remarks import Remarks
from signetscan.detections import Detections
from signetscan.errors import AnnotationError
from signetscan.evaluation.classes import chosen_objects
from signetscan.evaluation.digestpath import Scores, evaluate
from signetscan.evaluation.files import detections_of, images_of_pair, outside_of, pixel_um_of, read_pair, with_area
from signetscan.evaluation.matching import ImageResult, cells_found
from signetscan.evaluation.options import CompareOptions
from signetscan.evaluation.pairing import Pair, find_both, record_path
from signetscan.evaluation.tally import share
from signetscan.results.run_record import read_run_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.annotations import MarkedObjects, Region
    from signetscan.results.run_record import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SlideComparison:
    """One slide; level-0 pixels."""

    name: str
    """What it is called."""
    a: Detections
    """What A has."""
    b: Detections
    """What B has."""
    partner: NDArray[np.intp]
    """(len(a),), the one of B that each of A is the same as; -1 for none."""
    judged: tuple[ImageResult, ...] = ()
    """The images that a reviewer annotated, with the detections of A in them, of any score; empty for two runs."""
    record: RunRecord | None = None
    """The run record of A, or else of B."""

    @property
    def both(self) -> int:
        """How many there are in both."""
        return int((self.partner >= 0).sum())

    @property
    def only_a(self) -> Detections:
        """What A alone has."""
        return self.a.select(self.partner < 0)

    @property
    def only_b(self) -> Detections:
        """What B alone has."""
        return self.b.select(np.setdiff1d(np.arange(len(self.b)), self.partner))

    @property
    def score_changes(self) -> NDArray[np.float64]:
        """Score in B less that in A of what both have, (both,)."""
        same = self.partner >= 0
        return self.b.scores[self.partner[same]].astype(np.float64) - self.a.scores[same]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one slide, or all of them, came to; nan where a figure is not defined."""

    a: int
    """Detections of A."""
    b: int
    """Of B."""
    both: int
    only_a: int
    only_b: int
    agreement: float
    """2 x both / (A + B): the Dice coefficient of the two sets, which is F1 where one is the truth; nan of nothing."""
    score_change_mean: float
    """Mean of score in B less score in A, of what both have; nan against a reviewer."""
    score_change_largest: float
    """The change farthest from 0."""
    scores: Scores | None
    """A judged by a reviewer; None for two runs."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """All slides that both sides have."""

    slides: tuple[SlideComparison, ...]
    """In the order of their names."""
    options: CompareOptions
    by_reviewer: bool
    """Whether B is a reviewer's."""
    class_name: str
    """The class that was chosen; empty if every object was taken."""
    notes: tuple[str, ...] = field(default=())
    """What was left out or taken for granted; one line for each kind."""

    def figures(self, slides: Sequence[SlideComparison] | None = None) -> Figures:
        """Figures of some slides together; of all by default."""
        slides = self.slides if slides is None else slides
        a, b, both = (sum(each) for each in zip(*((len(one.a), len(one.b), one.both) for one in slides), strict=True))
        changes = np.concatenate([np.empty(0), *(one.score_changes for one in slides)])
        known = len(changes) > 0 and not self.by_reviewer
        judged = [image for one in slides for image in one.judged]
        return Figures(
            a=a,
            b=b,
            both=both,
            only_a=a - both,
            only_b=b - both,
            agreement=share(2 * both, a + b),
            score_change_mean=float(changes.mean()) if known else float("nan"),
            score_change_largest=float(changes[np.abs(changes).argmax()]) if known else float("nan"),
            scores=evaluate(judged, self.options.threshold, self.options.iou) if self.by_reviewer else None,
        )


def compare_results(a: Path, b: Path, options: CompareOptions | None = None) -> Comparison:
    """Read two sides, pair them by name, and match what they hold.

    Args:
        a: a file of detections (GeoJSON, CSV or XML), or a folder of them.
        b: the same, of another run or by a reviewer. Where the reviewer marked regions, only what lies in these
            counts, and what lies in an ignored area does not. What is a cell in a reviewer's file is told as in
            training; beyond that, all detections in it are.
        options: how.

    Raises:
        AnnotationError: a file cannot be used, or nothing fits together; the message says which and why.
    """
    options = options or CompareOptions()
    remarks = Remarks()
    pairs = find_both(a, b, remarks)
    read = [read_pair(pair, remarks, truth_in_level0=not options.bounds_crop) for pair in pairs.found]
    records = [_record_of(pair) for pair in pairs.found]
    by_reviewer = options.reviewer
    if by_reviewer is None:
        by_reviewer = any(_is_reviewed(second) for _, second in read)
    of_b = [
        _reviewed(second, pixel_um_of(pair), remarks) if by_reviewer else _marked_cells(pair, second, remarks)
        for pair, (_, second) in zip(pairs.found, read, strict=True)
    ]
    firsts, seconds, chosen = chosen_objects(
        [first.cells for first, _ in read], of_b, options.class_name, pairs, remarks
    )
    slides = []
    for pair, first, second, (_, marked), record in zip(pairs.found, firsts, seconds, read, records, strict=True):
        one = _compared(pair, first, second, marked.ignored, options, remarks, by_reviewer=by_reviewer, record=record)
        slides.append(one)
    return Comparison(
        slides=tuple(slides), options=options, by_reviewer=by_reviewer, class_name=chosen, notes=remarks.lines()
    )


def _is_reviewed(second: MarkedObjects) -> bool:
    """Whether a person wrote the file: a run has scores, no regions, and rejects nothing."""
    marks = second.having(Meaning.REJECTED, Meaning.IGNORED_AREA).any()
    return bool(second.regions) or bool(marks) or bool(np.isnan(second.cells.scores).any())


def _marked_cells(pair: Pair, second: MarkedObjects, remarks: Remarks) -> Annotations:
    """The detections of a run, without what somebody marked as no cell."""
    remark_marks(second, pair.truth_name, remarks)
    return second.cells


def _reviewed(second: MarkedObjects, pixel_um: tuple[float, float], remarks: Remarks) -> Annotations:
    """What a reviewer's file has as cells, as training takes it; what was rejected, or stands there twice, is none."""
    objects = ~second.having(Meaning.POSITIVE_REGION, Meaning.NORMAL_REGION)
    read = replace(second.annotations.select(objects), regions=second.regions)
    corrections = sort_corrections(read, pixel_um, remarks, detections=True)
    return Annotations(
        boxes=corrections.cells,
        names=corrections.names,
        scores=np.full(len(corrections.cells), np.nan),
        kinds=("",) * len(corrections.cells),
        regions=second.regions,
    )


def _compared(
    pair: Pair,
    first: Annotations,
    second: Annotations,
    ignored: Sequence[Region],
    options: CompareOptions,
    remarks: Remarks,
    *,
    by_reviewer: bool,
    record: RunRecord | None,
) -> SlideComparison:
    if pair.predictions is None or pair.truth is None:
        message = "a pair of two files has both"
        raise ValueError(message)
    a = outside_of(ignored, detections_of(pair.predictions, first, remarks), pair.predictions.name, remarks)
    judged: list[ImageResult] = []
    if by_reviewer:
        cells = second.boxes[with_area(pair.truth_name, second, remarks)]
        b = Detections(boxes=cells, scores=np.ones(len(cells), np.float32), labels=np.zeros(len(cells), np.int64))
        judged = images_of_pair(pair, a, cells, second.regions, remarks, normal=not len(second))
        a, b = _in_regions(a, second.regions), _in_regions(b, second.regions)
    else:
        b = detections_of(pair.truth, second, remarks)
        b = b.select(b.scores >= options.threshold)
    a = a.select(a.scores >= options.threshold)
    partner = cells_found(a, b.boxes, options.iou)
    return SlideComparison(name=pair.stem, a=a, b=b, partner=partner, judged=tuple(judged), record=record)


def _in_regions(detections: Detections, regions: Sequence[Region]) -> Detections:
    return detections.select(in_any(regions, centres(detections.boxes))) if regions else detections


def _record_of(pair: Pair) -> RunRecord | None:
    """The run record beside a file of A, or else of B.

    Raises:
        AnnotationError: both have one, and they are of different slides.
        ResultError: one is damaged.
    """
    paths = [record_path(path) for path in (pair.predictions, pair.truth) if path is not None]
    records = [read_run_record(path) for path in paths if path.exists()]
    if len({record.slide.fingerprint for record in records}) > 1:
        message = f"{pair.predictions} and {pair.truth} are of different slides, by their run records; compare results "
        message += "of the same slides"
        raise AnnotationError(message)
    return records[0] if records else None
