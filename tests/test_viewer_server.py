"""The viewer's server against whoever else may talk to it."""

from __future__ import annotations

import http.client
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import ROOT, BlobDetector
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served_viewer import SAMPLE, ask, content, one, sample_cells, scanned, serving

from signetscan.annotations import read_geojson
from signetscan.cli.main import cli
from signetscan.errors import OptionError
from signetscan.results.writing import write_results
from signetscan.scan.detect import detect_slide
from signetscan.scan.options import ScanOptions
from signetscan.slides import ArraySlide, open_slide
from signetscan.viewer import Viewer, ViewerServer
from signetscan.viewer.pages import PAGES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from signetscan.results.reading import StoredResult


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    return tmp_path / "x.corrected.geojson"


@pytest.fixture
def server(marks: Path) -> Iterator[ViewerServer]:
    slide = ArraySlide([np.full((700, 900, 3), 99, np.uint8)], mpp=0.25)
    with serving(scanned(one(), dimensions=slide.dimensions), slide, marks) as server:
        yield server


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ViewerServer]:
    """One server for many requests that change nothing."""
    slide = ArraySlide([np.full((700, 900, 3), 99, np.uint8)], mpp=0.25)
    folder = tmp_path_factory.mktemp("served")
    with serving(scanned(one(), dimensions=slide.dimensions), slide, folder / "x.geojson") as server:
        yield server


def say(server: ViewerServer, **asked: object) -> http.client.HTTPResponse:
    return ask(server, "/marks", method="POST", body=json.dumps(asked).encode())


EVERYTHING = (*PAGES, "/slide.json", "/detections.bin", "/marks.json", "/tiles/10/0_0.jpg", "/crops/0.jpg")


def test_all_is_served_to_who_has_the_token(lasting: ViewerServer) -> None:
    for path in EVERYTHING:
        response = ask(lasting, path)
        assert response.status == 200, path
        assert response.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["Set-Cookie"] is None
    facts = json.loads(content(ask(lasting, "/slide.json")))
    assert (facts["width"], facts["height"], facts["detections"], facts["file"]) == (900, 700, 1, "x.geojson")
    assert content(ask(lasting, "/tiles/10/1_1.jpg"))[:3] == b"\xff\xd8\xff"


def test_the_address_that_is_printed_gives_the_cookie(lasting: ViewerServer) -> None:
    url = urlsplit(lasting.url)
    response = ask(lasting, f"{url.path}?{url.query}", Cookie=None)
    assert response.status == 200
    cookie = response.headers["Set-Cookie"]
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
    pair = cookie.partition(";")[0]
    assert ask(lasting, "/slide.json", Cookie=f"a=b; {pair}; c=d").status == 200


@pytest.mark.parametrize("path", EVERYTHING)
def test_nothing_is_served_without_the_token(lasting: ViewerServer, path: str) -> None:
    wrong = f"signetscan-{lasting.server_port}=" + "A" * len(lasting.token)
    for cookie in (
        None,
        "",
        wrong,
        f"signetscan-1={lasting.token}",
        lasting.token,
        f"signetscan-{lasting.server_port}=",
    ):
        response = ask(lasting, path, Cookie=cookie)
        assert response.status == 403, cookie
        assert lasting.token.encode() not in content(response)
    assert ask(lasting, f"{path}?token={'A' * 43}", Cookie=None).status == 403
    if path != "/":
        assert ask(lasting, f"{path}?token={lasting.token}", Cookie=None).status == 403, "only where the page opens"


def test_each_start_has_a_token_of_its_own(tmp_path: Path) -> None:
    slide = ArraySlide([np.zeros((9, 9, 3), np.uint8)], mpp=0.25)
    viewer = Viewer(scanned(one()), slide, tmp_path / "x.geojson")
    with ViewerServer(viewer) as first, ViewerServer(viewer) as second:
        assert first.token != second.token
        assert min(len(first.token), len(second.token)) >= 43, "256 bits"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", None])
