"""Class maps as DICOM Segmentations, for archives and viewers of DICOM slides.

Each class but the background is a binary segment, with its colour. Pixels are those of the model's output, unchanged,
in tiles of which empty ones are left out. Their place is said as the standard demands, by the centre of the first pixel
in the slide's coordinate system, mm; so viewers lay the segments over the slide, although their pixels are larger.

What holds for all DICOM objects, such as the patient data that they hold, is said in `formats/dicom_objects.py`.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import numpy as np

from signetscan import __version__
from signetscan.atomic import part_path
from signetscan.errors import UnfitError
from signetscan.formats.dicom_objects import (
    BREAKS_STANDARD,
    NEEDED,
    algorithm_of,
    code_of,
    label_of,
    source_image,
    uid_of,
)
from signetscan.plurals import counted
from signetscan.scan.class_map import BAND, FIRST_CLASS, array_on_disk

if TYPE_CHECKING:
    from pathlib import Path

    import pydicom
    from highdicom import PlanePositionSequence
    from highdicom.seg import SegmentDescription
    from numpy.typing import NDArray

    from signetscan.formats.segmented_slide import SegmentedSlide

NEEDED_OF_PLACE = (
    *NEEDED,
    "Rows",
    "Columns",
    "ImageOrientationSlide",
    "TotalPixelMatrixOriginSequence",
    "SharedFunctionalGroupsSequence",
)
"""Attributes that the slide must have, those that say where it lies among them."""
SERIES_NUMBER = 1001
"""Number of the segmentations' series within the study, far from the numbers of the images' series."""
TILE = 512
"""Side of a stored tile, pixels."""
THICKNESS_MM = 0.004
"""Thickness of a section, mm, where the slide does not say it: that of most sections in pathology."""
MOST_BITS = 1 << 32
"""Most bits of all segments together, at least a byte counted for each pixel: highdicom holds them in memory."""


def write_segments(path: Path, segmented: SegmentedSlide) -> None:
    """Write the classes as binary segments of an object of the slide's study.

    Args:
        path: the file to write.
        segmented: the slide, with the path of its file, and its map.

    Raises:
        MissingExtraError: highdicom is not installed.
        UnfitError: the slide is not DICOM or not known, lacks what segmentations need, or no place has a class but
            the background.
        OutputError: the file cannot be written.
    """
    import highdicom  # noqa: PLC0415 - only this format needs it

    bits = segmented.class_map.classes.size * max(8, len(segmented.outlined))
    if bits > MOST_BITS:
        message = (
            f"a DICOM segmentation of {segmented.class_map.classes.size / 1e6:.0f} megapixels and "
            f"{counted(len(segmented.outlined), 'class', 'classes')} would take too much memory; choose another format"
        )
        raise UnfitError(message)
    source = source_image(segmented, "segmentations", NEEDED_OF_PLACE)
    numbers, digest = _segment_numbers(segmented, path.parent)
    if not numbers.any():
        message = "a DICOM segmentation cannot be empty, and no place of this slide has a class but the background"
        raise UnfitError(message)
    width_mm, height_mm = (um / 1000 for um in segmented.class_map.pixel_um)
    try:
        segmentation = highdicom.seg.Segmentation(
            source_images=[source],
            pixel_array=numbers,
            segmentation_type="BINARY",
            segment_descriptions=_descriptions(segmented),
            series_instance_uid=uid_of(f"{source.SeriesInstanceUID}:{segmented.model_sha256}:segments"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=uid_of(f"{segmented.source}:{source.SOPInstanceUID}:{digest}"),
            instance_number=1,
            manufacturer="signetscan",
            manufacturer_model_name=label_of(segmented.model),
            software_versions=__version__,
            device_serial_number=label_of(segmented.model_sha256),
            content_label="SIGNETSCAN",
            content_description="Segmentation by signetscan; for research use",
            pixel_measures=highdicom.PixelMeasuresSequence(
                pixel_spacing=(height_mm, width_mm), slice_thickness=_thickness(source)
            ),
            plane_orientation=highdicom.PlaneOrientationSequence("SLIDE", source.ImageOrientationSlide),
            plane_positions=[_position(source, segmented)],
            tile_pixel_array=True,
            tile_size=(TILE, TILE),
            specific_character_set="ISO_IR 192",
        )
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        # The error's text is left out: it may hold a patient's name.
        raise UnfitError(BREAKS_STANDARD) from error
    with part_path(path) as part:
        segmentation.save_as(part)


def _segment_numbers(segmented: SegmentedSlide, folder: Path) -> tuple[NDArray[np.uint8], str]:
    """The map with the number of the segment at each place, 0 for none, on disk; and its SHA-256."""
    table = np.zeros(256, np.uint8)
    for number, label in enumerate(segmented.outlined, start=1):
        table[FIRST_CLASS + label] = number
    # The last pixels of the map may lie wholly beyond the slide.
    columns, rows = (
        math.ceil(round(side / size, 6))
        for side, size in zip(segmented.dimensions, segmented.class_map.pixel, strict=True)
    )
    classes, digest = segmented.class_map.classes[:rows, :columns], hashlib.sha256()
    numbers = array_on_disk((classes.shape[0], classes.shape[1]), folder)
    for top in range(0, len(classes), BAND):
        band = table[classes[top : top + BAND]]
        numbers[top : top + BAND] = band
        digest.update(band.tobytes())
    return numbers, digest.hexdigest()


def _descriptions(segmented: SegmentedSlide) -> list[SegmentDescription]:
    """A segment for each class but the background, numbered from 1."""
    from highdicom import color  # noqa: PLC0415
    from highdicom.seg import SegmentDescription  # noqa: PLC0415
    from pydicom.sr.coding import Code  # noqa: PLC0415

    return [
        SegmentDescription(
            segment_number=number,
            segment_label=label_of(segmented.class_names[label]),
            segmented_property_category=Code("85756007", "SCT", "Tissue"),
            segmented_property_type=code_of(segmented.class_names[label]),
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm_of(segmented),
            display_color=color.CIELabColor.from_rgb(*segmented.class_colours[label]),
        )
        for number, label in enumerate(segmented.outlined, start=1)
    ]


def _position(source: pydicom.Dataset, segmented: SegmentedSlide) -> PlanePositionSequence:
    """Where the centre of the map's first pixel lies, in mm of the slide's coordinate system."""
    from highdicom import PlanePositionSequence  # noqa: PLC0415

    origin = source.TotalPixelMatrixOriginSequence[0]
    first = np.array([origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem, 0], np.float64)
    along_row, along_column = np.array(source.ImageOrientationSlide, np.float64).reshape(2, 3)
    # From the centre of the first level-0 pixel to that of the map's first pixel.
    right, down = ((size - 1) / 2 for size in segmented.class_map.pixel)
    mpp = segmented.mpp
    place = first + along_row * right * mpp.x / 1000 + along_column * down * mpp.y / 1000
    return PlanePositionSequence("SLIDE", image_position=place.tolist(), pixel_matrix_position=(1, 1))


def _thickness(source: pydicom.Dataset) -> float:
    """The thickness of the section, mm."""
    measures = source.SharedFunctionalGroupsSequence[0].get("PixelMeasuresSequence") or [{}]
    return float(measures[0].get("SliceThickness") or THICKNESS_MM)
