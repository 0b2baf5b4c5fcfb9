"""A real archive on the loopback: Orthanc with its DICOMweb plug-in, as Debian has them."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import highdicom
import numpy as np
import pydicom
import pytest
import requests
from archived_results import write_archived_slide, write_dicom_results
from click.testing import CliRunner
from dicom_slides import CODINGS, GAPS, HEIGHT, WIDTH, picture, write_dicom_slide

from signetscan.cli.main import cli
from signetscan.results.storing import _send
from signetscan.slides import open_slide
from signetscan.slides.addresses import parse_place
from signetscan.slides.dicom_files import open_dicom_files
from signetscan.slides.dicomweb import TOKEN_VARIABLE, Archive

if TYPE_CHECKING:
    from collections.abc import Iterator

ORTHANC = shutil.which("Orthanc")
PLUG_IN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
START_S = 60.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        ORTHANC is None or not PLUG_IN.exists(), reason="needs Orthanc: apt-get install orthanc orthanc-dicomweb"
    ),
]


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running archive, which is empty."""
    folder = tmp_path_factory.mktemp("orthanc")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": port,
        "HttpBindAddresses": ["127.0.0.1"],
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(PLUG_IN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")
    assert ORTHANC is not None
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([ORTHANC, str(folder / "orthanc.json")], stdout=log, stderr=log)  # noqa: S603
    service = f"http://127.0.0.1:{port}/dicom-web"
    try:
        until = time.monotonic() + START_S
        while not is_up(service):
            assert process.poll() is None, (folder / "log").read_text(errors="replace")
            assert time.monotonic() < until
            time.sleep(0.1)
        yield service
    finally:
        process.terminate()
        process.wait(30)


def is_up(service: str) -> bool:
    try:
        return requests.get(f"{service}/studies", timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)


def put(service: str, *paths: Path) -> None:
    with Archive(service) as archive:
        assert [_send(archive, path) for path in paths] == [""] * len(paths)


def take(service: str, made: pydicom.Dataset) -> pydicom.Dataset:
    """An instance as the archive gives it."""
    where = f"{service}/studies/{made.StudyInstanceUID}/series/{made.SeriesInstanceUID}/instances/{made.SOPInstanceUID}"
    answer = requests.get(where, headers={"Accept": 'multipart/related; type="application/dicom"'}, timeout=60)
    assert answer.ok
    data = answer.content.partition(b"\r\n\r\n")[2]
    return pydicom.dcmread(pydicom.filebase.DicomBytesIO(data[: data.rindex(b"\r\n--")]))


@pytest.mark.parametrize("left_out", [None, GAPS], ids=["full", "sparse"])
@pytest.mark.parametrize("coding", sorted(CODINGS))
def test_a_slide_in_orthanc_is_as_its_file(orthanc: str, tmp_path: Path, coding: str, left_out: Any) -> None:  # noqa: ANN401
    uids: dict[str, Any] = {
        "StudyInstanceUID": pydicom.uid.generate_uid(),
        "SeriesInstanceUID": pydicom.uid.generate_uid(),
        "SOPInstanceUID": pydicom.uid.generate_uid(),
    }
    path = write_dicom_slide(tmp_path / "s.dcm", picture(), coding, left_out=left_out, **uids)
    put(orthanc, path)
    with open_slide(f"{orthanc}/studies/{uids['StudyInstanceUID']}") as slide, open_dicom_files(path) as file:
        assert (slide.fingerprint, slide.mpp, slide.concerns) == (file.fingerprint, file.mpp, file.concerns)
        ours, its = (one.read_window((-3, -3), 0, (WIDTH + 6, HEIGHT + 6)) for one in (slide, file))
        np.testing.assert_array_equal(ours.pixels, its.pixels)
        assert (ours.missing is None) == (its.missing is None)
        if ours.missing is not None and its.missing is not None:
            np.testing.assert_array_equal(ours.missing, its.missing)


def test_results_go_to_orthanc_and_come_back(orthanc: str, tmp_path: Path, small_slide: Path) -> None:
    put(orthanc, write_archived_slide(tmp_path, small_slide))
    address = parse_place(f"{orthanc}/studies/1.2.3/series/1.2.3.5")
    out = tmp_path / "out"
    write_dicom_results(out, address, tmp_path)
    runs = [CliRunner().invoke(cli, ["store", str(out), orthanc]) for _ in range(2)]
    assert [done.exit_code for done in runs] == [0, 0], runs
    done = runs[1]
    annotations, segments = (Path(line) for line in done.stdout.split())
    sent, back = highdicom.ann.annread(annotations), take(orthanc, pydicom.dcmread(annotations))
    returned = highdicom.ann.MicroscopyBulkSimpleAnnotations.from_dataset(back)
    (group,), (other) = sent.get_annotation_groups(), returned.get_annotation_groups()[0]
    np.testing.assert_array_equal(group.get_graphic_data("2D"), other.get_graphic_data("2D"))
    np.testing.assert_array_equal(group.get_measurements()[1], other.get_measurements()[1])
    made = pydicom.dcmread(segments)
    assert take(orthanc, made).PixelData == made.PixelData
