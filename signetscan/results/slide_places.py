"""Where the slides of results are: noted in the user's folder, because results do not name the files of slides.

Paths may tell of patients, and results are passed on. So the note stays with the user who scanned the slides, it is
readable by that user alone, and there is none of slides whose results have pseudonyms.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from signetscan.atomic import make_folder, part_path
from signetscan.errors import OutputError
from signetscan.file_lock import locked
from signetscan.json_values import JsonError, JsonTable
from signetscan.user_folder import user_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

logger = logging.getLogger(__name__)

FILE_NAME = "slide-places.json"
"""Name of the file in the user's folder."""
MOST_BYTES = 1 << 22
"""Largest file that is read."""
MOST_RESULTS = 300
"""Folders of results that are remembered, the latest ones."""
MOST_FILES = 50
"""Slides that are noted one by one; of more, the folders are noted."""
PRIVATE = 0o600
"""Mode of the file: readable by its user alone."""


def places_file() -> Path:
    """The file; it need not exist."""
    return user_folder() / FILE_NAME


def remember_slides(results: Path, slides: Iterable[Path]) -> None:
    """Note where the slides of a folder of results are. Where nothing can be written, nothing is remembered.

    Args:
        results: the folder of the results.
        slides: their slides, or folders of them.
    """
    path = places_file()
    try:
        make_folder(path.parent)
        with locked(path):
            known = dict(_read(path))
            key = str(results.resolve())
            before = known.pop(key, ())
            # The latest is last; a dictionary keeps its order.
            known[key] = tuple(_shortened([*before, *(str(slide.resolve()) for slide in slides)]))
            latest = dict([*known.items()][-MOST_RESULTS:])
            with part_path(path) as part:
                part.chmod(PRIVATE)
                part.write_text(json.dumps({"slides_of_results": latest}, indent=1), encoding="utf-8")
    except OutputError as error:
        logger.debug("where slides are is not remembered: %s", error)


def remembered_places(results: Path) -> list[Path]:
    """Where the slides of results may be: files and folders that were noted for a folder, one above or one below it.

    Args:
        results: a folder of results, or a file of them.
    """
    wanted = results.resolve()
    places: dict[Path, None] = {}
    for key, slides in reversed([*_read(places_file()).items()]):
        noted = Path(key)
        if noted == wanted or noted in wanted.parents or wanted in noted.parents:
            places.update(dict.fromkeys(Path(slide) for slide in slides))
    return [place for place in places if place.exists()]


def _shortened(slides: list[str]) -> list[str]:
    """Each place once; the folders of the slides in place of more than `MOST_FILES` of them."""
    distinct = list(dict.fromkeys(slides))
    if len(distinct) <= MOST_FILES:
        return distinct
    paths = [Path(slide) for slide in distinct]
    folders = dict.fromkeys(path if path.is_dir() else path.parent for path in paths)
    outer = [folder for folder in folders if not folders.keys() & set(folder.parents)]
    return [str(folder) for folder in outer[-MOST_FILES:]]


def _read(path: Path) -> Mapping[str, tuple[str, ...]]:
    """What is noted; nothing if the file is missing or damaged."""
    try:
        table = JsonTable.of_file(path, MOST_BYTES).table("slides_of_results")
        return {results: table.texts(results) for results in table.values}
    except (OSError, JsonError) as error:
        logger.debug("where slides are cannot be read: %s", error)
        return {}
