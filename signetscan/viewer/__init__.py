"""Review and correct the detections of a slide in the browser."""

from __future__ import annotations

from signetscan.viewer.app import Viewer
from signetscan.viewer.deepzoom import DeepZoom, TileLayout
from signetscan.viewer.marks import Mark, Marks, Verdict
from signetscan.viewer.marks_file import SavedMarks, write_marks
from signetscan.viewer.marks_reading import read_marks
from signetscan.viewer.opening import open_viewer
from signetscan.viewer.server import ViewerServer

__all__ = [
    "DeepZoom",
    "Mark",
    "Marks",
    "SavedMarks",
    "TileLayout",
    "Verdict",
    "Viewer",
    "ViewerServer",
    "open_viewer",
    "read_marks",
    "write_marks",
]
