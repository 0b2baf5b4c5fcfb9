"""The viewer of a folder of results: a work list, and each slide when it is asked for."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING
from urllib.parse import unquote

from signetscan.errors import SignetscanError
from signetscan.formats.result_files import REGIONS, reviewer_name
from signetscan.json_values import JsonError, JsonTable
from signetscan.viewer.opened_slides import OpenedSlides
from signetscan.viewer.pages import list_page, slide_page
from signetscan.viewer.replies import Reply, json_reply, not_there, refusal, see_other
from signetscan.viewer.result_pages import FOLDER, index_address, page_addresses, result_page
from signetscan.viewer.reviewers import remember_reviewer, remembered_reviewer
from signetscan.viewer.thumbnails import Thumbnails
from signetscan.viewer.work_list import list_work, work_item_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from signetscan.json_values import Json
    from signetscan.results.slide_finder import SlideFinder
    from signetscan.viewer.work_list import WorkItem

OF_A_SLIDE = re.compile(r"/slide/([0-9]{1,7})(/.*)")
"""Address of something of a slide: the slide's number, and the address as a viewer of that slide alone has it."""
THUMBNAIL = "/thumbnail.jpg"
"""Address of the small picture of a slide, below that of the slide."""
NAMED = "/named/"
"""Begins the address of a slide by its name, which stays the same from run to run."""


class Workspace:
    """All slides of a folder of results. Safe to use from several threads.

    The list needs no slide to be open. A slide is opened when something of it is asked for, and some are kept open.

    Args:
        results: the folder of the results.
        finder: knows where slides are.
        warnings: what the user should know before the page opens.
    """

    def __init__(self, results: Path, finder: SlideFinder, *, warnings: tuple[str, ...] = ()) -> None:
        self.warnings = warnings
        self._results = results
        self._finder = finder
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._items: list[WorkItem] = []
        self._reviewer = remembered_reviewer()
        self._slides = OpenedSlides(finder)
        self._thumbnails = Thumbnails(finder)
        self._listed()

    @property
    def saved_to(self) -> str:
        """Where marks are saved, for a message."""
        return f"files beside the results in {self._results}"

    def get(self, address: str) -> Reply:
        """The content at an address, or status 404."""
        if address == "/work.json":
            return json_reply(self._work())
        if address.startswith(FOLDER):
            return result_page(self._results, address, self._names())
        if address.startswith(NAMED):
            return self._named(unquote(address.removeprefix(NAMED), errors="replace"))
        return list_page(address) or self._of_slide(address)

    def _of_slide(self, address: str) -> Reply:
        item, within = self._addressed(address)
        if item is None:
            return not_there()
        if within == THUMBNAIL:
            return self._thumbnails.of(item)
        page = slide_page(within) if within != address else None
        if page is not None:
            return page  # so that a slide that cannot be opened has a page which says why
        try:
            with self._slides.open(item, self.reviewer) as viewer:
                return viewer.get(within)
        except SignetscanError as error:
            return refusal(409, str(error))

    def post(self, address: str, content: Mapping[str, Json]) -> Reply:
        """Change marks of a slide, or say who makes them.

        Args:
            address: `/reviewer`, or a slide's address of changes.
            content: for `/reviewer` a `name`, empty to review without one; else as for `Viewer.post`.
        """
        if address == "/reviewer":
            return self._set_reviewer(content)
        item, within = self._addressed(address)
        if item is None:
            return not_there()
        if "session" not in content and within != address:
            return refusal(400, "The session is missing.")
        try:
            with self._slides.open(item, self.reviewer) as viewer:
                return viewer.post(within, content)
        except SignetscanError as error:
            return refusal(409, str(error))

    def close(self) -> None:
        """Wait until running saves are done, prevent further ones, and close all slides."""
        self._slides.close()

    @property
    def reviewer(self) -> str:
        """Who makes the marks; empty if nobody said."""
        return self._reviewer or ""

    def _addressed(self, address: str) -> tuple[WorkItem | None, str]:
        """The slide of which something is asked for, and what of it, as a viewer of that slide alone has it.

        A folder with one slide has that slide's data at their addresses of a single slide too, for programs that ask
        for them. They need no session: the slide stays open, so that numbers of boxes mean the same all the time.
        """
        of_slide = OF_A_SLIDE.fullmatch(address)
        with self._lock:
            if of_slide is not None:
                number = int(of_slide[1])
                return self._items[number] if number < len(self._items) else None, of_slide[2]
            reviewed = [item for item in self._items if item.record is not None]
            return reviewed[0] if len(reviewed) == 1 else None, address

    def _names(self) -> frozenset[str]:
        with self._lock:
            return frozenset(self._numbers)

    def _named(self, name: str) -> Reply:
        """Leads to a slide by its name, or by that of its segmentation; the place behind # goes along."""
        with self._lock:
            number = self._numbers.get(name, self._numbers.get(name.removesuffix(REGIONS)))
        return not_there() if number is None else see_other(f"/slide/{number}/")

    def _listed(self) -> list[tuple[int, WorkItem]]:
        """The slides and their numbers, as the folder is now. A slide keeps its number as long as the viewer runs."""
        found = list_work(self._results)
        with self._lock:
            for item in found:
                number = self._numbers.setdefault(item.name, len(self._items))
                if number == len(self._items):
                    self._items.append(item)
                self._items[number] = item
            return [(self._numbers[item.name], item) for item in found]

    def _work(self) -> Json:
        slides = [
            work_item_json(item, number, self.reviewer, self._finder)
            | {"reports": {**page_addresses(self._results, item.name)}}
            for number, item in self._listed()
        ]
        return {
            "folder": self._results.resolve().name,
            "reviewer": self._reviewer,
            "known_slides": self._finder.count,
            "index": index_address(self._results),
            "slides": [*slides],
        }

    def _set_reviewer(self, content: Mapping[str, Json]) -> Reply:
        try:
            given = JsonTable(content).text("name")
        except JsonError as error:
            return refusal(400, str(error))
        name = reviewer_name(given)
        if given.strip() and not name:
            return refusal(400, "A name has up to 40 letters, digits and hyphens.")
        with self._lock:
            self._reviewer = name
        remember_reviewer(name)
        return json_reply({"reviewer": name})
