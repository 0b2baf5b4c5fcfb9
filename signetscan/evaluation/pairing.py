"""Which file of predictions belongs to which truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from signetscan.dataset import NEGATIVE_FOLDER, POSITIVE_FOLDER, TRUTH_FOLDER
from signetscan.dataset.digestpath import digestpath_root
from signetscan.dataset.file_pairs import by_stem, files_in
from signetscan.dataset.remarks import listed
from signetscan.errors import AnnotationError, ResultError
from signetscan.formats.result_files import CORRECTIONS_SUFFIX, FAILURE_SUFFIX, RECORD_SUFFIX, SUFFIXES
from signetscan.results.failures import read_failure
from signetscan.results.folder import failures_in_words, list_slides, pair_names
from signetscan.suffixes import (
    ANNOTATION_SUFFIXES,
    PICTURE_SUFFIXES,
    TRUTH,
    XML_SUFFIXES,
    suffix_of,
    without_suffix,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from signetscan.dataset.remarks import Remarks

NOT_BOXES = (RECORD_SUFFIX, FAILURE_SUFFIX, "metrics.json", SUFFIXES["asap"], SUFFIXES["imagescope"])
"""Suffixes of files beside results that hold no boxes, or not in a form that is read."""
CORRECTIONS_MARK = CORRECTIONS_SUFFIX.removesuffix(".geojson")
"""What the viewer adds to it."""
FAILED = "Failed slides left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One image or slide."""

    stem: str
    """Its name."""
    predictions: Path | None
    """File of predictions; None if there is none."""
    truth: Path | None
    """File of truth; None for a normal image of DigestPath, which needs none."""
    normal: bool = False
    """Whether its place in a DigestPath folder declares it normal."""

    @property
    def truth_name(self) -> str:
        """Name of the truth, for messages."""
        return self.stem if self.truth is None else self.truth.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """All images."""

    found: tuple[Pair, ...]
    """In the order of the truth."""
    predictions: Path
    """What was given, for messages."""
    truth: Path
    """What was given."""
    is_digestpath: bool
    """Whether the truth is a folder in the layout of DigestPath."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxFiles:
    """What a file or folder holds."""

    files: dict[str, Path]
    """File of boxes of each image or slide by its name, with "/" between folders."""
    failed: dict[str, str]
    """Why slides failed, by their names. They have no file here, whatever an earlier run left of them."""


def stem_of(path: Path) -> str:
    """Name of the image that a file is about: without its suffix, and without `.truth` or `.corrected`."""
    stem = without_suffix(path.name, ANNOTATION_SUFFIXES)
    return stem.removesuffix(TRUTH).removesuffix(CORRECTIONS_MARK)


def find_pairs(predictions: Path, truth: Path, remarks: Remarks, *, full_truth: bool) -> Pairs:
    """Pair files of predictions with their truth by name; what stands alone is noted.

    Raises:
        AnnotationError: one of the two is not there, holds nothing that can be read, or nothing fits.
    """
    for path in (predictions, truth):
        if not path.exists():
            message = f"{path}: no such file or folder"
            raise AnnotationError(message)
    root = digestpath_root(truth) if truth.is_dir() else None
    if full_truth and root is None:
        message = f"{truth}: only a simulated data set has the full truth, and it has a folder {POSITIVE_FOLDER}"
        raise AnnotationError(message)
    if predictions.is_file() and truth.is_file():
        # Whatever their names: the user put them together.
        _check_is_no_failure(predictions)
        found = [Pair(stem=stem_of(predictions), predictions=predictions, truth=truth)]
    else:
        there = _flat(truth, remarks) if root is None else _digestpath(root, full_truth=full_truth)
        found = _paired(predictions, truth, there, remarks)
    return Pairs(found=tuple(found), predictions=predictions, truth=truth, is_digestpath=root is not None)


def find_both(a: Path, b: Path, remarks: Remarks) -> Pairs:
    """Pair the files of two sides by name; those that one side alone has are left out and noted.

    Returns:
        The pairs, of which A gives the predictions and B the truth.

    Raises:
        AnnotationError: one of the two is not there, holds nothing that can be read, or nothing fits.
    """
    for path in (a, b):
        if not path.exists():
            message = f"{path}: no such file or folder"
            raise AnnotationError(message)
    if a.is_file() and b.is_file():
        _check_is_no_failure(a)
        _check_is_no_failure(b)
        pair = Pair(stem=stem_of(a), predictions=a, truth=b)
        return Pairs(found=(pair,), predictions=a, truth=b, is_digestpath=False)
    first, second = _box_files(a, remarks), _box_files(b, remarks, is_truth=True)
    partners = pair_names([*first.files, *first.failed], [*second.files, *second.failed])
    if not partners:
        message = (
            f"{a}: no file is named like one of {b}, apart from its suffix: here {listed(sorted(first.files))}, there "
            f"{listed(sorted(second.files))}"
        )
        raise AnnotationError(message)
    for path, side, own, paired in ((a, "A", first, set(partners)), (b, "B", second, set(partners.values()))):
        for stem in sorted(own.files.keys() - paired) if path.is_dir() else ():
            remarks.add(f"Left out, in {side} only", own.files[stem].name)
        _note_failures(own.failed, f", in {side}", remarks)
    found = [
        Pair(stem=stem, predictions=path, truth=second.files[partners[stem]])
        for stem, path in first.files.items()
        if partners.get(stem) in second.files
    ]
    _check_any_is_left(a, found, first.failed | second.failed)
    return Pairs(found=tuple(found), predictions=a, truth=b, is_digestpath=False)


def _paired(predictions: Path, truth: Path, there: dict[str, Pair], remarks: Remarks) -> list[Pair]:
    """The images of the truth with their predictions; one only, if one file of predictions was given."""
    given = _box_files(predictions, remarks)
    partners = pair_names(there, [*given.files, *given.failed])
    if not partners:
        message = (
            f"{predictions}: no file is named like the truth, apart from its suffix: here "
            f"{listed(sorted(given.files))}, in {truth} {listed(sorted(there)) or 'nothing'}"
        )
        raise AnnotationError(message)
    for stem in sorted(given.files.keys() - set(partners.values())):
        remarks.add("Predictions left out, without truth", given.files[stem].name)
    _note_failures(given.failed, "", remarks)
    found = []
    for stem, pair in there.items():
        partner = partners.get(stem)
        if partner in given.failed:
            continue  # nobody knows what the model would have found there
        if partner is not None:
            found.append(replace(pair, predictions=given.files[partner]))
        elif predictions.is_file():
            remarks.add("Truth of other images not used", stem)
        else:
            kind = "Normal images" if pair.normal else "Images"
            remarks.add(f"{kind} without a file of predictions, taken for ones without any detection", stem)
            found.append(pair)
    _check_any_is_left(predictions, found, given.failed)
    return found


def _note_failures(failed: dict[str, str], where: str, remarks: Remarks) -> None:
    for name, reason in failed.items():
        remarks.add(f"{FAILED}{where}", f"{name} ({reason})")


def _check_is_no_failure(path: Path) -> None:
    """Make sure that a file is not the record of a failure.

    Raises:
        ResultError: it is one; the message says why the slide failed.
    """
    if path.name.endswith(FAILURE_SUFFIX):
        name = path.name.removesuffix(FAILURE_SUFFIX)
        message = f"{path}: there are no results of this slide: {read_failure(path).short_reason(name)}"
        raise ResultError(message)


def _check_any_is_left(path: Path, pairs: list[Pair], failed: dict[str, str]) -> None:
    """Make sure that something is left once failed slides are left out.

    Raises:
        ResultError: nothing is.
    """
    if failed and not pairs:
        message = f"{path}: nothing is left to judge; {failures_in_words(failed)}"
        raise ResultError(message)


def _flat(path: Path, remarks: Remarks) -> dict[str, Pair]:
    """Images by their files of truth. The truth of results that were corrected are the corrections."""
    given = _box_files(path, remarks, is_truth=True, corrections=True)
    _note_failures(given.failed, ", in the truth", remarks)
    return {stem: Pair(stem=stem, predictions=None, truth=file) for stem, file in given.files.items()}


def _digestpath(root: Path, *, full_truth: bool) -> dict[str, Pair]:
    """Positive images by their XML, normal ones by the image."""
    folder = root / (TRUTH_FOLDER if full_truth else POSITIVE_FOLDER)
    if not folder.is_dir():
        message = f"{folder}: no such folder, so the full truth is not known"
        raise AnnotationError(message)
    images = by_stem(files_in(root / POSITIVE_FOLDER, PICTURE_SUFFIXES), PICTURE_SUFFIXES)
    truths = by_stem(files_in(folder, XML_SUFFIXES), XML_SUFFIXES)
    without = sorted(images.keys() - truths.keys())
    if without:
        message = f"{folder}: {len(without)} images of {POSITIVE_FOLDER} have no .xml: {listed(without)}"
        raise AnnotationError(message)
    pairs = {stem: Pair(stem=stem, predictions=None, truth=path) for stem, path in truths.items()}
    negatives = root / NEGATIVE_FOLDER
    for stem in by_stem(files_in(negatives, PICTURE_SUFFIXES), PICTURE_SUFFIXES) if negatives.is_dir() else ():
        if stem in pairs:
            message = f"{root}: {stem} is in both {POSITIVE_FOLDER} and {NEGATIVE_FOLDER}"
            raise AnnotationError(message)
        pairs[stem] = Pair(stem=stem, predictions=None, truth=None, normal=True)
    return pairs


def _box_files(path: Path, remarks: Remarks, *, is_truth: bool = False, corrections: bool = False) -> BoxFiles:
    """Files of boxes by name; of several for one image the first kind of `ANNOTATION_SUFFIXES`.

    Args:
        path: a file, or a folder with others in it.
        remarks: takes what is left out.
        is_truth: whether files of folders below count that are no results of a run.
        corrections: whether corrections made in the viewer stand for the results beside them.

    Raises:
        AnnotationError: there is none, or the folder cannot be read.
        ResultError: the file is the record of a failure.
    """
    if path.is_file():
        _check_is_no_failure(path)
        return BoxFiles(files={stem_of(path): path}, failed={})
    slides = {slide.name: slide for slide in list_slides(path)}
    failed = {name: slide.why_failed for name, slide in slides.items() if slide.failure is not None}
    files: dict[str, Path] = {}
    for stem, file in _by_kind(path):
        slide = slides.get(stem)
        is_nested = file.parent != path
        if stem in failed or (is_nested and slide is None and not is_truth):
            continue
        if slide is not None and slide.corrections is not None and corrections != (file == slide.corrections):
            if not corrections:
                remarks.add("Corrections beside results left out", file.name)
        elif stem not in files:
            files[stem] = file
        elif slide is None or suffix_of(file.name, ANNOTATION_SUFFIXES) != ".csv":
            # `signetscan detect` writes the same boxes twice; of anything else one must be told.
            remarks.add(f"Files left out, beside another of {path.name} with the same name", file.name)
    if not files and not failed:
        message = f"{path}: no file of boxes in it ({', '.join(ANNOTATION_SUFFIXES)})"
        raise AnnotationError(message)
    return BoxFiles(files=dict(sorted(files.items())), failed=failed)


def _by_kind(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files of boxes in and below a folder, with their images' names, in the order of `ANNOTATION_SUFFIXES`."""
    below = [each for each in folder.rglob("*") if each.is_dir() and not _is_hidden(each, folder)]
    files = [file for each in (folder, *sorted(below)) for file in files_in(each, ANNOTATION_SUFFIXES)]
    for file in sorted(
        files, key=lambda file: (ANNOTATION_SUFFIXES.index(suffix_of(file.name, ANNOTATION_SUFFIXES)), file)
    ):
        if file.is_file() and not file.name.lower().endswith(NOT_BOXES):
            yield (file.parent.relative_to(folder) / stem_of(file)).as_posix(), file


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def record_path(path: Path) -> Path:
    """Where the run record of a file of boxes lies, if it has one."""
    return path.with_name(f"{stem_of(path)}{RECORD_SUFFIX}")
