"""What all DICOM objects of results share: the slide's image that they refer to, the model, UIDs and labels.

The objects belong to the slide's study and refer to its full-resolution image by UID, so only DICOM slides can have
them. As the standard demands, the data of patient, study and specimen is copied from that image: **they hold the
patient data that the slide holds**, unlike all other outputs.

UIDs are derived, so that an archive takes the same results, sent twice, for one object: the UID of the series from the
slide's series and the model, that of the object from the results too. The dates in a file are those of its making.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING

from signetscan import __version__
from signetscan.errors import UnfitError
from signetscan.formats.blocks import NAMESPACE
from signetscan.models.spec import in_one_line
from signetscan.slides.addresses import SeriesAddress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import pydicom
    from highdicom import AlgorithmIdentificationSequence
    from pydicom.sr.coding import Code

    from signetscan.formats.scanned_slide import SlideFacts
    from signetscan.slides.addresses import SlidePlace

NEEDED: tuple[str, ...] = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
)
"""Attributes that the slide must have."""
MAY_BE_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
)
"""Attributes that the standard allows to be empty; those that a slide lacks are written empty."""

SCHEME = "99SIGNETSCAN"
"""Scheme of our own codes: the standard has none for the names of a model's classes, nor for its scores."""
BREAKS_STANDARD = "an attribute of this slide's patient, study or specimen breaks the DICOM standard"
"""What is said where highdicom refuses a slide; its own words may hold a patient's name."""
LONGEST_TEXT = 64
"""Longest label, characters: DICOM's limit for a long string (LO)."""


def source_image(facts: SlideFacts, what: str, needed: Sequence[str] = NEEDED) -> pydicom.Dataset:
    """The attributes of the image that is the slide's level 0, without its pixels.

    Args:
        facts: the slide, with the path of its file.
        what: what the object is called in messages, in the plural, such as "annotations".
        needed: attributes that the image must have.

    Raises:
        UnfitError: there is no such image, or it lacks attributes that are needed.
    """
    if facts.path is None:
        message = f"DICOM {what} refer to the slide, which is not known here; name it"
        raise UnfitError(message, options=("slide",))
    image = next(_images(facts.path, facts.dimensions), None)
    if image is None:
        message = f"only DICOM slides can have DICOM {what}; choose another format, or convert the slide first"
        raise UnfitError(message)
    missing = [name for name in needed if not image.get(name)]
    if missing:
        message = f"DICOM {what} need attributes that this slide's file lacks: {', '.join(missing)}"
        raise UnfitError(message)
    for name in MAY_BE_EMPTY:
        if name not in image:
            setattr(image, name, "")
    image.decode()
    return image


def _images(place: SlidePlace, dimensions: tuple[int, int]) -> Iterator[pydicom.Dataset]:
    """Images of some dimensions in the series of a slide: of files, the named one first, then others in its folder."""
    if isinstance(place, SeriesAddress):
        from signetscan.slides.dicom_archive import level_attributes  # noqa: PLC0415 - an extra, and slow to import

        found: Iterable[pydicom.Dataset] = level_attributes(place)
    else:
        found = _in_series(place)
    for image in found:
        if (image.get("TotalPixelMatrixColumns"), image.get("TotalPixelMatrixRows")) == dimensions:
            yield image


def _in_series(path: Path) -> Iterator[pydicom.Dataset]:
    """What the files of a series say: the file itself first, then others in its folder."""
    first = _read(path)
    if first is None:
        return
    for file in [path, *sorted(path.parent.glob("*.dcm"))]:
        image = _read(file)
        if image is not None and image.get("SeriesInstanceUID") == first.get("SeriesInstanceUID"):
            yield image


def _read(path: Path) -> pydicom.Dataset | None:
    import pydicom  # noqa: PLC0415

    try:
        return pydicom.dcmread(path, stop_before_pixels=True)
    except (OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, pydicom.errors.InvalidDicomError):
        return None


def algorithm_of(facts: SlideFacts) -> AlgorithmIdentificationSequence:
    """The model."""
    from highdicom import AlgorithmIdentificationSequence  # noqa: PLC0415 - only these formats need it
    from pydicom.sr.coding import Code  # noqa: PLC0415

    return AlgorithmIdentificationSequence(
        name=label_of(facts.model),
        family=Code("123110", "DCM", "Artificial Intelligence"),
        version=label_of(facts.model_sha256),
        source=f"signetscan {__version__}",
        parameters={"learnt from": printable(in_one_line(facts.learnt_from))},  # the only long text about a model
    )


def code_of(name: str) -> Code:
    """A code of our own for a class, by its name: the standard has none for the names of a model's classes."""
    from pydicom.sr.coding import Code  # noqa: PLC0415

    return Code(hashlib.sha256(name.encode()).hexdigest()[:16], SCHEME, label_of(name))


def uid_of(text: str) -> str:
    """A UID derived from a text by a UUID, the same for the same text."""
    return f"2.25.{uuid.uuid5(NAMESPACE, f'dicom:{text}').int}"


def printable(text: str) -> str:
    """A text with a replacement mark for each control character."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def label_of(text: str) -> str:
    """A text that fits a DICOM label: short, and without the backslash, which separates values."""
    return printable(text).replace("\\", "\ufffd")[:LONGEST_TEXT]
