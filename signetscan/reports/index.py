"""The index of a batch: one page with a row for each slide, made from what lies in the folder of the results."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from signetscan.errors import ResultError
from signetscan.formats.result_files import REPORT_SUFFIX, add_suffix
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
"""Most classes with a column of their own; of more there is the sum alone."""
DAMAGED = "its run record cannot be read; scan it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexEntry:
    """One slide of a batch."""

    name: str
    """Name of its results below the folder."""
    detections: Mapping[str, int] = field(default_factory=dict)
    """Number of each class."""
    tissue_mm2: float | None = None
    """Area of its tissue, mm²; None where all was scanned, or nothing."""
    unread_mm2: float = 0.0
    """Area that could not be read, mm²."""
    report: str = ""
    """Path of its report below the folder of the index, with "/" between folders; empty where there is none."""
    failure: str = ""
    """Why it was not scanned; empty where it was."""

    @property
    def total(self) -> int:
        """Detections of all classes."""
        return sum(self.detections.values())

    @property
    def density(self) -> float:
        """Detections per mm² of tissue; -1 where that is not known."""
        return self.total / self.tissue_mm2 if self.tissue_mm2 else -1.0

    @property
    def density_text(self) -> str:
        """The same to three digits."""
        return density_text(self.total, self.tissue_mm2)

    @property
    def address(self) -> str:
        """The report's address, from the index: always a path, whatever its name looks like."""
        return f"./{quote(self.report)}" if self.report else ""


def find_entries(folder: Path, reports: Path | None = None) -> list[IndexEntry]:
    """The slides whose results, or failures, lie in a folder or below, in the order of their names.

    Args:
        folder: the folder of the results.
        reports: the folder of the reports, which have the same names there; the same by default.
    """
    return [_entry(slide, reports or folder) for slide in list_slides(folder)]


def _entry(slide: SlideFiles, reports: Path) -> IndexEntry:
    """A slide; one that failed is shown as such even where results of an earlier run are there."""
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
    known = [entry for entry in done if entry.tissue_mm2 is not None]
    tissue = sum(entry.tissue_mm2 or 0.0 for entry in known)
    write_page(
        path,
        "index.html",
        entries=entries,
        failed=len(entries) - len(done),
        done=len(done),
        classes=list(sums) if 1 < len(sums) <= MOST_CLASSES else [],
        sums=sums,
        total=sums.total(),
        tissue_mm2=tissue,
        density=density_text(sum(entry.total for entry in known), tissue),
        unread_mm2=sum(entry.unread_mm2 for entry in done),
    )
