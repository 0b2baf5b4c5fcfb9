"""Exit statuses other than 0, which means that all is done."""

from __future__ import annotations

FATAL = 1
"""An error stopped the command, not all that it had to say could be written, or a calibration has no threshold."""
USAGE = 2
"""The arguments or options make no sense."""
SOME_FAILED = 3
"""Some slides failed; the others are done."""
ENVIRONMENT = 4
"""The device or the model asked for cannot be used here."""
INTERRUPTED = 130
"""The user or the system ended the command."""
