"""Where a slide is: a file, or a series of an archive that speaks DICOMweb.

Nothing here connects to anything.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

from signetscan.errors import OptionError

SCHEMES = ("http://", "https://")
"""How the addresses begin that are taken for those of an archive."""
UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
MOST_OF_UID = 64
"""Most characters of a UID."""
ADDRESS = re.compile(r"(?P<service>.*)/studies/(?P<study>[^/]+)(?:/series/(?P<series>[^/]+))?/?")
"""The path of an address."""
SERVICE_PATH = re.compile(r"[\w\-./~%]*")
"""What the path of a service may hold."""


@dataclass(frozen=True, slots=True, order=True)
class StudyAddress:
    """A study in an archive, which may hold many slides.

    Raises:
        OptionError: it is none.
    """

    service: str
    """Address of the DICOMweb service, without a slash at its end."""
    uid: str
    """UID of the study."""

    def __post_init__(self) -> None:
        check_service(self.service)
        _check_uid(self.uid)

    def __str__(self) -> str:
        return f"{self.service}/studies/{self.uid}"


@dataclass(frozen=True, slots=True, order=True)
class SeriesAddress:
    """A series in an archive, which is a slide.

    Raises:
        OptionError: it is none.
    """

    study: StudyAddress
    """Its study."""
    uid: str
    """UID of the series."""

    def __post_init__(self) -> None:
        _check_uid(self.uid)

    @property
    def name(self) -> str:
        """What stands for the name of a file: the series' UID."""
        return self.uid

    def __str__(self) -> str:
        return f"{self.study}/series/{self.uid}"


SlidePlace: TypeAlias = Path | SeriesAddress
"""Where one slide is."""
AnyPlace: TypeAlias = Path | StudyAddress | SeriesAddress
"""Where slides are, as users name them: a file, a folder, a pattern, a study or a series."""


def is_address(text: str) -> bool:
    """Whether a text is meant as an address and not as a path."""
    return text.lower().startswith(SCHEMES)


def parse_place(text: str) -> AnyPlace:
    """A path or an address, as a user types it.

    Raises:
        OptionError: it is an address, but of nothing in an archive.
    """
    return parse_address(text) if is_address(text) else Path(text)


def parse_address(text: str) -> StudyAddress | SeriesAddress:
    """The study or series at an address.

    Raises:
        OptionError: it is an address of neither.
    """
    parts = _split(text)
    found = ADDRESS.fullmatch(parts.path)
    if found is None or parts.query or parts.fragment:
        message = (
            "the address of a slide is as https://HOST/dicom-web/studies/1.2.3/series/1.2.3.4, and that of all slides "
            "of a study as https://HOST/dicom-web/studies/1.2.3"
        )
        raise OptionError(message)
    study = StudyAddress(f"{parts.scheme.lower()}://{parts.netloc}{found['service']}", found["study"])
    return study if found["series"] is None else SeriesAddress(study, found["series"])


def check_service(service: str) -> None:
    """Refuse what is no address of a DICOMweb service, such as one that holds a password.

    Raises:
        OptionError: it is none. The message does not repeat it.
    """
    parts = _split(service)
    try:
        is_complete = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_complete = False
    if parts.username is not None or parts.password is not None:
        message = "an address must not hold a user's name or password, which would stand in logs; use a token"
        raise OptionError(message)
    is_plain = not (parts.query or parts.fragment) and not service.endswith("/")
    if not (is_complete and is_plain and SERVICE_PATH.fullmatch(parts.path)):
        message = "not the address of a DICOMweb service, which is as https://HOST/dicom-web"
        raise OptionError(message)


def is_loopback(service: str) -> bool:
    """Whether a service runs on this machine, by its address alone."""
    host = urlsplit(service).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError as error:
        message = "not an address: its brackets or letters are none that a server's name has"
        raise OptionError(message) from error


def _check_uid(uid: str) -> None:
    if len(uid) > MOST_OF_UID or not UID.fullmatch(uid):
        message = "an address whose study or series is no UID: digits and dots, 64 characters at most"
        raise OptionError(message)
