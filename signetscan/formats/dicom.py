"""Detections as DICOM Microscopy Bulk Simple Annotations, for archives and viewers of DICOM slides.

Each class with a detection is a group of polygons of four corners (rectangles would do, but fewer programs read them),
with the scores as a measurement. Coordinates are columns and rows of the total pixel matrix, in which (0, 0) is the
corner, not the centre, of the first pixel, as in DICOM's other image-relative coordinates and everywhere in this
package. They are 32-bit numbers where these can hold a hundredth of a pixel, else 64-bit.

What holds for all DICOM objects, such as the patient data that they hold, is said in `formats/dicom_objects.py`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from signetscan import __version__
from signetscan.atomic import part_path
from signetscan.errors import UnfitError
from signetscan.formats.colours import colour_of
from signetscan.formats.dicom_objects import (
    BREAKS_STANDARD,
    SCHEME,
    algorithm_of,
    code_of,
    label_of,
    printable,
    source_image,
    uid_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from highdicom.ann import AnnotationGroup

    from signetscan.formats.scanned_slide import ScannedSlide

SERIES_NUMBER = 1000
"""Number of the annotations' series within the study, far from the numbers of the images' series."""
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

    source = source_image(scanned, "annotations")
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
            series_instance_uid=uid_of(f"{source.SeriesInstanceUID}:{scanned.model_sha256}"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=uid_of(identity),
            instance_number=1,
            manufacturer="signetscan",
            manufacturer_model_name=label_of(scanned.model),
            software_versions=__version__,
            device_serial_number=label_of(scanned.model_sha256),
            content_label="SIGNETSCAN",
            content_description="Detections by signetscan; for research use",
            specific_character_set="ISO_IR 192",
        )
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        # The error's text is left out: it may hold a patient's name.
        raise UnfitError(BREAKS_STANDARD) from error
    with part_path(path) as part:
        annotations.save_as(part)


def _groups(scanned: ScannedSlide, identity: str) -> Iterator[AnnotationGroup]:
    """A group for each class with a detection, numbered from 1."""
    from highdicom import color  # noqa: PLC0415
    from highdicom.ann import AnnotationGroup, Measurements  # noqa: PLC0415
    from pydicom.sr.coding import Code  # noqa: PLC0415

    score, no_unit = Code("score", SCHEME, "Score from 0 to 1"), Code("1", "UCUM", "no units")
    kind = np.float32 if max(scanned.dimensions) <= EXACT_SIDE else np.float64
    detections = scanned.detections
    for number, label in enumerate(np.unique(detections.labels).tolist(), start=1):
        name, which = scanned.class_names[label], np.flatnonzero(detections.labels == label)
        corners = detections.boxes[which][:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2).astype(kind)
        yield AnnotationGroup(
            number=number,
            uid=uid_of(f"{identity}:{number}"),
            label=label_of(name),
            description=printable(name),
            annotated_property_category=Code("91723000", "SCT", "Anatomical Structure"),
            annotated_property_type=code_of(name),
            graphic_type="POLYGON",
            graphic_data=list(corners),
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm_of(scanned),
            measurements=[Measurements(name=score, values=detections.scores[which], unit=no_unit)],
            display_color=color.CIELabColor.from_rgb(*colour_of(label)),
        )
