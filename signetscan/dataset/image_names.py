"""The slide of an image, by the image's name."""

from __future__ import annotations

import re

NAME = re.compile(r"(?:(?P<slide>.+)_)?(?P<time>\d{4}-\d\d-\d\d \d\d_\d\d_\d\d)-lv\d+-\d+-\d+-\d+-\d+")
"""DigestPath's file names: `<slide id>_<date> <time>-lv<level>-<x>-<y>-<width>-<height>`, some without the slide id."""
EBHI_NAME = re.compile(r"(?P<case>GT[A-Za-z]*\d+)-\d+-\d+-\d+")
"""EBHI-Seg's file names: `<case>-<slide>-<magnification>-<number>`."""


def names_slide(stem: str) -> bool:
    """Whether a file name without suffix tells the slide or case of its image."""
    return NAME.fullmatch(stem) is not None or EBHI_NAME.fullmatch(stem) is not None


def slide_of(stem: str) -> str:
    """The slide of an image, by its file name without suffix.

    Without a slide id, the date and time of the cut-out stand for the slide. Slides of one case count as one, where
    names have no more than the case in common; EBHI-Seg's spell it now in capitals and now not. An image with any other
    name counts as a slide of its own.
    """
    case = EBHI_NAME.fullmatch(stem)
    if case is not None:
        return case["case"].upper()
    match = NAME.fullmatch(stem)
    if match is None:
        return stem
    return match["slide"] or match["time"]
