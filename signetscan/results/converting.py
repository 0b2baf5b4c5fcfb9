"""Write the results of an earlier run in further formats, without scanning again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from signetscan.atomic import make_folder
from signetscan.errors import AnnotationError, OptionError, ResultError, SlideError
from signetscan.formats.result_files import SUFFIXES, add_suffix, check_libraries
from signetscan.formats.writers import write_formats
from signetscan.results.folder import find_results
from signetscan.results.lookup import load_with_slide
from signetscan.results.writing import add_formats

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from signetscan.results.reading import StoredResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What became of one slide's results."""

    name: str
    """Name of the results, without folders."""
    files: tuple[Path, ...] = ()
    """The files that were written."""
    unfit: Mapping[str, str] = field(default_factory=dict)
    """Why a format cannot hold this slide's detections, by format."""
    problem: str = ""
    """Why the results could not be read; empty if they could."""


def convert_results(
    results: Sequence[Path], formats: Sequence[str], *, slides: Path | None = None, out: Path | None = None
) -> Iterator[Converted]:
    """Write results in further formats. A result that cannot be read does not stop the others.

    Args:
        results: folders of results, or files that belong to one slide's results.
        formats: names from `formats.result_files.SUFFIXES`.
        slides: the slide, or a folder that holds all slides; DICOM annotations need it.
        out: folder for the files, made if it does not exist. By default they are written beside the results, and the
            run records list them too.

    Returns:
        An iterator that converts one slide at a time and says what became of it.

    Raises:
        MissingExtraError: a format needs a library that is not installed.
        OptionError: DICOM is requested without slides, or files of two slides would have the same name.
        ResultError: there are no results.
        OutputError: a file cannot be written.
    """
    formats = tuple(dict.fromkeys(formats))
    check_libraries(formats)
    if "dicom" in formats and slides is None:
        message = "DICOM annotations refer to the slide's file; name the slide, or the folder that it is in"
        raise OptionError(message, options=("slide",))
    records = list(dict.fromkeys(record for path in results for record in find_results(path)))
    if out is not None:
        _check_names(records, out)
    return (_converted(record, formats, slides, out) for record in records)


def _check_names(records: Sequence[Path], out: Path) -> None:
    seen: dict[str, Path] = {}
    for record in records:
        # Names that differ in case only are one file on Windows and macOS.
        other = seen.setdefault(record.name.casefold(), record)
        if other is not record:
            message = f"{other} and {record} would be written to the same files in {out}; use different folders"
            raise OptionError(message)


def _converted(record: Path, formats: Sequence[str], slides: Path | None, out: Path | None) -> Converted:
    try:
        stored = load_with_slide(record, slides)
    except (AnnotationError, ResultError, SlideError) as error:
        return Converted(name=record.name, problem=str(error))
    unfit = _write(stored, formats, out)
    target = _target(stored, out)
    files = tuple(add_suffix(target, SUFFIXES[name]) for name in formats if name not in unfit)
    return Converted(name=stored.target.name, files=files, unfit=unfit)


def _target(stored: StoredResult, out: Path | None) -> Path:
    return stored.target if out is None else out / stored.target.name


def _write(stored: StoredResult, formats: Sequence[str], out: Path | None) -> dict[str, str]:
    """Write a result in some formats. Returns why a format could not be written, by format."""
    if out is None:
        record = add_formats(stored, formats).record
        # The record also lists formats that earlier runs could not write.
        return {name: why for name, why in record.unfit.items() if name in formats}
    make_folder(out)
    return write_formats({name: add_suffix(_target(stored, out), SUFFIXES[name]) for name in formats}, stored.scanned)
