"""Finding the slides that a user names by files, folders, patterns and lists."""

from __future__ import annotations

import csv
import glob
import hashlib
import hmac
import itertools
import os
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from signetscan.batch.left_out import LeftOut
from signetscan.batch.options import BatchOptions, list_columns
from signetscan.errors import OptionError
from signetscan.extras import require
from signetscan.formats.result_files import RECORD_SUFFIX, add_suffix
from signetscan.options import per_slide, with_texts
from signetscan.scan.options import ScanOptions, SegmentOptions
from signetscan.slides.addresses import SeriesAddress, StudyAddress, is_address, parse_address
from signetscan.slides.archives import series_of
from signetscan.suffixes import BESIDE_SLIDES, SLIDE_SUFFIXES, TIFF_SUFFIXES, may_be_slide, name_of, slide_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from signetscan.slides.addresses import AnyPlace, SlidePlace

PATTERN_MARKS = frozenset("*?[")
MAX_LISTED = 1_000_000
"""Most slides in a list."""

PSEUDONYM_DIGITS = 20
"""Hexadecimal digits of a pseudonym: enough to tell millions of slides apart."""

MAX_NAME_BYTES = 180
"""Longest name of a slide's results: file systems allow 255 bytes, of which suffixes and claims need some 60."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideTask:
    """One slide to scan."""

    place: SlidePlace
    """Where it is."""
    name: str
    """Name of its results below the output folder, with "/" between folders."""
    root: Path | None
    """The folder that the user named, or that holds the file: if it is gone, the whole batch stops. None of a slide in
    an archive."""
    options: ScanOptions | SegmentOptions = field(default_factory=ScanOptions)
    """How it is scanned."""
    mpp: float | None = None
    """Size of its pixels, µm, instead of what the file says."""
    plain_name: str | None = None
    """The name of its results where no other slide shares it; None if none does."""
    true_name: str | None = None
    """The slide's own name, where that of its results is a pseudonym or has something after it; else None."""

    def place_unless(self, *, private: bool) -> SlidePlace | None:
        """Where it is, for messages; None if nothing may name the slide."""
        return None if private else self.place


def find_slides(
    paths: Sequence[AnyPlace],
    listed: Sequence[SlideTask] = (),
    *,
    options: ScanOptions | SegmentOptions | None = None,
    mpp: float | None = None,
    private: bool = False,
    left_out: LeftOut | None = None,
) -> list[SlideTask]:
    """Find all slides of files, folders, patterns, archives and a list; each once, in the order of their places.

    The results of slides in subfolders get the same subfolders. Files whose results would have the same name, such as
    a.svs and a.ndpi, keep their suffix in it.

    Args:
        paths: files, folders and patterns, and addresses of studies and series in archives, which are asked for the
            series of a study.
        listed: the slides of a list.
        options: how the slides of `paths` are scanned.
        mpp: size of their pixels, µm, instead of what the files say.
        private: whether messages must not name slides.
        left_out: counts what is left out.

    Raises:
        OptionError: a path does not exist or holds no slide, two slides would have the same results, or a slide stands
            twice in the list, with different options.
        SlideError: an archive gives no answer, or the study has no slide.
        MissingExtraError: there is an address, and wsidicom is not installed.
    """
    left_out = left_out or LeftOut()
    named = [
        replace(task, options=options or ScanOptions(), mpp=mpp) for path in paths for task in _expand(path, left_out)
    ]
    tasks = _each_once(named, listed, left_out, private=private)
    return _with_distinct_names(sorted(tasks, key=_order), private=private)


