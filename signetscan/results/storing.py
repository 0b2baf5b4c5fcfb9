"""Sending DICOM results to an archive that speaks DICOMweb, by STOW-RS."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from signetscan.errors import ResultError
from signetscan.extras import require
from signetscan.json_values import JsonError, JsonTable, parse_json
from signetscan.models.spec import Task
from signetscan.results.folder import find_results
from signetscan.results.run_record import read_run_record
from signetscan.slides.addresses import check_service

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from signetscan.json_values import Json
    from signetscan.results.record_parts import ResultFile
    from signetscan.slides.dicomweb import Answer, Archive

FORMAT = "dicom"
"""Name of the format that archives take, of detections and of regions."""
MOST_BYTES = 1 << 31
"""Largest file that is sent; it is held in memory."""
MOST_ANSWER = 1 << 24
"""Largest answer that is taken, bytes."""
REFUSED = frozenset({200, 202, 400, 409, 413, 415, 422})
"""Statuses of answers about what was sent; others are about the archive, and the next file would fare no better."""
FAILED, REASON = "00081198", "00081197"
"""Tags of the objects that were not stored, and of the reason."""
REASONS = {
    0x0110: "it cannot process the object",
    0x0111: "it has an object of this UID already, with other contents",
    0x0122: "it does not take objects of this kind",
    0x0124: "it does not allow this",
    0xA700: "it has no room left",
    0xA900: "it finds the object not to be of its kind",
    0xC000: "it does not understand the object",
    0xC122: "it does not take the object's transfer syntax",
}
"""Why an archive has not stored an object, by the codes of the DICOM standard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A file that the archive has taken."""

    file: Path
    """The file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotStored:
    """A file that the archive has refused, or that is not as its run wrote it."""

    file: Path
    """The file."""
    reason: str
    """Why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingToStore:
    """Results without a DICOM file."""

    name: str
    """Name of the results, without folders."""
    reason: str
    """Why there is none."""


StoreOutcome: TypeAlias = Stored | NotStored | NothingToStore


def store_results(results: Sequence[Path], service: str) -> Iterator[StoreOutcome]:
    """Send the DICOM annotations and segmentations of results to an archive, one by one.

    They have the same UIDs in every run, so an archive to which they are sent twice keeps one.

    Args:
        results: folders of results, or files that belong to one slide's results, of detection and of segmentation.
        service: address of the archive's DICOMweb service, such as https://HOST/dicom-web.

    Returns:
        An iterator that sends one file at a time, and says what became of it.

    Raises:
        OptionError: the address is none, or the token cannot be used.
        ResultError: there are no results, or none has a DICOM file.
        MissingExtraError: the libraries that this needs are not installed.
        ArchiveError: the archive gives no answer, or refuses everything.
    """
    check_service(service)
    require("requests", "wsidicom")
    tasks = (Task.DETECTION, Task.SEGMENTATION)
    records = list(dict.fromkeys(record for path in results for record in find_results(path, tasks)))
    found = [_file_of(record) for record in records]
    if all(isinstance(one, NothingToStore) for one in found):
        message = "none of these results has a DICOM file; write them first, by convert or detect, as dicom"
        raise ResultError(message)
    return _sent(found, service)


def _file_of(record_path: Path) -> tuple[Path, ResultFile] | NothingToStore:
    """The DICOM file of a run, with what its record says of it."""
    record = read_run_record(record_path)
    if FORMAT in record.files:
        file = record.files[FORMAT]
        return record_path.with_name(file.name), file
    reason = record.unfit.get(FORMAT, "its results were not written as dicom")
    return NothingToStore(name=record.slide.name, reason=reason)


def _sent(found: Sequence[tuple[Path, ResultFile] | NothingToStore], service: str) -> Iterator[StoreOutcome]:
    from signetscan.slides.dicomweb import Archive  # noqa: PLC0415 - an extra

    with Archive(service) as archive:
        for one in found:
            if isinstance(one, NothingToStore):
                yield one
                continue
            path, file = one
            reason = _problem(path, file) or _send(archive, path)
            yield NotStored(file=path, reason=reason) if reason else Stored(file=path)


def _problem(path: Path, file: ResultFile) -> str:
    """Why a file is not sent; empty if it is as its run wrote it."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return f"larger than {MOST_BYTES >> 20} MiB, and not sent"
        with path.open("rb") as content:  # records of former versions have no digest
            is_as_written = not file.sha256 or hashlib.file_digest(content, "sha256").hexdigest() == file.sha256
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if is_as_written else "not as its run wrote it; write it again by convert, as dicom"


def _send(archive: Archive, path: Path) -> str:
    """Send a file; gives the archive's reason if it does not store it."""
    mark = uuid.uuid4().hex.encode()
    head = b"--" + mark + b"\r\nContent-Type: application/dicom\r\n\r\n"
    body = head + path.read_bytes() + b"\r\n--" + mark + b"--\r\n"
    answer = archive.post(
        "/studies",
        body,
        content_type=f'multipart/related; type="application/dicom"; boundary={mark.decode()}',
        accept="application/dicom+json",
        most_bytes=MOST_ANSWER,
    )
    if answer.status not in REFUSED:
        archive.check(answer)
    return _refusal(answer)


def _refusal(answer: Answer) -> str:
    """Why the one object that was sent is not stored; empty if it is."""
    try:
        failed = _failed(answer.body)
    except JsonError:  # some archives answer in XML, whatever they are asked for; the status says enough
        failed = []
    if failed or answer.status not in {200, 202}:
        reason = failed[0] if failed else None
        return f"the archive refuses it (HTTP {answer.status})" + ("" if reason is None else f": {_meaning(reason)}")
    return ""


def _meaning(code: int) -> str:
    """A reason in words; many codes differ from those of `REASONS` in their last digits alone."""
    known = (REASONS.get(code & digits) for digits in (0xFFFF, 0xFF00, 0xF000))
    return next(filter(None, known), f"code {code:#06x}")


def _failed(body: bytes) -> list[int | None]:
    """The reason for each object that was not stored; None if it is not said."""
    answer = JsonTable.of(parse_json(body)) if body.strip() else JsonTable({})
    if answer.values.get(FAILED) is None:
        return []
    items = answer.table(FAILED).values.get("Value") or []
    if not isinstance(items, list):
        message = "no list"
        raise JsonError(message)
    return [_reason(item) for item in items]


def _reason(item: Json) -> int | None:
    element = item.get(REASON) if isinstance(item, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    code = values[0] if isinstance(values, list) and values else None
    return code if isinstance(code, int) and not isinstance(code, bool) else None