def test_a_name_that_was_made_to_point_here_is_refused(lasting: ViewerServer, host: str | None) -> None:
    """DNS rebinding: the browser sends what it takes for the host's name."""
    asked = None if host is None else host.format(port=lasting.server_port)
    assert ask(lasting, "/slide.json", Host=asked).status == 421
    assert ask(lasting, "/slide.json", Host=f"localhost:{lasting.server_port}").status == 200


def test_only_the_loopback_is_listened_at(lasting: ViewerServer) -> None:
    assert lasting.socket.getsockname()[0] == "127.0.0.1"
    with socket.socket() as other:  # any other address of this machine; 127.0.0.2 is one on Linux
        other.settimeout(2)
        assert other.connect_ex(("127.0.0.2", lasting.server_port)) != 0


PIECES = st.sampled_from(
    ["/", "..", ".", "%2e%2e", "%2f", "\\", "\0", "%00", "static", "app.js", "index.html", "server.py", "tiles", "10",
     "0_0.jpg", "-1_0.jpg", "99999999", "etc/passwd", "~", "?", "#", "http://evil.example/", "//", "٣", "é", ":", "*",
     "A" * 300]
)  # fmt: skip
PATHS = st.one_of(
    st.lists(PIECES, max_size=8).map("".join).map(lambda path: f"/{path}"),
    st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=80),
)


def raw(server: ViewerServer, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(1 << 16):
            received += part
        return received


def head_of(server: ViewerServer) -> bytes:
    return (
        f"Host: 127.0.0.1:{server.server_port}\r\nCookie: signetscan-{server.server_port}={server.token}\r\n".encode()
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(path=PATHS)
def test_no_other_address_is_served(lasting: ViewerServer, path: str, caplog: pytest.LogCaptureFixture) -> None:
    encoded = path.encode(errors="replace")
    with caplog.at_level(logging.DEBUG):
        answer = raw(lasting, b"GET " + encoded + b" HTTP/1.1\r\n" + head_of(lasting) + b"Connection: close\r\n\r\n")
    assert not caplog.records, "nothing goes wrong inside"
    status = int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 400
    if status == 200:
        # What is behind the end of a line is a header; slashes at the beginning count as one.
        asked = b"/" + encoded.strip().splitlines()[0].lstrip(b"/")
        assert asked in {each.encode() for each in EVERYTHING}, answer[:200]
    else:
        assert status in {400, 403, 404, 414, 421, 501, 505}
        assert b"Traceback" not in answer
        assert b"root:" not in answer


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.binary(max_size=300))
def test_noise_breaks_nothing(lasting: ViewerServer, caplog: pytest.LogCaptureFixture, noise: bytes) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = raw(lasting, noise + b"\r\n\r\n")
    assert not caplog.records
    assert b"Traceback" not in answer
    assert b"HTTP/1.1 200" not in answer
    assert ask(lasting, "/slide.json").status == 200


@pytest.mark.parametrize(
    "path",
    ["/../server.py", "/..%2fserver.py", "/%2e%2e/app.py", "/static/app.js", "/index.html", "//app.js/", "/app.js/",
     "/app.js?x", "/APP.JS", "/tiles/10/2_0.jpg", "/tiles/10/0_2.jpg", "/tiles/11/0_0.jpg", "/tiles/99/0_0.jpg",
     "/tiles/10/-1_0.jpg", "/tiles/10/0_0.png", "/tiles/10/99999999999_0.jpg", "/tiles/10/0_0.jpg/..", "/tiles/",
     "/" + "a" * 60_000],
)  # fmt: skip
def test_what_is_not_in_the_table_is_not_there(lasting: ViewerServer, path: str) -> None:
    assert ask(lasting, path).status == 404


def test_too_long_an_address_is_refused(lasting: ViewerServer) -> None:
    answer = raw(lasting, b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n" + head_of(lasting) + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 414") or answer == b""


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(lasting: ViewerServer, method: str) -> None:
    response = ask(lasting, "/", method=method)
    assert response.status == 501
    assert response.headers["Access-Control-Allow-Origin"] is None


def test_changes_come_from_our_own_page_only(server: ViewerServer, marks: Path) -> None:
    body = json.dumps({"action": "accept", "number": 0}).encode()
    own = f"http://127.0.0.1:{server.server_port}"
    for origin in (
        None,
        "null",
        "http://evil.example",
        "http://127.0.0.1",
        f"{own}.evil.example",
        own.replace("http", "https"),
    ):
        assert ask(server, "/marks", method="POST", body=body, Origin=origin).status == 403, origin
    assert ask(server, "/marks", method="POST", body=body, Cookie=None).status == 403
    assert ask(server, "/marks", method="POST", body=body, Host="evil.example").status == 421
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert ask(server, "/marks", method="POST", body=body, Content_Type=kind).status == 415
    assert not marks.exists()
    assert ask(server, "/marks", method="POST", body=body).status == 200
    assert len(read_geojson(marks)) == 1


@pytest.mark.parametrize(
    ("length", "status"),
    [("50000", 413), ("99999999999999999999", 413), ("-1", 411), ("1e3", 411), ("٣", 411), ("", 411), (None, 411)],
)
def test_content_is_bounded(lasting: ViewerServer, length: str | None, status: int) -> None:
    sent = None if length is None else length.encode().decode("latin-1")
    assert ask(lasting, "/marks", method="POST", Content_Length=sent).status == status


def test_content_in_pieces_is_refused(lasting: ViewerServer) -> None:
    assert ask(lasting, "/marks", method="POST", body=b"{}", Transfer_Encoding="chunked").status == 411


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"\xff", b"[" * 4000, b"1" * 4000, b'{"action":"accept","number":' + b"1" * 3000 + b"}"],
)
def test_nonsense_is_refused(server: ViewerServer, marks: Path, body: bytes) -> None:
    assert ask(server, "/marks", method="POST", body=body).status == 400
    assert not marks.exists()


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"action": "format"},
        {"action": ["accept"]},
        {"action": "accept"},
        {"action": "accept", "number": 1},
        {"action": "accept", "number": -1},
        {"action": "accept", "number": True},
        {"action": "accept", "number": 0.0},
        {"action": "add", "box": [1, 2, 3], "label": 0},
        {"action": "add", "box": [1, 2, 3, float("nan")], "label": 0},
        {"action": "add", "box": [1, 2, 3, float("inf")], "label": 0},
        {"action": "add", "box": [1, 2, 3, 10**400], "label": 0},
        {"action": "add", "box": [1, 2, 1.5, 60], "label": 0},
        {"action": "add", "box": [-90, -90, -1, -1], "label": 0},
        {"action": "add", "box": [1, 2, 30, 40], "label": 1},
        {"action": "add", "box": [1, 2, 30, 40], "label": "0"},
    ],
)
def test_impossible_changes_are_refused(server: ViewerServer, marks: Path, asked: dict[str, Any]) -> None:
    assert say(server, **asked).status == 400
    assert not marks.exists()


