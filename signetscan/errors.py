"""The errors that a caller may want to catch: one root, and a class for each kind of cause.

Each message says what is wrong, in which file, and what to do about it.
"""

from __future__ import annotations

import errno

ABOUT_ONE_FILE = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.EISDIR})
"""Codes of system errors that are caused by the name of a single file."""
REFUSALS = ABOUT_ONE_FILE | {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.ENOTDIR,
    errno.ELOOP,
}
"""Codes of system errors that come again as long as nobody sees to the cause. Others may pass: a share that was away, a
device that was busy."""


class SignetscanError(Exception):
    """Root of every error that signetscan raises on purpose.

    Args:
        message: what is wrong, in which file, and what to do.
        options: names of the options that are wrong or would help; the command line adds their flags to the message.
    """

    def __init__(self, message: str, *, options: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.options = options


def is_refusal(error: BaseException) -> bool:
    """Whether an error is due to the system's refusal of a file, so that another try would fail, too."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__
    return cause is not None and cause.errno in REFUSALS


class OptionError(SignetscanError, ValueError):
    """An option has a value that makes no sense, alone or with the others."""


class MissingExtraError(SignetscanError):
    """An optional library is not installed.

    Args:
        library: name of the library.
        extra: the extra of signetscan that installs it.
    """

    def __init__(self, library: str, extra: str) -> None:
        other = ', or "signetscan[gpu]" for an NVIDIA GPU' if extra == "cpu" else ""
        super().__init__(f'{library} is not installed: pip install "signetscan[{extra}]"{other}')
        self.library = library
        self.extra = extra

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        """Pickle it by its arguments, because the default would pass the message as the library."""
        return type(self), (self.library, self.extra)


class SlideError(SignetscanError):
    """A slide cannot be opened, understood or read."""


class MppError(SlideError):
    """The size of a slide's pixels (µm/px) is unknown or cannot be right."""


class ModelError(SignetscanError):
    """A model file cannot be read or breaks the model contract."""


class DeviceError(SignetscanError):
    """The device asked for cannot be used by the installed runtime."""


class AnnotationError(SignetscanError):
    """An annotation file or a data set of annotated images cannot be used."""


class TrainingError(SignetscanError):
    """Training cannot start or continue."""


class ResultError(SignetscanError):
    """Results of an earlier run are missing, damaged or contradictory."""


class NameTakenError(ResultError):
    """The results of another slide have the name that those of a slide would get."""


class UnfitError(SignetscanError):
    """A format cannot hold the detections of this slide."""


class OutputError(SignetscanError):
    """A result cannot be written."""

    @property
    def stops_all(self) -> bool:
        """Whether no other slide's results could be written either: unless the error is due to one file's name."""
        cause = self.__cause__
        return not (isinstance(cause, OSError) and cause.errno in ABOUT_ONE_FILE)
