"""Which slide a file of marks is of, whatever its name.

The viewer writes a member `signetscan` behind the features, with the slide's fingerprint and content. QuPath drops it
when it saves the file, but keeps the ids of objects: those of marks begin with digits of the slide's fingerprint.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
import zlib
from dataclasses import asdict, dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING
from zipfile import BadZipFile

from signetscan.annotations.packed import unpacked
from signetscan.errors import AnnotationError
from signetscan.json_values import JsonError, JsonTable

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from signetscan.json_values import Json

MEMBER = "signetscan"
"""Key of the member of a file of marks that says which slide it is of."""
MEMBER_BYTES = 4096
"""Most bytes of the member that are read."""
BYTES_AT_ONCE = 1 << 20
MOST_BYTES = 500_000_000
"""Bytes of a file that are searched, as many as are read of GeoJSON."""
MOST_SLIDES = 64
"""Slides of which a file may hold marks before the search ends."""
ID_OF_A_MARK = re.compile(rb'"id"\s*:\s*"([0-9a-f]{8})-[0-9a-f]{4}-8[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"')
"""UUIDs of version 8, whose digits mean what their maker says: nobody else makes these here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkTally:
    """How many marks a file holds, so that a list of slides need not read them all."""

    accepted: int
    """Detections that were accepted."""
    rejected: int
    """Detections that were rejected."""
    added: int
    """Cells that were drawn."""
    regions: int
    """Regions that were drawn."""
    done: bool
    """Whether somebody looked through the whole slide."""

    @property
    def decided(self) -> int:
        """Detections that somebody decided about."""
        return self.accepted + self.rejected

    @classmethod
    def from_json(cls, table: JsonTable) -> Self:
        """Read it from the member.

        Raises:
            JsonError: a value is missing or impossible.
        """
        counts = {name: table.whole(name, low=0) for name in ("accepted", "rejected", "added", "regions")}
        return cls(**counts, done=table.truth("done"))


class Match(Enum):
    """What a file of marks says of a slide."""

    SAME = auto()
    """The marks are of it."""
    CHANGED = auto()
    """They are of it, but its files have changed since, as when a copy was mended."""
    OTHER = auto()
    """All or some are of another slide."""
    UNKNOWN = auto()
    """The file does not say: a person drew everything in it, or a former version wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedSlide:
    """What a file of marks says of its slide."""

    fingerprint: str = ""
    """The slide's fingerprint; empty if the file has no member."""
    content: str = ""
    """What the slide's files held; empty if it is not known."""
    digits: frozenset[str] = frozenset()
    """The first digits of the ids of marks."""
    tally: MarkTally | None = None
    """How many marks it holds; None where QuPath or a former version wrote it last."""

    def match(self, fingerprint: str, content: str = "") -> Match:
        """Whether the marks are of a slide.

        Args:
            fingerprint: the slide's.
            content: what its files hold, if that is known.
        """
        if self.digits - {_digits(fingerprint)} or self.fingerprint not in {"", fingerprint}:
            return Match.OTHER
        if not self.digits and not self.fingerprint:
            return Match.UNKNOWN
        return Match.CHANGED if self.content and content and self.content != content else Match.SAME


def mark_id(fingerprint: str, identity: str) -> str:
    """The id of a mark, a UUID that begins with digits of the slide's fingerprint.

    Args:
        fingerprint: the slide's.
        identity: what tells the mark from all others.
    """
    digits = hashlib.sha256(f"{fingerprint}:{identity}".encode()).hexdigest()
    # The version is 8, and the two bits of the variant are those of RFC 9562.
    text = f"{_digits(fingerprint)}{digits[8:12]}8{digits[13:16]}{int(digits[16], 16) & 3 | 8:x}{digits[17:32]}"
    return str(uuid.UUID(text))


def member_of(fingerprint: str, content: str, tally: MarkTally | None = None) -> str:
    """The member, as text of JSON without braces around it, for the end of a file of marks."""
    member: dict[str, Json] = {"fingerprint": fingerprint, "content": content}
    if tally is not None:
        member["tally"] = asdict(tally)
    return f'"{MEMBER}":{json.dumps(member)}'


def read_tally(path: Path) -> MarkTally | None:
    """How many marks a file holds, by its end alone; None if it does not say, or cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - MEMBER_BYTES, 0))
            found = _member_in(file.read(MEMBER_BYTES))
    except OSError:
        return None  # what opens the file says why
    return None if found is None else found.tally


def read_marked_slide(path: Path) -> MarkedSlide:
    """What a GeoJSON file, which may be packed, says of its slide. It is searched, not parsed, a mebibyte at a time.

    Raises:
        AnnotationError: the file cannot be read or unpacked.
    """
    found, digits, behind = MarkedSlide(), set[str](), b""
    try:
        with unpacked(path, MOST_BYTES) as file:
            for _ in range(MOST_BYTES // BYTES_AT_ONCE):
                chunk = file.read(BYTES_AT_ONCE)
                text = behind + chunk
                digits.update(match[1].decode() for match in ID_OF_A_MARK.finditer(text))
                found = _member_in(text) or found
                behind = text[-MEMBER_BYTES:]
                if not chunk or len(digits) > MOST_SLIDES:
                    break
    except (OSError, EOFError, zlib.error, BadZipFile) as error:
        message = f"{path}: cannot read the annotations: {error}"
        raise AnnotationError(message) from error
    return MarkedSlide(fingerprint=found.fingerprint, content=found.content, digits=frozenset(digits))


def check_marked_slide(path: Path, fingerprint: str, *, options: tuple[str, ...] = ()) -> None:
    """Check that a file of marks is not of another slide.

    Args:
        path: the file.
        fingerprint: the slide's.
        options: names of the options that would help.

    Raises:
        AnnotationError: the file cannot be read, or holds marks of another slide.
    """
    if read_marked_slide(path).match(fingerprint) is Match.OTHER:
        message = f"{path}: holds marks of another slide; name the slide on which they were made, or another file"
        raise AnnotationError(message, options=options)


def _digits(fingerprint: str) -> str:
    return hashlib.sha256(f"slide:{fingerprint}".encode()).hexdigest()[:8]


def _member_in(text: bytes) -> MarkedSlide | None:
    """The member in a part of a file; None if it is not all in it, or is not as the viewer writes it."""
    start = text.rfind(f'"{MEMBER}"'.encode())
    brace = text.find(b"{", start) if start >= 0 else -1
    if brace < 0:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(text[brace : brace + MEMBER_BYTES].decode("utf-8", "replace"))
        table = JsonTable.of(value)
        tally = table.table_or_none("tally")
        return MarkedSlide(
            fingerprint=table.text("fingerprint"),
            content=table.text_or("content", ""),
            tally=None if tally is None else MarkTally.from_json(tally),
        )
    except (ValueError, RecursionError, JsonError):
        return None