def test_what_was_said_is_on_the_disk_before_it_is_answered(server: ViewerServer, marks: Path) -> None:
    answer = json.loads(content(say(server, action="accept", number=0)))
    assert (answer["number"], answer["mark"]["verdict"], answer["problem"]) == (0, "accepted", None)
    assert read_geojson(marks).names == ("Signet ring cell",)
    say(server, action="reject", number=0)
    assert read_geojson(marks).names == ("Ignore*",)
    added = json.loads(content(say(server, action="add", box=[300, 200, 100, 150.256], label=0)))
    box = [100, 150.26, 300, 200]
    assert added["mark"] == {"verdict": "accepted", "box": box, "label": 0, "score": None, "outline": []}
    assert len(read_geojson(marks)) == 2
    for left in (1, 1, 0):
        answer = json.loads(content(say(server, action="undo")))
        assert len(read_geojson(marks)) == left
    assert not answer["can_undo"]
    assert json.loads(content(say(server, action="undo")))["number"] is None
    assert ask(server, "/save", method="POST", body=b"{}").status == 200
    left_over = json.loads(content(ask(server, "/marks.json")))
    assert (left_over["marks"], left_over["can_undo"]) == ([], False)


def test_marks_that_cannot_be_saved_are_kept_and_said(server: ViewerServer, marks: Path) -> None:
    marks.mkdir()
    answer = json.loads(content(say(server, action="accept", number=0)))
    assert str(marks) in answer["problem"]
    marks.rmdir()
    assert json.loads(content(ask(server, "/save", method="POST", body=b"{}")))["problem"] is None
    assert len(read_geojson(marks)) == 1


