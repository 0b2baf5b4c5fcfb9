"""The viewer's answers to requests, whatever carries them: a table of addresses and what each returns."""

from __future__ import annotations

import math
import re
import secrets
import threading
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from signetscan.errors import AnnotationError, OptionError, OutputError, SlideError
from signetscan.formats.colours import colour_of
from signetscan.json_values import JsonError, JsonTable
from signetscan.models.spec import in_one_line
from signetscan.plurals import counted
from signetscan.viewer.crops import AROUND, CROP_PX, CROP_UM, LARGEST_PX, crop
from signetscan.viewer.deepzoom import OVERLAP_PX, TILE_PX, DeepZoom, jpeg
from signetscan.viewer.marks import Marks, Verdict
from signetscan.viewer.merging import said
from signetscan.viewer.pages import slide_page
from signetscan.viewer.replies import Reply, json_reply, not_there, refusal
from signetscan.viewer.saving import MarksFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.boxes import Box
    from signetscan.detections import Detections
    from signetscan.formats.scanned_slide import ScannedSlide
    from signetscan.json_values import Json
    from signetscan.slides import Slide
    from signetscan.viewer.class_overlay import ClassOverlay
    from signetscan.viewer.marks import Mark

TILE = re.compile(r"/tiles/([0-9]{1,2})/([0-9]{1,7})_([0-9]{1,7})\.jpg")
"""Address of a tile: level, column, row."""
CROP = re.compile(r"/crops/([0-9]{1,9})\.jpg")
"""Address of the picture of a box: its number."""
MOST_PX = 1e9
"""Largest coordinate, level-0 pixels."""
TILES_KEPT = 512
"""Tiles that are kept in memory once requested, some tens of megabytes."""
MOST_CORNERS = 2000
"""Most corners of an outline that is drawn; the page sends half as many."""
MOST_CHANGES = 500
"""Most changes of one request, which are saved together."""


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
        overlay: the regions of its segmentation, if there is one.
        reviewer: the name of who makes the marks; empty if none was given.

    Raises:
        AnnotationError: the file of marks cannot be used.
        MppError: the slide's mpp is unknown.
    """

    def __init__(
        self,
        scanned: ScannedSlide,
        slide: Slide,
        marks_path: Path,
        *,
        warnings: tuple[str, ...] = (),
        overlay: ClassOverlay | None = None,
        reviewer: str = "",
    ) -> None:
        self._scanned = scanned
        self._slide = slide
        self.marks_path = marks_path
        self._zoom = DeepZoom(slide)
        self._detections = ranked(scanned.detections)
        self._overlay = overlay
        self._reviewer = reviewer
        self.is_saved = True
        """Whether all marks are on the disk."""
        # Tells this viewer from one that is opened later: numbers of drawn boxes differ between the two.
        self.session = secrets.token_hex(8)
        self._file = MarksFile(marks_path, scanned, self._detections, whole=_whole(slide))
        self.warnings = (*warnings, *_left_out(self._file))
        self.marks = Marks(
            detections=self._detections,
            classes=len(scanned.class_names),
            dimensions=slide.dimensions,
            by_number=dict(self._file.saved.marks),
        )
        self._lock = threading.Lock()
        self._tile = lru_cache(TILES_KEPT)(self._new_tile)
        self._answers: dict[str, Callable[[], Reply]] = {
            "/slide.json": lambda: json_reply(self._facts()),
            "/detections.bin": lambda: Reply(kind="application/octet-stream", body=packed(self._detections)),
            "/marks.json": self._all_marks,
            "/classes.json": self._classes,
            "/classes.png": self._class_picture,
        }
        self._changes: dict[str, Callable[[JsonTable], int | None]] = {
            "accept": lambda change: self._judge(change, Verdict.ACCEPTED),
            "reject": lambda change: self._judge(change, Verdict.REJECTED),
            "clear": lambda change: self.marks.clear(change.whole("number")),
            "add": lambda change: self.marks.add(_edges(change, "box"), change.whole("label")),
            "reviewed": lambda change: self._add_region(change, Verdict.REVIEWED),
            "normal": lambda change: self._add_region(change, Verdict.NORMAL),
            "positive": lambda change: self._add_region(change, Verdict.POSITIVE),
            "undo": lambda _: self.marks.undo(),
        }

    @property
    def saved_to(self) -> str:
        """Where marks are saved, for a message."""
        return str(self.marks_path)

    def get(self, address: str) -> Reply:
        """The content at an address, or status 404."""
        if address in self._answers:
            return self._answers[address]()
        tile, box = TILE.fullmatch(address), CROP.fullmatch(address)
        if tile is not None:
            level, column, row = map(int, tile.groups())
            if self._zoom.layout.holds(level, column, row):
                return self._tile(level, column, row)
        if box is not None:
            return self._crop(int(box[1]))
        return slide_page(address) or not_there()

    def post(self, address: str, content: Mapping[str, Json]) -> Reply:
        """Change marks and save them: the changes are on the disk before the answer is sent.

        Args:
            address: `/marks`, or `/save` to save the marks again.
            content: for `/marks`, an `action` (accept, reject, clear, add, reviewed, normal, positive, undo) and its
                arguments: the `number` of a box, the `numbers` of several detections to accept or reject in one step,
                or a `box`, of a cell with its `label`, or the `outline` of a region, x0, y0, x1, y1 and so on. Or
                `changes`, a list of such, which are made in turn and saved together. With a `session`, only the viewer
                of that session makes changes.

        Returns:
            The `number` of the last changed box and its `mark` (null if it has none now); all boxes that were
            `changed`, with their marks; the `others` that somebody else changed in the file meanwhile, and the numbers
            of those `disputed` because both did; whether there `can_undo`; a `problem` if the marks could not be saved.
        """
        if address not in {"/marks", "/save"}:
            return not_there()
        if content.get("session", self.session) != self.session:
            return refusal(409, "The slide was opened anew meanwhile: look at it, and judge again.")
        with self._lock:
            before = dict(self.marks.by_number)
            number, refused = self._apply(content) if address == "/marks" else (None, None)
            if refused is not None:
                return refused
            changed = dict(self.marks.by_number)
            disputed, problem = self._save()
            self.is_saved = problem is None
            return json_reply(
                {
                    "number": number,
                    "mark": None if number is None else self._mark(number),
                    "changed": self._numbered(_differences(before, changed)),
                    "others": self._numbered(_differences(changed, self.marks.by_number)),
                    "disputed": [*sorted(disputed)],
                    "can_undo": self.marks.can_undo,
                    "problem": problem,
                }
            )

    def _apply(self, content: Mapping[str, Json]) -> tuple[int | None, Reply | None]:
        """Make changes, all or none. Returns the number of the last box, and why the request is refused."""
        number, before = None, self.marks.state()
        try:
            table = JsonTable(content)
            changes = table.array("changes") if "changes" in content else [dict(content)]
            if not 0 < len(changes) <= MOST_CHANGES:
                return None, refusal(400, f"A request makes 1 to {MOST_CHANGES} changes.")
            for change in changes:
                number = self._change(JsonTable.of(change, "a change"))
        except (JsonError, OptionError) as error:
            self.marks.restore(before)
            return None, refusal(400, str(error))
        return number, None

    def _change(self, change: JsonTable) -> int | None:
        """Make one change. Returns the number of its box.

        Raises:
            JsonError: there is no such action, or an argument is missing or impossible.
            OptionError: it cannot be made.
        """
        action = self._changes.get(str(change.values.get("action")))
        if action is None:
            message = "there is no such action"
            raise JsonError(message)
        return action(change)

    def _judge(self, change: JsonTable, verdict: Verdict) -> int:
        """Accept or reject one box, or several detections at once."""
        if "numbers" in change.values:
            return self.marks.judge_all(change.wholes("numbers"), verdict)
        number = change.whole("number")
        return self.marks.accept(number) if verdict is Verdict.ACCEPTED else self.marks.reject(number)

    def _add_region(self, change: JsonTable, verdict: Verdict) -> int:
        if "outline" in change.values:
            return self.marks.add_outlined(_corners(change, "outline"), verdict)
        return self.marks.add_region(_edges(change, "box"), verdict)

    def _numbered(self, numbers: Sequence[int]) -> list[Json]:
        return [{"number": number, "mark": self._mark(number)} for number in numbers]

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

    def _crop(self, number: int) -> Reply:
        with self._lock:
            box = self.marks.box_of(number)
        if box is None or max(box[2] - box[0], box[3] - box[1]) > LARGEST_PX:
            return not_there()
        try:
            return Reply(kind="image/jpeg", body=jpeg(crop(self._slide, box)))
        except SlideError as error:
            return refusal(500, str(error))

    def _classes(self) -> Reply:
        if self._overlay is None:
            return not_there()
        try:
            return json_reply(self._overlay.facts() | {"colours": self._overlay.colours()})
        except AnnotationError as error:
            return refusal(500, str(error))

    def _class_picture(self) -> Reply:
        if self._overlay is None:
            return not_there()
        try:
            return Reply(kind="image/png", body=self._overlay.png())
        except AnnotationError as error:
            return refusal(500, str(error))

    def _new_tile(self, level: int, column: int, row: int) -> Reply:
        try:
            return Reply(kind="image/jpeg", body=jpeg(self._zoom.tile(level, column, row)))
        except SlideError as error:
            return refusal(500, str(error))

    def _all_marks(self) -> Reply:
        with self._lock:
            marks: list[Json] = [{"number": number, **(self._mark(number) or {})} for number in self.marks.by_number]
            return json_reply({"marks": marks, "can_undo": self.marks.can_undo})

    def _mark(self, number: int) -> dict[str, Json] | None:
        mark = self.marks.by_number.get(number)
        if mark is None:
            return None
        score = None if math.isnan(mark.score) else mark.score
        outline: list[Json] = [edge for corner in mark.outline for edge in corner]
        return {"verdict": mark.verdict, "box": [*mark.box], "label": mark.label, "score": score, "outline": outline}

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
            "session": self.session,
            "warnings": [*self.warnings],
            "reviewer": self._reviewer,
            "segmented": self._overlay is not None,
            "crop_um": CROP_UM,
            "crop_px": CROP_PX,
            "crop_around": AROUND,
        }


def ranked(detections: Detections) -> Detections:
    """Detections by falling score; ties keep their order."""
    return detections.select(np.argsort(-detections.scores, kind="stable"))


def packed(detections: Detections) -> bytes:
    """Detections as the page reads them, little-endian: N boxes and N scores as float32, N labels as bytes."""
    labels = np.minimum(detections.labels, 255).astype(np.uint8)
    return detections.boxes.astype("<f4").tobytes() + detections.scores.astype("<f4").tobytes() + labels.tobytes()


def _whole(slide: Slide) -> Box:
    """The part of a slide that has pixels, as the page draws it when the whole slide was looked through."""
    bounds = slide.bounds
    if bounds is None:
        width, height = slide.dimensions
        return 0.0, 0.0, float(width), float(height)
    return float(bounds.x), float(bounds.y), float(bounds.x + bounds.width), float(bounds.y + bounds.height)


def _differences(before: Mapping[int, Mark], after: Mapping[int, Mark]) -> list[int]:
    """Numbers of the marks that say something else than before."""
    return [number for number in sorted({*before, *after}) if said(before.get(number)) != said(after.get(number))]


def _left_out(file: MarksFile) -> Iterator[str]:
    """What of a file of marks is not shown."""
    outdated, unshown = file.saved.outdated, file.saved.unshown
    if outdated:
        yield f"{file.path} lists {counted(outdated, 'detection')} of another run, on which nobody decided: left out"
    if unshown:
        yield f"{counted(unshown, 'region')} in {file.path} with holes, parts or too many corners: kept, but not shown"


def _corners(change: JsonTable, key: str) -> NDArray[np.float64]:
    """The corners of an outline, (N, 2).

    Raises:
        JsonError: the value is not a list of pairs of numbers, or it is too long, or one is too large.
    """
    values = np.array(change.numbers(key), np.float64)
    if len(values) % 2 == 0 and len(values) <= 2 * MOST_CORNERS and (np.abs(values) <= MOST_PX).all():
        return values.reshape(-1, 2)
    message = f"{key} must be up to {MOST_CORNERS} pairs of numbers"
    raise JsonError(message)


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
