"""Comparison of two sets of detections of the same slides: of two runs, of a run and a reviewer, or of two reviewers.

A detection of A and one of B are the same cell by DigestPath's rule (`matching`): from the best down, each detection of
A matches the one of B that it overlaps most, and each of B is matched once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations import Annotations, Meaning
from signetscan.annotations.objects import in_any
from signetscan.boxes import centres
from signetscan.dataset.corrections import sort_corrections
from signetscan.dataset.qupath import remark_marks
from signetscan.dataset.remarks import Remarks
from signetscan.detections import Detections
from signetscan.evaluation.classes import chosen_objects
from signetscan.evaluation.digestpath import Scores, evaluate
from signetscan.evaluation.files import detections_of, images_of_pair, pixel_um_of, read_pair, with_area
from signetscan.evaluation.matching import ImageResult, matched_cells
from signetscan.evaluation.options import CompareOptions
from signetscan.evaluation.pairing import Pair, find_both, record_path
from signetscan.evaluation.people import decided_by_people, outside_of
from signetscan.evaluation.tally import share
from signetscan.evaluation.two_reviewers import Judged, are_marks, compare_reviewers
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
    """Name of the slide."""
    a: Detections
    """Detections of A."""
    b: Detections
    """Detections of B."""
    partner: NDArray[np.intp]
    """(len(a),), index of the same cell in B for each of A; -1 for none."""
    reviewed: tuple[ImageResult, ...] = ()
    """The images that a reviewer annotated, with the detections of A in them, of any score; empty for two runs."""
    record: RunRecord | None = None
    """The run record of A, or else of B."""
    judged: Judged | None = None
    """What two reviewers say of the boxes that both judged; None unless both sides are reviewers'."""

    @property
    def both(self) -> int:
        """Number of detections that both have."""
        return int((self.partner >= 0).sum())

    @property
    def only_a(self) -> Detections:
        """The detections that only A has."""
        return self.a.select(self.partner < 0)

    @property
    def only_b(self) -> Detections:
        """The detections that only B has."""
        return self.b.select(np.setdiff1d(np.arange(len(self.b)), self.partner))

    @property
    def score_changes(self) -> NDArray[np.float64]:
        """Score in B minus score in A of the detections that both have, (both,)."""
        same = self.partner >= 0
        return self.b.scores[self.partner[same]].astype(np.float64) - self.a.scores[same]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Figures of one slide, or of several together; nan where a figure is not defined."""

    a: int
    """Number of detections of A."""
    b: int
    """Number of detections of B."""
    both: int
    """Number of detections that both have."""
    only_a: int
    """Number of detections that only A has."""
    only_b: int
    """Number of detections that only B has."""
    agreement: float
    """2 x both / (A + B): the Dice coefficient of the two sets, which is F1 if one is the truth; nan without any."""
    score_change_mean: float
    """Mean of score in B minus score in A, over the detections that both have; nan against a reviewer."""
    score_change_largest: float
    """The change farthest from 0."""
    scores: Scores | None
    """Scores of A against a reviewer; None for two runs, and for two reviewers."""
    judged: Judged | None = None
    """What two reviewers say of the boxes that both judged; None unless both sides are reviewers'."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """All slides that both sides have."""

    slides: tuple[SlideComparison, ...]
    """The slides, by name."""
    options: CompareOptions
    """Options of the comparison."""
    by_reviewer: bool
    """Whether B is a reviewer's, by which A, a run, is judged."""
    by_two: bool = False
    """Whether both sides are reviewers'."""
    class_name: str
    """The class that was chosen; empty if every object counts."""
    notes: tuple[str, ...] = field(default=())
    """What was left out or assumed; one line for each kind."""

    def figures(self, slides: Sequence[SlideComparison] | None = None) -> Figures:
        """Figures of some slides together; of all by default."""
        slides = self.slides if slides is None else slides
        a = sum(len(slide.a) for slide in slides)
        b = sum(len(slide.b) for slide in slides)
        both = sum(slide.both for slide in slides)
        changes = np.concatenate([np.empty(0), *(slide.score_changes for slide in slides)])
        known = len(changes) > 0 and not self.by_reviewer and not self.by_two  # reviewers' objects have no scores
        judged = sum((slide.judged for slide in slides if slide.judged is not None), Judged())
        reviewed = [image for slide in slides for image in slide.reviewed]
        return Figures(
            a=a,
            b=b,
            both=both,
            only_a=a - both,
            only_b=b - both,
            agreement=share(2 * both, a + b),
            score_change_mean=float(changes.mean()) if known else float("nan"),
            score_change_largest=float(changes[np.abs(changes).argmax()]) if known else float("nan"),
            scores=evaluate(reviewed, self.options.threshold, self.options.iou) if self.by_reviewer else None,
            judged=judged if self.by_two else None,
        )


