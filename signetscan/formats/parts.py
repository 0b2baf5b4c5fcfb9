"""Results in parts: GeoJSON files of so many objects at most, because QuPath reads each file whole.

NAME.part1.geojson, NAME.part2.geojson and so on hold the detections in their order, each object with the id that it has
in one file. They belong together: the run record lists them all, and whatever reads one reads the others too.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from signetscan.errors import OutputError, UnfitError
from signetscan.formats.result_files import RECORD_SUFFIX, SUFFIXES, add_suffix
from signetscan.formats.writers import write_formats

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from signetscan.formats.scanned_slide import ScannedSlide

PARTED = ("geojson", "geojson.gz")
"""Formats that may be in parts."""
PART = re.compile(r"(.+)\.part([1-9][0-9]*)")
"""The name of a part without its suffix: that of the results, and the number of the part."""


def part_path(target: Path, number: int, name: str) -> Path:
    """Path of a part, counted from 1, in a format; `target` is the path of the results without suffix."""
    return add_suffix(target, f".part{number}{SUFFIXES[name]}")


def count_parts(total: int, name: str, most: int | None) -> int:
    """In how many files a format holds so many detections, with at most so many in each."""
    return 1 if name not in PARTED or most is None else max(1, -(-total // most))


def paths_of(target: Path, name: str, count: int) -> tuple[Path, ...]:
    """The files of a format: a single one, or so many parts."""
    if count == 1:
        return (add_suffix(target, SUFFIXES[name]),)
    return tuple(part_path(target, number, name) for number in range(1, count + 1))


def whole_target(path: Path) -> Path | None:
    """The results to which a part belongs, as their path without suffix; None if the file is not one.

    A file is a part only beside the run record of its results, and not if it has one itself: a slide may be called
    NAME.part1.
    """
    stem = next((path.name.removesuffix(SUFFIXES[name]) for name in PARTED if path.name.endswith(SUFFIXES[name])), "")
    match = PART.fullmatch(stem)
    if match is None or path.with_name(f"{stem}{RECORD_SUFFIX}").exists():
        return None
    target = path.with_name(match[1])
    return target if add_suffix(target, RECORD_SUFFIX).exists() else None


def write_files(
    target: Path, formats: Iterable[str], scanned: ScannedSlide, most: int | None = None
) -> tuple[dict[str, tuple[Path, ...]], dict[str, str]]:
    """Write a slide's detections in several formats, and remove the files that these replace.

    Args:
        target: path of the files without suffix.
        formats: names from `result_files.SUFFIXES`.
        scanned: the slide and its detections.
        most: most objects in a GeoJSON file; None for all in one.

    Returns:
        The files of each format, and by format why it cannot hold this slide's detections.

    Raises:
        OutputError: a file cannot be written, or one of a former run cannot be removed.
    """
    written: dict[str, tuple[Path, ...]] = {}
    unfit: dict[str, str] = {}
    for name in formats:
        paths = paths_of(target, name, count_parts(len(scanned.detections), name, most))
        try:
            _check_are_free(paths)
            for path, part in zip(paths, _split(scanned, len(paths), most), strict=True):
                unfit |= write_formats({name: path}, part)
        except UnfitError as error:
            unfit[name] = str(error)
        if name not in unfit:
            written[name] = paths
        remove_files(target, [name], keep=paths if name in written else ())
    return written, unfit


def remove_files(target: Path, formats: Iterable[str], *, keep: tuple[Path, ...] = ()) -> None:
    """Remove the files of formats, in one or in parts, but for some.

    Raises:
        OutputError: a file cannot be removed.
    """
    for path in files_there(target, formats):
        if path in keep:
            continue
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            message = f"{path}: cannot be replaced: {error.strerror or error}"
            raise OutputError(message) from error


def files_there(target: Path, formats: Iterable[str]) -> list[Path]:
    """The files of formats that are there, in one or in parts; `target` is their path without suffix."""
    paths = (path for name in formats for path in (add_suffix(target, SUFFIXES[name]), *_parts(target, name)))
    return [path for path in paths if path.exists() or path.is_symlink()]


def _parts(target: Path, name: str) -> Iterator[Path]:
    """The files of a format that look like parts of some results and are not those of another slide."""
    if name not in PARTED or not target.parent.is_dir():
        return
    suffix = SUFFIXES[name]
    for path in sorted(target.parent.iterdir()):
        match = PART.fullmatch(path.name.removesuffix(suffix)) if path.name.endswith(suffix) else None
        if match is not None and match[1] == target.name and not _is_of_another(path, suffix):
            yield path


def _check_are_free(paths: tuple[Path, ...]) -> None:
    """Make sure that no part has the name of another slide's results.

    Raises:
        UnfitError: one has.
    """
    for path in paths if len(paths) > 1 else ():
        if _is_of_another(path, next(SUFFIXES[name] for name in PARTED if path.name.endswith(SUFFIXES[name]))):
            message = f"{path.name} is the name of another slide's results; choose another folder, or write one file"
            raise UnfitError(message)


def _is_of_another(path: Path, suffix: str) -> bool:
    return path.with_name(f"{path.name.removesuffix(suffix)}{RECORD_SUFFIX}").exists()


def _split(scanned: ScannedSlide, count: int, most: int | None) -> Iterator[ScannedSlide]:
    """The slide with the detections of each part."""
    if count == 1 or most is None:
        yield scanned
        return
    total = len(scanned.detections)
    for start in range(0, total, most):
        part = scanned.detections.select(np.arange(start, min(start + most, total)))
        yield replace(scanned, detections=part)
