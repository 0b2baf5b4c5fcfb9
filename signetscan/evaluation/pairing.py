"""Which file of predictions belongs to which truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from signetscan.annotations import ENDINGS, ending_of
from signetscan.dataset import NEGATIVE_FOLDER, POSITIVE_FOLDER, TRUTH_FOLDER
from signetscan.dataset.digestpath import ENDINGS as IMAGE_ENDINGS
from signetscan.dataset.digestpath import digestpath_root
from signetscan.dataset.found import by_stem, files_in
from signetscan.dataset.notes import listed
from signetscan.errors import AnnotationError
from signetscan.formats.result_files import RECORD_ENDING

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.dataset.notes import Notes

OWN_ENDINGS = (f".{RECORD_ENDING}", "metrics.json", ".asap.xml", ".imagescope.xml")
"""Files beside results that hold no boxes, or not in a form that is read."""
TRUTH_ENDING = ".truth"
"""What `signetscan simulate slide` adds to the slide's name."""


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


def stem_of(path: Path) -> str:
    """Name of the image that a file is about: without `.geojson.gz` and the like, and without `.truth`."""
    return path.name[: len(path.name) - len(ending_of(path))].removesuffix(TRUTH_ENDING)


def find_pairs(predictions: Path, truth: Path, notes: Notes, *, full_truth: bool) -> Pairs:
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
        found = [Pair(stem=stem_of(predictions), predictions=predictions, truth=truth)]
    else:
        there = _flat(truth, notes) if root is None else _digestpath(root, full_truth=full_truth)
        found = _paired(predictions, truth, there, notes)
    return Pairs(found=tuple(found), predictions=predictions, truth=truth, is_digestpath=root is not None)


def find_both(a: Path, b: Path, notes: Notes) -> Pairs:
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
        return Pairs(
            found=(Pair(stem=stem_of(a), predictions=a, truth=b),), predictions=a, truth=b, is_digestpath=False
        )
    first, second = _files(a, notes), _files(b, notes)
    if not first.keys() & second.keys():
        message = (
            f"{a}: no file is named like one of {b}, apart from its ending: here {listed(sorted(first))}, there "
            f"{listed(sorted(second))}"
        )
        raise AnnotationError(message)
    for path, side, own, other in ((a, "A", first, second), (b, "B", second, first)):
        for stem in sorted(own.keys() - other.keys()) if path.is_dir() else ():
            notes.add(f"Left out, in {side} only", own[stem].name)
    found = [Pair(stem=stem, predictions=path, truth=second[stem]) for stem, path in first.items() if stem in second]
    return Pairs(found=tuple(found), predictions=a, truth=b, is_digestpath=False)


def _paired(predictions: Path, truth: Path, there: dict[str, Pair], notes: Notes) -> list[Pair]:
    """The images of the truth with their predictions; one only, if one file of predictions was given."""
    files = _files(predictions, notes)
    if not files.keys() & there.keys():
        message = (
            f"{predictions}: no file is named like the truth, apart from its ending: here {listed(sorted(files))}, "
            f"in {truth} {listed(sorted(there)) or 'nothing'}"
        )
        raise AnnotationError(message)
    for stem in sorted(files.keys() - there.keys()):
        notes.add("Predictions left out, without truth", files[stem].name)
    found = []
    for stem, pair in there.items():
        if stem in files:
            found.append(replace(pair, predictions=files[stem]))
        elif predictions.is_file():
            notes.add("Truth of other images not used", stem)
        else:
            kind = "Normal images" if pair.normal else "Images"
            notes.add(f"{kind} without a file of predictions, taken for ones where nothing was found", stem)
            found.append(pair)
    return found


def _flat(path: Path, notes: Notes) -> dict[str, Pair]:
    return {stem: Pair(stem=stem, predictions=None, truth=file) for stem, file in _files(path, notes).items()}


def _digestpath(root: Path, *, full_truth: bool) -> dict[str, Pair]:
    """Positive images by their XML, normal ones by the image."""
    folder = root / (TRUTH_FOLDER if full_truth else POSITIVE_FOLDER)
    if not folder.is_dir():
        message = f"{folder}: no such folder, so the full truth is not known"
        raise AnnotationError(message)
    images = by_stem(files_in(root / POSITIVE_FOLDER, IMAGE_ENDINGS), IMAGE_ENDINGS)
    truths = by_stem(files_in(folder, (".xml",)), (".xml",))
    without = sorted(images.keys() - truths.keys())
    if without:
        message = f"{folder}: {len(without)} images of {POSITIVE_FOLDER} have no .xml: {listed(without)}"
        raise AnnotationError(message)
    pairs = {stem: Pair(stem=stem, predictions=None, truth=path) for stem, path in truths.items()}
    negatives = root / NEGATIVE_FOLDER
    for stem in by_stem(files_in(negatives, IMAGE_ENDINGS), IMAGE_ENDINGS) if negatives.is_dir() else ():
        if stem in pairs:
            message = f"{root}: {stem} is in both {POSITIVE_FOLDER} and {NEGATIVE_FOLDER}"
            raise AnnotationError(message)
        pairs[stem] = Pair(stem=stem, predictions=None, truth=None, normal=True)
    return pairs


def _files(path: Path, notes: Notes) -> dict[str, Path]:
    """Files of boxes by name; of several for one image the first kind of `ENDINGS`."""
    if path.is_file():
        return {stem_of(path): path}
    found: dict[str, Path] = {}
    paths = [file for file in files_in(path, ENDINGS) if not file.name.lower().endswith(OWN_ENDINGS)]
    for file in sorted(paths, key=lambda file: (ENDINGS.index(ending_of(file)), file.name)):
        stem = stem_of(file)
        if stem not in found:
            found[stem] = file
        elif not (ending_of(file) == ".csv" and record_path(file).exists()):
            # `signetscan detect` writes the same boxes twice; of anything else one must be told.
            notes.add(f"Files left out, beside another of {path.name} with the same name", file.name)
    if not found:
        message = f"{path}: no file of boxes in it ({', '.join(ENDINGS)})"
        raise AnnotationError(message)
    return dict(sorted(found.items()))


def record_path(path: Path) -> Path:
    """Where the run record of a file of boxes stands, if it has one."""
    return path.with_name(f"{stem_of(path)}.{RECORD_ENDING}")
