"""Small pictures of slides for the work list, made when they are asked for, and kept."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from dataclasses import astuple
from typing import TYPE_CHECKING

from PIL import Image

from signetscan.errors import ResultError, SlideError
from signetscan.results.run_record import read_run_record
from signetscan.slides import open_slide
from signetscan.viewer.deepzoom import DeepZoom
from signetscan.viewer.replies import Reply

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.results.run_record import RunRecord
    from signetscan.results.slide_finder import SlideFinder
    from signetscan.slides import Slide
    from signetscan.viewer.work_list import WorkItem

SIZE = (128, 96)
"""Largest width and height of a picture, pixels."""
QUALITY = 80
"""Quality of its JPEG: some 3 kB."""
MOST_KEPT = 2000
"""Most pictures that are kept, some megabytes."""
MOST_READ = 1 << 25
"""Most pixels of a slide's smallest level, which may have to be read whole: about a second's work."""
PLACEHOLDER = Reply(
    kind="image/svg+xml",
    body=b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 96" width="128" height="96"><rect x="1" y="1" '
    b'width="126" height="94" rx="4" fill="#f4f6f9" stroke="#aab3c0" stroke-dasharray="5 4"/></svg>',
)
"""Stands for the picture of a slide that is not known, or that cannot be read at once."""


class Thumbnails:
    """Pictures of the slides of a work list. Safe to use from several threads.

    Args:
        finder: knows where slides are.
    """

    def __init__(self, finder: SlideFinder) -> None:
        self._finder = finder
        self._kept: OrderedDict[tuple[str, str], Reply] = OrderedDict()
        self._lock = threading.Lock()
        # One is made at a time, so that a page with hundreds leaves room for the slide that somebody looks at.
        self._making = threading.Lock()

    def of(self, item: WorkItem) -> Reply:
        """The picture of a slide; a placeholder where it is not known by its name, or cannot be read.

        Args:
            item: the slide.
        """
        try:
            record = None if item.record is None else read_run_record(item.record)
        except ResultError:
            record = None
        if record is None:
            return PLACEHOLDER
        key = item.name, record.slide.fingerprint
        with self._making:
            with self._lock:
                kept = self._kept.get(key)
            return kept or self._made(key, item, record)

    def _made(self, key: tuple[str, str], item: WorkItem, record: RunRecord) -> Reply:
        try:
            file = self._finder.find_named(item.name, record)
            picture = None if file is None else _picture(file, record)
        except SlideError:
            picture = None
        if picture is None:
            return PLACEHOLDER  # and not kept: the slide may come later
        reply = Reply(kind="image/jpeg", body=picture)
        with self._lock:
            self._kept[key] = reply
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return reply


def _picture(file: Path, record: RunRecord) -> bytes | None:
    """The picture of a slide's file; None if it would take long.

    Raises:
        SlideError: the slide cannot be read.
    """
    with open_slide(file, mpp=record.slide.mpp.x) as slide:
        width, height = slide.dimensions
        smallest = slide.level_downsamples[-1]
        if (width / smallest) * (height / smallest) > MOST_READ:
            return None
        return thumbnail(slide)


def thumbnail(slide: Slide) -> bytes:
    """The part of a slide that has pixels, as a small JPEG.

    Raises:
        SlideError: the pixels cannot be decoded.
        MppError: the slide's mpp is unknown.
    """
    zoom = DeepZoom(slide)
    level = zoom.layout.lowest
    whole = Image.fromarray(zoom.tile(level, 0, 0))
    left, top, width, height = (0, 0, *slide.dimensions) if (part := slide.bounds) is None else astuple(part)
    # Edges seldom fall between pixels of the level, whose last row and column reach beyond the slide.
    edges = (edge / zoom.layout.scale(level) for edge in (left, top, left + width, top + height))
    box = tuple(min(edge, float(side)) for edge, side in zip(edges, (*whole.size, *whole.size), strict=True))
    shrunk = min(SIZE[0] / width, SIZE[1] / height)
    size = max(round(width * shrunk), 1), max(round(height * shrunk), 1)
    picture = whole.resize(size, Image.Resampling.BICUBIC, box=box)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