def _each_once(
    named: Sequence[SlideTask], listed: Sequence[SlideTask], left_out: LeftOut, *, private: bool
) -> list[SlideTask]:
    """Each slide once, whatever its names; one that is in the list has the options of its row.

    Raises:
        OptionError: a slide stands twice in the list, with different options.
    """
    tasks: dict[object, SlideTask] = {}
    rows: dict[object, SlideTask] = {}
    for task in [*named, *listed]:
        file = _file_of(task.place)
        first = tasks.setdefault(file, task)
        if first is not task:
            left_out.add_again(task.place, first.place)
    for row in listed:
        file = _file_of(row.place)
        other = rows.setdefault(file, row)
        if (other.options, other.mpp) != (row.options, row.mpp):
            which = "a slide" if private else f"{row.place}, which is {other.place},"
            message = f"{which} stands twice in the list, with different options; keep one of the rows"
            raise OptionError(message, options=("slide_list",))
        tasks[file] = replace(tasks[file], options=row.options, mpp=row.mpp)
    return list(tasks.values())


def _order(task: SlideTask) -> tuple[bool, list[str]]:
    """By what slides are put in order: files before slides in archives."""
    if isinstance(task.place, SeriesAddress):
        return True, [str(task.place)]
    return False, [os.path.normcase(part) for part in task.place.parts]


def _file_of(place: SlidePlace) -> object:
    """What is equal for all names of a file, links among them."""
    if isinstance(place, SeriesAddress):
        return place
    try:
        stat = place.stat()
    except OSError:
        return os.path.realpath(place)
    # Not all file systems number their files.
    return (stat.st_dev, stat.st_ino, stat.st_size) if stat.st_ino else os.path.realpath(place)


def read_list(
    file: IO[str], source: str, folder: Path, request: BatchOptions, options: ScanOptions | SegmentOptions
) -> list[SlideTask]:
    """Read the slides of a CSV list with a column `path` and any of `list_columns`.

    Columns are separated by commas, or by semicolons with decimal commas, as spreadsheets of many countries write them.

    Args:
        file: the open list.
        source: its name, for messages.
        folder: relative paths in the list start here.
        request: options of the batch; a row may override some for its slide.
        options: how slides are scanned; a row may override some for its slide.

    Raises:
        OptionError: a column or value is wrong; the message names the line.
    """
    try:
        header = file.readline()
        # Where the comma is the decimal mark, spreadsheets separate the columns of their CSV by semicolons.
        separator, decimal = (";", ",") if ";" in header and "," not in header else (",", ".")
        rows = csv.DictReader(itertools.chain([header], file), delimiter=separator)
        columns = [column.strip() for column in rows.fieldnames or []]
        rows.fieldnames = columns
        known = list_columns(type(options))
        if "path" not in columns or not {*columns} <= {"path", *known}:
            allowed = ", ".join(known)
            message = f"{source}: the first line must name the columns path, and any of {allowed}, not {columns}"
            raise OptionError(message)
        tasks: list[SlideTask] = []
        for row in rows:
            line = f"{source}, line {rows.line_num}"
            if len(tasks) == MAX_LISTED:
                message = f"{line}: more than {MAX_LISTED:,} slides; split the list"
                raise OptionError(message)
            if None in row or None in row.values():  # how DictReader marks surplus and missing fields
                message = f"{line}: the number of fields differs from that of the first line, {len(columns)}"
                raise OptionError(message)
            path = row.pop("path")
            numbers = {column: value.replace(decimal, ".") for column, value in row.items()}
            tasks.append(_listed(path, numbers, line, folder, request, options))
        return tasks
    except UnicodeDecodeError as error:
        message = f"{source}: not a text in UTF-8; if it comes from a spreadsheet, save it as CSV UTF-8"
        raise OptionError(message) from error
    except csv.Error as error:
        message = f"{source}: not a CSV table: {error}"
        raise OptionError(message) from error


def shard_of(tasks: Sequence[SlideTask], shard: str) -> list[SlideTask]:
    """Part I of N of the slides, for a shard such as "3/10": every Nth slide, so that a job array can share a batch.

    Raises:
        OptionError: the shard is not of that form, or out of range.
    """
    index, slash, count = shard.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        message = f"shard must be I/N with I from 1 to N, such as 3/10, not {shard}"
        raise OptionError(message, options=("shard",))
    return list(tasks[int(index) - 1 :: int(count)])


