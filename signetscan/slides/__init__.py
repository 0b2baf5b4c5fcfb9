"""Whole-slide images: one protocol, and a slide reader for each way in which slides are stored."""

from __future__ import annotations

from signetscan.slides.array_slide import ArraySlide
from signetscan.slides.at_mpp import SlideAtMpp
from signetscan.slides.mpp import Mpp
from signetscan.slides.opening import open_slide
from signetscan.slides.protocol import Bounds, Slide, qupath_origin

__all__ = ["ArraySlide", "Bounds", "Mpp", "Slide", "SlideAtMpp", "open_slide", "qupath_origin"]
