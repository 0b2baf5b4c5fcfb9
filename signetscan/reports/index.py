"""The index of a batch: a page with a row for each slide that has results, or failed, in a folder."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from signetscan.annotations.marked_slide import read_tally
from signetscan.errors import ResultError
from signetscan.formats.result_files import REGIONS, REPORT_SUFFIX, add_suffix, marks_beside
from signetscan.json_values import is_number
from signetscan.models.spec import Task, in_one_line
from signetscan.reports.index_file import HEAD_BYTES, TITLE
from signetscan.reports.page import write_page
from signetscan.reports.scores import density_text
from signetscan.results.folder import list_results
from signetscan.results.run_record import read_run_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from signetscan.formats.class_areas import ClassArea
    from signetscan.results.folder import SlideFiles
    from signetscan.results.run_record import RunRecord

MOST_CLASSES = 6
"""Most classes that get a column each; with more, the page has their sum alone."""
MOST_THUMBNAILS = 1000
"""Most slides that get a thumbnail, some 3 kB each; the page of more would become large."""
DAMAGED = "its run record cannot be read; scan it again"
"""Shown in place of a reason for a slide with a damaged run record."""

THUMBNAIL = re.compile(rb'<meta name="signetscan-thumbnail" content="(data:image/jpeg;base64,[A-Za-z0-9+/=]+)">')
"""The thumbnail in a report. The pattern lets no other text into the index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundEntry:
    """What a model found on a slide."""

    model: str
    """Name of the model."""
    learnt_from: str = ""
    """What the model says that it learnt from."""
    tissue_mm2: float | None = None
    """Area of the slide's tissue, mm²; None where the scan used no tissue mask."""
    unread_mm2: float = 0.0
    """Area that could not be read, mm²."""
    is_scanned: bool = True
    """Whether any tile was scanned; there is none on a slide without tissue."""
    report: str = ""
    """Path of the report below the folder of the index, with "/" between folders; empty where there is none."""

    @property
    def address(self) -> str:
        """The report's address relative to the index: "./" keeps a name such as "a:b" from reading as a URL."""
        return f"./{quote(self.report)}" if self.report else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellsEntry(FoundEntry):
    """The cells of a slide."""

    detections: Mapping[str, int]
    """Number of detections of each class."""
    threshold: float | None = None
    """Lowest score that counts; None where the run record does not say."""

    @property
    def total(self) -> int:
        """Detections of all classes."""
        return sum(self.detections.values())

    @property
    def density(self) -> float:
        """Detections per mm² of tissue; -1 where the area of tissue is not known."""
        return self.total / self.tissue_mm2 if self.tissue_mm2 else -1.0

    @property
    def density_text(self) -> str:
        """The density as text of three digits."""
        return density_text(self.total, self.tissue_mm2)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionsEntry(FoundEntry):
    """The regions of a slide."""

    score: float | None
    """The slide's score, 0 to 1; None if no tissue was scanned."""
    areas: tuple[ClassArea, ...] = ()
    """The classes that score the slide."""

    @property
    def mm2(self) -> float:
        """Area of the classes that score the slide, mm²."""
        return sum(area.mm2 for area in self.areas)

    @property
    def share(self) -> float:
        """Their share of the tissue, 0 to 1."""
        return sum(area.share for area in self.areas)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedEntry:
    """Why there are no results of a slide."""

    what: str
    """What could not be found: cells or regions."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewEntry:
    """How far a reviewer is with a slide."""

    reviewer: str
    """Name of the reviewer; empty if there is none."""
    decided: int | None
    """Detections that were accepted or rejected; None where only reading all marks would tell."""
    added: int
    """Cells that were drawn."""
    is_done: bool
    """Whether the whole slide was looked through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexEntry:
    """One slide of a batch."""

    name: str
    """Name of its results below the folder, those of cells."""
    cells: CellsEntry | None = None
    """None where no cells were detected."""
    regions: RegionsEntry | None = None
    """None where no tissue was segmented."""
    failures: tuple[FailedEntry, ...] = ()
    reviews: tuple[ReviewEntry, ...] = ()
    """One for each reviewer; none where nobody has begun."""
    thumbnail: str = ""
    """The slide, a data URI; empty where there is no report."""

    @property
    def found(self) -> tuple[FoundEntry, ...]:
        """What there is."""
        return tuple(each for each in (self.cells, self.regions) if each is not None)

    @property
    def review(self) -> Literal["none", "begun", "done"]:
        """How far it is reviewed: done as soon as one reviewer has looked through the whole slide."""
        if any(review.is_done for review in self.reviews):
            return "done"
        return "begun" if self.reviews else "none"

    @property
    def tissue_mm2(self) -> float | None:
        """Area of its tissue, mm²; None where it is not known."""
        return next((each.tissue_mm2 for each in self.found if each.tissue_mm2 is not None), None)

    @property
    def unread_mm2(self) -> float:
        """Area that could not be read, mm²."""
        return max((each.unread_mm2 for each in self.found), default=0.0)


def find_entries(folder: Path, reports: Path | None = None) -> list[IndexEntry]:
    """The slides with results or failures in a folder or below it, sorted by name.

    Args:
        folder: the folder of the results.
        reports: the folder of the reports, where they have the same names; by default that of the results.
    """
    entries: dict[str, IndexEntry] = {}
    for task, slides in zip((Task.DETECTION, Task.SEGMENTATION), list_results(folder), strict=True):
        for slide in slides:
            name = slide.name.removesuffix(REGIONS) if task is Task.SEGMENTATION else slide.name
            before = entries.get(name) or IndexEntry(name=name, reviews=_reviews(folder / name))
            entries[name] = _with_results(before, slide, task, reports or folder)
    return [entries[name] for name in sorted(entries)]


