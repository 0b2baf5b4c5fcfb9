"""Find signet ring cells in whole-slide images, and train the detector from partial annotations.

The names that most users need are here; `__init__.pyi` says which and where each comes from. A module is imported when
one of its names is first used, so that the command line starts quickly and detection needs no torch.
"""

from __future__ import annotations

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
