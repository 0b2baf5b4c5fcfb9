"""From a result back to the slide that it is of, which run records do not name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from signetscan.batch.find import find_slides
from signetscan.errors import ResultError, SlideError
from signetscan.slides import open_slide
from signetscan.suffixes import name_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from signetscan.batch.find import SlideTask


def slide_of(record: Mapping[str, Any], where: Path) -> Path:
    """The file of the slide that a run record is of.

    Args:
        record: the run record.
        where: the slide, or a folder that it is in. There, slides of its name are opened first; where results have
            pseudonyms, all are.

    Raises:
        ResultError: it is not there, or `where` is another slide.
        OptionError: the folder holds no slide.
        SlideError: `where` is a file that cannot be read.
    """
    name, fingerprint = str(record["slide"]["name"]), str(record["slide"]["fingerprint"])
    if not where.is_dir():
        if _fingerprint(where) == fingerprint:
            return where
        message = f"{where}: not the slide that {name} is of; name that with --slide"
        raise ResultError(message)
    tasks = find_slides([where])
    for task in _likely_first(tasks, name):
        try:
            if _fingerprint(task.path) == fingerprint:
                return task.path
        except SlideError:
            continue  # a damaged slide is not the one: that was scanned
    message = f"{where}: none of {len(tasks)} slides is the one that {name} is of; name it with --slide"
    raise ResultError(message)


def slide_named(name: str, where: Path) -> Path:
    """The file of a slide by its name alone, where no run record tells more.

    Args:
        name: the slide's name without folder and ending.
        where: the slide, or a folder that it is in.

    Raises:
        ResultError: it is not there, or several slides have this name.
        OptionError: the folder holds no slide, or `where` is not there.
    """
    named = [task.path for task in find_slides([where]) if name_of(task.path.name) == name]
    if len(named) == 1:
        return named[0]
    message = f"{where}: {'several slides are' if named else 'no slide is'} called {name}; name it with --slide"
    raise ResultError(message)


def _likely_first(tasks: Sequence[SlideTask], name: str) -> list[SlideTask]:
    return sorted(tasks, key=lambda task: task.name.rpartition("/")[2] != name)


def _fingerprint(path: Path) -> str:
    with open_slide(path) as slide:
        return slide.fingerprint
