"""The index of a batch: a page with a row for each slide that has results, or failed, in a folder."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from signetscan.errors import ResultError
from signetscan.formats.result_files import REPORT_SUFFIX, add_suffix
from signetscan.models.spec import in_one_line
from signetscan.reports.page import write_page
from signetscan.reports.scores import density_text
from signetscan.results.folder import list_slides
from signetscan.results.run_record import read_run_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from signetscan.results.folder import SlideFiles

INDEX_NAME = "index.html"
"""Name of the index in the folder of the results."""
MOST_CLASSES = 6
"""Most classes that get a column each; with more, the page has their sum alone."""
DAMAGED = "its run record cannot be read; scan it again"
"""Shown in place of a reason for a slide with a damaged run record."""


TITLE = "Slides: signetscan"
"""Title of the page, by which it is known again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexEntry:
    """One slide of a batch."""

    name: str
    """Name of its results below the folder."""
    detections: Mapping[str, int] = field(default_factory=dict)
    """Number of detections of each class."""
    tissue_mm2: float | None = None
    """Area of its tissue, mm²; None where the scan used no tissue mask, or the slide failed."""
    unread_mm2: float = 0.0
    """Area that could not be read, mm²."""
    is_scanned: bool = True
    """Whether any tile was scanned; there is none on a slide without tissue."""
    model: str = ""
    """Name of the model, and what it says that it learnt from; empty where the slide failed."""
    report: str = ""
    """Path of its report below the folder of the index, with "/" between folders; empty where there is none."""
    failure: str = ""
    """Why it failed; empty where it did not."""

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

    @property
    def address(self) -> str:
        """The report's address relative to the index: "./" keeps a name such as "a:b" from reading as a URL."""
        return f"./{quote(self.report)}" if self.report else ""


def is_index(path: Path) -> bool:
    """Whether a file is an index that was made before, which may be made anew."""
    return path.is_file() and f"<title>{TITLE}</title>".encode() in path.read_bytes()


def find_entries(folder: Path, reports: Path | None = None) -> list[IndexEntry]:
    """The slides with results or failures in a folder or below it, sorted by name.

    Args:
        folder: the folder of the results.
        reports: the folder of the reports, where they have the same names; by default that of the results.
    """
    return [_entry(slide, reports or folder) for slide in list_slides(folder)]


def _entry(slide: SlideFiles, reports: Path) -> IndexEntry:
    """The row of a slide."""
    # A failure goes before a record, which would be that of an earlier run.
    if slide.failure is not None or slide.record is None:
        return IndexEntry(name=slide.name, failure=slide.why_failed)
    try:
        record = read_run_record(slide.record)
    except ResultError:
        return IndexEntry(name=slide.name, failure=DAMAGED)
    report = add_suffix(reports / slide.name, REPORT_SUFFIX)
    return IndexEntry(
        name=slide.name,
        detections=record.detections,
        tissue_mm2=record.tissue_mm2,
        unread_mm2=record.unread_mm2,
        is_scanned=record.tiles.scanned > 0,
        model=f"{record.model.name}: {in_one_line(record.model.learnt_from)}",
        report=report.relative_to(reports).as_posix() if report.is_file() else "",
    )


def write_index(path: Path, entries: Sequence[IndexEntry]) -> None:
    """Write the index of a batch: one HTML file that links to reports beside it.

    Args:
        path: the file.
        entries: the slides.

    Raises:
        OutputError: the file cannot be written.
    """
    done = [entry for entry in entries if not entry.failure]
    sums: Counter[str] = Counter()
    for entry in done:
        sums.update(entry.detections)
    # The overall density is of slides whose area of tissue is known, in both numerator and denominator.
    with_tissue = [entry for entry in done if entry.tissue_mm2 is not None]
    tissue_mm2 = sum(entry.tissue_mm2 or 0.0 for entry in with_tissue)
    write_page(
        path,
        "index.html",
        title=TITLE,
        entries=entries,
        models=sorted({entry.model for entry in done if entry.model}),
        failed=len(entries) - len(done),
        done=len(done),
        classes=list(sums) if 1 < len(sums) <= MOST_CLASSES else [],
        sums=sums,
        total=sums.total(),
        tissue_mm2=tissue_mm2,
        density=density_text(sum(entry.total for entry in with_tissue), tissue_mm2),
        unread_mm2=sum(entry.unread_mm2 for entry in done),
    )