def with_suffix(tasks: Sequence[SlideTask], suffix: str) -> list[SlideTask]:
    """The same slides, with something after the names of their results."""
    return [
        replace(
            task,
            name=f"{task.name}{suffix}",
            plain_name=None if task.plain_name is None else f"{task.plain_name}{suffix}",
            true_name=task.true_name or task.name,
        )
        for task in tasks
    ]


def with_pseudonyms(tasks: Sequence[SlideTask], key: bytes) -> list[SlideTask]:
    """The same slides, each named by a keyed hash of its name: the same in every run with the same key."""

    def pseudonym(name: str) -> str:
        # Systems spell accents otherwise when they copy a file, and the name is the same all the same.
        composed = unicodedata.normalize("NFC", name)
        return hmac.new(key, os.fsencode(composed), hashlib.sha256).hexdigest()[:PSEUDONYM_DIGITS]

    return [
        replace(
            task,
            name=pseudonym(task.name),
            plain_name=None if task.plain_name is None else pseudonym(task.plain_name),
            true_name=task.name,
        )
        for task in tasks
    ]


def spelt_as_there(tasks: Sequence[SlideTask], out: Path) -> list[SlideTask]:
    """The same slides, each named as its results are if there are some under its name with accents spelt otherwise.

    Systems differ in how they spell an accent, as one letter or as two, and change it when they copy a file.

    Args:
        tasks: the slides.
        out: folder of the results.
    """
    there: dict[Path, dict[str, str]] = {}
    named = []
    for task in tasks:
        path = out / task.name
        if task.name.isascii() or add_suffix(path, RECORD_SUFFIX).exists():
            named.append(task)
            continue
        if path.parent not in there:
            records = path.parent.glob(f"*{RECORD_SUFFIX}")
            names = (record.name.removesuffix(RECORD_SUFFIX) for record in records)
            there[path.parent] = {unicodedata.normalize("NFC", name): name for name in names}
        name = there[path.parent].get(unicodedata.normalize("NFC", path.name), path.name)
        folder, slash, _ = task.name.rpartition("/")
        named.append(replace(task, name=f"{folder}{slash}{name}"))
    return named


def _listed(
    text: str,
    row: dict[str, str],
    line: str,
    folder: Path,
    request: BatchOptions,
    options: ScanOptions | SegmentOptions,
) -> SlideTask:
    place = _listed_place(text.strip(), line, folder, request)
    texts = {column: value.strip() for column, value in row.items() if value.strip()}
    try:
        scan_texts = {name: text for name, text in texts.items() if name in per_slide(type(options))}
        batch_texts = {name: text for name, text in texts.items() if name in per_slide(BatchOptions)}
        return SlideTask(
            place=place,
            name=name_of(place.name) if isinstance(place, Path) else place.name,
            root=place.parent if isinstance(place, Path) else None,
            options=with_texts(options, scan_texts),
            mpp=with_texts(request, batch_texts).mpp,
        )
    except OptionError as error:
        message = f"{line}: {error}"
        raise OptionError(message) from error


def _listed_place(text: str, line: str, folder: Path, request: BatchOptions) -> SlidePlace:
    if is_address(text):
        address = parse_address(text)
        if isinstance(address, StudyAddress):
            message = f"{line}: the address of a study, which may hold many slides; name one of its series"
            raise OptionError(message)
        require("wsidicom")
        return address
    path = folder / text
    if not text or not path.is_file():
        named = "its path" if request.private else text
        message = f"{line}: {named if text else 'no path'}: no such file"
        raise OptionError(message)
    return path


def _expand(place: AnyPlace, left_out: LeftOut) -> Iterator[SlideTask]:
    match place:
        case StudyAddress():
            for address in series_of(place):
                yield _archived(address)
        case SeriesAddress():
            yield _archived(place)
        case _:
            yield from _expand_path(place, left_out)


def _archived(address: SeriesAddress) -> SlideTask:
    require("wsidicom")
    return SlideTask(place=address, name=address.name, root=None)


