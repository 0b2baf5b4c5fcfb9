"""From a result back to the slide that it is of, whose file run records do not name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from signetscan.errors import OptionError, ResultError, SlideError
from signetscan.results.folder import find_results
from signetscan.results.reading import load_result
from signetscan.slides import open_slide
from signetscan.suffixes import SLIDE_SUFFIXES, TIFF_SUFFIXES, name_of, slide_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from signetscan.results.reading import StoredResult
    from signetscan.results.run_record import RunRecord


def load_results(results: Sequence[Path], slides: Path | None = None) -> Iterator[StoredResult]:
    """Read back results, each once.

    Args:
        results: folders of results, or files of one slide's.
        slides: the slide that they are of, or a folder that holds all their slides; without it their files are not
            known.

    Raises:
        ResultError: there are none, some are damaged, or a slide is not there.
        AnnotationError: a file of detections cannot be read.
        OptionError: the folder holds no slide.
        SlideError: the slide cannot be read.
    """
    for record in dict.fromkeys(record for path in results for record in find_results(path)):
        yield load_with_slide(record, slides)


def load_with_slide(record: Path, slides: Path | None) -> StoredResult:
    """Read back one result. Arguments and errors as for `load_results`, but of a run record."""
    stored = load_result(record)
    if slides is None:
        return stored
    return replace(stored, scanned=replace(stored.scanned, path=slide_of(stored.record, slides)))


def slide_of(record: RunRecord, slides: Path) -> Path:
    """The file of the slide that a run record is of.

    Args:
        record: the run record.
        slides: the slide, or a folder that it is in. There, slides of its name are opened first; where results have
            pseudonyms, all are.

    Raises:
        ResultError: it is not there, or `slides` is another slide.
        OptionError: the folder holds no slide.
        SlideError: `slides` is a file that cannot be read.
    """
    name, fingerprint = record.slide.name, record.slide.fingerprint
    if not slides.is_dir():
        if _fingerprint(slides) == fingerprint:
            return slides
        message = f"{slides}: not the slide that {name} is of; name that"
        raise ResultError(message, options=("slide",))
    files = _slides_in(slides)
    for path in sorted(files, key=lambda path: name not in {name_of(path.name), path.name}):
        try:
            if _fingerprint(path) == fingerprint:
                return path
        except SlideError:
            continue  # a damaged slide is not the one: that was scanned
    count = "the only slide is not" if len(files) == 1 else f"none of {len(files)} slides is"
    message = f"{slides}: {count} the one that {name} is of; name that, or another folder"
    raise ResultError(message, options=("slide",))


def slide_named(name: str, slides: Path) -> Path:
    """The file of a slide by its name alone, where no run record tells more.

    Args:
        name: the slide's name without folder and suffix.
        slides: the slide, or a folder that it is in.

    Raises:
        ResultError: it is not there, or several slides have this name.
        OptionError: the folder holds no slide, or `slides` is not there.
    """
    named = [path for path in _slides_in(slides) if name_of(path.name) == name]
    if len(named) == 1:
        return named[0]
    message = f"{slides}: {'several slides are' if named else 'no slide is'} called {name}; name the right one"
    raise ResultError(message, options=("slide",))


def _slides_in(path: Path) -> list[Path]:
    """The slides of a folder, in the order of their paths; a file stands for itself.

    Raises:
        OptionError: there is none.
    """
    if path.is_dir():
        files = sorted(slide_files(path))
        if files:
            return files
        suffixes = ", ".join((*SLIDE_SUFFIXES, *TIFF_SUFFIXES))
        message = f"{path}: no slide in this folder (looked for {suffixes})"
        raise OptionError(message, options=("slide",))
    if path.exists():
        return [path]
    message = f"{path}: no such file"
    raise OptionError(message, options=("slide",))


def _fingerprint(path: Path) -> str:
    with open_slide(path) as slide:
        return slide.fingerprint
