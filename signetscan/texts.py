"""Text that strangers wrote, such as names of files and classes, in messages."""

from __future__ import annotations

import json

SHORT = 60
"""Longest value in a message, characters."""


def short_repr(value: object) -> str:
    """A value as a message shows it, cut to `SHORT`; of a list or table, which may hold anything, only its type."""
    text = type(value).__name__ if isinstance(value, list | dict) else repr(value)
    return text if len(text) <= SHORT else f"{text[: SHORT - 3]}..."


def printable_json(text: str) -> str:
    """Escape in a JSON text what JSON allows, but what moves the cursor or turns the direction of writing."""
    return "".join(letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in text)


def printable(text: str, most: int | None = None) -> str:
    """Escape characters that move the cursor, break the line or cannot be encoded, for a terminal or a log.

    Args:
        text: the text.
        most: the longest result, characters; a longer one is cut, and ends in "...".
    """
    # What cannot be shown need not be escaped: a name may have a hundred million letters.
    part = text if most is None else text[: most + 1]
    escaped = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in part)
    return escaped if most is None or len(escaped) <= most else f"{escaped[: max(most - 3, 0)]}..."
