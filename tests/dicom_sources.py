"""What whole-slide images in DICOM say, without their pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from segmented_slides import MPP

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.formats.segmented_slide import SegmentedSlide

WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"


def write_source(path: Path, dimensions: tuple[int, int] = (120_000, 90_000), **changes: Any) -> Path:  # noqa: ANN401
    """What a whole-slide image says, without its pixels."""
    values: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 100",
        "SOPClassUID": WHOLE_SLIDE,
        "SOPInstanceUID": "1.2.3.4",
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.5",
        "FrameOfReferenceUID": "1.2.3.6",
        "Modality": "SM",
        "PatientID": "P1",
        "PatientName": "Müller^Jörg",
        "PatientBirthDate": "19500102",
        "PatientSex": "M",
        "AccessionNumber": "A1",
        "StudyID": "S1",
        "StudyDate": "20200304",
        "StudyTime": "101112",
        "ContainerIdentifier": "Box 7",
        "TotalPixelMatrixColumns": dimensions[0],
        "TotalPixelMatrixRows": dimensions[1],
    }
    image = Dataset()
    for name, value in (values | changes).items():
        if value is not None:
            setattr(image, name, value)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = pydicom.uid.UID(WHOLE_SLIDE)
    image.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.UID("1.2.3.4")
    image.save_as(path, enforce_file_format=True)
    return path


def placed_source(path: Path, slide: SegmentedSlide, **changes: Any) -> Path:  # noqa: ANN401
    """What a whole-slide image says, without its pixels: turned by 90 degrees, away from the origin."""
    origin, measures, shared = Dataset(), Dataset(), Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = "23.5", "25.25"
    measures.PixelSpacing, measures.SliceThickness = [MPP.y / 1000, MPP.x / 1000], 0.003
    shared.PixelMeasuresSequence = [measures]
    values: dict[str, Any] = {
        "Rows": 256,
        "Columns": 256,
        "NumberOfFrames": 1,
        "ImageOrientationSlide": [0, -1, 0, -1, 0, 0],
        "TotalPixelMatrixOriginSequence": [origin],
        "SharedFunctionalGroupsSequence": [shared],
        "DimensionOrganizationType": "TILED_FULL",
        "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
    }
    return write_source(path, slide.dimensions, **(values | changes))
