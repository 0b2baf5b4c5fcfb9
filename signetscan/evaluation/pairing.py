"""Pairing of files of predictions with files of truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from signetscan.annotations import check_is_no_project
from signetscan.annotations.coco import check_is_no_coco_result
from signetscan.dataset import NEGATIVE_FOLDER, POSITIVE_FOLDER, TRUTH_FOLDER
from signetscan.dataset.digestpath import digestpath_root
from signetscan.dataset.file_pairs import by_stem, files_in
from signetscan.dataset.remarks import listed
from signetscan.errors import AnnotationError, OptionError, ResultError
from signetscan.evaluation.image_sets import truth_of_images
from signetscan.formats.parts import whole_target
from signetscan.formats.result_files import (
    CELLS_NAME,
    CORRECTIONS,
    FAILURE_SUFFIX,
    RECORD_SUFFIX,
    SUFFIXES,
    reviewer_name,
)
from signetscan.results.calibration import CALIBRATION_NAME
from signetscan.results.failures import read_failure
from signetscan.results.folder import failures_in_words, is_segmentation, list_slides, pair_names
from signetscan.results.part_files import all_parts
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

    from signetscan.dataset.parsed import ImageObjects
    from signetscan.dataset.remarks import Remarks
    from signetscan.results.folder import SlideFiles

NOT_BOXES = (
    *(RECORD_SUFFIX, FAILURE_SUFFIX, "metrics.json", CALIBRATION_NAME, f"{CELLS_NAME}.csv", f"{CELLS_NAME}.json"),
    *(SUFFIXES["asap"], SUFFIXES["imagescope"]),
)
"""Suffixes of files beside results that have no boxes, or in a format that is not read."""
FAILED = "Failed slides left out"
"""Remark on slides without results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The files of one image or slide."""

    stem: str
    """Name of the image or slide."""
    predictions: Path | None
    """File of predictions; None if there is none."""
    truth: Path | None
    """File of truth; None for a normal image in DigestPath's layout, which has none."""
    normal: bool = False
    """Whether its folder in DigestPath's layout, or its file in another one, declares it normal."""
    objects: ImageObjects | None = None
    """The truth, where a file has that of many images, or where it needs the image's size; None if it is to be read."""

    @property
    def truth_name(self) -> str:
        """Name of the truth, for messages."""
        return self.stem if self.truth is None else self.truth.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The pairs of two files or folders."""

    pairs: tuple[Pair, ...]
    """The pairs, in the order of the truth."""
    predictions: Path
    """The file or folder of predictions, for messages."""
    truth: Path
    """The file or folder of truth, for messages."""
    is_digestpath: bool
    """Whether the truth is a folder in the layout of DigestPath."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxFiles:
    """The files of boxes in a folder, or a single one."""

    files: dict[str, Path]
    """File of boxes of each image or slide, by its name with "/" between folders."""
    failed: dict[str, str]
    """Reasons why slides failed, by name. Those slides have no file here, even if an earlier run left results."""


def stem_of(path: Path) -> str:
    """Name of the image that a file belongs to: without suffix, `.truth`, `.corrected` or the number of a part."""
    whole = whole_target(path)
    if whole is not None:
        return whole.name
    stem = without_suffix(path.name, ANNOTATION_SUFFIXES).removesuffix(TRUTH)
    corrections = CORRECTIONS.fullmatch(f"{stem}.geojson")
    return corrections[1] if corrections else stem


def find_pairs(predictions: Path, truth: Path, remarks: Remarks, *, full_truth: bool) -> Pairs:
    """Pair files of predictions with their truth by name; files without a partner are remarked on.

    Raises:
        AnnotationError: one of the two is missing or has no readable file, or no two files belong together.
    """
    for path in (predictions, truth):
        if not path.exists():
            message = f"{path}: no such file or folder"
            raise AnnotationError(message)
        check_is_no_project(path)
        check_is_no_coco_result(path)
    root = digestpath_root(truth) if truth.is_dir() else None
    if full_truth and root is None:
        message = f"{truth}: only simulated data sets have the full truth, and this has no folder {POSITIVE_FOLDER}"
        raise AnnotationError(message)
    images = truth_of_images(truth, remarks) if root is None else None
    if images is not None:
        true_pairs = {
            stem: Pair(stem=stem, predictions=None, truth=image.file, normal=image.normal, objects=image.objects)
            for stem, image in images.items()
        }
        pairs = _with_predictions(predictions, truth, true_pairs, remarks)
    elif predictions.is_file() and truth.is_file():
        # Two files are a pair whatever their names, because the user chose them.
        _check_is_no_failure(predictions)
        pairs = [Pair(stem=stem_of(predictions), predictions=predictions, truth=truth)]
    else:
        true_pairs = _flat(truth, remarks) if root is None else _digestpath(root, full_truth=full_truth)
        pairs = _with_predictions(predictions, truth, true_pairs, remarks)
    return Pairs(pairs=tuple(pairs), predictions=predictions, truth=truth, is_digestpath=root is not None)


