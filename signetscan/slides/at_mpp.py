"""A slide resampled to one resolution, whatever levels it has."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from signetscan.errors import MppError
from signetscan.slides.averaging import resized_mask
from signetscan.slides.protocol import Window, known_mpp

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from numpy.typing import NDArray

    from signetscan.boxes import Float
    from signetscan.slides.protocol import Slide

MAX_ENLARGEMENT = 4.0
"""A slide coarser than this many times the wanted mpp shows too little detail to be worth enlarging."""

SAME_SIZE = 0.04
"""Pixels may be this share larger or smaller than wanted. Scanners' pixels are seldom exact (0.2525, 0.499, 0.2425 µm),
cells differ in size by far more, and to take pixels as they are, or to average whole numbers of them, costs a small
part of what resampling costs."""

FILTER_REACH = 2.0
"""Pixels on each side that the bicubic filter uses, in pixels of the coarser of the two images."""

SAME_SCALE = 1e-6
"""Scales whose relative difference is smaller than this count as the same."""


class SlideAtMpp:
    """A slide resampled to a wanted mpp, read window by window.

    Windows are in *view pixels*: squares of `mpp` µm whose grid starts at the slide's level-0 origin. View pixel i
    covers level-0 pixels [i * scale, (i + 1) * scale), so that coordinates convert by one factor per axis and
    neighbouring windows join without a seam.

    A view pixel that is a whole number of level pixels wide and high is their mean (see `Slide.read_averaged`); all
    others are resampled by a bicubic filter.

    Args:
        slide: the slide.
        mpp: wanted size of a pixel, µm/px.
        slack: share by which view pixels may be larger or smaller than wanted, if that makes them whole numbers of
            level pixels.

    Raises:
        MppError: the slide's mpp is unknown, or too coarse for the wanted one.
    """

    def __init__(self, slide: Slide, mpp: float, *, slack: float = SAME_SIZE) -> None:
        known = known_mpp(slide)
        if max(known.x, known.y) > mpp * MAX_ENLARGEMENT:
            message = (
                f"{slide.name}: its pixels are {known.x:g} µm wide ({known.source}), too coarse for a model that works "
                f"at {mpp:g} µm/px. Use a scan of higher magnification, or correct the size"
            )
            raise MppError(message, options=("mpp",))
        self.slide = slide
        scale = (mpp / known.x, mpp / known.y)
        self.level = best_level(slide.level_downsamples, min(scale), slack)
        """The level of the slide that is read."""
        self._downsample = slide.level_downsamples[self.level]
        self._whole = _whole_numbers([factor / self._downsample for factor in scale], slack)
        """Level pixels per view pixel along x and y if these are whole numbers, else None."""
        if self._whole is not None:
            scale = (self._whole[0] * self._downsample, self._whole[1] * self._downsample)
        self.scale = scale
        """Level-0 pixels per view pixel, along x and y."""
        self.pixel_um = (self.scale[0] * known.x, self.scale[1] * known.y)
        """Width and height of a view pixel, µm."""
        width, height = slide.dimensions
        self.dimensions = (math.ceil(width / self.scale[0]), math.ceil(height / self.scale[1]))
        """Width and height, view pixels; the last pixel may be partly outside the slide."""

    def read(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Read a window, uint8 (height, width, 3); white outside the slide. See `read_window`."""
        return self.read_window(x, y, width, height).pixels

    def read_window(self, x: int, y: int, width: int, height: int) -> Window:
        """Read a window; white outside the slide.

        Args:
            x: left edge, view pixels; may be negative.
            y: top edge.
            width: width of the window, view pixels.
            height: height of the window, view pixels.

        Raises:
            SlideError: the pixels cannot be decoded.
        """
        left, top = x * self.scale[0], y * self.scale[1]
        # Only from a whole level-0 pixel on do the level's pixels fall into whole blocks.
        if self._whole is not None and left.is_integer() and top.is_integer():
            return self.slide.read_averaged((int(left), int(top)), self.level, (width, height), self._whole)
        downsample = self._downsample
        ratio_x, ratio_y = self.scale[0] / downsample, self.scale[1] / downsample
        span_x = _Span.of(x, width, ratio_x, downsample)
        span_y = _Span.of(y, height, ratio_y, downsample)
        window = self.slide.read_window((span_x.location, span_y.location), self.level, (span_x.size, span_y.size))
        box = (span_x.start, span_y.start, span_x.end, span_y.end)
        resized = Image.fromarray(window.pixels).resize((width, height), Image.Resampling.BICUBIC, box=box)
        return Window(pixels=np.asarray(resized), missing=resized_mask(window.missing, (width, height), box))

    def to_level0(self, boxes: NDArray[Float]) -> NDArray[np.float64]:
        """Convert boxes (N, 4) from view pixels to level-0 pixels; float64, because x may exceed 200,000."""
        scaled: NDArray[np.float64] = boxes.astype(np.float64) * np.array([*self.scale, *self.scale])
        return scaled


def best_level(downsamples: tuple[float, ...], scale: float, slack: float = SAME_SIZE) -> int:
    """The coarsest level with a downsample of at most `scale`, give or take the slack; level 0 if there is none."""
    fine = [level for level, downsample in enumerate(downsamples) if downsample <= scale * (1 + slack)]
    return max(fine, key=lambda level: downsamples[level], default=0)


def _whole_numbers(ratios: Sequence[float], slack: float) -> tuple[int, int] | None:
    """Both ratios rounded to whole numbers of at least 1; None if one differs by more than the slack."""
    x, y = (max(1, round(ratio)) for ratio in ratios)
    is_near = all(abs(whole / ratio - 1) <= max(slack, SAME_SCALE) for whole, ratio in zip((x, y), ratios, strict=True))
    return (x, y) if is_near else None


@dataclass(frozen=True, slots=True)
class _Span:
    """One axis of a window: which level pixels to read, and where among them the window lies."""

    location: int
    """Where to start reading, level-0 pixels."""
    size: int
    """How much to read, level pixels."""
    start: float
    """Start of the window within the pixels read, level pixels."""
    end: float
    """End of the window within the pixels read, level pixels."""

    @classmethod
    def of(cls, position: int, length: int, ratio: float, downsample: float) -> Self:
        """Plan the reading of a window along one axis.

        Args:
            position: start of the window, view pixels.
            length: length of the window, view pixels.
            ratio: level pixels per view pixel.
            downsample: level-0 pixels per level pixel.
        """
        start = position * ratio
        margin = FILTER_REACH * max(ratio, 1)
        # A location is a whole number of level-0 pixels. If the downsample is not whole, it falls between two pixels of
        # the level, so the window is placed relative to where reading really starts.
        location = math.floor((math.floor(start - margin)) * downsample)
        origin = location / downsample
        size = math.ceil(start + length * ratio + margin - origin)
        return cls(location, size, start - origin, start + length * ratio - origin)
