"""What two sets of detections of the same slides have in common: of two runs, or of a run and a reader.

A detection of A and one of B are of the same cell by the rule by which a detection finds a cell (`matching`): best
first, each of A looks at the one of B that it overlaps most, and each of B is found once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations import Annotations
from signetscan.boxes import centres
from signetscan.checks import check_ranges
from signetscan.dataset import MPP
from signetscan.dataset.corrections import sort_corrections
from signetscan.dataset.notes import Notes
from signetscan.detections import Detections
from signetscan.errors import AnnotationError, OptionError
from signetscan.evaluation.classes import chosen_objects
from signetscan.evaluation.digestpath import Scores, evaluate
from signetscan.evaluation.files import detections_of, images_of_pair, read_pair, with_area
from signetscan.evaluation.matching import MATCH_IOU, ImageResult, cells_found
from signetscan.evaluation.pairing import Pair, find_both, record_path
from signetscan.evaluation.tally import share
from signetscan.results.run_record import read_run_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.annotations import Region
    from signetscan.results.run_record import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions:
    """How to compare.

    Raises:
        OptionError: a value is out of range.
    """

    iou: float = MATCH_IOU
    """Least IoU of two boxes that are of the same cell."""
    threshold: float = 0.0
    """Score from which detections count. A reader's objects count whatever their score."""
    class_name: str | None = None
    """Class of the objects that count, in any case; the only one there is by default."""
    reader: bool | None = None
    """Whether B is a reader's; by default it is if it has regions, or an object without a score."""
    b_in_level0: bool = False
    """Whether GeoJSON of B counts from level 0 rather than from the slide's bounds."""

    def __post_init__(self) -> None:
        check_ranges(self, threshold=(0, 1))
        if not 0 < self.iou <= 1:
            message = f"iou must be above 0 and up to 1, not {self.iou}"
            raise OptionError(message)


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
    """The images that a reader annotated, with the detections of A in them, of any score; empty for two runs."""
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
    """Mean of score in B less score in A, of what both have; nan against a reader."""
    score_change_largest: float
    """The change farthest from 0."""
    scores: Scores | None
    """A judged by a reader; None for two runs."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """All slides that both sides have."""

    slides: tuple[SlideComparison, ...]
    """In the order of their names."""
    options: CompareOptions
    is_reader: bool
    """Whether B is a reader's."""
    class_name: str
    """The class that was chosen; empty if every object was taken."""
    notes: tuple[str, ...] = field(default=())
    """What was left out or taken for granted; one line for each kind."""

    def figures(self, slides: Sequence[SlideComparison] | None = None) -> Figures:
        """Figures of some slides together; of all by default."""
        slides = self.slides if slides is None else slides
        a, b, both = (sum(each) for each in zip(*((len(one.a), len(one.b), one.both) for one in slides), strict=True))
        changes = np.concatenate([np.empty(0), *(one.score_changes for one in slides)])
        known = len(changes) > 0 and not self.is_reader
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
            scores=evaluate(judged, self.options.threshold, self.options.iou) if self.is_reader else None,
        )


def compare_results(a: Path, b: Path, options: CompareOptions | None = None) -> Comparison:
    """Read two sides, pair them by name, and match what they hold.

    Args:
        a: a file of detections (GeoJSON, CSV or XML), or a folder of them.
        b: the same, of another run or by a reader. Where the reader marked regions, only what lies in these counts.
            What is a cell in a reader's file is told as in training, and all detections in it are.
        options: how.

    Raises:
        AnnotationError: a file cannot be used, or nothing fits together; the message says which and why.
    """
    options = options or CompareOptions()
    notes = Notes()
    pairs = find_both(a, b, notes)
    read = [read_pair(pair, notes, truth_in_level0=options.b_in_level0) for pair in pairs.found]
    records = [_record_of(pair) for pair in pairs.found]
    is_reader = any(map(_is_reader, (second for _, second in read))) if options.reader is None else options.reader
    if is_reader:
        read = [
            (first, _cells_of(second, record, notes)) for (first, second), record in zip(read, records, strict=True)
        ]
    firsts, seconds, chosen = chosen_objects(
        [first for first, _ in read], [second for _, second in read], options.class_name, pairs, notes
    )
    slides = []
    for pair, first, second, record in zip(pairs.found, firsts, seconds, records, strict=True):
        one = _compared(pair, first, second, options, notes, is_reader=is_reader, record=record)
        slides.append(one)
    return Comparison(
        slides=tuple(slides), options=options, is_reader=is_reader, class_name=chosen, notes=notes.lines()
    )


def _is_reader(second: Annotations) -> bool:
    return bool(second.regions) or bool(np.isnan(second.scores).any())


def _cells_of(second: Annotations, record: RunRecord | None, notes: Notes) -> Annotations:
    """What a reader's file has as cells, as training takes it; what was rejected, or stands there twice, is none."""
    pixel_um = (MPP, MPP) if record is None else (record.slide.mpp.x, record.slide.mpp.y)
    found = sort_corrections(second, pixel_um, notes, detections=True)
    return Annotations(
        boxes=found.cells,
        names=found.names,
        scores=np.full(len(found.cells), np.nan),
        kinds=("",) * len(found.cells),
        regions=second.regions,
    )


def _compared(
    pair: Pair,
    first: Annotations,
    second: Annotations,
    options: CompareOptions,
    notes: Notes,
    *,
    is_reader: bool,
    record: RunRecord | None,
) -> SlideComparison:
    if pair.predictions is None or pair.truth is None:
        message = "a pair of two files has both"
        raise ValueError(message)
    a = detections_of(pair.predictions, first, notes)
    judged: list[ImageResult] = []
    if is_reader:
        cells = second.boxes[with_area(pair.truth_name, second, notes)]
        b = Detections(boxes=cells, scores=np.ones(len(cells), np.float32), labels=np.zeros(len(cells), np.int64))
        judged = images_of_pair(pair, a, cells, second.regions, notes, normal=not len(second))
        a, b = _in_regions(a, second.regions), _in_regions(b, second.regions)
    else:
        b = detections_of(pair.truth, second, notes)
        b = b.select(b.scores >= options.threshold)
    a = a.select(a.scores >= options.threshold)
    partner = cells_found(a, b.boxes, options.iou)
    return SlideComparison(name=pair.stem, a=a, b=b, partner=partner, judged=tuple(judged), record=record)


def _in_regions(found: Detections, regions: Sequence[Region]) -> Detections:
    if not regions:
        return found
    return found.select(np.any([region.holds(centres(found.boxes)) for region in regions], axis=0))


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
