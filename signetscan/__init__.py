"""Find signet ring cells in whole-slide images, and train the detector from partial annotations."""

from __future__ import annotations

__version__ = "0.1.0"
