"""What a folder of results and the folders below it hold: run records, failures, corrections and reports."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from signetscan.annotations.packed import check_is_no_project
from signetscan.errors import ResultError
from signetscan.formats.parts import whole_target
from signetscan.formats.result_files import (
    ALL_SUFFIXES,
    CORRECTIONS,
    CORRECTIONS_SUFFIX,
    FAILURE_SUFFIX,
    RECORD_SUFFIX,
    REGIONS,
    REPORT_SUFFIX,
    add_suffix,
)
from signetscan.models.spec import Task
from signetscan.plurals import counted
from signetscan.results.failures import read_failure
from signetscan.results.run_record import read_run_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

OF_A_SLIDE = (RECORD_SUFFIX, REPORT_SUFFIX, CORRECTIONS_SUFFIX, *ALL_SUFFIXES)
"""Suffixes of all files that belong to the results of a slide."""
MAC_FILE = "._"
"""Prefix of the hidden files that macOS writes beside others on network shares."""
MOST_NAMED = 5
"""Most failed slides that a message names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideFiles:
    """The files of one slide in a folder of results; None where there is no such file."""

    name: str
    """The slide's name below the folder, with "/" between folders."""
    target: Path
    """Path of its files, without suffix."""
    record: Path | None
    """The run record."""
    failure: Path | None
    """The record of its failure. Results beside it come from an earlier run with other options or another model."""
    marks: Mapping[str, Path] = field(default_factory=dict)
    """The corrections made in the viewer, by the reviewer's name; empty for those made without a name."""

    @property
    def corrections(self) -> Path | None:
        """The corrections made in the viewer without a name."""
        return self.marks.get("")

    @property
    def why_failed(self) -> str:
        """Why it failed; empty if it did not."""
        if self.failure is None:
            return ""
        try:
            return read_failure(self.failure).short_reason(self.name)
        except ResultError:
            return "the record of its failure cannot be read"


def list_slides(folder: Path, task: Task = Task.DETECTION) -> list[SlideFiles]:
    """The slides with results of a task, or a failure of it, in a folder or below it, sorted by name.

    Args:
        folder: the folder of the results.
        task: what was done to the slides. Names of segmentations end with `REGIONS`.
    """
    cells, regions = list_results(folder)
    return regions if task is Task.SEGMENTATION else cells


def list_results(folder: Path) -> tuple[list[SlideFiles], list[SlideFiles]]:
    """The slides with results of detection, and those of segmentation, in a folder or below it, sorted by name.

    Args:
        folder: the folder of the results.
    """
    targets = {
        path.with_name(path.name.removesuffix(suffix))
        for suffix in (RECORD_SUFFIX, FAILURE_SUFFIX)
        for path in folder.rglob(f"*{suffix}")
        if path.name != suffix and not path.name.startswith(MAC_FILE)
    }
    marks = _marks_in(folder)
    cells: list[SlideFiles] = []
    regions: list[SlideFiles] = []
    for target in targets:
        slides = regions if is_segmentation(target) else cells
        slides.append(_slide_files(target, folder, marks))
    return sorted(cells, key=lambda slide: slide.name), sorted(regions, key=lambda slide: slide.name)


def _marks_in(folder: Path) -> Mapping[Path, Mapping[str, Path]]:
    """The files of corrections in a folder or below it, by path of the results without suffix and by reviewer."""
    marks: dict[Path, dict[str, Path]] = defaultdict(dict)
    for path in sorted(folder.rglob("*.corrected*.geojson")):
        parts = CORRECTIONS.fullmatch(path.name)
        if parts is not None and not path.name.startswith(MAC_FILE) and path.is_file():
            marks[path.with_name(parts[1])][parts[2] or ""] = path
    return marks


def is_segmentation(target: Path) -> bool:
    """Whether results, by their path without suffix, are those of a segmentation, which hold no cells."""
    if not target.name.endswith(REGIONS):
        return False
    record = add_suffix(target, RECORD_SUFFIX)
    try:
        return not record.exists() or read_run_record(record).regions is not None
    except ResultError:
        return False  # a damaged record, of which the caller is to say so


