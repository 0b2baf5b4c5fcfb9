"""Slides of one name: whether results in a folder are those of another slide, which must not be written over.

Results are named as their slide's file, so the slides A/s.svs and B/s.svs have results of one name. Their run record
says what they are of: a copy elsewhere has the same content, and a file that was replaced has the same place. Where it
does not say the place, as with pseudonyms, the fingerprint decides.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import os
import secrets
from typing import TYPE_CHECKING

from signetscan.annotations.marked_slide import Match, read_marked_slide
from signetscan.errors import NameTakenError, OutputError, ResultError
from signetscan.formats.result_files import RECORD_SUFFIX, add_suffix, marks_beside
from signetscan.results.run_record import read_run_record
from signetscan.slides.addresses import SeriesAddress

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.results.record_parts import SlideRecord
    from signetscan.slides.addresses import SlidePlace

ROUNDS = 20_000
"""Rounds of the hash of a place: some hundredths of a second for each guess of a path."""
SALT_BYTES = 16


def place_of(place: SlidePlace, salt: bytes | None = None) -> str:
    """A text by which the place of a slide is known again, and from which it cannot be read.

    Paths and addresses may tell of patients, so the text is a slow hash with a random salt.

    Args:
        place: the file, whose links are followed, or the address.
        salt: the salt; a new one by default.
    """
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    if isinstance(place, SeriesAddress):
        text = str(place).encode()
    else:
        text = os.fsencode(os.path.normcase(os.path.realpath(place)))
    digest = hashlib.pbkdf2_hmac("sha256", text, salt, ROUNDS, SALT_BYTES)
    return f"{salt.hex()}:{digest.hex()}"


def is_at(place: SlidePlace, noted: str) -> bool:
    """Whether what was noted of a place, from `place_of`, is of this one."""
    salt, _, _ = noted.partition(":")
    try:
        return hmac.compare_digest(place_of(place, bytes.fromhex(salt)), noted)
    except (ValueError, TypeError):  # a record may hold any text
        return False


def check_name_is_free(target: Path, place: SlidePlace, fingerprint: str, content: str) -> None:
    """Check that there are no results of another slide at the path of a slide's results.

    Args:
        target: path of the results, without suffix.
        place: the slide's file, or its address.
        fingerprint: the slide's.
        content: what the slide's files hold, from `content_of`.

    Raises:
        NameTakenError: there are.
    """
    other = _recorded_slide(target)
    if other is None or is_at(place, other.identity.place):
        return
    same = other.identity.content == content if other.identity.place else other.fingerprint == fingerprint
    if same:
        return
    message = (
        f"{target}: holds results of another slide of this name, such as one in another folder; choose another "
        "folder for these results, or overwrite those"
    )
    raise NameTakenError(message, options=("out", "overwrite"))


def taken(path: Path) -> str:
    """What is wrong where a file is there that no run record vouches for."""
    return f"{path}: there is a file of this name already; choose another folder, or overwrite it"


def holds_content(target: Path, content: str) -> bool:
    """Whether there are results, at a path without suffix, of a slide whose files held some content."""
    recorded = _recorded_slide(target)
    return recorded is not None and recorded.identity.content == content


def may_record_failure(target: Path, place: SlidePlace) -> bool:
    """Whether the record of a slide's failure may stand beside what is there: not beside another slide's results."""
    other = _recorded_slide(target)
    return other is None or not other.identity.place or is_at(place, other.identity.place)


def set_marks_aside(target: Path, fingerprint: str) -> list[tuple[Path, Path]]:
    """Rename reviewers' marks of the slide that was here before, so that nobody takes them for those of this one.

    Args:
        target: path of the results, without suffix; the results of the slide that was here before are still there.
        fingerprint: the slide whose results are about to replace them.

    Returns:
        The former and the new path of each file of such marks.

    Raises:
        OutputError: one cannot be renamed.
        AnnotationError: one cannot be read.
    """
    before = _recorded_slide(target)
    if before is None or before.fingerprint == fingerprint:
        return []
    return [
        (marks, _set_aside(marks, before.fingerprint))
        for marks in marks_beside(target).values()
        if read_marked_slide(marks).match(fingerprint) in {Match.OTHER, Match.UNKNOWN}
    ]


def _set_aside(marks: Path, fingerprint: str) -> Path:
    """Rename a file of marks by the fingerprint of its slide; gives its new path."""
    digits = hashlib.sha256(fingerprint.encode()).hexdigest()[:8]
    aside = marks.with_name(f"{marks.name}.of-{digits}")
    for again in itertools.count(2):
        if not aside.exists():
            break
        aside = marks.with_name(f"{marks.name}.of-{digits}-{again}")
    try:
        marks.rename(aside)
    except OSError as error:
        message = f"{marks}: marks of another slide, which cannot be renamed: {error.strerror or error}"
        raise OutputError(message) from error
    return aside


def _recorded_slide(target: Path) -> SlideRecord | None:
    """The slide of the results that are there; None if there are none, or a damaged record."""
    try:
        return read_run_record(add_suffix(target, RECORD_SUFFIX)).slide
    except ResultError:
        return None
