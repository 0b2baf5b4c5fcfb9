"""What tests of the viewer need: a slide with detections, served."""

from __future__ import annotations

import http.client
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from conftest import ROOT

from signetscan.annotations import Annotations, read_geojson
from signetscan.annotations.marks import by_people
from signetscan.detections import Detections
from signetscan.formats.scanned_slide import ScannedSlide
from signetscan.slides import Mpp
from signetscan.viewer import Viewer, ViewerServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from signetscan.slides import Slide

SAMPLE = ROOT / "tests" / "data" / "sample.svs"


def scanned(found: Detections, **changes: object) -> ScannedSlide:
    values: dict[str, Any] = {
        "name": "a slide",
        "detections": found,
        "class_names": ("Signet ring cell",),
        "model": "test",
        "model_sha256": "0" * 64,
        "fingerprint": "f" * 64,
        "mpp": Mpp(0.25, 0.25),
        "dimensions": (4200, 2120),
    }
    return ScannedSlide(**(values | changes))


def sample_cells() -> Detections:
    """The true cells of the sample slide, with scores from 0.99 down by hundredths."""
    boxes = read_geojson(SAMPLE.with_name("sample.truth.geojson")).boxes
    return Detections(
        boxes=boxes.round(2),
        scores=(0.99 - 0.01 * np.arange(len(boxes))).astype(np.float32),
        labels=np.zeros(len(boxes), np.int64),
    )


def one(box: tuple[float, ...] = (10, 20, 40, 60.5)) -> Detections:
    return Detections(boxes=np.array([box], np.float64), scores=np.array([0.5], np.float32), labels=np.array([0]))


def said_in(marks: Path) -> Annotations:
    """What people said in a file of marks."""
    read = read_geojson(marks)
    return read.select(by_people(read))


def one_viewer(server: ViewerServer) -> Viewer:
    """The viewer of a server of a single slide."""
    assert isinstance(server.viewer, Viewer)
    return server.viewer


@contextmanager
def serving(of: ScannedSlide, slide: Slide, marks: Path) -> Iterator[ViewerServer]:
    with ViewerServer(Viewer(of, slide, marks)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def ask(
    server: ViewerServer, path: str, *, method: str = "GET", body: bytes | None = None, **headers: str | None
) -> http.client.HTTPResponse:
    """A request as our own page makes it, with some headers changed or, if None, left out."""
    own = f"127.0.0.1:{server.server_port}"
    values: dict[str, str | None] = {"Host": own, "Cookie": f"signetscan-{server.server_port}={server.token}"}
    if method == "POST":
        values |= {
            "Origin": f"http://{own}",
            "Content-Type": "application/json",
            "Content-Length": str(len(body or b"")),
        }
    values |= {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)) as connection:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in values.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        response.content = response.read()  # type: ignore[attr-defined]
        return response


def content(response: http.client.HTTPResponse) -> bytes:
    found: bytes = response.content  # type: ignore[attr-defined]
    return found
