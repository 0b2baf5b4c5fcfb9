"""The name of who reviews, which is asked for once: noted in the user's folder."""

from __future__ import annotations

import json
import logging

from signetscan.atomic import atomic_text, make_folder
from signetscan.errors import OutputError
from signetscan.formats.result_files import reviewer_name
from signetscan.json_values import JsonError, JsonTable, parse_json
from signetscan.user_folder import user_folder

logger = logging.getLogger(__name__)

FILE_NAME = "reviewer.json"
"""Name of the file in the user's folder."""
MOST_BYTES = 4096
"""Largest file that is read."""


def remembered_reviewer() -> str | None:
    """The name that was given last; empty if the user wanted none, None if nobody was asked."""
    path = user_folder() / FILE_NAME
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        name = JsonTable.of(parse_json(path.read_bytes())).text("name")
    except (OSError, JsonError):
        return None
    return reviewer_name(name)


def remember_reviewer(name: str) -> None:
    """Note a name. Where nothing can be written, it holds for this viewer only.

    Args:
        name: the name, from `reviewer_name`; empty for none.
    """
    path = user_folder() / FILE_NAME
    try:
        make_folder(path.parent)
        with atomic_text(path) as file:
            json.dump({"name": name}, file)
    except OutputError as error:
        logger.debug("the reviewer is not remembered: %s", error)
