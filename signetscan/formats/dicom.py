"""Detections as DICOM Microscopy Bulk Simple Annotations, for archives and viewers of DICOM slides.

The annotations belong to the slide's study and refer to its full-resolution image by UID, so only DICOM slides can have
them. As the standard demands, the data of patient, study and specimen is copied from that image: **this file holds the
patient data that the slide holds**, unlike all other outputs.

Each class with a detection is a group of polygons of four corners (rectangles would do, but fewer programs read them),
with the scores as a measurement. Coordinates are columns and rows of the total pixel matrix, in which (0, 0) is the
corner, not the centre, of the first pixel, as in DICOM's other image-relative coordinates and everywhere in this
package. They are 32-bit numbers where these can hold a hundredth of a pixel, else 64-bit.

UIDs are derived, so that an archive takes the same detections, sent twice, for one object: the UID of the series from
the slide's series and the model, those of the object and its groups from the detections too. The dates in the file are
those of its making.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING

import numpy as np

from signetscan import __version__
from signetscan.atomic import part_path
from signetscan.errors import UnfitError
from signetscan.formats.blocks import NAMESPACE
from signetscan.formats.colours import colour_of
from signetscan.models.spec import in_one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pydicom
    from highdicom.ann import AnnotationGroup

    from signetscan.formats.scanned_slide import ScannedSlide

NEEDED = (
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
SERIES_NUMBER = 1000
"""Number of the annotations' series within the study, far from the numbers of the images' series."""
LONGEST_TEXT = 64
"""Longest label, characters: DICOM's limit for a long string (LO)."""
EXACT_SIDE = 1 << 17
"""Longest side of a slide, pixels, at which 32-bit numbers keep two decimals."""


def write_dicom(path: Path, scanned: ScannedSlide) -> None:
    """Write the detections as an object of the slide's study.

    Args:
        path: the file to write.
        scanned: the slide, with the path of its file, and its detections.

    Raises:
        MissingExtraError: highdicom is not installed.
        UnfitError: the slide is not DICOM or not known, lacks what annotations need, or there are no detections.
        OutputError: the file cannot be written.
    """
    import highdicom  # noqa: PLC0415 - only this format needs it

    source = _source_image(scanned)
    content = hashlib.sha256(scanned.detections.boxes.tobytes() + scanned.detections.scores.tobytes())
    content.update(scanned.detections.labels.tobytes())
    identity = f"{scanned.source}:{source.SOPInstanceUID}:{content.hexdigest()}"
    groups = list(_groups(scanned, identity))
    if not groups:
        message = "DICOM annotations cannot be empty, and this slide has no detections"
        raise UnfitError(message)
    try:
        annotations = highdicom.ann.MicroscopyBulkSimpleAnnotations(
            source_images=[source],
            annotation_coordinate_type="2D",
            annotation_groups=groups,
            series_instance_uid=_uid(f"{source.SeriesInstanceUID}:{scanned.model_sha256}"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=_uid(identity),
            instance_number=1,
            manufacturer="signetscan",
            manufacturer_model_name=_label(scanned.model),
            software_versions=__version__,
            device_serial_number=_label(scanned.model_sha256),
            content_label="SIGNETSCAN",
            content_description="Detections by signetscan; for research use",
            specific_character_set="ISO_IR 192",
        )
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        # The error's text is left out: it may hold a patient's name.
        message = "an attribute of this slide's patient, study or specimen breaks the DICOM standard"
        raise UnfitError(message) from error
    with part_path(path) as part:
        annotations.save_as(part)


def _source_image(scanned: ScannedSlide) -> pydicom.Dataset:
    """The attributes of the image that is the slide's level 0, without its pixels.

    Raises:
        UnfitError: there is no such image, or it lacks attributes that annotations need.
    """
    if scanned.path is None:
        message = "DICOM annotations refer to the slide's file, which is not known here; name it"
        raise UnfitError(message, options=("slide",))
    image = next(_images(scanned.path, scanned.dimensions), None)
    if image is None:
        message = "only DICOM slides can have DICOM annotations; choose another format, or convert the slide first"
        raise UnfitError(message)
    missing = [name for name in NEEDED if not image.get(name)]
    if missing:
        message = f"DICOM annotations need attributes that this slide's file lacks: {', '.join(missing)}"
        raise UnfitError(message)
    for name in MAY_BE_EMPTY:
        if name not in image:
            setattr(image, name, "")
    image.decode()
    return image


def _images(path: Path, dimensions: tuple[int, int]) -> Iterator[pydicom.Dataset]:
    """Images of some dimensions in the series of a file: the file itself first, then others in its folder."""
    first = _read(path)
    if first is None:
        return
    for file in [path, *sorted(path.parent.glob("*.dcm"))]:
        image = _read(file)
        if (
            image is not None
            and image.get("SeriesInstanceUID") == first.get("SeriesInstanceUID")
            and (image.get("TotalPixelMatrixColumns"), image.get("TotalPixelMatrixRows")) == dimensions
        ):
            yield image


def _read(path: Path) -> pydicom.Dataset | None:
    import pydicom  # noqa: PLC0415

    try:
        return pydicom.dcmread(path, stop_before_pixels=True)
    except (OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, pydicom.errors.InvalidDicomError):
        return None


def _groups(scanned: ScannedSlide, identity: str) -> Iterator[AnnotationGroup]:
    """A group for each class with a detection, numbered from 1."""
    from highdicom import AlgorithmIdentificationSequence, color  # noqa: PLC0415
    from highdicom.ann import AnnotationGroup, Measurements  # noqa: PLC0415
    from pydicom.sr.coding import Code  # noqa: PLC0415

    algorithm = AlgorithmIdentificationSequence(
        name=_label(scanned.model),
        family=Code("123110", "DCM", "Artificial Intelligence"),
        version=_label(scanned.model_sha256),
        source=f"signetscan {__version__}",
        parameters={"learnt from": _printable(in_one_line(scanned.learnt_from))},  # the only long text about a model
    )
    score, no_unit = Code("score", SCHEME, "Score from 0 to 1"), Code("1", "UCUM", "no units")
    kind = np.float32 if max(scanned.dimensions) <= EXACT_SIDE else np.float64
    detections = scanned.detections
    for number, label in enumerate(np.unique(detections.labels).tolist(), start=1):
        name, which = scanned.class_names[label], np.flatnonzero(detections.labels == label)
        corners = detections.boxes[which][:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2).astype(kind)
        code = hashlib.sha256(name.encode()).hexdigest()[:16]
        yield AnnotationGroup(
            number=number,
            uid=_uid(f"{identity}:{number}"),
            label=_label(name),
            description=_printable(name),
            annotated_property_category=Code("91723000", "SCT", "Anatomical Structure"),
            annotated_property_type=Code(code, SCHEME, _label(name)),
            graphic_type="POLYGON",
            graphic_data=list(corners),
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
            measurements=[Measurements(name=score, values=detections.scores[which], unit=no_unit)],
            display_color=color.CIELabColor.from_rgb(*colour_of(label)),
        )


def _uid(text: str) -> str:
    """A UID derived from a text by a UUID, the same for the same text."""
    return f"2.25.{uuid.uuid5(NAMESPACE, f'dicom:{text}').int}"


def _printable(text: str) -> str:
    """A text with a replacement mark for each control character."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _label(text: str) -> str:
    """A text that fits a DICOM label: short, and without the backslash, which separates values."""
    return _printable(text).replace("\\", "\ufffd")[:LONGEST_TEXT]