def _slide_files(target: Path, folder: Path, marks: Mapping[Path, Mapping[str, Path]]) -> SlideFiles:
    record, failure = (
        path if path.is_file() else None
        for path in (add_suffix(target, suffix) for suffix in (RECORD_SUFFIX, FAILURE_SUFFIX))
    )
    return SlideFiles(
        name=target.relative_to(folder).as_posix(),
        target=target,
        record=record,
        failure=failure,
        marks=marks.get(target, {}),
    )


def failed_slides(paths: Iterable[Path]) -> dict[str, str]:
    """Why slides failed, by name, for all failures in some folders of results."""
    slides = [slide for path in paths if path.is_dir() for slide in list_slides(path)]
    return {slide.name: slide.why_failed for slide in slides if slide.failure is not None}


def failures_in_words(failed: Mapping[str, str]) -> str:
    """Failed slides for a message: `1 failed slide: a (not a slide)`. `failed` maps names to reasons."""
    named = [f"{name} ({reason})" for name, reason in failed.items()]
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return f"{counted(len(named), 'failed slide')}: {', '.join(named[:MOST_NAMED])}{more}"


def target_of(path: Path) -> Path | None:
    """The slide to whose results a file belongs, as their path without suffix; None where there is no run record."""
    # Longest suffix first: NAME.corrected.geojson belongs to NAME, not to NAME.corrected.
    for suffix in sorted(OF_A_SLIDE, key=len, reverse=True):
        if path.name.endswith(suffix) and path.name != suffix:
            target = path.with_name(path.name.removesuffix(suffix))
            if add_suffix(target, RECORD_SUFFIX).is_file():
                return target
    of_reviewer = CORRECTIONS.fullmatch(path.name)
    if of_reviewer is not None and add_suffix(path.with_name(of_reviewer[1]), RECORD_SUFFIX).is_file():
        return path.with_name(of_reviewer[1])
    return whole_target(path)


def find_results(path: Path, tasks: Sequence[Task] = (Task.DETECTION,)) -> list[Path]:
    """The run records that a path stands for: all of a folder and below, or the one that a file belongs to.

    Args:
        path: a folder of results, or a file that belongs to those of one slide.
        tasks: of which tasks the results of a folder count.

    Raises:
        ResultError: there is no run record.
        AnnotationError: the path is of a QuPath project.
    """
    check_is_no_project(path)
    if path.is_dir():
        slides = [slide for task in tasks for slide in list_slides(path, task)]
        records = [slide.record for slide in slides if slide.record is not None]
        if not records:
            failed = failed_slides([path])
            but = f", but {failures_in_words(failed)}" if failed else ""
            message = f"{path}: no results of signetscan detect in this folder (looked for *{RECORD_SUFFIX}){but}"
            raise ResultError(message)
        return records
    if path.name.endswith(FAILURE_SUFFIX) and path.is_file():
        name = path.name.removesuffix(FAILURE_SUFFIX)
        message = f"{path}: there are no results of this slide: {read_failure(path).short_reason(name)}"
        raise ResultError(message)
    target = target_of(path)
    if target is not None:
        return [add_suffix(target, RECORD_SUFFIX)]
    what = "no run record beside this file" if path.exists() else "no such file"
    message = f"{path}: {what}; name a folder of results, or a file that signetscan detect wrote (*{RECORD_SUFFIX})"
    raise ResultError(message)


def pair_names(first: Iterable[str], second: Iterable[str]) -> dict[str, str]:
    """Pair the names of slides in two folders that mean the same slide.

    Equal names are a pair. The remaining names are paired without their folders, where that leaves one candidate on
    either side: results may have been moved into other folders.

    Args:
        first: names with "/" between folders.
        second: the same of another folder.

    Returns:
        The second name of each pair by the first.
    """
    second_names = set(second)
    pairs = {name: name for name in first if name in second_names}
    first_rest = [name for name in first if name not in pairs]
    second_rest = [name for name in second_names if name not in pairs]
    first_counts = Counter(map(_without_folders, first_rest))
    second_counts = Counter(map(_without_folders, second_rest))
    by_short_name = {_without_folders(name): name for name in second_rest}
    for name in first_rest:
        short = _without_folders(name)
        if first_counts[short] == second_counts[short] == 1:
            pairs[name] = by_short_name[short]
    return pairs


def _without_folders(name: str) -> str:
    return name.rpartition("/")[2]
