"""Texts that XML can hold: names of classes, for formats with named groups of annotations, and comments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML file can hold, not even escaped."""
REPLACEMENT = "\ufffd"


def xml_text(text: str) -> str:
    """A text with a replacement mark for each character that XML cannot hold."""
    return NOT_XML.sub(REPLACEMENT, text)


def group_names(names: Sequence[str], taken: Iterable[str] = ()) -> list[str]:
    """Names for the groups of classes: XML can hold them, no two are equal, and none is one of those taken."""
    used = set(taken)
    unique: list[str] = []
    for name in map(xml_text, names):
        number, candidate = 1, name
        while candidate in used:
            number += 1
            candidate = f"{name} ({number})"
        used.add(candidate)
        unique.append(candidate)
    return unique


def xml_comment(text: str) -> str:
    """A comment, which people see and parsers pass over; two hyphens, which would end it, are set apart."""
    return f"<!-- {re.sub('-(?=-)', '- ', xml_text(text))} -->"