def test_a_part_of_the_slide_that_is_damaged_is_said(tmp_path: Path) -> None:
    damaged = bytearray(SAMPLE.read_bytes())
    damaged[20_000:700_000] = bytes(680_000)
    (tmp_path / "damaged.svs").write_bytes(damaged)
    with (
        open_slide(tmp_path / "damaged.svs") as slide,
        serving(scanned(sample_cells()), slide, tmp_path / "x.geojson") as server,
    ):
        statuses = {ask(server, f"/tiles/13/{column}_0.jpg").status for column in range(9)}
        assert 500 in statuses
        assert statuses <= {200, 500}


# ---- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredResult:
    """A result of the sample slide."""
    detector = BlobDetector()
    with open_slide(SAMPLE) as slide:
        small = ArraySlide([np.full((300, 300, 3), 255, np.uint8)], mpp=0.25)
        result = detect_slide(small, detector, ScanOptions(tissue_mask=False))
        folder = tmp_path_factory.mktemp("results")
        return write_results(folder / "sample", slide, detector, result)


def test_the_command_serves_until_it_is_interrupted(stored: StoredResult) -> None:
    record = stored.target.with_name("sample.run.json")
    command = [sys.executable, "-m", "signetscan", "view", record, "--slide", SAMPLE, "--no-browser"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(  # noqa: S603 - our own program
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        url = urlsplit(process.stdout.readline().strip())
        assert url.hostname == "127.0.0.1"
        with closing(http.client.HTTPConnection(url.netloc, timeout=10)) as connection:
            connection.request("GET", f"/?{url.query}")
            response = connection.getresponse()
            assert response.status == 200
            assert b"signetscan" in response.read()
            process.send_signal(signal.SIGINT)  # while the connection is still open
            out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert out == ""
    assert err.splitlines()[-1] == "Ended."
    assert "sample.corrected.geojson" in err
    assert url.query not in err


def failing(*arguments: object) -> str:
    result = CliRunner().invoke(cli, ["view", *map(str, arguments), "--no-browser"])
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code in {1, 2}
    assert result.stdout == ""
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    return line


def test_what_cannot_be_viewed_is_said_in_one_line(stored: StoredResult, tmp_path: Path) -> None:
    record = stored.target.with_name("sample.run.json")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert re.search(f"port {port} .*choose another", failing(record, "--slide", SAMPLE, "--port", port))
    assert "no such file" in failing(record, "--slide", tmp_path / "gone.svs")
    assert str(tmp_path) in failing(record, "--slide", tmp_path), "no slide in this folder"
    for out in (stored.target.with_name("sample.geojson"), tmp_path / "x.json"):
        assert "choose another file for the marks" in failing(record, "--slide", SAMPLE, "--out", out)
    broken = tmp_path / "x.geojson"
    broken.write_text("{")
    assert str(broken) in failing(record, "--slide", SAMPLE, "--out", broken)
    (tmp_path / "other.run.json").write_bytes(record.read_bytes())
    (tmp_path / "sample.run.json").write_bytes(record.read_bytes())
    assert "results of 2 slides" in failing(tmp_path, "--slide", SAMPLE, "--out", tmp_path / "m.geojson")
    assert "no such file" in failing(tmp_path / "x", "--slide", SAMPLE)


def test_a_port_that_is_taken_is_an_error_of_the_option(tmp_path: Path) -> None:
    slide = ArraySlide([np.zeros((9, 9, 3), np.uint8)], mpp=0.25)
    viewer = Viewer(scanned(one()), slide, tmp_path / "x.geojson")
    with ViewerServer(viewer) as first, pytest.raises(OptionError, match="cannot be used"):
        ViewerServer(viewer, first.server_port)