def _expand_path(path: Path, left_out: LeftOut) -> Iterator[SlideTask]:
    if path.is_dir():
        here = LeftOut()
        tasks = list(slides_below(path, here.add_file))
        if not tasks:
            others = f"; it has {here.kinds}" if here.suffixes else ""
            suffixes = ", ".join((*SLIDE_SUFFIXES, *TIFF_SUFFIXES))
            message = f"{path}: no slide in this folder (looked for {suffixes}, and DICOM without a suffix){others}"
            raise OptionError(message)
        left_out.suffixes += here.suffixes
        yield from tasks
    elif path.exists():
        yield SlideTask(place=path, name=name_of(path.name), root=path.parent)
    elif not PATTERN_MARKS.intersection(str(path)):
        message = f"{path}: no such file"
        raise OptionError(message)
    else:  # a pattern that the shell did not expand
        yield from _matching(path, left_out)


def _matching(pattern: Path, left_out: LeftOut) -> Iterator[SlideTask]:
    """The slides that match a pattern, and those in folders that match it."""
    matches = sorted(glob.glob(str(pattern), recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
    slides = {match for match in matches if Path(match).is_dir() or may_be_slide(match)}
    if not slides:
        which = "no slide" if matches else "no file"
        message = f"{pattern}: {which} matches this pattern"
        raise OptionError(message)
    for match in matches:
        if match in slides:
            yield from _expand_path(Path(match), left_out)
        elif not match.lower().endswith(BESIDE_SLIDES):
            left_out.add_file(Path(match))


def slides_below(root: Path, left_out: Callable[[Path], None] = lambda _: None) -> Iterator[SlideTask]:
    """All slides in a folder and its subfolders, except hidden ones; `left_out` is told of other files."""
    for path in slide_files(root, left_out):
        subfolder = path.relative_to(root).parent
        yield SlideTask(place=path, name=(subfolder / name_of(path.name)).as_posix(), root=root)


def _short(name: str) -> str:
    """A name that leaves room for the suffixes of results: a long one is cut, and a hash keeps it distinct."""
    folders, slash, last = name.rpartition("/")
    if len(os.fsencode(last)) <= MAX_NAME_BYTES:
        return name
    digest = hashlib.sha256(os.fsencode(last)).hexdigest()[:16]
    return f"{folders}{slash}{os.fsencode(last)[: MAX_NAME_BYTES - 17].decode(errors='ignore')}~{digest}"


def _with_distinct_names(tasks: list[SlideTask], *, private: bool) -> list[SlideTask]:
    """The tasks, named so that no results overwrite others, wherever the folder of results is copied to."""
    by_name: dict[str, list[SlideTask]] = defaultdict(list)
    for task in tasks:
        by_name[_one_file(task.name)].append(task)
    renamed = []
    for task in tasks:
        is_shared = len(by_name[_one_file(task.name)]) > 1
        suffix = task.place.suffix if isinstance(task.place, Path) else ""
        name, plain = _short(task.name + suffix if is_shared else task.name), _short(task.name)
        renamed.append(replace(task, name=name, plain_name=plain if is_shared else None))
    seen: dict[str, SlideTask] = {}
    for task in renamed:
        other = seen.setdefault(_one_file(task.name), task)
        if other is not task:
            raise _same_results(other, task, private=private)
    return renamed


def _one_file(name: str) -> str:
    """What is equal for names that some systems take for one: they differ in case, or in how accents are spelt."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def _same_results(first: SlideTask, second: SlideTask, *, private: bool) -> OptionError:
    which = "two slides" if private else f"{first.place} and {second.place}"
    what = "the same results" if private else f"the same results, {second.name}"
    remedy = "name the folder above both"
    if isinstance(first.place, Path) and isinstance(second.place, Path) and first.place.parent == second.place.parent:
        remedy = "their names differ in case or accents alone, which not all systems tell apart: rename one"
    return OptionError(f"{which} would have {what}; {remedy}, or scan them into different folders")