def _reviews(target: Path) -> tuple[ReviewEntry, ...]:
    """How far a slide is reviewed, by the path of its results of detection without suffix, which marks are named by."""
    tallies = {name: read_tally(path) for name, path in sorted(marks_beside(target).items())}
    return tuple(
        ReviewEntry(
            reviewer=name,
            decided=None if tally is None else tally.decided,
            added=0 if tally is None else tally.added,
            is_done=tally is not None and tally.done,
        )
        for name, tally in tallies.items()
    )


def _with_results(entry: IndexEntry, slide: SlideFiles, task: Task, reports: Path) -> IndexEntry:
    """A slide with what a task found on it, or why it failed."""
    what = "regions" if task is Task.SEGMENTATION else "cells"
    # A failure goes before a record, which would be that of an earlier run.
    if slide.failure is not None or slide.record is None:
        failed = FailedEntry(what=what, reason=slide.why_failed)
        return replace(entry, failures=(*entry.failures, failed))
    try:
        record = read_run_record(slide.record)
    except ResultError:
        return replace(entry, failures=(*entry.failures, FailedEntry(what=what, reason=DAMAGED)))
    report = add_suffix(reports / slide.name, REPORT_SUFFIX)
    is_there = report.is_file()
    address = report.relative_to(reports).as_posix() if is_there else ""
    thumbnail = entry.thumbnail or (thumbnail_of(report) if is_there else "")
    if record.regions is None:
        return replace(entry, cells=_cells(record, address), thumbnail=thumbnail)
    return replace(entry, regions=_regions(record, address), thumbnail=thumbnail)


def _cells(record: RunRecord, report: str) -> CellsEntry:
    threshold = record.options.get("threshold")
    return CellsEntry(
        detections=record.detections,
        threshold=float(threshold) if is_number(threshold) else None,
        model=record.model.name,
        learnt_from=in_one_line(record.model.learnt_from),
        tissue_mm2=record.tissue_mm2,
        unread_mm2=record.unread_mm2,
        is_scanned=record.tiles.scanned > 0,
        report=report,
    )


def _regions(record: RunRecord, report: str) -> RegionsEntry:
    regions = record.regions
    return RegionsEntry(
        score=None if regions is None else regions.slide_score,
        areas=() if regions is None else tuple(area for area in regions.classes if area.name in regions.scored),
        model=record.model.name,
        learnt_from=in_one_line(record.model.learnt_from),
        tissue_mm2=record.tissue_mm2,
        unread_mm2=record.unread_mm2,
        is_scanned=record.tiles.scanned > 0,
        report=report,
    )


def thumbnail_of(report: Path) -> str:
    """The thumbnail in a report; empty where there is none, or the report cannot be read."""
    try:
        with report.open("rb") as file:
            found = THUMBNAIL.search(file.read(HEAD_BYTES))
    except OSError:
        return ""
    return "" if found is None else found[1].decode("ascii")


def write_index(path: Path, entries: Sequence[IndexEntry]) -> None:
    """Write the index of a batch: one HTML file that links to reports beside it.

    Slides with a score come first, the highest first; the others by name.

    Args:
        path: the file.
        entries: the slides, sorted by name.

    Raises:
        OutputError: the file cannot be written.
    """
    done = sorted((entry for entry in entries if entry.found), key=lambda entry: -_score(entry))
    cells = [entry.cells for entry in done if entry.cells is not None]
    sums: Counter[str] = Counter()
    for entry in cells:
        sums.update(entry.detections)
    # The overall density is of slides whose area of tissue is known, in both numerator and denominator.
    with_tissue = [entry for entry in cells if entry.tissue_mm2 is not None]
    cells_mm2 = sum(entry.tissue_mm2 or 0.0 for entry in with_tissue)
    write_page(
        path,
        "index.html",
        title=TITLE,
        entries=done,
        failures=[(entry.name, failure) for entry in entries for failure in entry.failures],
        learnt_from=sorted({(found.model, found.learnt_from) for entry in done for found in entry.found}),
        models=sorted({found.model for entry in done for found in entry.found}),
        has_cells=bool(cells),
        has_regions=any(entry.regions is not None for entry in done),
        has_reviews=any(entry.reviews for entry in done),
        thumbnails=sum(bool(entry.thumbnail) for entry in done[:MOST_THUMBNAILS]),
        most_thumbnails=MOST_THUMBNAILS,
        classes=list(sums) if 1 < len(sums) <= MOST_CLASSES else [],
        sums=sums,
        total=sums.total(),
        tissue_mm2=sum(entry.tissue_mm2 or 0.0 for entry in done),
        density=density_text(sum(entry.total for entry in with_tissue), cells_mm2),
        scored_mm2=sum(entry.regions.mm2 for entry in done if entry.regions is not None),
        scored=_scored_classes(done),
        unread_mm2=sum(entry.unread_mm2 for entry in done),
    )


def _score(entry: IndexEntry) -> float:
    """The score by which a slide is put in order; -1 where there is none."""
    return -1.0 if entry.regions is None or entry.regions.score is None else entry.regions.score


def _scored_classes(entries: Iterable[IndexEntry]) -> str:
    """Names of the classes that score slides; empty where slides have different ones."""
    names = {tuple(area.name for area in entry.regions.areas) for entry in entries if entry.regions is not None}
    return " + ".join(names.pop()) if len(names) == 1 else ""
