"""Slides in archives that speak DICOMweb: finding them, and reading them tile by tile without a download."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from pydicom import Dataset
from wsidicom.instance import WsiDataset

from signetscan.errors import SlideError
from signetscan.json_values import Json, JsonError, parse_json
from signetscan.plurals import counted
from signetscan.slides.addresses import SeriesAddress, StudyAddress
from signetscan.slides.dicom_header import HEADER_ERRORS, is_level, read_image_header
from signetscan.slides.dicom_levels import DicomImage, assembled
from signetscan.slides.dicom_slide import DicomSlide
from signetscan.slides.dicomweb import CONNECTIONS, Archive, ArchiveError, parts_of
from signetscan.slides.fingerprint import series_fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from signetscan.slides.dicom_header import ImageHeader

DicomJson: TypeAlias = Mapping[str, Json]
"""An object of DICOM's JSON model: attributes by their tags, eight hexadecimal digits."""

JSON_TYPE = "application/dicom+json"
STORED_TYPE = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
"""Asks for tiles as they are stored: a server that may choose converts them to JPEG, with loss."""
MOST_JSON = 1 << 28
"""Largest answer in JSON, bytes: what is said of each tile of a large slide takes some 50 MB."""
MOST_FOUND = 10_000
"""Most series of a study, or instances of a series."""
SERIES_UID, INSTANCE_UID, CLASS_UID, FRAMES = "0020000E", "00080018", "00080016", "00280008"
DIMENSIONS, PER_FRAME = "00209311", "52009230"
"""Tags of how tiles are organised, and of what is said of each."""
BULKY = ("7FE00010",)
"""Tags of what is not needed although a server may send it."""


def find_series(study: StudyAddress) -> list[SeriesAddress]:
    """The slides of a study: its series of slide microscopy, in the order of their UIDs.

    Raises:
        SlideError: the archive gives no answer, or there are none.
    """
    with _as_slide_errors(study), Archive(study.service) as archive:
        found = {_text(series, SERIES_UID) for series in _search(archive, f"/studies/{study.uid}/series?Modality=SM")}
    if not found:
        message = f"{study}: no series of slide microscopy (SM) in this study"
        raise SlideError(message)
    return [SeriesAddress(study, uid) for uid in sorted(found)]


def archive_state(address: SeriesAddress) -> str:
    """A text that changes when the images of a series do: instances never change, but may be added or taken away.

    Raises:
        SlideError: the archive gives no answer.
    """
    with _as_slide_errors(address), Archive(address.study.service) as archive:
        instances = sorted(
            (_text(found, INSTANCE_UID), _text(found, CLASS_UID), str(found.get(FRAMES)))
            for found in _search(archive, f"{_path(address)}/instances")
        )
    return hashlib.sha256(repr(instances).encode()).hexdigest()


def open_archived(address: SeriesAddress) -> DicomSlide:
    """Open a series as a slide.

    Raises:
        SlideError: the archive gives no answer, or the series cannot be read, or not rightly.
        OptionError: the token cannot be used.
    """
    with ExitStack() as stack, _as_slide_errors(address):
        archive = stack.enter_context(Archive(address.study.service))
        images = [image for instance in _metadata(archive, address) for image in _images(archive, address, instance)]
        pyramid = assembled(images, str(address))
        return DicomSlide(
            pyramid,
            name=address.name,
            where=str(address),
            fingerprint=series_fingerprint(pyramid.series),
            release=stack.pop_all().close,
            readers=ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="tiles"),
        )


def level_attributes(address: SeriesAddress) -> list[Dataset]:
    """What the levels of a series say of themselves, their patient and study.

    Raises:
        SlideError: the archive gives no answer.
    """
    with _as_slide_errors(address), Archive(address.study.service) as archive:
        return [found for instance in _metadata(archive, address) if is_level(found := _dataset(instance))]


def _images(archive: Archive, address: SeriesAddress, instance: DicomJson) -> list[DicomImage]:
    """The level in an instance, or the part of one; none if it is another object, such as a label."""
    attributes = _dataset(instance)
    if not is_level(attributes):
        return []
    uid = _text(instance, INSTANCE_UID)
    where = f"{_path(address)}/instances/{uid}/frames"
    ((syntax, _),) = _frames(archive, where, [1], MOST_JSON)
    header = read_image_header(attributes, syntax, str(address))
    if header.series != address.uid:
        message = f"{address}: the archive gives another series than was asked for"
        raise SlideError(message)
    return [DicomImage(header=header, dataset=WsiDataset(attributes), read=partial(_stored, archive, address, header))]


