"""Reports for people: single HTML files that need no other file and no network."""

from __future__ import annotations

from signetscan.reports.page import render_page, write_page
from signetscan.reports.pictures import BoxColour, figure_uri, thumbnail_uri

__all__ = ["BoxColour", "figure_uri", "render_page", "thumbnail_uri", "write_page"]
