"""JSON taken from a stream piece by piece: only the piece that is being read is in memory, and pieces are bounded."""

from __future__ import annotations

import codecs
import json
import re
import zlib
from typing import TYPE_CHECKING
from zipfile import BadZipFile

from signetscan.annotations.bounds import too_large
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from signetscan.annotations.packed import Readable
    from signetscan.json_values import Json

STEP = 1 << 20
"""Least number of bytes that is read at once."""
MOST_CHARACTERS = 1 << 26
"""Longest value, characters: outlines of a million corners, also where each number has a line of its own."""
MOST_PARTS = 5_000_000
"""Most lists in a value: as Python's objects they take 0.1 kB each, and tables, which count as three, 0.3 kB."""
FEW_PARTS = 4 * STEP
"""A shorter text cannot have too many."""

BLANK = re.compile(r"[ \t\n\r]+")

_decode = json.JSONDecoder().raw_decode


class JsonStream:
    """A JSON text that is read piece by piece. All methods raise `AnnotationError` where it is no JSON, or too large.

    Args:
        file: the text, UTF-8, with or without a byte order mark.
        path: the file, for messages.
        limit: most bytes.
    """

    def __init__(self, file: Readable, path: Path, limit: int) -> None:
        self._file, self._path, self._limit = file, path, limit
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._position = "", 0
        self._before, self._bytes = 0, 0

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            blank = BLANK.match(self._text, self._position)
            self._position = self._position if blank is None else blank.end()
            if self._position < len(self._text):
                return self._text[self._position]
            if not self._more():
                return ""

    def take(self, expected: str) -> None:
        """Take a character, which must be the next."""
        if self.peek() != expected:
            raise self.wrong(f"{expected!r} is missing at character {self._before + self._position}")
        self._position += 1

    def items(self, opening: str, closing: str, most: int) -> Iterator[None]:
        """Go through a list or a table: a step for each item, which must be taken before the next step.

        Args:
            opening: the bracket that opens it.
            closing: the bracket that closes it.
            most: most items.
        """
        self.take(opening)
        if self.peek() != closing:
            yield
            while self.peek() == ",":
                self._position += 1
                most -= 1
                if not most:
                    raise self.wrong(f"too many items, at character {self._before + self._position}")
                yield
        self.take(closing)

    def value(self) -> Json:
        """Take a value."""
        self.peek()
        while True:
            try:
                value: Json
                value, end = _decode(self._text, self._position)
            except RecursionError as error:
                raise self.wrong("nested too deeply") from error
            except json.JSONDecodeError as error:
                if not self._more():
                    raise self.wrong(f"{error.msg} at character {self._before + error.pos}") from error
            except ValueError as error:  # a number of thousands of digits
                raise self.wrong(str(error)) from error
            else:
                # A number at the end of the text may go on.
                if end < len(self._text) or not self._more():
                    self._position = end
                    return value

    def wrong(self, problem: str) -> AnnotationError:
        """The error for a text that is not GeoJSON."""
        return AnnotationError(f"{self._path}: not GeoJSON: {problem}")

    def _more(self) -> bool:
        """Read on, and forget what was taken. False at the end of the file."""
        rest = self._text[self._position :]
        size = min(max(STEP, len(rest)), MOST_CHARACTERS - len(rest))
        if size <= 0:
            raise self._too_complex()
        content = self._read(size)
        self._bytes += len(content)
        if self._bytes > self._limit:
            raise too_large(self._path, self._limit)
        try:
            text = rest + self._decoder.decode(content, final=not content)
        except UnicodeDecodeError as error:
            raise self.wrong(f"not in UTF-8: {error.reason}") from error
        if len(text) > FEW_PARTS and text.count("[") + 3 * text.count("{") > MOST_PARTS:
            raise self._too_complex()
        self._before += self._position
        self._text, self._position = text, 0
        return bool(content)

    def _read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except (OSError, EOFError, zlib.error, BadZipFile, NotImplementedError) as error:
            message = f"{self._path}: cannot be read or unpacked: {error}"
            raise AnnotationError(message) from error

    def _too_complex(self) -> AnnotationError:
        place, megabytes, millions = self._before + self._position, MOST_CHARACTERS // 10**6, MOST_PARTS / 1e6
        return AnnotationError(
            f"{self._path}: the object at character {place} is over {megabytes} MB long, or has over {millions:g} "
            "million parts; simplify its outline (QuPath: Objects > Annotations > Simplify shape) and export it again"
        )
