"""Exit statuses beside 0, that all is done."""

from __future__ import annotations

FATAL = 1
"""It could not be done."""
USAGE = 2
"""It was asked for in a way that makes no sense."""
SOME_FAILED = 3
"""Some slides failed; the others are done."""
ENVIRONMENT = 4
"""The device or the model asked for cannot be used here."""
INTERRUPTED = 130
"""It was told to stop."""
