"""What may be said of slides whose results have pseudonyms: our own fixed phrases, never a text of a library or a file.

Libraries put paths and texts of files into their errors, in words that nobody can foresee. So nothing of an error's
text passes but phrases that are known.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
from typing import TYPE_CHECKING

from signetscan.errors import AnnotationError, MppError, NameTakenError, OptionError, OutputError, SlideError

if TYPE_CHECKING:
    from pathlib import Path

SHORTEST_KEY = 16
"""Bytes of a key that nobody can find by trying."""
LONGEST_KEY = 1 << 16
"""Bytes of the longest key; a path may name a device without end."""
FEWEST_VALUES = 6
"""Different bytes in a key; 16 of a random key have fewer than this once in a hundred million times, zeros always."""

PHRASES = (
    "the file is empty",
    "a folder, not a slide",
    "a pipe or device",
    "is not beside it",
    "VSI is not supported",
    "a z-stack of",
    "separate grey images",
    "separate planes",
    "says that the picture is turned or mirrored",
    "neither RGB nor grey",
    "which is no slide",
    "px of its header",
    "no such file",
    "not a slide",
    "the file does not say how large its pixels are",
    "too coarse for a model",
    "not the size of a pixel",
    "the slide changed while it was being read",
    "another run took over the slide",
    "holds results of another slide of this name",
    "the area to scan cannot be decoded",
    "the file is cut short",
    "damaged or cut short",
    "the file is damaged",
    "has more than 8 bits per channel",
    "not an 8-bit RGB or grey image",
    "too large to read",
    "cannot decode level",
    "holds no annotation with an area",
)
"""Parts of our own messages that hold no text of others; the first one that an error's message has is said."""
IN_FULL = {"is not beside it": "a file or folder that belongs to it is not beside it"}
"""What is said for a phrase that is no whole clause."""
CHATTY = ("tifffile", "PIL", "pydicom", "wsidicom", "urllib3")
"""Libraries that log names of files."""


def private_reason(error: BaseException) -> str:
    """Why a slide failed, without anything that could tell which it is."""
    phrase = next((phrase for phrase in PHRASES if phrase in str(error)), None)
    match error:
        case MemoryError():
            return "out of memory"
        case MppError():
            what = "the size of its pixels cannot be used"
        case AnnotationError():
            what = "its region of interest cannot be used"
        case OutputError() | NameTakenError():
            what = "its results cannot be written"
        case SlideError():
            what = "the slide cannot be read"
        case _:
            return f"an unforeseen error, {type(error).__name__}; a run without pseudonyms says more"
    cause = error.__cause__
    if phrase is None and isinstance(cause, OSError) and cause.errno:
        phrase = os.strerror(cause.errno)
    said = IN_FULL.get(phrase, phrase) if phrase else "a run without pseudonyms says why"
    return f"{what}: {said}"


def hush_process() -> None:
    """Make sure that nothing which libraries print in this process, in Python or in C, is seen."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    for number in (1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)


def hush_logs() -> None:
    """Make sure that libraries log no names of files, in a process that is not ours alone."""
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def read_key(path: Path) -> bytes:
    """Read a key for pseudonyms.

    Raises:
        OptionError: it cannot be read, or is so short or uniform that anybody could try all names with it.
    """
    options = ("pseudonymise",)
    try:
        with path.open("rb") as file:
            key = file.read(LONGEST_KEY + 1)
            is_endless = len(key) > LONGEST_KEY or stat.S_ISCHR(os.fstat(file.fileno()).st_mode)
    except OSError as error:
        message = f"{path}: the key cannot be read: {error.strerror}"
        raise OptionError(message, options=options) from error
    if is_endless:
        message = f"{path}: the key is a device, or longer than {LONGEST_KEY} bytes; name a file of 32 random bytes"
        raise OptionError(message, options=options)
    if len(key.strip()) < SHORTEST_KEY or len(set(key)) < FEWEST_VALUES:
        message = (
            f"{path}: the key is too easy to guess: it needs {SHORTEST_KEY} bytes or more, and not always the same. "
            "`head -c 32 /dev/urandom` makes one"
        )
        raise OptionError(message, options=options)
    return key
