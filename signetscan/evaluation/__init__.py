"""Evaluation of detections: the figures of DigestPath 2019, AP, F1 and calibration, with intervals.

`evaluate_files` does it all: it reads predictions and truth (`read_results`), computes figures with bootstrap intervals
(`assess`), and writes figures and plots (`write_assessment`). `evaluate` computes DigestPath's figures only, quickly.
`__init__.pyi` lists the names of this package; each is imported when it is first used.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
