"""Find the slides of many results among some files and folders, which are listed once and opened as few as possible."""

from __future__ import annotations

import threading
from collections import defaultdict
from itertools import chain, islice
from typing import TYPE_CHECKING

from signetscan.errors import ResultError, SlideError
from signetscan.plurals import counted
from signetscan.slides import open_slide
from signetscan.slides.opening import content_now
from signetscan.suffixes import name_of, slide_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence, Set
    from pathlib import Path

    from signetscan.results.run_record import RunRecord

MOST_OPENED = 500
"""Most slides that are opened to find one by its content alone, which takes some hundredths of a second each."""


class SlideFinder:
    """Knows the slides of some places by their names. Safe to use from several threads.

    Nothing that lies elsewhere is ever opened, whatever results say.

    Args:
        places: slides, and folders of slides.
    """

    def __init__(self, places: Sequence[Path]) -> None:
        self._places = tuple(places)
        self._files: tuple[Path, ...] = ()
        self._by_name: dict[str, list[Path]] = {}
        self._fingerprints: dict[Path, str] = {}
        self._lock = threading.Lock()
        self.refresh()

    def refresh(self) -> None:
        """List the places again."""
        files = dict.fromkeys(
            chain.from_iterable(slide_files(place) if place.is_dir() else [place] for place in self._places)
        )
        by_name: dict[str, list[Path]] = defaultdict(list)
        for file in files:
            for name in dict.fromkeys((name_of(file.name), file.name)):
                by_name[name].append(file)
        self._files, self._by_name = tuple(files), dict(by_name)

    @property
    def count(self) -> int:
        """How many slides there are."""
        return len(self._files)

    def named(self, name: str) -> list[Path]:
        """The slides that may be those of results, by their names alone; the likeliest first.

        Args:
            name: the name of the results, with "/" between folders.
        """
        *folders, last = name.split("/")
        return sorted(self._by_name.get(last, []), key=lambda file: -_same_ends(file.parts[:-1], folders))

    def find_named(self, name: str, record: RunRecord) -> Path | None:
        """The slide of a result among those of the same name, known by its content; None if it is not there.

        Args:
            name: the name of the results, with "/" between folders.
            record: their run record.
        """
        return matching_slide(self.named(name), record, self._fingerprint)

    def find(self, name: str, record: RunRecord) -> Path:
        """The slide of a result, which is known by its content.

        Slides of the same name are opened first, then all others, because results may have pseudonyms. Of several
        copies of the slide, one that has not changed since the scan is taken before one that has.

        Args:
            name: the name of the results, with "/" between folders.
            record: their run record.

        Raises:
            ResultError: none of the slides is the slide of the result.
        """
        found = self.find_named(name, record)
        if found is None:
            self.refresh()  # it may have come meanwhile
            found = self.find_named(name, record)
        if found is None and self.count <= MOST_OPENED:
            found = matching_slide(self._files, record, self._fingerprint)
        if found is not None:
            return found
        where = f"is not among the {counted(self.count, 'slide')} here" if self.count else "is not known"
        message = f"the slide of {name} {where}; end the viewer, and name the slide, or a folder that it is in"
        raise ResultError(message, options=("slide",))

    def may_hold(self, names: Iterable[str], fingerprints: Set[str]) -> bool:
        """Whether one of the slides is that of a result. Slides of the same names are opened first, then all others.

        Args:
            names: the names of the results, with "/" between folders.
            fingerprints: the fingerprints of their slides.

        Returns:
            False if none is; true also if there are too many slides to open all of them.
        """
        likely = chain.from_iterable(self.named(name) for name in names)
        files = dict.fromkeys(chain(likely, self._files))
        is_one = any(self._is_one_of(file, fingerprints) for file in islice(files, MOST_OPENED))
        return is_one or len(files) > MOST_OPENED

    def _is_one_of(self, file: Path, fingerprints: Set[str]) -> bool:
        try:
            return self._fingerprint(file) in fingerprints
        except SlideError:
            return False

    def _fingerprint(self, file: Path) -> str:
        with self._lock:
            known = self._fingerprints.get(file)
        if known is None:
            known = fingerprint_of(file)
            with self._lock:
                self._fingerprints[file] = known
        return known


def matching_slide(
    files: Iterable[Path], record: RunRecord, fingerprint: Callable[[Path], str] | None = None
) -> Path | None:
    """The first of some files that is the slide of a result and has not changed since the scan, else one that has.

    Args:
        files: the files, in the order in which they are opened.
        record: the run record.
        fingerprint: gives a slide's fingerprint; by default, each is opened.
    """
    fingerprint = fingerprint or fingerprint_of
    content = record.slide.identity.content
    changed: Path | None = None
    for file in files:
        try:
            if fingerprint(file) != record.slide.fingerprint:
                continue
            if not content or content_now(file) == content:
                return file
        except SlideError:
            continue  # the slide of a result could be read, so a damaged one is another
        changed = changed or file
    return changed


def fingerprint_of(file: Path) -> str:
    """The fingerprint of a slide.

    Raises:
        SlideError: it cannot be read.
    """
    with open_slide(file) as slide:
        return slide.fingerprint


def _same_ends(folders: Sequence[str], others: Sequence[str]) -> int:
    """How many of the last folders of two paths are the same."""
    pairs = zip(reversed(folders), reversed(others), strict=False)
    return next((count for count, (one, other) in enumerate(pairs) if one != other), min(len(folders), len(others)))
