"""The slide of an image, by the image's name."""

from __future__ import annotations

import re

NAME = re.compile(r"(?:(?P<slide>.+)_)?(?P<time>\d{4}-\d\d-\d\d \d\d_\d\d_\d\d)-lv0-\d+-\d+-\d+-\d+")
"""DigestPath's file names: `<slide id>_<date> <time>-lv0-<x>-<y>-<width>-<height>`, some without the slide id."""


def slide_of(stem: str) -> str:
    """The slide of an image, by its file name without suffix.

    Without a slide id, the date and time of the cut-out stand for the slide. An image with any other name counts as a
    slide of its own.
    """
    match = NAME.fullmatch(stem)
    if match is None:
        return stem
    return match["slide"] or match["time"]
