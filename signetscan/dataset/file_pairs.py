"""Files of a folder by their suffixes, and images with their annotation files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.errors import AnnotationError
from signetscan.suffixes import without_suffix

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from signetscan.dataset.remarks import Remarks

WITHOUT_FILE = "Left out, without an annotation file"
WITHOUT_IMAGE = "Annotation files left out, without an image or slide"


def files_in(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Files of a folder by their suffixes in any case, sorted; hidden ones (`._x.jpeg` of a Mac) are no data.

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
        AnnotationError: two files have the same name but for the suffix.
    """
    stems: dict[str, Path] = {}
    for path in files:
        stem = without_suffix(path.name, suffixes)
        if stem in stems:
            message = f"{path}: has the same name as {stems[stem].name}, so that annotations fit both; keep one of them"
            raise AnnotationError(message)
        stems[stem] = path
    return stems


def paired(images: dict[str, Path], files: dict[str, Path], remarks: Remarks) -> Iterator[tuple[Path, Path]]:
    """Images with their annotation files; those of either kind that are alone are counted."""
    for stem in sorted(files.keys() - images.keys()):
        remarks.add(WITHOUT_IMAGE, files[stem].name)
    for stem, image in images.items():
        if stem in files:
            yield image, files[stem]
        else:
            remarks.add(WITHOUT_FILE, image.name)
