"""The file of an index: its name, and how it is known again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

INDEX_NAME = "index.html"
"""Name of the index in the folder of the results."""
TITLE = "Slides: signetscan"
"""Title of the page, by which it is known again."""
HEAD_BYTES = 1 << 15
"""Where in a page its title and its thumbnail stand, from its beginning."""


def is_index(path: Path) -> bool:
    """Whether a file is an index that was made before, which may be made anew."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return f"<title>{TITLE}</title>".encode() in file.read(HEAD_BYTES)
