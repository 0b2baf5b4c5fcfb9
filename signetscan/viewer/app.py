"""What the viewer answers, apart from how it is asked: a table of addresses, and what stands behind each."""

from __future__ import annotations

import json
import math
import re
import threading
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from signetscan.errors import OptionError, OutputError, SlideError
from signetscan.formats.colours import colour_of
from signetscan.viewer.deepzoom import OVERLAP_PX, TILE_PX, DeepZoom, jpeg
from signetscan.viewer.marks import Marks
from signetscan.viewer.marks_file import read_marks, write_marks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from signetscan.detections import Detections
    from signetscan.formats.scanned_slide import ScannedSlide
    from signetscan.slides import Slide

PAGES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/cells.js": ("cells.js", "text/javascript; charset=utf-8"),
    "/drawing.js": ("drawing.js", "text/javascript; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/openseadragon.min.js": ("openseadragon.min.js", "text/javascript; charset=utf-8"),
}
"""Address, file in `static` and type of all that is served from a file. No address is ever made into a path."""
JSON_TYPE = "application/json"
TILE = re.compile(r"/tiles/([0-9]{1,2})/([0-9]{1,7})_([0-9]{1,7})\.jpg")
"""Address of a tile: level, column, row."""
TILES_KEPT = 512
"""Tiles kept in memory after they were asked for, some tens of megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer."""

    status: int = 200
    """Of HTTP."""
    kind: str = "text/plain; charset=utf-8"
    """Type of the content."""
    body: bytes
    """The content."""