def find_both(a: Path, b: Path, remarks: Remarks, *, a_by: str | None = None, b_by: str | None = None) -> Pairs:
    """Pair the files of two sides by name; files that only one side has are left out and remarked on.

    Args:
        a: a file of boxes, or a folder of them.
        b: the same of the other side.
        remarks: collects what is left out.
        a_by: the reviewer whose marks beside the results of A are taken; empty for marks without a name.
        b_by: the same of B.

    Returns:
        The pairs, with the files of A as predictions and those of B as truth.

    Raises:
        AnnotationError: one of the two is missing or has no readable file, or no two files belong together.
    """
    for path in (a, b):
        if not path.exists():
            message = f"{path}: no such file or folder"
            raise AnnotationError(message)
        check_is_no_project(path)
        check_is_no_coco_result(path)
    if a.is_file() and b.is_file() and a_by is None and b_by is None:
        _check_is_no_failure(a)
        _check_is_no_failure(b)
        pair = Pair(stem=stem_of(a), predictions=a, truth=b)
        return Pairs(pairs=(pair,), predictions=a, truth=b, is_digestpath=False)
    first = _box_files(a, remarks) if a_by is None else _marks_by(a, a_by, "a_by")
    second = _box_files(b, remarks, is_truth=True) if b_by is None else _marks_by(b, b_by, "b_by")
    partners = pair_names([*first.files, *first.failed], [*second.files, *second.failed])
    if not partners:
        message = (
            f"{a}: no file has the name of one in {b}, apart from suffixes; names in the first: "
            f"{listed(sorted(first.files))}; in the second: {listed(sorted(second.files))}"
        )
        raise AnnotationError(message)
    for path, side, box_files, paired in ((a, "A", first, set(partners)), (b, "B", second, set(partners.values()))):
        # A single file names the slide to compare, so what else the other side has needs no remark.
        for stem in sorted(box_files.files.keys() - paired) if path.is_dir() else ():
            remarks.add(f"Left out, in {side} only", box_files.files[stem].name)
        _remark_failures(box_files.failed, f", in {side}", remarks)
    pairs = [
        Pair(stem=stem, predictions=path, truth=second.files[partners[stem]])
        for stem, path in first.files.items()
        if partners.get(stem) in second.files
    ]
    _check_any_is_left(a, pairs, first.failed | second.failed)
    return Pairs(pairs=tuple(pairs), predictions=a, truth=b, is_digestpath=False)


def _with_predictions(predictions: Path, truth: Path, true_pairs: dict[str, Pair], remarks: Remarks) -> list[Pair]:
    """The images of the truth with their predictions; a single one, if a single file of predictions was given."""
    given = _box_files(predictions, remarks)
    partners = pair_names(true_pairs, [*given.files, *given.failed])
    if not partners:
        message = (
            f"{predictions}: no file has the name of a truth, apart from suffixes; names here: "
            f"{listed(sorted(given.files))}; in {truth}: {listed(sorted(true_pairs)) or 'none'}"
        )
        raise AnnotationError(message)
    for stem in sorted(given.files.keys() - set(partners.values())):
        remarks.add("Predictions left out, without truth", given.files[stem].name)
    _remark_failures(given.failed, "", remarks)
    pairs: list[Pair] = []
    for stem, pair in true_pairs.items():
        partner = partners.get(stem)
        if partner in given.failed:
            continue  # not an image without detections: nobody knows what the model would have detected
        if partner is not None:
            pairs.append(replace(pair, predictions=given.files[partner]))
        elif predictions.is_file():
            remarks.add("Truth of other images not used", stem)
        else:
            kind = "Normal images" if pair.normal else "Images"
            remarks.add(f"{kind} without a file of predictions, taken for ones without any detection", stem)
            pairs.append(pair)
    _check_any_is_left(predictions, pairs, given.failed)
    return pairs


def _remark_failures(failed: dict[str, str], where: str, remarks: Remarks) -> None:
    for name, reason in failed.items():
        remarks.add(f"{FAILED}{where}", f"{name} ({reason})")


def _check_is_no_failure(path: Path) -> None:
    """Check that a file is not the record of a failure.

    Raises:
        ResultError: it is one; the message says why the slide failed.
    """
    if path.name.endswith(FAILURE_SUFFIX):
        name = path.name.removesuffix(FAILURE_SUFFIX)
        message = f"{path}: this slide has no results: {read_failure(path).short_reason(name)}"
        raise ResultError(message)


def _check_any_is_left(path: Path, pairs: list[Pair], failed: dict[str, str]) -> None:
    """Check that a pair is left when failed slides are left out.

    Raises:
        ResultError: no pair is left.
    """
    if failed and not pairs:
        message = f"{path}: no slide is left to evaluate; {failures_in_words(failed)}"
        raise ResultError(message)


