"""Files that say what a whole-slide image in DICOM says, without its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset

if TYPE_CHECKING:
    from pathlib import Path

WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
"""UID of the class of whole-slide images."""
TILE = 256


def write_dicom_source(
    path: Path, size: tuple[int, int], *, mpp: float | tuple[float, float], **changes: object
) -> Path:
    """Write what a whole-slide image says of its patient, study and place: turned by 90 degrees, away from the origin.

    Args:
        path: the file to write.
        size: width and height, pixels.
        mpp: width and height of a pixel, µm, or both in one.
        changes: other values of attributes, by keyword; None for none.
    """
    x, y = mpp if isinstance(mpp, tuple) else (mpp, mpp)
    origin, measures, shared = Dataset(), Dataset(), Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = "23.5", "25.25"
    measures.PixelSpacing, measures.SliceThickness = [y / 1000, x / 1000], 0.003
    shared.PixelMeasuresSequence = [measures]
    values: dict[str, object] = {
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
        "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        "TotalPixelMatrixColumns": size[0],
        "TotalPixelMatrixRows": size[1],
        "Rows": TILE,
        "Columns": TILE,
        "NumberOfFrames": -(-size[0] // TILE) * -(-size[1] // TILE),
        "DimensionOrganizationType": "TILED_FULL",
        "ImageOrientationSlide": [0, -1, 0, -1, 0, 0],
        "TotalPixelMatrixOriginSequence": [origin],
        "SharedFunctionalGroupsSequence": [shared],
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