def _stored(archive: Archive, address: SeriesAddress, header: ImageHeader, numbers: Sequence[int]) -> list[bytes]:
    """Stored tiles, by their numbers among all parts of a concatenation.

    Raises:
        SlideError: the archive does not answer.
        ValueError: it does not give the tiles as they are stored.
    """
    where = f"{_path(address)}/instances/{header.instance}/frames"
    asked = sorted({number - header.first_frame + 1 for number in numbers})
    try:
        found = _frames(archive, where, asked, (len(asked) + 1) * header.most_stored)
    except ArchiveError as error:
        message = f"{address}: {error}"
        raise SlideError(message) from error
    for syntax, _ in found:
        if syntax != header.syntax:
            message = f"the archive gives it in transfer syntax {syntax[:64]}, and others in {header.syntax}"
            raise ValueError(message)
    by_number = dict(zip(asked, found, strict=True))
    return [by_number[number - header.first_frame + 1][1] for number in numbers]


def _frames(archive: Archive, where: str, numbers: Sequence[int], most_bytes: int) -> list[tuple[str, bytes]]:
    """The transfer syntax and bytes of stored tiles of an instance, by their numbers from 1 in ascending order."""
    answer = archive.get(f"{where}/{','.join(map(str, numbers))}", accept=STORED_TYPE, most_bytes=most_bytes)
    parts = list(parts_of(answer))
    if len(parts) != len(numbers):
        message = f"the archive answers with {counted(len(parts), 'tile')} where {len(numbers)} are asked for"
        raise ArchiveError(message)
    return [(_syntax(part.content_type), part.body) for part in parts]


def _syntax(content_type: str) -> str:
    """The transfer syntax that a tile's media type names; pixels that are not compressed need not name it."""
    found = re.search(r'transfer-syntax="?([0-9.]{1,64})', content_type)
    if found is not None:
        return found[1]
    if content_type.lower().startswith("application/octet-stream"):
        return "1.2.840.10008.1.2.1"
    message = "the archive does not say in which transfer syntax it gives tiles"
    raise ArchiveError(message)


def _metadata(archive: Archive, address: SeriesAddress) -> Iterator[DicomJson]:
    """What the instances of a series say, but for what need not be known of each tile."""
    answer = archive.get(f"{_path(address)}/metadata", accept=JSON_TYPE, most_bytes=MOST_JSON)
    for instance in _objects(answer.body):
        dropped = (*BULKY, PER_FRAME) if _first(instance, DIMENSIONS) == "TILED_FULL" else BULKY
        yield {tag: value for tag, value in instance.items() if tag not in dropped}


def _dataset(instance: DicomJson) -> Dataset:
    return Dataset.from_json(dict(instance), bulk_data_uri_handler=lambda _: None)


def _search(archive: Archive, path: str) -> Iterator[DicomJson]:
    """All that a search finds: servers may give it in several answers."""
    offset, separator = 0, "&" if "?" in path else "?"
    while True:
        asked = f"{path}{separator}offset={offset}" if offset else path
        answer = archive.get(asked, accept=JSON_TYPE, most_bytes=MOST_JSON)
        found = _objects(answer.body) if answer.body else []
        yield from found
        offset += len(found)
        if not (answer.has_more and found):
            return
        if offset > MOST_FOUND:
            message = f"the archive finds more than {MOST_FOUND}"
            raise ArchiveError(message)


def _objects(body: bytes) -> list[DicomJson]:
    values = parse_json(body)
    if not isinstance(values, list) or len(values) > MOST_FOUND:
        message = "not a list"
        raise JsonError(message)
    objects = [value for value in values if isinstance(value, dict)]
    if len(objects) != len(values):
        message = "not a list of objects"
        raise JsonError(message)
    return list(objects)


def _first(attributes: DicomJson, tag: str) -> Json:
    """The first value of an attribute; None if it has none."""
    element = attributes.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None


def _text(attributes: DicomJson, tag: str) -> str:
    value = _first(attributes, tag)
    if not isinstance(value, str):
        message = f"no value of {tag}"
        raise JsonError(message)
    return value


def _path(address: SeriesAddress) -> str:
    return f"/studies/{address.study.uid}/series/{address.uid}"


@contextmanager
def _as_slide_errors(address: StudyAddress | SeriesAddress) -> Iterator[None]:
    """Raise the errors of an archive, and of what it answers, as a `SlideError` that names the address."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values, which may be the patient's
            yield
    except ArchiveError as error:
        message = f"{address}: {error}"
        raise SlideError(message) from error
    except HEADER_ERRORS as error:  # a JsonError is a ValueError
        message = f"{address}: the archive answers what is not understood; is it a DICOMweb service?"
        raise SlideError(message) from error
