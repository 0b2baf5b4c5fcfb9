"""A DICOMweb service on the loopback that serves what is stored in it, for tests of the protocol."""

from __future__ import annotations

import io
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom.encaps import generate_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BOUNDARY = "mark-of-a-part"
SYNTAX_NAMES = {
    "1.2.840.10008.1.2.1": "application/octet-stream",
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}


@dataclass
class Reply:
    """What the service answers to a request."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/dicom+json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Service:
    """What a service holds, and what was asked of it."""

    url: str = ""
    instances: dict[str, pydicom.Dataset] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    """Classes of objects that it does not store."""
    token: str | None = None
    """The token without which it answers nothing."""
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path and authorization of each request."""
    instead: list[Callable[[str], Reply | None]] = field(default_factory=list)
    """Each is asked for the reply to a path before the service answers; None lets it answer."""

    def add(self, *paths: Path) -> None:
        for path in paths:
            instance = pydicom.dcmread(path)
            self.instances[instance.SOPInstanceUID] = instance

    def series(self, instance: pydicom.Dataset) -> str:
        """The address of the series of an instance."""
        return f"{self.url}/studies/{instance.StudyInstanceUID}/series/{instance.SeriesInstanceUID}"

    def answer(self, path: str, accept: str) -> Reply:
        for instead in self.instead:
            reply = instead(path)
            if reply is not None:
                return reply
        where, _, query = path.partition("?")
        found = re.fullmatch(
            r"/dicom-web/studies/([^/]+)/series(?:/([^/]+)/(metadata|instances)(?:/([^/]+)/frames/([\d,]+))?)?", where
        )
        if found is None:
            return Reply(404)
        study, series, kind, instance, number = found.groups()
        inside = [one for one in self.instances.values() if one.StudyInstanceUID == study]
        if series is None:
            inside = [one for one in inside if "Modality=SM" not in query or one.Modality == "SM"]
            return _listed({one.SeriesInstanceUID: one for one in inside}.values(), ("SeriesInstanceUID", "Modality"))
        inside = [one for one in inside if one.SeriesInstanceUID == series]
        if number is not None:
            return _frames(self.instances[instance], list(map(int, number.split(","))), accept)
        return self._about(inside, kind)

    def _about(self, inside: list[pydicom.Dataset], kind: str) -> Reply:
        if not inside:
            return Reply(404)
        if kind == "instances":
            return _listed(inside, ("SOPInstanceUID", "SOPClassUID", "NumberOfFrames"))
        return Reply(body=json.dumps([_metadata(one) for one in inside]).encode())

    def store(self, body: bytes, content_type: str) -> Reply:
        assert 'multipart/related; type="application/dicom"' in content_type
        mark = re.search(r"boundary=([^;]+)", content_type)
        assert mark is not None
        stored, failed = [], []
        for part in body.split(b"--" + mark[1].encode())[1:-1]:
            head, _, data = part.partition(b"\r\n\r\n")
            assert b"Content-Type: application/dicom" in head
            instance = pydicom.dcmread(io.BytesIO(data[:-2]))
            reference = {
                "00081150": {"vr": "UI", "Value": [instance.SOPClassUID]},
                "00081155": {"vr": "UI", "Value": [instance.SOPInstanceUID]},
            }
            if instance.SOPClassUID in self.refused:
                failed.append(reference | {"00081197": {"vr": "US", "Value": [0x0122]}})
            else:
                self.instances[instance.SOPInstanceUID] = instance
                stored.append(reference)
        answer: dict[str, Any] = {}
        if stored:
            answer["00081199"] = {"vr": "SQ", "Value": stored}
        if failed:
            answer["00081198"] = {"vr": "SQ", "Value": failed}
        return Reply(200 if not failed else 202 if stored else 409, json.dumps(answer).encode())


@contextmanager
def dicomweb_service() -> Iterator[Service]:
    """A service that runs as long as the block."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            if self.allows("GET"):
                self.reply(service.answer(self.path, self.headers["Accept"]))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not self.allows("POST"):
                return
            instead = [reply for make in service.instead if (reply := make(self.path)) is not None]
            self.reply(instead[0] if instead else service.store(body, self.headers["Content-Type"]))

        def allows(self, method: str) -> bool:
            said = self.headers["Authorization"]
            service.requests.append((method, self.path, said))
            if service.token is None or said == f"Bearer {service.token}":
                return True
            self.reply(Reply(401))
            return False

        def reply(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        service.url = f"http://127.0.0.1:{server.server_address[1]}/dicom-web"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()


def _listed(instances: Any, keywords: tuple[str, ...]) -> Reply:  # noqa: ANN401
    listed = []
    for instance in instances:
        chosen = pydicom.Dataset()
        for keyword in keywords:
            if keyword in instance:
                setattr(chosen, keyword, instance[keyword].value)
        listed.append(chosen.to_json_dict())
    return Reply(body=json.dumps(listed).encode())


def _metadata(instance: pydicom.Dataset) -> dict[str, Any]:
    values: dict[str, Any] = instance.to_json_dict(1024, lambda _: "http://127.0.0.1:9/bulk")
    values.pop("7FE00010", None)
    return values


def _frames(instance: pydicom.Dataset, numbers: list[int], accept: str) -> Reply:
    """Tiles as they are stored, if that is what was asked for."""
    if 'type="application/octet-stream"; transfer-syntax=*' not in accept:
        return Reply(406)
    syntax = instance.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated:
        frames = list(generate_frames(instance.PixelData, number_of_frames=instance.NumberOfFrames))
    else:
        size = instance.Rows * instance.Columns * 3
        frames = [instance.PixelData[at : at + size] for at in range(0, instance.NumberOfFrames * size, size)]
    return parts([frames[number - 1] for number in numbers], f"{SYNTAX_NAMES[syntax]}; transfer-syntax={syntax}")


def part(data: bytes, content_type: str) -> Reply:
    """An answer of one part."""
    return parts([data], content_type)


def parts(found: list[bytes], content_type: str) -> Reply:
    """An answer of several parts."""
    head = f"--{BOUNDARY}\r\nContent-Type: {content_type}\r\n\r\n".encode()
    kind = f'multipart/related; type="{content_type.partition(";")[0]}"; boundary={BOUNDARY}'
    return Reply(200, b"".join(head + data + b"\r\n" for data in found) + f"--{BOUNDARY}--\r\n".encode(), kind)