def _flat(path: Path, remarks: Remarks) -> dict[str, Pair]:
    """Images by their files of truth. Where results were corrected, the corrections are the truth."""
    box_files = _box_files(path, remarks, is_truth=True, corrections=True)
    _remark_failures(box_files.failed, ", in the truth", remarks)
    return {stem: Pair(stem=stem, predictions=None, truth=file) for stem, file in box_files.files.items()}


def _digestpath(root: Path, *, full_truth: bool) -> dict[str, Pair]:
    """Positive images by their XML files, normal ones by their image files."""
    folder = root / (TRUTH_FOLDER if full_truth else POSITIVE_FOLDER)
    if not folder.is_dir():
        message = f"{folder}: no such folder, so the full truth is not known"
        raise AnnotationError(message)
    images = by_stem(files_in(root / POSITIVE_FOLDER, PICTURE_SUFFIXES), PICTURE_SUFFIXES)
    truths = by_stem(files_in(folder, XML_SUFFIXES), XML_SUFFIXES)
    without = sorted(images.keys() - truths.keys())
    if without:
        message = f"{folder}: images of {POSITIVE_FOLDER} without an .xml ({len(without)}): {listed(without)}"
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
    """Files of boxes by name; of several for one image, the one whose suffix is first in `ANNOTATION_SUFFIXES`.

    Args:
        path: a file, or a folder with files in it and below.
        remarks: collects what is left out.
        is_truth: whether files in folders below count even if they are no results of a run.
        corrections: whether corrections made in the viewer replace the results beside them.

    Raises:
        AnnotationError: there is no such file, or the folder cannot be read.
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
        if corrections and slide is not None:
            _check_one_reviewer(slide)
        if slide is not None and slide.marks and corrections != (file in slide.marks.values()):
            if not corrections:
                remarks.add("Corrections beside results left out", file.name)
        elif stem not in files:
            files[stem] = file
        elif slide is None or suffix_of(file.name, ANNOTATION_SUFFIXES) != ".csv":
            # `signetscan detect` writes the same boxes as GeoJSON and CSV; any other double may differ.
            remarks.add(f"Files left out, beside another of {path.name} with the same name", file.name)
    if not files and not failed:
        message = f"{path}: has no file of boxes ({', '.join(ANNOTATION_SUFFIXES)})"
        raise AnnotationError(message)
    return BoxFiles(files=dict(sorted(files.items())), failed=failed)


def _marks_by(path: Path, reviewer: str, option: str) -> BoxFiles:
    """The files of a reviewer's marks in a folder of results.

    Raises:
        AnnotationError: there are none.
        OptionError: the path is no folder.
    """
    if not path.is_dir():
        message = f"{path}: no folder of results, in which marks of reviewers could be; name the file of marks itself"
        raise OptionError(message, options=(option,))
    slides = list_slides(path)
    name = reviewer_name(reviewer)
    files = {slide.name: slide.marks[name] for slide in slides if name in slide.marks}
    if not files:
        known = sorted({each or "none (empty)" for slide in slides for each in slide.marks})
        message = (
            f"{path}: no marks by {reviewer or 'somebody without a name'}; there are marks by: {listed(known) or '-'}"
        )
        raise AnnotationError(message, options=(option,))
    return BoxFiles(files=files, failed={})


def _check_one_reviewer(slide: SlideFiles) -> None:
    """Check that one reviewer alone corrected a slide: of two, nobody knows who is right.

    Raises:
        AnnotationError: there are several.
    """
    if len(slide.marks) > 1:
        who = " and ".join(name or "somebody without a name" for name in slide.marks)
        message = f"{slide.target}: corrected by {who}; name the files of one of them, in a folder of their own"
        raise AnnotationError(message)


def _by_kind(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files of boxes in and below a folder, with the names of their images, in the order of `ANNOTATION_SUFFIXES`."""

    def rank(file: Path) -> tuple[int, Path]:
        return ANNOTATION_SUFFIXES.index(suffix_of(file.name, ANNOTATION_SUFFIXES)), file

    subfolders = sorted(path for path in folder.rglob("*") if path.is_dir() and not _is_hidden(path, folder))
    files = [file for parent in (folder, *subfolders) for file in files_in(parent, ANNOTATION_SUFFIXES)]
    for file in sorted(files, key=rank):
        is_first = all_parts(file)[0] == file  # of parts, the first stands for all
        is_cells = not file.name.lower().endswith(NOT_BOXES) and not is_segmentation(file.with_name(stem_of(file)))
        if is_first and file.is_file() and is_cells:
            yield (file.parent.relative_to(folder) / stem_of(file)).as_posix(), file


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def record_path(path: Path) -> Path:
    """Path of the run record that a file of boxes may have."""
    return path.with_name(f"{stem_of(path)}{RECORD_SUFFIX}")
