"""The files of a data set's folder and of the folders below it, by kind and by name.

An image and its annotation file have the same name, side by side or in folders that mirror each other, such as
`images/a/1.png` and `labels/a/1.txt`. So the name of a file leaves out folders whose name only says what is in them.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from signetscan.dataset.file_pairs import WITHOUT_FILE, WITHOUT_IMAGE
from signetscan.dataset.images import MAX_PIXELS
from signetscan.errors import AnnotationError, SlideError
from signetscan.formats.result_files import FAILURE_SUFFIX, RECORD_SUFFIX
from signetscan.slides import open_slide
from signetscan.suffixes import (
    IMAGE_SUFFIXES,
    SLIDE_SUFFIXES,
    TIFF_SUFFIXES,
    TRAINING_GEOJSON_SUFFIXES,
    XML_SUFFIXES,
    suffix_of,
    without_suffix,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from signetscan.dataset.remarks import Remarks

SAYS_THE_KIND = frozenset({"jpegimages", "images", "imgs", "img", "annotations", "labels", "xml", "xmls"})
"""Names of folders, in any case, that hold all images or all annotation files: Pascal VOC's, YOLO's and common ones."""
TEXT_SUFFIXES, JSON_SUFFIXES, YAML_SUFFIXES = (".txt",), (".json",), (".yaml", ".yml")
NAMES_SUFFIXES = (".names",)
OTHER_SUFFIXES = (".csv", ".tsv", ".xlsx", ".mat", ".zip", ".qpdata")
"""Suffixes of files that may be annotations, but of no kind that is read here."""
KINDS = (
    *IMAGE_SUFFIXES,
    *SLIDE_SUFFIXES,
    *TRAINING_GEOJSON_SUFFIXES,
    *XML_SUFFIXES,
    *TEXT_SUFFIXES,
    *JSON_SUFFIXES,
    *YAML_SUFFIXES,
    *NAMES_SUFFIXES,
    *OTHER_SUFFIXES,
)
NOT_ANNOTATIONS = ("dataset.json", RECORD_SUFFIX, FAILURE_SUFFIX)
"""Ends of the names of JSON files that signetscan writes beside annotations."""
MOST_FILES = 2_000_000
"""Most files in and below a folder: more than any data set has, fewer than a disk that is named by mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFiles:
    """The files in and below a folder that may belong to a data set, each kind sorted by path."""

    root: Path
    """The folder."""
    images: tuple[Path, ...]
    """Images that are no slides."""
    slides: tuple[Path, ...]
    """Slides, by suffix or, if TIFF, by content."""
    geojson: tuple[Path, ...]
    """GeoJSON files."""
    xml: tuple[Path, ...]
    """XML files."""
    texts: tuple[Path, ...]
    """Text files."""
    json: tuple[Path, ...]
    """JSON files, without GeoJSON."""
    yaml: tuple[Path, ...]
    """YAML files."""
    names: tuple[Path, ...]
    """Files of names, as Darknet has them."""
    others: tuple[Path, ...]
    """Files that may be annotations of a kind that is not read."""

    @property
    def annotation_files(self) -> list[Path]:
        """Files that may be annotations, of any kind: texts only if they have the name of an image or slide."""
        partners = {self.key(path, IMAGE_SUFFIXES) for path in self.images}
        partners |= {self.key(path, (*SLIDE_SUFFIXES, *TIFF_SUFFIXES)) for path in self.slides}
        texts = [path for path in self.texts if self.key(path, TEXT_SUFFIXES) in partners]
        files = [*self.geojson, *self.xml, *self.json, *texts, *self.others]
        return sorted(path for path in files if not path.name.endswith(NOT_ANNOTATIONS))

    def name(self, path: Path) -> str:
        """The name of a file in the folder, with "/" between folders, for messages."""
        return path.relative_to(self.root).as_posix()

    def key(self, path: Path, suffixes: Sequence[str]) -> str:
        """The name that a file shares with its partner: without suffix, and without folders that say the kind."""
        *kept, file = without_kind(path.relative_to(self.root).parts)
        return "/".join([*kept, without_suffix(file, suffixes)])

    def by_key(self, files: Sequence[Path], suffixes: Sequence[str]) -> dict[str, Path]:
        """Files by the names that they share with their partners.

        Raises:
            AnnotationError: two files have the same name, so that a partner could be of either.
        """
        keyed: dict[str, Path] = {}
        for path in files:
            key = self.key(path, suffixes)
            if key in keyed:
                message = (
                    f"{path}: has the same name as {self.name(keyed[key])}, so annotations could be of either; keep one"
                )
                raise AnnotationError(message)
            keyed[key] = path
        return keyed

    def images_by_key(self) -> dict[str, Path]:
        """Images by the names that they share with their annotation files.

        Raises:
            AnnotationError: two images have the same name.
        """
        return self.by_key(self.images, IMAGE_SUFFIXES)

    def slides_by_key(self) -> dict[str, Path]:
        """Slides by the names that they share with their annotation files.

        Raises:
            AnnotationError: two slides have the same name.
        """
        return self.by_key(self.slides, (*SLIDE_SUFFIXES, *TIFF_SUFFIXES))

    def paired(self, images: dict[str, Path], files: dict[str, Path], remarks: Remarks) -> Iterator[tuple[Path, Path]]:
        """Images or slides with their annotation files; those without a partner are remarked on."""
        for key in sorted(files.keys() - images.keys()):
            remarks.add(WITHOUT_IMAGE, self.name(files[key]))
        for key, image in images.items():
            if key in files:
                yield image, files[key]
            else:
                remarks.add(WITHOUT_FILE, self.name(image))


