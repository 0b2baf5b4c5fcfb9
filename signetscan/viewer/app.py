"""The viewer's answers to requests, whatever carries them: a table of addresses and what each returns."""

from __future__ import annotations

import json
import math
import re
import threading
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from signetscan.errors import AnnotationError, OptionError, OutputError, SlideError
from signetscan.formats.colours import colour_of
from signetscan.json_values import JsonError, JsonTable
from signetscan.models.spec import in_one_line
from signetscan.plurals import counted
from signetscan.viewer.deepzoom import OVERLAP_PX, TILE_PX, DeepZoom, jpeg
from signetscan.viewer.marks import Marks, Verdict
from signetscan.viewer.merging import said
from signetscan.viewer.saving import MarksFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from signetscan.detections import Detections
    from signetscan.formats.scanned_slide import ScannedSlide
    from signetscan.json_values import Json
    from signetscan.slides import Slide
    from signetscan.viewer.marks import Mark

PAGES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/cells.js": ("cells.js", "text/javascript; charset=utf-8"),
    "/drawing.js": ("drawing.js", "text/javascript; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/openseadragon.min.js": ("openseadragon.min.js", "text/javascript; charset=utf-8"),
}
"""File in `static`, and its content type, by address. Only these files are served: no address becomes a path."""
JSON_TYPE = "application/json"
TILE = re.compile(r"/tiles/([0-9]{1,2})/([0-9]{1,7})_([0-9]{1,7})\.jpg")
"""Address of a tile: level, column, row."""
MOST_PX = 1e9
"""Largest coordinate, level-0 pixels."""
TILES_KEPT = 512
"""Tiles that are kept in memory once requested, some tens of megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to a request."""

    status: int = 200
    """HTTP status."""
    kind: str = "text/plain; charset=utf-8"
    """Type of the content."""
    body: bytes
    """The content."""


