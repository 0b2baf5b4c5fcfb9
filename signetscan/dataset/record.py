"""`dataset.json`, the record of a data set that grows slide by slide."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from signetscan import __version__
from signetscan.atomic import atomic_text
from signetscan.dataset.options import MAX_MPP
from signetscan.errors import AnnotationError
from signetscan.json_values import JsonError, parse_json

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.json_values import Json

FILE = "dataset.json"
"""Name of the record's file."""
MAX_BYTES = 50_000_000
"""Largest record that is read: enough for more than a hundred thousand slides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRecord:
    """The mpp of a data set, and its slides."""

    mpp: float
    """Size of the images' pixels, µm."""
    slides: dict[str, dict[str, Json]] = field(default_factory=dict)
    """For each slide by name, its `fingerprint` and the numbers of its images and cells."""

    def names_of(self, fingerprint: str) -> list[str]:
        """The names that a slide has in the data set."""
        return [name for name, facts in self.slides.items() if facts.get("fingerprint") == fingerprint]


def read_dataset_record(folder: Path) -> DatasetRecord | None:
    """The record of a data set; None if there is none, or if another program wrote a file of that name.

    Raises:
        AnnotationError: the record cannot be read, or its mpp is out of range.
    """
    path = folder / FILE
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return None
        content = parse_json(path.read_bytes())
    except JsonError:
        return None
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}"
        raise AnnotationError(message) from error
    match content:
        case {"signetscan": str(), "mpp": int() | float() as mpp, "slides": dict(entries)}:
            slides = {name: facts for name, facts in entries.items() if isinstance(facts, dict)}
            if len(slides) < len(entries):
                return None
            if math.isfinite(mpp) and 0 < mpp <= MAX_MPP:
                return DatasetRecord(mpp=float(mpp), slides=slides)
            message = f"{path}: mpp must be above 0 and at most {MAX_MPP:g} µm, not {mpp}; correct it"
            raise AnnotationError(message)
    return None


def write_dataset_record(folder: Path, record: DatasetRecord) -> None:
    """Write `dataset.json`.

    Raises:
        OutputError: it cannot be written.
    """
    content = {"signetscan": __version__, "mpp": record.mpp, "slides": dict(sorted(record.slides.items()))}
    with atomic_text(folder / FILE) as file:
        json.dump(content, file, indent=2, ensure_ascii=False)
        file.write("\n")
