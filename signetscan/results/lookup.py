"""Find the slide of a result by its content: run records do not name the slide's file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from signetscan.errors import OptionError, ResultError
from signetscan.results.reading import load_result
from signetscan.results.slide_finder import fingerprint_of, matching_slide
from signetscan.slides.addresses import SeriesAddress
from signetscan.slides.archives import series_of
from signetscan.slides.fingerprint import series_fingerprint
from signetscan.suffixes import SLIDE_SUFFIXES, TIFF_SUFFIXES, name_of, slide_files

if TYPE_CHECKING:
    from signetscan.results.reading import StoredResult
    from signetscan.results.run_record import RunRecord
    from signetscan.slides.addresses import AnyPlace, SlidePlace


def load_with_slide(record: Path, slides: AnyPlace | None) -> StoredResult:
    """Read back the result that a run record describes.

    Args:
        record: the run record.
        slides: the slide, or a folder or study that holds all slides; without it, where the slide is stays unknown.

    Raises:
        ResultError: the results are damaged, or the slide is missing.
        AnnotationError: the file of detections cannot be read.
        OptionError: the folder holds no slide.
        SlideError: the slide cannot be read.
    """
    stored = load_result(record)
    if slides is None:
        return stored
    return replace(stored, scanned=replace(stored.scanned, path=locate_place(stored.record, slides)))


def locate_place(record: RunRecord, slides: AnyPlace) -> SlidePlace:
    """The slide that a run record describes, among files or in an archive.

    Args:
        record: the run record.
        slides: the slide, or a folder or study that it is in.

    Raises:
        ResultError: the slide is not there.
        OptionError: the folder holds no slide.
        SlideError: the file cannot be read, or the archive gives no answer.
        MissingExtraError: `slides` is a study, and wsidicom is not installed.
    """
    if isinstance(slides, Path):
        return locate_slide(record, slides)
    here = [slides] if isinstance(slides, SeriesAddress) else series_of(slides)
    for address in here:
        if series_fingerprint(address.uid) == record.slide.fingerprint:
            return address
    message = f"{slides}: not where the slide of {record.slide.name} is; name that slide, or its study"
    raise ResultError(message, options=("slide",))


def locate_slide(record: RunRecord, slides: Path) -> Path:
    """The file of the slide that a run record describes.

    Args:
        record: the run record.
        slides: the slide, or a folder that it is in. In a folder, slides with the record's name are opened first, then
            all others, because results may have pseudonyms. Of several copies of the slide, one that has not changed
            since the scan is taken before one that has.

    Raises:
        ResultError: the folder does not hold the slide, or `slides` is another one.
        OptionError: the folder holds no slide.
        SlideError: `slides` is a file that cannot be read.
    """
    name = record.slide.name
    if not slides.is_dir():
        if fingerprint_of(slides) == record.slide.fingerprint:
            return slides
        message = f"{slides}: not the slide of {name}; name that slide"
        raise ResultError(message, options=("slide",))
    files = _slides_in(slides)
    # The sort is stable and False comes first: slides of the record's name, then the rest.
    by_name = sorted(files, key=lambda path: name not in {name_of(path.name), path.name})
    found = matching_slide(by_name, record)
    if found is not None:
        return found
    count = "the only slide is not" if len(files) == 1 else f"none of {len(files)} slides is"
    message = f"{slides}: {count} the slide of {name}; name that slide, or another folder"
    raise ResultError(message, options=("slide",))


def slide_named(name: str, slides: Path) -> Path:
    """The file of a slide by its name alone, where there is no run record.

    Args:
        name: the slide's name without folder and suffix.
        slides: the slide, or a folder that it is in.

    Raises:
        ResultError: no slide, or more than one, has this name.
        OptionError: the folder holds no slide, or `slides` does not exist.
    """
    namesakes = [path for path in _slides_in(slides) if name_of(path.name) == name]
    if len(namesakes) == 1:
        return namesakes[0]
    message = f"{slides}: {'several slides are' if namesakes else 'no slide is'} called {name}; name the right one"
    raise ResultError(message, options=("slide",))


def _slides_in(path: Path) -> list[Path]:
    """The slides of a folder, sorted by path; a file stands for itself.

    Raises:
        OptionError: the folder holds no slide, or there is no such file.
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