def path_parts(text: str) -> list[str]:
    """The folders and the name of a path that stands in a file, whichever system wrote it; at least one part.

    It may lead out of its folder, so it is only ever compared with names, and never opened.
    """
    return [part for part in text.replace("\\", "/").split("/") if part not in ("", ".", "..")] or [""]


def without_kind(parts: Sequence[str]) -> list[str]:
    """The parts of a path without the folders whose names only say what is in them."""
    *folders, name = parts
    return [*(folder for folder in folders if folder.casefold() not in SAYS_THE_KIND), name]


def is_slide(path: Path) -> bool:
    """Whether a file is a slide rather than an image: by its suffix; a TIFF, if it has several levels or is huge."""
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return path.suffix.lower() in SLIDE_SUFFIXES
    try:
        with open_slide(path) as slide:
            return len(slide.level_dimensions) > 1 or math.prod(slide.dimensions) > MAX_PIXELS
    except SlideError:
        return False  # reading it as an image gives the error that names it


def find_files(root: Path) -> FoundFiles:
    """The files in and below a folder; hidden files and folders are passed over, links to folders not followed.

    Raises:
        AnnotationError: the folder cannot be read, or has too many files.
    """
    of_suffix: dict[str, list[Path]] = {suffix: [] for suffix in KINDS}
    for path in _walk(root):
        suffix = suffix_of(path.name, KINDS)
        if suffix:
            of_suffix[suffix].append(path)

    def having(suffixes: Sequence[str]) -> list[Path]:
        return sorted(path for suffix in dict.fromkeys(suffixes) for path in of_suffix[suffix])

    seen = having((*IMAGE_SUFFIXES, *SLIDE_SUFFIXES))
    slides = {path for path in seen if is_slide(path)}
    return FoundFiles(
        root=root,
        images=tuple(path for path in seen if path not in slides),
        slides=tuple(path for path in seen if path in slides),
        geojson=tuple(having(TRAINING_GEOJSON_SUFFIXES)),
        xml=tuple(having(XML_SUFFIXES)),
        texts=tuple(having(TEXT_SUFFIXES)),
        json=tuple(having(JSON_SUFFIXES)),
        yaml=tuple(having(YAML_SUFFIXES)),
        names=tuple(having(NAMES_SUFFIXES)),
        others=tuple(having(OTHER_SUFFIXES)),
    )


def suffixes_below(root: Path) -> set[str]:
    """The suffixes, in lower case, of the files in and below a folder; no file is opened.

    Raises:
        AnnotationError: the folder cannot be read, or has too many files.
    """
    return {suffix for path in _walk(root) if (suffix := suffix_of(path.name, KINDS))}


def _walk(root: Path) -> Iterator[Path]:
    count = 0

    def stop(error: OSError) -> None:
        message = f"{error.filename}: cannot be read: {error.strerror}"
        raise AnnotationError(message) from error

    for folder, folders, files in os.walk(root, onerror=stop):
        # Assigned in place, because os.walk goes on with the folders that are left in this list.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        count += len(files)
        if count > MOST_FILES:
            message = f"{root}: over {MOST_FILES:,} files in it and below; name the folder of the data set alone"
            raise AnnotationError(message)
        yield from (Path(folder) / name for name in files if not name.startswith("."))
