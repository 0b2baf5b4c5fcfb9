"""The parts of a data set that its makers chose: images to learn from, to validate with, and to test with.

Lists such as Pascal VOC's `ImageSets/Main/train.txt`, the paths in YOLO's `data.yaml`, or else folders with the name of
a part, assign the images. Test images are left out: a model that has seen them can no longer be judged by them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from signetscan.annotations.bounds import read_bounded
from signetscan.dataset.found import TEXT_SUFFIXES, path_parts, without_kind
from signetscan.dataset.images import SAFEST_FIRST, Part
from signetscan.errors import AnnotationError
from signetscan.suffixes import IMAGE_SUFFIXES, without_suffix

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from signetscan.annotations.yolo import YoloSettings
    from signetscan.dataset.found import FoundFiles
    from signetscan.dataset.parsed import ParsedImage
    from signetscan.dataset.remarks import Remarks

MAX_LIST_BYTES = 100_000_000
"""Largest list that is read: two million names are smaller."""

PART_OF_WORD = {
    "train": Part.TRAINING,
    "training": Part.TRAINING,
    "val": Part.VALIDATION,
    "valid": Part.VALIDATION,
    "validation": Part.VALIDATION,
    "dev": Part.VALIDATION,
    "test": Part.TEST,
    "testing": Part.TEST,
}
"""Names, in any case, of lists and folders of a part."""
EITHER = "trainval"
"""Name of a list of images to learn from or to validate with."""
OTHER_TASKS = frozenset({"segmentation", "layout", "action"})
"""Folders beside Pascal VOC's `Main`, with lists for other tasks."""

USED = {
    Part.TRAINING: "Images to learn from",
    Part.VALIDATION: "Images held out for validation",
    Part.TEST: "Test images left out",
}


class _Lists:
    """Names of images by part."""

    def __init__(self) -> None:
        self.of_part: dict[Part | None, set[str]] = defaultdict(set)
        """Names without suffix, with "/" between folders; those of None are in either of two parts."""
        self.sources: list[str] = []
        """Names of the lists, folders or settings."""


def part_of_words(text: str) -> Part | None:
    """The part that a word in a file's name says, such as `instances_val2017`; None if none or several do."""
    parts = {PART_OF_WORD[word] for word in re.findall("[a-z]+", text.casefold()) if word in PART_OF_WORD}
    return parts.pop() if len(parts) == 1 else None


def assign_parts(
    found: FoundFiles, images: Sequence[ParsedImage], settings: YoloSettings | None, remarks: Remarks
) -> list[ParsedImage]:
    """The images with their parts, without test images and without those that the lists leave out.

    Args:
        found: the files of the folder.
        images: the parsed images; a part that one has already stays.
        settings: what `data.yaml` says, if there is one.
        remarks: collects what was used, and what was left out.

    Raises:
        AnnotationError: a list cannot be read, or no image is left.
    """
    names = {parsed.image.path: found.key(parsed.image.path, IMAGE_SUFFIXES) for parsed in images}
    lists = _lists(found, settings, set(names.values()), remarks)
    kept: list[ParsedImage] = []
    for parsed in images:
        part, source = parsed.image.part, parsed.file
        if part is None and lists.sources:
            source = ", ".join(lists.sources)
            parts = [which for which in (*SAFEST_FIRST, None) if names[parsed.image.path] in lists.of_part[which]]
            if not parts:
                remarks.add(f"Images left out, being in no list ({source})", parsed.region)
                continue
            part = parts[0]
            several = [which for which in parts if which is not None]
            kind = "Images in lists of several parts, left out of what is learnt from"
            remarks.add(kind, parsed.region, count=int(len(several) > 1))
        elif part is None:
            part, source = _part_of_folder(found, parsed.image.path)
        if part is not None:
            remarks.add(f"{USED[part]}, by {source}", "")
        if part is not Part.TEST:
            kept.append(replace(parsed, image=replace(parsed.image, part=part)))
    if images and not kept:
        message = f"{found.root}: no image is left to learn from; {'; '.join(remarks.lines())}"
        raise AnnotationError(message)
    _remark_shared_slides(kept, remarks)
    return kept


def _remark_shared_slides(images: Sequence[ParsedImage], remarks: Remarks) -> None:
    parts_of_slide: dict[str, set[bool]] = defaultdict(set)
    for parsed in images:
        parts_of_slide[parsed.image.slide].add(parsed.image.part is Part.VALIDATION)
    if not any(parsed.image.part is Part.VALIDATION for parsed in images):
        return
    for slide, sides in parts_of_slide.items():
        kind = "Slides with images on both sides of the data set's own split, which flatters the figures"
        remarks.add(kind, slide, count=int(len(sides) > 1))


