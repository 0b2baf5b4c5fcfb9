"""The OpenSlide library that is installed."""

from __future__ import annotations

from functools import cache
from importlib import metadata

from signetscan.errors import SlideError

GARBLING = frozenset({"4.0.0.9", "4.0.0.10", "4.0.0.11"})
"""Versions of openslide-bin that give garbage in tiles at the lower edge of plain TIFFs."""


def check_openslide() -> None:
    """Refuse a version of OpenSlide that reads wrong pixels, which the installed package says.

    Raises:
        SlideError: it is one of `GARBLING`.
    """
    version = openslide_bin_version()
    if version in GARBLING:
        message = (
            f"openslide-bin {version} is installed, which garbles tiles of plain TIFFs; install 4.0.0.12 or later: "
            'pip install "openslide-bin>=4.0.0.12"'
        )
        raise SlideError(message)


@cache
def openslide_bin_version() -> str | None:
    """The version of openslide-bin; None if OpenSlide comes from elsewhere, such as the system."""
    try:
        return metadata.version("openslide-bin")
    except metadata.PackageNotFoundError:
        return None
