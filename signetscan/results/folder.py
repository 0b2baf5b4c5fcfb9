"""What lies in a folder of results: run records, failures, corrections and reports, in nested folders too."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.errors import ResultError
from signetscan.formats.result_files import (
    CORRECTIONS_SUFFIX,
    FAILURE_SUFFIX,
    RECORD_SUFFIX,
    REPORT_SUFFIX,
    SUFFIXES,
    add_suffix,
)
from signetscan.results.failures import read_failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

OF_A_SLIDE = (RECORD_SUFFIX, REPORT_SUFFIX, CORRECTIONS_SUFFIX, *SUFFIXES.values())
"""Suffixes of all files that belong to the results of a slide."""
MAC_FILE = "._"
"""How names of files begin that a Mac keeps beside others."""
MOST_NAMED = 5
"""Failed slides that a message names."""


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
    """The record of its failure. Results beside it are of an earlier run, with other options or another model."""
    corrections: Path | None
    """The corrections made in the viewer."""

    @property
    def why_failed(self) -> str:
        """Why it failed; empty if it did not."""
        if self.failure is None:
            return ""
        try:
            return read_failure(self.failure).short_reason(self.name)
        except ResultError:
            return "the record of its failure cannot be read"


def list_slides(folder: Path) -> list[SlideFiles]:
    """The slides of which a folder, or a folder below it, holds a run record or a failure, in the order of their names.

    Args:
        folder: the folder of the results.
    """
    targets = {
        path.with_name(path.name.removesuffix(suffix))
        for suffix in (RECORD_SUFFIX, FAILURE_SUFFIX)
        for path in folder.rglob(f"*{suffix}")
        if path.name != suffix and not path.name.startswith(MAC_FILE)
    }
    return sorted((_slide_files(target, folder) for target in targets), key=lambda slide: slide.name)


def _slide_files(target: Path, folder: Path) -> SlideFiles:
    record, failure, corrections = (
        path if path.is_file() else None
        for path in (add_suffix(target, suffix) for suffix in (RECORD_SUFFIX, FAILURE_SUFFIX, CORRECTIONS_SUFFIX))
    )
    return SlideFiles(
        name=target.relative_to(folder).as_posix(),
        target=target,
        record=record,
        failure=failure,
        corrections=corrections,
    )


def failed_slides(paths: Iterable[Path]) -> dict[str, str]:
    """Why slides failed, by name, of those whose failures lie in some folders of results."""
    slides = [slide for path in paths if path.is_dir() for slide in list_slides(path)]
    return {slide.name: slide.why_failed for slide in slides if slide.failure is not None}


def failures_in_words(failed: Mapping[str, str]) -> str:
    """Failed slides in a message: `1 failed slide: a (not a slide)`. `failed` gives the reasons by name."""
    named = [f"{name} ({reason})" for name, reason in failed.items()]
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return f"{len(named)} failed slide{'' if len(named) == 1 else 's'}: {', '.join(named[:MOST_NAMED])}{more}"


def target_of(path: Path) -> Path | None:
    """The slide whose results a file belongs to: their path without suffix; None where no run record lies beside it."""
    # The longest suffix first: NAME.corrected.geojson belongs to NAME.
    for suffix in sorted(OF_A_SLIDE, key=len, reverse=True):
        if path.name.endswith(suffix) and path.name != suffix:
            target = path.with_name(path.name.removesuffix(suffix))
            if add_suffix(target, RECORD_SUFFIX).is_file():
                return target
    return None


def find_results(path: Path) -> list[Path]:
    """The run records that a path means: all in a folder and below it, or that of any file of one slide.

    Raises:
        ResultError: there is none.
    """
    if path.is_dir():
        records = [slide.record for slide in list_slides(path) if slide.record is not None]
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
    what = "no run record lies beside this file" if path.exists() else "no such file"
    message = f"{path}: {what}; name a folder of results, or a file that signetscan detect wrote (*{RECORD_SUFFIX})"
    raise ResultError(message)


def pair_names(first: Iterable[str], second: Iterable[str]) -> dict[str, str]:
    """Which names of slides in two folders mean the same slide, by those of the first.

    Those that are alike are a pair. Of the others, so are those that are alike but for their folders, where the last
    part is that of one name only on either side.

    Args:
        first: names with "/" between folders.
        second: the same of another folder.
    """
    others = set(second)
    pairs = {name: name for name in first if name in others}
    left = [name for name in first if name not in pairs]
    rest = [name for name in others if name not in pairs]
    counts = [Counter(map(_last, names)) for names in (left, rest)]
    by_last = {_last(name): name for name in rest}
    for name in left:
        last = _last(name)
        if counts[0][last] == counts[1][last] == 1:
            pairs[name] = by_last[last]
    return pairs


def _last(name: str) -> str:
    return name.rpartition("/")[2]
