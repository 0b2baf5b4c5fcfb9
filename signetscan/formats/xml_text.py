"""Class names as XML can hold them, for the formats that name groups of annotations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML file can hold, in whatever way they are written."""
REPLACEMENT = "\ufffd"


def xml_text(text: str) -> str:
    """A text with a replacement mark for each character that XML cannot hold."""
    return NOT_XML.sub(REPLACEMENT, text)


def group_names(names: Sequence[str], taken: Iterable[str] = ()) -> list[str]:
    """A name for the group of each class that XML can hold; no two are alike, and none is one of those taken."""
    seen = set(taken)
    unique: list[str] = []
    for name in map(xml_text, names):
        number, candidate = 1, name
        while candidate in seen:
            number += 1
            candidate = f"{name} ({number})"
        seen.add(candidate)
        unique.append(candidate)
    return unique
