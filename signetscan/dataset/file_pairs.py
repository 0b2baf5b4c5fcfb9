"""Files of a folder by their suffixes and names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.errors import AnnotationError
from signetscan.suffixes import without_suffix

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WITHOUT_FILE = "Left out, without an annotation file"
WITHOUT_IMAGE = "Annotation files left out, without an image or slide"


def files_in(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Files of a folder with one of the suffixes, in upper or lower case, sorted; without hidden ones (`._x.jpeg`).

    Raises:
        AnnotationError: the folder cannot be read.
    """
    try:
        return sorted(
            path
            for path in folder.iterdir()
            if path.name.lower().endswith(tuple(suffixes)) and not path.name.startswith(".")
        )
    except OSError as error:
        message = f"{folder}: cannot be read: {error.strerror}"
        raise AnnotationError(message) from error


def by_stem(files: Sequence[Path], suffixes: Sequence[str]) -> dict[str, Path]:
    """Files by their names without suffix.

    Raises:
        AnnotationError: two files have the same name except for the suffix.
    """
    stems: dict[str, Path] = {}
    for path in files:
        stem = without_suffix(path.name, suffixes)
        if stem in stems:
            message = f"{path}: has the same name as {stems[stem].name}, so annotations could be of either; keep one"
            raise AnnotationError(message)
        stems[stem] = path
    return stems
