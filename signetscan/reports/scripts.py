"""The scripts of pages: what each page runs, and the hashes by which a policy names them."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources

SCRIPTS = {
    "slide.html": ("slide.js", "stage.js", "served.js"),
    "regions.html": ("stage.js", "served.js"),
    "index.html": ("index.js", "served.js"),
}
"""Files in `templates` whose code makes up the script of a page, by the page's template."""


@cache
def script_of(template: str) -> str:
    """The script of a page; empty if it runs none. Nothing of a page's values is in it."""
    folder = resources.files("signetscan.reports") / "templates"
    parts = [(folder / name).read_text(encoding="utf-8") for name in SCRIPTS.get(template, ())]
    return "".join(('"use strict";\n', *parts)) if parts else ""


def script_hash(code: str) -> str:
    """A script as a source of a content security policy: only a script with this text may run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode('ascii')}'"