class Viewer:
    """One slide with its detections and marks. Safe to use from several threads.

    Detections are numbered from the highest score down, so that those above a threshold are the first ones. The page
    gets all of them at once, 21 bytes each: a million are there in a moment on a loopback, and from then on threshold,
    order and drawing need no server.

    Args:
        scanned: the slide's detections.
        slide: the slide, open.
        marks_path: where marks are kept; what is there is read.

    Raises:
        AnnotationError: there is a file of marks that cannot be used.
        MppError: the slide's mpp is unknown.
    """

    def __init__(self, scanned: ScannedSlide, slide: Slide, marks_path: Path) -> None:
        self._scanned = scanned
        self._slide = slide
        self._path = marks_path
        self._zoom = DeepZoom(slide)
        self._found = ranked(scanned.detections)
        self.marks = Marks(
            found=self._found,
            classes=len(scanned.class_names),
            dimensions=slide.dimensions,
            by_number=read_marks(marks_path, scanned, self._found),
        )
        self._lock = threading.Lock()
        self._tile = lru_cache(TILES_KEPT)(self._new_tile)
        static = resources.files("signetscan.viewer") / "static"
        self._answers: dict[str, Reply] = {
            address: Reply(kind=kind, body=(static / name).read_bytes()) for address, (name, kind) in PAGES.items()
        } | {
            "/slide.json": _json(self._facts()),
            "/detections.bin": Reply(kind="application/octet-stream", body=packed(self._found)),
        }
        self._changes: dict[str, Callable[[dict[str, Any]], int | None]] = {
            "accept": lambda asked: self.marks.accept(_whole(asked, "number")),
            "reject": lambda asked: self.marks.reject(_whole(asked, "number")),
            "clear": lambda asked: self.marks.clear(_whole(asked, "number")),
            "add": lambda asked: self.marks.add(_four(asked, "box"), _whole(asked, "label")),
            "undo": lambda _: self.marks.undo(),
        }

    def get(self, address: str) -> Reply:
        """What stands at an address, or status 404."""
        if address in self._answers:
            return self._answers[address]
        if address == "/marks.json":
            return self._all_marks()
        tile = TILE.fullmatch(address)
        if tile is not None:
            level, column, row = map(int, tile.groups())
            if self._zoom.pyramid.holds(level, column, row):
                return self._tile(level, column, row)
        return refusal(404, "There is nothing here.")

    def post(self, address: str, asked: dict[str, Any]) -> Reply:
        """Change marks, and save them: what is said is on the disk before it is answered.

        Args:
            address: `/marks`, or `/save` to save them once more.
            asked: for `/marks` an `action` (accept, reject, clear, add, undo) and what it needs: the `number` of a box,
                or a `box` and its `label`.

        Returns:
            The `number` of the box that was changed with its `mark`, null where there is none now, and a `problem`
            where they could not be saved.
        """
        if address not in {"/marks", "/save"}:
            return refusal(404, "There is nothing here.")
        with self._lock:
            number = None
            if address == "/marks":
                change = self._changes.get(str(asked.get("action")))
                if change is None:
                    return refusal(400, "There is no such action.")
                try:
                    number = change(asked)
                except OptionError as error:
                    return refusal(400, str(error))
            problem = self._save()
            mark = None if number is None else self._mark(number)
            return _json({"number": number, "mark": mark, "can_undo": self.marks.can_undo, "problem": problem})

    def close(self) -> None:
        """Wait for a change that is being saved, after which nothing is written any more."""
        self._lock.acquire()

    def _save(self) -> str | None:
        try:
            write_marks(self._path, self.marks.by_number, self._scanned)
        except OutputError as error:
            return str(error)
        return None

    def _new_tile(self, level: int, column: int, row: int) -> Reply:
        try:
            return Reply(kind="image/jpeg", body=jpeg(self._zoom.tile(level, column, row)))
        except SlideError as error:
            return refusal(500, str(error))

    def _all_marks(self) -> Reply:
        with self._lock:
            marks = [{"number": number} | (self._mark(number) or {}) for number in self.marks.by_number]
            return _json({"marks": marks, "can_undo": self.marks.can_undo})

    def _mark(self, number: int) -> dict[str, Any] | None:
        mark = self.marks.by_number.get(number)
        if mark is None:
            return None
        score = None if math.isnan(mark.score) else mark.score
        return {"verdict": mark.verdict, "box": mark.box, "label": mark.label, "score": score}

    def _facts(self) -> dict[str, Any]:
        pyramid, bounds = self._zoom.pyramid, self._slide.bounds
        return {
            "name": self._scanned.name,
            "model": self._scanned.model,
            "classes": [
                {"name": name, "colour": colour_of(label)} for label, name in enumerate(self._scanned.class_names)
            ],
            "detections": len(self._found),
            "width": pyramid.width,
            "height": pyramid.height,
            "tile": TILE_PX,
            "overlap": OVERLAP_PX,
            "lowest": pyramid.lowest,
            "top": pyramid.top,
            "mpp": self._scanned.mpp.x,
            "bounds": None if bounds is None else [bounds.x, bounds.y, bounds.width, bounds.height],
            "file": self._path.name,
        }


def ranked(found: Detections) -> Detections:
    """Detections from the highest score down; equal ones stay in their order."""
    return found.select(np.argsort(-found.scores, kind="stable"))


def packed(found: Detections) -> bytes:
    """Detections as the page takes them, little-endian: N boxes and N scores as float32, N labels as bytes."""
    labels = np.minimum(found.labels, 255).astype(np.uint8)
    return found.boxes.astype("<f4").tobytes() + found.scores.astype("<f4").tobytes() + labels.tobytes()


def refusal(status: int, why: str) -> Reply:
    """An answer that says why there is none."""
    return Reply(status=status, body=f"{why}\n".encode())


def _json(value: object) -> Reply:
    return Reply(kind=JSON_TYPE, body=json.dumps(value, allow_nan=False).encode())


def _whole(asked: dict[str, Any], name: str) -> int:
    value = asked.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        message = f"{name} must be a whole number"
        raise OptionError(message)
    return value


def _four(asked: dict[str, Any], name: str) -> list[float]:
    match asked.get(name):
        case [_, _, _, _] as edges if all(isinstance(edge, int | float) and abs(edge) <= 1e9 for edge in edges):
            return [float(edge) for edge in edges]  # nan is not even at most 1e9
    message = f"{name} must be four numbers"
    raise OptionError(message)