def _part_of_folder(found: FoundFiles, path: Path) -> tuple[Part | None, str]:
    """The part of a folder that an image is in, and the folder; the innermost of several."""
    folders = path.relative_to(found.root).parts[:-1]
    for depth in range(len(folders), 0, -1):
        part = PART_OF_WORD.get(folders[depth - 1].casefold().rstrip("0123456789"))
        if part is not None:
            return part, f"the folder {'/'.join(folders[:depth])}"
    return None, ""


def _lists(found: FoundFiles, settings: YoloSettings | None, images: set[str], remarks: Remarks) -> _Lists:
    """The lists of a data set: those that its settings name, or else those that their names tell."""
    finder, lists = _NameFinder(images), _Lists()
    if settings is not None and settings.paths:
        _add_settings(found, settings, images, finder, lists, remarks)
    if not lists.sources:
        for path in found.texts:
            if _is_list(found, path, images):
                word = path.stem.casefold()
                _add_list(found, path, PART_OF_WORD.get(word), finder, lists, remarks)
    return lists


def _is_list(found: FoundFiles, path: Path, images: set[str]) -> bool:
    word, folder = path.stem.casefold(), path.parent.name.casefold()
    is_known = word in PART_OF_WORD or word == EITHER
    return is_known and folder not in OTHER_TASKS and found.key(path, TEXT_SUFFIXES) not in images


def _add_list(
    found: FoundFiles, path: Path, part: Part | None, finder: _NameFinder, lists: _Lists, remarks: Remarks
) -> None:
    folders = found.name(path).split("/")[:-1]
    inside = "/".join(folders[: folders.index("ImageSets")] if "ImageSets" in folders else ())
    text = read_bounded(path, MAX_LIST_BYTES).decode("utf-8-sig", errors="replace")
    lists.sources.append(found.name(path))
    for line in filter(None, map(str.strip, text.splitlines())):
        name = finder.find(line, inside)
        if name is None:
            remarks.add(f"Names in {found.name(path)} without an annotated image", line)
        else:
            lists.of_part[part].add(name)


def _add_settings(
    found: FoundFiles,
    settings: YoloSettings,
    images: set[str],
    finder: _NameFinder,
    lists: _Lists,
    remarks: Remarks,
) -> None:
    """Add the folders and lists that `data.yaml` names; its paths are matched with what is in the folder only."""
    folders = {"/".join(found.name(path).split("/")[:-1]) for path in found.images}
    folders |= {folder.rsplit("/", count)[0] for folder in folders for count in range(1, folder.count("/") + 1)}
    texts = {found.name(path): path for path in found.texts}
    for word, values in settings.paths.items():
        for value in values:
            tail = _longest_tail(value, folders | texts.keys())
            if tail is None:
                remarks.add("Paths of the data set's YAML file that are not here", value)
            elif tail in texts:
                _add_list(found, texts[tail], PART_OF_WORD[word], finder, lists, remarks)
            else:
                lists.sources.append(f"{word}: {tail}")
                inside = (path for path in found.images if f"{found.name(path)}".startswith(f"{tail}/"))
                keys = {found.key(path, IMAGE_SUFFIXES) for path in inside}
                lists.of_part[PART_OF_WORD[word]] |= keys & images


def _longest_tail(value: str, here: Iterable[str]) -> str | None:
    """The longest end of a path that is a folder or file of the data set."""
    parts = path_parts(value)
    known = set(here)
    tails = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((tail for tail in tails if tail and tail in known), None)


class _NameFinder:
    """Finds the image that a line of a list names: with or without suffix and folders, and what may follow the name.

    Args:
        images: names of the images, without suffix.
    """

    def __init__(self, images: set[str]) -> None:
        self._images = images
        self._of_file: dict[str, list[str]] = defaultdict(list)
        for name in images:
            self._of_file[name.rpartition("/")[2]].append(name)

    def find(self, line: str, inside: str) -> str | None:
        """The image's name; None if there is no such image, or more than one.

        Args:
            line: the line.
            inside: folder from which its names count.
        """
        # Pascal VOC's lists have -1, 0 or 1 behind the name.
        for text in (line, line.rpartition(" ")[0].rstrip()):
            name = self._find(text, inside) if text else None
            if name is not None:
                return name
        return None

    def _find(self, text: str, inside: str) -> str | None:
        for path in _names_of(text, inside):
            if path in self._images:
                return path
        short = without_suffix(path_parts(text)[-1], IMAGE_SUFFIXES)
        named = self._of_file.get(short, [])
        return named[0] if len(named) == 1 else None


def _names_of(text: str, inside: str) -> Iterator[str]:
    """Names that a path in a list may mean, the longest first."""
    *kept, file = without_kind(path_parts(text))
    stem = without_suffix(file, IMAGE_SUFFIXES)
    if inside:
        yield "/".join([inside, *kept, stem])
    for start in range(len(kept) + 1):
        yield "/".join([*kept[start:], stem])
