"""How good detections are: by the definitions of DigestPath 2019, and by AP, F1, calibration and their intervals.

`evaluate_files` does it all: it reads predictions and truth (`read_results`), judges them with bootstrap intervals
(`assess`), and writes figures and plots (`write_assessment`). `evaluate` gives DigestPath's figures alone and is quick.
`__init__.pyi` says which names are here; each is imported when it is first used.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
