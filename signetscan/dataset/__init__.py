"""Annotated training images: reading them from folders of several layouts, and splitting them by slide.

`__init__.pyi` lists the names of this package; each is imported when it is first used.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
