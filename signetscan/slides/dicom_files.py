"""Opening a DICOM series in files, for those that OpenSlide refuses."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from pydicom.filereader import read_file_meta_info, read_partial
from upath import UPath
from wsidicom.file.io import WsiDicomReader
from wsidicom.file.io.wsidicom_io import WsiDicomReadIO

from signetscan.errors import SlideError
from signetscan.slides.dicom_header import DEFLATED, WHOLE_SLIDE, is_level, read_image_header
from signetscan.slides.dicom_levels import READ_ERRORS, DicomImage, assembled
from signetscan.slides.dicom_slide import DicomSlide
from signetscan.slides.fingerprint import series_fingerprint
from signetscan.slides.parts import slide_parts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pydicom import Dataset

    from signetscan.slides.dicom_header import ImageHeader

PER_FRAME = 0x5200_9230
"""Tag of what a file says of single tiles; the pixels follow."""
LONG_VALUE = 1 << 16
"""Values of more bytes are not read with the header."""


def open_dicom_files(path: Path) -> DicomSlide:
    """Open the series of a DICOM file, which is in this file and in others of its folder.

    Raises:
        SlideError: it cannot be read, or not rightly; the message says why.
        OSError: a file cannot be read.
    """
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote values, which may be the patient's
        images = [image for part in slide_parts(path) for image in _images(part, stack)]
        pyramid = assembled(images, str(path))
        return DicomSlide(
            pyramid,
            name=path.stem,
            where=str(path),
            fingerprint=series_fingerprint(pyramid.series),
            release=stack.pop_all().close,
        )


def _images(path: Path, stack: ExitStack) -> list[DicomImage]:
    """The level in a file, or the part of one; none if the file is another object of the series, such as a label.

    The file is closed by the stack.
    """
    try:
        meta = read_file_meta_info(path)
        syntax = str(meta.get("TransferSyntaxUID", ""))
        if str(meta.get("MediaStorageSOPClassUID", "")) != WHOLE_SLIDE:
            return []
        attributes = _attributes(path, syntax)
        if not is_level(attributes):
            return []
        header = read_image_header(attributes, syntax, str(path))
        reader = WsiDicomReader(WsiDicomReadIO(stack.enter_context(path.open("rb")), UPath(path)))
        reader.dataset.uids  # noqa: B018 - read now, and kept
    except READ_ERRORS as error:
        message = f"{path}: a DICOM file that cannot be read; it is damaged or cut short: copy or export it again"
        raise SlideError(message) from error
    return [DicomImage(header=header, dataset=reader.dataset, read=partial(_stored, reader, header))]


def _attributes(path: Path, syntax: str) -> Dataset:
    """What a file says of its image as a whole."""
    if syntax == DEFLATED:  # it would be inflated at once, to whatever size
        message = "a deflated header"
        raise ValueError(message)
    with path.open("rb") as file:
        return read_partial(file, stop_when=lambda tag, _vr, _length: tag >= PER_FRAME, defer_size=LONG_VALUE)


def _stored(reader: WsiDicomReader, header: ImageHeader, numbers: Sequence[int]) -> list[bytes]:
    """Stored tiles, by their numbers among all parts of a concatenation.

    Raises:
        ValueError: the file says that one is longer than a tile can be, or ends before it does.
    """
    return [_stored_tile(reader, header, number) for number in numbers]


def _stored_tile(reader: WsiDicomReader, header: ImageHeader, number: int) -> bytes:
    _, length = reader.frame_index[number - header.first_frame]
    if length > header.most_stored:
        message = f"it cannot take {length} bytes, as the file says"
        raise ValueError(message)
    data = bytes(reader.read_frame(number))
    if len(data) < length:
        message = "the file ends within it"
        raise ValueError(message)
    return data