class Viewer:
    """One slide with its detections and marks. Safe to use from several threads.

    Detections are numbered by falling score, so that those above a threshold are the first ones. The page gets all of
    them at once, 21 bytes each: on the loopback a million arrive in a moment, and from then on threshold, order and
    drawing need no server.

    Args:
        scanned: the slide's detections.
        slide: the open slide.
        marks_path: file of the marks, which is read if it exists.
        warnings: what the user should know about slide and marks.

    Raises:
        AnnotationError: the file of marks cannot be used.
        MppError: the slide's mpp is unknown.
    """

    def __init__(
        self, scanned: ScannedSlide, slide: Slide, marks_path: Path, *, warnings: tuple[str, ...] = ()
    ) -> None:
        self._scanned = scanned
        self._slide = slide
        self.marks_path = marks_path
        self._zoom = DeepZoom(slide)
        self._detections = ranked(scanned.detections)
        self._file = MarksFile(marks_path, scanned, self._detections)
        outdated = self._file.saved.outdated
        what = f"{marks_path} lists {counted(outdated, 'detection')} of another run, on which nobody decided: left out"
        self.warnings = (*warnings, what) if outdated else warnings
        self.marks = Marks(
            detections=self._detections,
            classes=len(scanned.class_names),
            dimensions=slide.dimensions,
            by_number=dict(self._file.saved.marks),
        )
        self._lock = threading.Lock()
        self._tile = lru_cache(TILES_KEPT)(self._new_tile)
        static = resources.files("signetscan.viewer") / "static"
        self._answers: dict[str, Reply] = {
            address: Reply(kind=kind, body=(static / name).read_bytes()) for address, (name, kind) in PAGES.items()
        } | {
            "/slide.json": _json(self._facts()),
            "/detections.bin": Reply(kind="application/octet-stream", body=packed(self._detections)),
        }
        self._changes: dict[str, Callable[[JsonTable], int | None]] = {
            "accept": lambda change: self.marks.accept(change.whole("number")),
            "reject": lambda change: self.marks.reject(change.whole("number")),
            "clear": lambda change: self.marks.clear(change.whole("number")),
            "add": lambda change: self.marks.add(_edges(change, "box"), change.whole("label")),
            "reviewed": lambda change: self.marks.add_region(_edges(change, "box"), Verdict.REVIEWED),
            "normal": lambda change: self.marks.add_region(_edges(change, "box"), Verdict.NORMAL),
            "undo": lambda _: self.marks.undo(),
        }

    def get(self, address: str) -> Reply:
        """The content at an address, or status 404."""
        if address in self._answers:
            return self._answers[address]
        if address == "/marks.json":
            return self._all_marks()
        tile = TILE.fullmatch(address)
        if tile is not None:
            level, column, row = map(int, tile.groups())
            if self._zoom.layout.holds(level, column, row):
                return self._tile(level, column, row)
        return refusal(404, "There is nothing here.")

    def post(self, address: str, content: Mapping[str, Json]) -> Reply:
        """Change marks and save them: the change is on the disk before the answer is sent.

        Args:
            address: `/marks`, or `/save` to save the marks again.
            content: for `/marks`, an `action` (accept, reject, clear, add, reviewed, normal, undo) and its arguments:
                the `number` of a box, or a `box`, of a cell with its `label`.

        Returns:
            The `number` of the changed box and its `mark` (null if it has none now); the `others` that somebody else
            changed in the file meanwhile, with their marks, and the numbers of those `disputed` because both did;
            whether there `can_undo`; and a `problem` if the marks could not be saved.
        """
        if address not in {"/marks", "/save"}:
            return refusal(404, "There is nothing here.")
        with self._lock:
            number = None
            if address == "/marks":
                change = self._changes.get(str(content.get("action")))
                if change is None:
                    return refusal(400, "There is no such action.")
                try:
                    number = change(JsonTable(content))
                except (JsonError, OptionError) as error:
                    return refusal(400, str(error))
            before = dict(self.marks.by_number)
            disputed, problem = self._save()
            others = _differences(before, self.marks.by_number)
            return _json(
                {
                    "number": number,
                    "mark": None if number is None else self._mark(number),
                    "others": [{"number": other, "mark": self._mark(other)} for other in others],
                    "disputed": [*sorted(disputed)],
                    "can_undo": self.marks.can_undo,
                    "problem": problem,
                }
            )

    def close(self) -> None:
        """Wait until a running save is done, and prevent further ones."""
        self._lock.acquire()  # never released: a request that comes later waits for ever, and writes nothing

    def _save(self) -> tuple[frozenset[int], str | None]:
        """Save the marks. Returns the numbers of those that are disputed, and why the marks could not be saved."""
        try:
            return self._file.save(self.marks), None
        except AnnotationError as error:
            return frozenset(), f"{error}; another program changed it: mend it or move it away, and save again"
        except OutputError as error:
            return frozenset(), str(error)

    def _new_tile(self, level: int, column: int, row: int) -> Reply:
        try:
            return Reply(kind="image/jpeg", body=jpeg(self._zoom.tile(level, column, row)))
        except SlideError as error:
            return refusal(500, str(error))

    def _all_marks(self) -> Reply:
        with self._lock:
            marks: list[Json] = [{"number": number, **(self._mark(number) or {})} for number in self.marks.by_number]
            return _json({"marks": marks, "can_undo": self.marks.can_undo})

    def _mark(self, number: int) -> dict[str, Json] | None:
        mark = self.marks.by_number.get(number)
        if mark is None:
            return None
        score = None if math.isnan(mark.score) else mark.score
        return {"verdict": mark.verdict, "box": list(mark.box), "label": mark.label, "score": score}

    def _facts(self) -> dict[str, Json]:
        layout, bounds = self._zoom.layout, self._slide.bounds
        return {
            "name": self._scanned.name,
            "model": self._scanned.model,
            "learnt_from": in_one_line(self._scanned.learnt_from),
            "classes": [
                {"name": name, "colour": list(colour_of(label))} for label, name in enumerate(self._scanned.class_names)
            ],
            "detections": len(self._detections),
            "width": layout.width,
            "height": layout.height,
            "tile": TILE_PX,
            "overlap": OVERLAP_PX,
            "lowest": layout.lowest,
            "top": layout.top,
            "mpp": self._scanned.mpp.x,
            "bounds": None if bounds is None else [bounds.x, bounds.y, bounds.width, bounds.height],
            "file": self.marks_path.name,
        }


def ranked(detections: Detections) -> Detections:
    """Detections by falling score; ties keep their order."""
    return detections.select(np.argsort(-detections.scores, kind="stable"))


def packed(detections: Detections) -> bytes:
    """Detections as the page reads them, little-endian: N boxes and N scores as float32, N labels as bytes."""
    labels = np.minimum(detections.labels, 255).astype(np.uint8)
    return detections.boxes.astype("<f4").tobytes() + detections.scores.astype("<f4").tobytes() + labels.tobytes()


def refusal(status: int, why: str) -> Reply:
    """An answer that says why a request is refused."""
    return Reply(status=status, body=f"{why}\n".encode())


def _json(value: Json) -> Reply:
    return Reply(kind=JSON_TYPE, body=json.dumps(value, allow_nan=False).encode())


def _differences(before: Mapping[int, Mark], after: Mapping[int, Mark]) -> list[int]:
    """Numbers of the marks that say something else than before."""
    return [number for number in sorted({*before, *after}) if said(before.get(number)) != said(after.get(number))]


def _edges(change: JsonTable, key: str) -> list[float]:
    """The edges of a box.

    Raises:
        JsonError: the value is not a list of four numbers, or one is too large.
    """
    edges = change.numbers(key)
    if len(edges) == 4 and all(abs(edge) <= MOST_PX for edge in edges):
        return list(edges)
    message = f"{key} must be four numbers"
    raise JsonError(message)
