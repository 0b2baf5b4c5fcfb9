"""Names of classes: which ones a model may have, so that QuPath and our own parsers read them as they were written."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from signetscan.texts import short_repr

if TYPE_CHECKING:
    from collections.abc import Sequence

IGNORED_PREFIX = "ignore"
"""Objects of classes that begin so, in upper or lower case, do not count: `Ignore*` is built into QuPath."""
REJECTED_NAME = "rejected"
"""Objects of this class, in upper or lower case, are no cells."""
NO_CLASS = frozenset({"null", "unclassified"})
"""Names, in lower case, that stand for no class at all in QuPath and in JSON."""

LONGEST_NAME = 200
"""Longest name of a class, characters; each detection repeats it in results."""
MOST_CLASSES = 256
"""Most classes of a model: the viewer's page gets a label as one byte."""
FORBIDDEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of control characters, halves of surrogate pairs, and ends of lines and paragraphs."""


def problem_of_names(names: Sequence[str]) -> str:
    """Why a model cannot have these classes; empty if it can."""
    if not 1 <= len(names) <= MOST_CLASSES:
        return f"there must be 1 to {MOST_CLASSES} classes, not {len(names)}"
    for name in names:
        problem = problem_of_name(name)
        if problem:
            return f"{short_repr(name)} {problem}"
    # Case makes no difference wherever a class is chosen by its name.
    folded = [name.casefold() for name in names]
    twice = next((name for name, same in zip(names, folded, strict=True) if folded.count(same) > 1), None)
    return "" if twice is None else f"{short_repr(twice)} stands there twice, in upper or lower case"


def problem_of_name(name: str) -> str:
    """Why a class of a model cannot have this name, as the rest of a sentence that begins with it; empty if it can."""
    problems = (
        (not name.strip(), "is empty"),
        (name != name.strip(), "begins or ends with a blank, which QuPath cuts off"),
        (len(name) > LONGEST_NAME, f"is longer than {LONGEST_NAME} characters"),
        (
            any(unicodedata.category(letter) in FORBIDDEN for letter in name),
            "holds a line break or another control character, which QuPath refuses",
        ),
        (
            not _is_read_as_it_is(name),
            'holds a colon, which for QuPath divides a class from its subclass, as in "Tumor: Positive"',
        ),
        (name.casefold() in NO_CLASS, "stands for no class"),
        (
            is_rejected(name) or is_ignored(name),
            "is a mark of objects that do not count, so that its detections would be left out",
        ),
    )
    return next((text for applies, text in problems if applies), "")


def is_rejected(name: str) -> bool:
    """Whether a class, or any part of a derived one, is `Rejected`."""
    return REJECTED_NAME in _parts(name)


def is_ignored(name: str) -> bool:
    """Whether a class, or any part of a derived one, begins with `Ignore`."""
    return any(part.startswith(IGNORED_PREFIX) for part in _parts(name))


def _parts(name: str) -> list[str]:
    return name.casefold().split(": ")  # as QuPath writes derived classes


def _is_read_as_it_is(name: str) -> bool:
    """Whether QuPath, which splits a name at its colons, puts the same name together again."""
    parts = [part.strip() for part in name.split(":")]
    return all(parts) and ": ".join(parts) == name
