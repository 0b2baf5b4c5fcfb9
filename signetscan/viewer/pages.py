"""The files of the pages, by address. Only these files are served: no address becomes a path."""

from __future__ import annotations

from functools import cache
from importlib import resources

from signetscan.viewer.replies import HTML, Reply

SCRIPT, STYLE = "text/javascript; charset=utf-8", "text/css; charset=utf-8"

SHARED = {
    "/style.css": ("style.css", STYLE),
    "/page.js": ("page.js", SCRIPT),
}
"""File in `static`, and its content type, by address, of every page."""
PAGES = SHARED | {
    "/": ("index.html", HTML),
    "/app.js": ("app.js", SCRIPT),
    "/cells.js": ("cells.js", SCRIPT),
    "/drawing.js": ("drawing.js", SCRIPT),
    "/drafting.js": ("drafting.js", SCRIPT),
    "/outlines.js": ("outlines.js", SCRIPT),
    "/marking.js": ("marking.js", SCRIPT),
    "/place.js": ("place.js", SCRIPT),
    "/magnification.js": ("magnification.js", SCRIPT),
    "/class-overlay.js": ("class-overlay.js", SCRIPT),
    "/openseadragon.min.js": ("openseadragon.min.js", SCRIPT),
    "/gallery": ("gallery.html", HTML),
    "/gallery.js": ("gallery.js", SCRIPT),
    "/gallery.css": ("gallery.css", STYLE),
}
"""The same of a slide."""
LIST_PAGES = SHARED | {
    "/": ("work-list.html", HTML),
    "/work-list.js": ("work-list.js", SCRIPT),
    "/work-list.css": ("work-list.css", STYLE),
}
"""The same of a folder of results."""


@cache
def page(name: str, kind: str) -> Reply:
    """A file of the pages."""
    return Reply(kind=kind, body=(resources.files("signetscan.viewer") / "static" / name).read_bytes())


def slide_page(address: str) -> Reply | None:
    """What a slide's pages have at an address; None if they have nothing."""
    return page(*PAGES[address]) if address in PAGES else None


def list_page(address: str) -> Reply | None:
    """What the pages of a folder of results have at an address; None if they have nothing."""
    return page(*LIST_PAGES[address]) if address in LIST_PAGES else None
