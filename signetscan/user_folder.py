"""The folder of a user for settings and models of signetscan."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def user_folder() -> Path:
    """The folder, where the system wants such folders to be; it need not exist."""
    if os.name == "nt":
        return Path(os.environ.get("APPDATA") or Path.home()) / "signetscan"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "signetscan"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "signetscan"
