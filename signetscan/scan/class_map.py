"""A map of what a model says of each place of a slide: the class, and the probability of the classes that score it."""

from __future__ import annotations

import math
import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.models.segmentation_spec import SlideScore

NOT_SCANNED = 0
"""Value of a map where there is no tissue, or where the region of interest does not reach: what nobody wrote to."""
FIRST_CLASS = 1
"""Value of the first class; the others follow."""
UNREAD = 255
"""Value of a map where the slide could not be read."""
BAND = 512
"""Rows of a map that are looked at together."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassMap:
    """The class of each place of a slide. Both arrays may be on disk, and are then read and written like memory."""

    classes: NDArray[np.uint8]
    """(rows, columns), `FIRST_CLASS` + the index of the class, or `NOT_SCANNED` or `UNREAD`."""
    scored: NDArray[np.uint8]
    """(rows, columns), sum of the probabilities of the scored classes, times 255; 0 where there is no class."""
    pixel: tuple[float, float]
    """Width and height of a pixel of the map, level-0 pixels; the map begins at the slide's origin."""
    pixel_um: tuple[float, float]
    """The same, µm."""

    @property
    def pixel_mm2(self) -> float:
        """Area of a pixel of the map, mm²."""
        return self.pixel_um[0] * self.pixel_um[1] / 1e6

    def bands(self) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """Classes and scored probabilities of `BAND` rows after another."""
        for top in range(0, len(self.classes), BAND):
            yield self.classes[top : top + BAND], self.scored[top : top + BAND]

    def stamp(self, boxes: Iterable[tuple[int, int, int, int]], value: int) -> None:
        """Set what was scanned within some boxes, x0, y0, x1, y1 in pixels of the map, to another value."""
        for x0, y0, x1, y1 in boxes:
            part = self.classes[y0:y1, x0:x1]
            scanned = part != NOT_SCANNED
            part[scanned] = value
            self.scored[y0:y1, x0:x1][scanned] = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MapTally:
    """What is counted on a map."""

    pixels: NDArray[np.int64]
    """Pixels of each value, (256,)."""
    scored: NDArray[np.int64]
    """Pixels of any class by the value of their scored probability, (256,)."""

    def of_class(self, index: int) -> int:
        """Pixels of a class."""
        return int(self.pixels[FIRST_CLASS + index])

    @property
    def of_all_classes(self) -> int:
        """Pixels of any class."""
        return int(self.scored.sum())

    def slide_score(self, how: SlideScore) -> float | None:
        """The slide's score, 0 to 1; None if no place has a class. See `SlideScore`."""
        if not self.of_all_classes:
            return None
        top = math.ceil(how.top_share * self.of_all_classes)
        highest = self.scored[::-1]
        # Of each value, from the highest on, as many pixels as are still wanted.
        taken = np.diff(np.minimum(highest.cumsum(), top), prepend=0)
        return float(taken @ np.arange(255, -1, -1)) / 255 / top


def empty_map(
    size: tuple[int, int], *, pixel: tuple[float, float], pixel_um: tuple[float, float], folder: Path | None = None
) -> ClassMap:
    """A map of which nothing is scanned yet, in files without a name, which are gone when nobody uses the map.

    Args:
        size: rows and columns.
        pixel: width and height of a pixel of the map, level-0 pixels.
        pixel_um: the same, µm.
        folder: where the files are; the system's folder for temporary files if None.

    Raises:
        OutputError: there is no room for the files.
    """
    classes, scored = array_on_disk(size, folder), array_on_disk(size, folder)
    return ClassMap(classes=classes, scored=scored, pixel=pixel, pixel_um=pixel_um)


def tally(class_map: ClassMap) -> MapTally:
    """Count the pixels of a map, band by band."""
    pixels, scored = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for classes, probabilities in class_map.bands():
        pixels += np.bincount(classes.ravel(), minlength=256)
        has_class = (classes != NOT_SCANNED) & (classes != UNREAD)
        scored += np.bincount(probabilities[has_class], minlength=256)
    return MapTally(pixels=pixels, scored=scored)


def array_on_disk(size: tuple[int, int], folder: Path | None) -> NDArray[np.uint8]:
    """An array of noughts in a file without a name, which is gone when nobody uses the array.

    Args:
        size: rows and columns.
        folder: where the file is; the system's folder for temporary files if None.

    Raises:
        OutputError: there is no room for it.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(tempfile.TemporaryFile(dir=folder))
            if hasattr(os, "posix_fallocate"):
                # Writing to memory for which the disk has no room would end the process.
                os.posix_fallocate(file.fileno(), 0, size[0] * size[1])
            return np.memmap(file, np.uint8, mode="w+", shape=size)
        except OSError as error:
            where = folder or tempfile.gettempdir()
            message = f"{where}: no room for the map of a slide, {2 * size[0] * size[1] / 1e6:.0f} MB: {error.strerror}"
            raise OutputError(message) from error
