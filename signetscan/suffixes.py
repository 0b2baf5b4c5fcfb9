"""Telling slides from other files by their names. Apart from `slides/`, so that it costs no import of a reader."""

from __future__ import annotations

SLIDE_ENDINGS = (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".czi", ".dcm")
"""Files that are slides by their ending; a .tif may be one."""
TIFF_ENDINGS = (".tif", ".tiff")


def name_of(file_name: str) -> str:
    """A slide file's name without its ending; `.ome.tif` is one."""
    stem, _, ending = file_name.rpartition(".")
    return (stem or ending).removesuffix(".ome")
