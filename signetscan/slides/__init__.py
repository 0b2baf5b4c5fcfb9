"""Whole-slide images: one protocol, and a slide reader for each way in which slides are stored.

`__init__.pyi` says where each name is. A reader is imported when it is first used: a process that starts a batch knows
of slides what their files say, and opens none.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
