"""The index of a batch: one page with a row for each slide, made from what lies in the folder of the results."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from signetscan.formats.result_files import FAILURE_ENDING, RECORD_ENDING, REPORT_ENDING, with_ending
from signetscan.reports.page import write_page
from signetscan.reports.run_facts import amount
from signetscan.reports.scores import density_text
from signetscan.results.run_record import read_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

INDEX_NAME = "index.html"
"""Name of the index in the folder of the results."""
MOST_CLASSES = 6
"""Most classes with a column of their own; of more there is the sum alone."""
MAX_REASON = 500
"""Longest reason shown, characters."""
DAMAGED = "its run record cannot be read; scan it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexEntry:
    """One slide of a batch."""

    name: str
    """Name of its results below the folder."""
    detections: Mapping[str, int] = field(default_factory=dict)
    """Number of each class."""
    tissue_mm2: float | None = None
    """Area of its tissue, mm2; None where all was scanned, or nothing."""
    unread_mm2: float = 0.0
    """Area that could not be read, mm2."""
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
        """Detections per mm2 of tissue; -1 where that is not known."""
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
    entries = {entry.name: entry for entry in _done(folder, reports or folder)}
    entries |= {entry.name: entry for entry in _failed(folder)}
    return [entries[name] for name in sorted(entries)]


def _done(folder: Path, reports: Path) -> Iterator[IndexEntry]:
    for path, name in _files(folder, RECORD_ENDING):
        record = read_record(path) or {}
        report = with_ending(reports / name, REPORT_ENDING)
        try:
            tissue = record["tissue_mm2"]
            yield IndexEntry(
                name=name,
                detections={str(label): int(amount(count)) for label, count in record["detections"].items()},
                tissue_mm2=None if tissue is None else amount(tissue),
                unread_mm2=amount(record["unread_mm2"]),
                report=report.relative_to(reports).as_posix() if report.is_file() else "",
            )
        except (LookupError, TypeError, ValueError, AttributeError):
            yield IndexEntry(name=name, failure=DAMAGED)


def _failed(folder: Path) -> Iterator[IndexEntry]:
    for path, name in _files(folder, FAILURE_ENDING):
        reason = str((read_record(path) or {}).get("reason", "its record cannot be read"))
        yield IndexEntry(name=name, failure=without_folders(reason, name)[:MAX_REASON])


def _files(folder: Path, ending: str) -> Iterator[tuple[Path, str]]:
    """All files of an ending, and what they are called below the folder without it."""
    for path in folder.rglob(f"*.{ending}"):
        yield path, path.relative_to(folder).as_posix().removesuffix(f".{ending}")


def without_folders(reason: str, name: str) -> str:
    """A reason without the folders of the slide's path at its start, which are nobody else's business."""
    last = re.escape(name.rpartition("/")[2])
    return re.sub(rf"^[^\n]*?[/\\](?={last}[^/\\]*: )", "", reason, count=1)


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
