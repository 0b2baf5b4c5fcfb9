"""From what a user names to the slides that are meant: files, folders, patterns and lists."""

from __future__ import annotations

import csv
import glob
import hashlib
import hmac
import os
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from signetscan.batch.options import LIST_COLUMNS, BatchOptions
from signetscan.errors import OptionError
from signetscan.options import per_slide, with_texts
from signetscan.scan.options import ScanOptions
from signetscan.suffixes import SLIDE_SUFFIXES, TIFF_SUFFIXES, may_be_slide, name_of, slide_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PATTERN_MARKS = frozenset("*?[")
MAX_LISTED = 1_000_000
"""Most slides of a list."""

PSEUDONYM_DIGITS = 20
"""Hexadecimal digits of a slide's other name: enough that millions have no two alike."""

MAX_NAME_BYTES = 180
"""Longest name of results: file systems take 255 bytes, and claims add some 60."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideTask:
    """One slide to scan."""

    path: Path
    """The file to open."""
    name: str
    """Name of its results below the output folder, with "/" between folders."""
    root: Path
    """The folder that was named, or that the file is in: if it is gone, so are all its slides."""
    options: ScanOptions = field(default_factory=ScanOptions)
    """How it is scanned."""
    mpp: float | None = None
    """Size of its pixels, µm, in place of what the file says."""


def find_slides(
    paths: Sequence[Path],
    listed: Sequence[SlideTask] = (),
    *,
    options: ScanOptions | None = None,
    mpp: float | None = None,
) -> list[SlideTask]:
    """All slides of files, folders and patterns, and those of a list, each once, in the order of their paths.

    Slides of a folder keep their folders below it in the names of their results. Of files that would have the same
    name, as a.svs and a.ndpi, each keeps its suffix.

    Args:
        paths: files, folders and patterns.
        listed: the slides of a list.
        options: how the slides of `paths` are scanned.
        mpp: size of their pixels, µm, in place of what the files say.

    Raises:
        OptionError: a path is not there or holds no slide, or two slides would have the same results.
    """
    tasks: dict[str, SlideTask] = {}
    named = [replace(task, options=options or ScanOptions(), mpp=mpp) for path in paths for task in _expand(path)]
    for task in [*named, *listed]:
        tasks.setdefault(os.path.realpath(task.path), task)
    return _with_own_names(sorted(tasks.values(), key=lambda task: task.path))


def read_list(file: IO[str], source: str, folder: Path, request: BatchOptions, options: ScanOptions) -> list[SlideTask]:
    """The slides of a CSV list with a column `path` and any of `LIST_COLUMNS`.

    Args:
        file: the open list.
        source: what it is, for messages.
        folder: what paths in it that are not absolute are meant from.
        request: what is wanted of the batch; a row may have other values for its slide.
        options: how slides are scanned; a row may have other values for its slide.

    Raises:
        OptionError: a column or value is wrong; the message says in which line.
    """
    try:
        rows = csv.DictReader(file)
        columns = [column.strip() for column in rows.fieldnames or []]
        rows.fieldnames = columns
        if "path" not in columns or not {*columns} <= {"path", *LIST_COLUMNS}:
            wanted = ", ".join(LIST_COLUMNS)
            message = f"{source}: the first line must name the columns: path, and any of {wanted}; it is {columns}"
            raise OptionError(message)
        tasks: list[SlideTask] = []
        for row in rows:
            place = f"{source}, line {rows.line_num}"
            if len(tasks) == MAX_LISTED:
                message = f"{place}: more than {MAX_LISTED:,} slides; share them out over several lists"
                raise OptionError(message)
            if None in row or None in row.values():  # what DictReader makes of fields too many, and too few
                message = f"{place}: not as many fields as the first line, {len(columns)}"
                raise OptionError(message)
            tasks.append(_listed(row, place, folder, request, options))
        return tasks
    except (csv.Error, UnicodeDecodeError) as error:
        message = f"{source}: not a table in CSV: {error}"
        raise OptionError(message) from error


def shard_of(tasks: Sequence[SlideTask], shard: str) -> list[SlideTask]:
    """One of N parts of about equal length, such as "3/10": every Nth slide, so that a job array can share a batch.

    Raises:
        OptionError: it is not of that form, or out of range.
    """
    index, slash, count = shard.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        message = f"shard must be I/N with I from 1 to N, such as 3/10, not {shard}"
        raise OptionError(message, options=("shard",))
    return list(tasks[int(index) - 1 :: int(count)])


def with_pseudonyms(tasks: Sequence[SlideTask], key: bytes) -> list[SlideTask]:
    """The same slides, with a keyed hash of each name in its place: the same in every run with the same key."""
    return [
        replace(task, name=hmac.new(key, os.fsencode(task.name), hashlib.sha256).hexdigest()[:PSEUDONYM_DIGITS])
        for task in tasks
    ]


def _listed(row: dict[str, str], place: str, folder: Path, request: BatchOptions, options: ScanOptions) -> SlideTask:
    text = row.pop("path").strip()
    path = folder / text
    if not text or not path.is_file():
        message = f"{place}: {text or 'no path'}: no such file"
        raise OptionError(message)
    texts = {column: value.strip() for column, value in row.items() if value.strip()}
    try:
        of_scan = {name: text for name, text in texts.items() if name in per_slide(ScanOptions)}
        of_batch = {name: text for name, text in texts.items() if name in per_slide(BatchOptions)}
        return SlideTask(
            path=path,
            name=name_of(path.name),
            root=path.parent,
            options=with_texts(options, of_scan),
            mpp=with_texts(request, of_batch).mpp,
        )
    except OptionError as error:
        message = f"{place}: {error}"
        raise OptionError(message) from error


def _expand(path: Path) -> Iterator[SlideTask]:
    if path.is_dir():
        found = list(slides_below(path))
        if not found:
            message = f"{path}: no slide in this folder (looked for {', '.join((*SLIDE_SUFFIXES, *TIFF_SUFFIXES))})"
            raise OptionError(message)
        yield from found
    elif path.exists():
        yield SlideTask(path=path, name=name_of(path.name), root=path.parent)
    elif not PATTERN_MARKS.intersection(str(path)):
        message = f"{path}: no such file"
        raise OptionError(message)
    else:  # a pattern that no shell has expanded
        matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - a pattern may begin at any folder
        if not matches:
            message = f"{path}: no file matches this pattern"
            raise OptionError(message)
        for match in matches:
            if Path(match).is_dir() or may_be_slide(match):
                yield from _expand(Path(match))


def slides_below(root: Path) -> Iterator[SlideTask]:
    """All slides of a folder and of those below it, hidden ones aside."""
    for path in slide_files(root):
        inner = path.relative_to(root).parent
        yield SlideTask(path=path, name=(inner / name_of(path.name)).as_posix(), root=root)


def _short(name: str) -> str:
    """A name that leaves room for the endings of results; what is cut off a long one is hashed."""
    folders, slash, last = name.rpartition("/")
    if len(os.fsencode(last)) <= MAX_NAME_BYTES:
        return name
    digest = hashlib.sha256(os.fsencode(last)).hexdigest()[:16]
    return f"{folders}{slash}{os.fsencode(last)[: MAX_NAME_BYTES - 17].decode(errors='ignore')}~{digest}"


def _with_own_names(tasks: list[SlideTask]) -> list[SlideTask]:
    """Tasks whose results cannot write over each other, on file systems that ignore case too."""
    named: dict[str, list[SlideTask]] = defaultdict(list)
    for task in tasks:
        named[task.name.casefold()].append(task)
    apart = []
    for task in tasks:
        alike = len(named[task.name.casefold()]) > 1
        apart.append(replace(task, name=_short(task.name + task.path.suffix if alike else task.name)))
    seen: dict[str, SlideTask] = {}
    for task in apart:
        other = seen.setdefault(task.name.casefold(), task)
        if other is not task:
            message = (
                f"{other.path} and {task.path} would have the same results, {task.name}; name the folder above both, "
                "or scan them into different folders"
            )
            raise OptionError(message)
    return apart