def compare_results(a: Path, b: Path, options: CompareOptions | None = None) -> Comparison:
    """Read the files of two sides, pair them by name, and match their detections.

    Args:
        a: a file of detections (GeoJSON, CSV or XML), or a folder of them. If both are marks that reviewers made in the
            viewer, these are compared.
        b: the same, of another run or by a reviewer. Where the reviewer marked regions, only objects in them count;
            objects in ignored areas do not. Which objects of a reviewer's file are cells is decided as in training,
            except that all detections in it are cells.
        options: how to match and read.

    Raises:
        AnnotationError: a file cannot be used, or no two files belong together; the message says which and why.
    """
    options = options or CompareOptions()
    remarks = Remarks()
    pairs = find_both(a, b, remarks, a_by=options.a_by, b_by=options.b_by)
    of_meaning = Remarks()  # of predictions and a truth, of which two reviewers have neither
    read = [
        read_pair(pair, remarks, truth_in_level0=not options.bounds_crop, of_meaning=of_meaning) for pair in pairs.pairs
    ]
    records = [_record_of(pair) for pair in pairs.pairs]
    if options.reviewer is not False and all(are_marks(pair) for pair in pairs.pairs):
        two = [
            _two_reviewers(pair, first, second, options, remarks, record)
            for pair, (first, second), record in zip(pairs.pairs, read, records, strict=True)
        ]
        return Comparison(
            slides=tuple(two),
            options=options,
            by_reviewer=False,
            by_two=True,
            class_name=options.class_name or "",
            notes=remarks.lines(),
        )
    by_reviewer = options.reviewer
    if by_reviewer is None:
        by_reviewer = any(_is_reviewed(second) for _, second in read)
    cells_of_b = [
        _reviewed_cells(second, pixel_um_of(pair), remarks) if by_reviewer else _marked_cells(pair, second, remarks)
        for pair, (_, second) in zip(pairs.pairs, read, strict=True)
    ]
    firsts, seconds, chosen = chosen_objects(
        [first.cells for first, _ in read], cells_of_b, options.class_name, pairs, remarks
    )
    slides = tuple(
        _compare_pair(pair, first, second, marked, options, remarks, by_reviewer=by_reviewer, record=record)
        for pair, first, second, (_, marked), record in zip(pairs.pairs, firsts, seconds, read, records, strict=True)
    )
    return Comparison(
        slides=slides,
        options=options,
        by_reviewer=by_reviewer,
        class_name=chosen,
        notes=(*remarks.lines(), *of_meaning.lines()),
    )


def _two_reviewers(
    pair: Pair,
    first: MarkedObjects,
    second: MarkedObjects,
    options: CompareOptions,
    remarks: Remarks,
    record: RunRecord | None,
) -> SlideComparison:
    said = compare_reviewers(
        pair, first, second, pixel_um_of(pair), remarks, iou=options.iou, class_name=options.class_name
    )
    partner = matched_cells(said.a, said.b.boxes, options.iou)
    return SlideComparison(name=pair.stem, a=said.a, b=said.b, partner=partner, record=record, judged=said.judged)


def _is_reviewed(second: MarkedObjects) -> bool:
    """Whether a reviewer wrote the file: a run's has scores for all, no regions and nothing that people drew."""
    marks = second.having(Meaning.REJECTED, Meaning.IGNORED_AREA).any() or decided_by_people(second)
    return bool(second.regions) or bool(marks) or bool(np.isnan(second.cells.scores).any())


def _marked_cells(pair: Pair, second: MarkedObjects, remarks: Remarks) -> Annotations:
    """The detections of a run, without those that somebody marked as no cell."""
    remark_marks(second, pair.truth_name, remarks)
    return second.cells


def _reviewed_cells(second: MarkedObjects, pixel_um: tuple[float, float], remarks: Remarks) -> Annotations:
    """The cells of a reviewer's file, as in training: without rejected ones, and each cell once."""
    objects = ~second.having(Meaning.POSITIVE_REGION, Meaning.NORMAL_REGION, Meaning.UNDECIDED)
    annotations = replace(second.annotations.select(objects), regions=second.regions)
    corrections = sort_corrections(annotations, pixel_um, remarks, detections=True)
    return Annotations(
        boxes=corrections.cells,
        names=corrections.names,
        scores=np.full(len(corrections.cells), np.nan),
        kinds=("",) * len(corrections.cells),
        regions=second.regions,
    )


def _compare_pair(
    pair: Pair,
    first: Annotations,
    second: Annotations,
    marked: MarkedObjects,
    options: CompareOptions,
    remarks: Remarks,
    *,
    by_reviewer: bool,
    record: RunRecord | None,
) -> SlideComparison:
    if pair.predictions is None or pair.truth is None:
        message = "both sides of a pair must have a file"
        raise ValueError(message)
    a = outside_of(marked, detections_of(pair.predictions, first, remarks), pair.predictions.name, remarks)
    reviewed: list[ImageResult] = []
    if by_reviewer:
        cells = second.boxes[with_area(pair.truth_name, second, remarks)]
        b = Detections(boxes=cells, scores=np.ones(len(cells), np.float32), labels=np.zeros(len(cells), np.int64))
        # Before the threshold is applied to A, because FROC needs detections of any score.
        reviewed = images_of_pair(pair, a, cells, second.regions, remarks, normal=not len(second))
        a, b = _in_regions(a, second.regions), _in_regions(b, second.regions)
    else:
        b = detections_of(pair.truth, second, remarks)
        b = b.select(b.scores >= options.threshold)
    a = a.select(a.scores >= options.threshold)
    partner = matched_cells(a, b.boxes, options.iou)
    return SlideComparison(name=pair.stem, a=a, b=b, partner=partner, reviewed=tuple(reviewed), record=record)


def _in_regions(detections: Detections, regions: Sequence[Region]) -> Detections:
    return detections.select(in_any(regions, centres(detections.boxes))) if regions else detections


def _record_of(pair: Pair) -> RunRecord | None:
    """The run record beside a file of A, or else of B.

    Raises:
        ResultError: one is damaged.
    """
    paths = [record_path(path) for path in (pair.predictions, pair.truth) if path is not None]
    records = [read_run_record(path) for path in paths if path.exists()]
    return records[0] if records else None
