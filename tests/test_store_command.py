"""`signetscan store`: what is sent to an archive, and what an archive may answer."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pydicom
import pytest
from archived_results import write_archived_slide, write_dicom_results
from click.testing import CliRunner
from dicomweb_server import Reply, Service, dicomweb_service

from signetscan.cli.main import cli
from signetscan.slides import dicomweb
from signetscan.slides.dicomweb import TOKEN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

pytestmark = pytest.mark.usefixtures("no_settings")

ANNOTATIONS, SEGMENTS = "1.2.3.5.ann.dcm", "1.2.3.5.regions.seg.dcm"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, small_slide: Path) -> Path:
    """Results of a slide, of both kinds; copy them."""
    folder = tmp_path_factory.mktemp("written")
    write_dicom_results(folder / "out", write_archived_slide(folder, small_slide), folder)
    return folder / "out"


@pytest.fixture
def results(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written, tmp_path / "results")


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    monkeypatch.setattr(dicomweb, "PAUSE_S", 0.001)
    with dicomweb_service() as running:
        yield running


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def store(*arguments: object) -> Result:
    return run("store", *arguments)


def test_what_is_stored_is_what_was_written(results: Path, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "open")
    service.token = "open"  # noqa: S105 - it opens nothing
    done = store(results, f"{service.url}/")
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    files = [results / ANNOTATIONS, results / SEGMENTS]
    assert done.stdout.split() == list(map(str, files))
    for file in files:
        sent = pydicom.dcmread(file)
        assert service.instances[sent.SOPInstanceUID] == sent
    assert len(service.instances) == 2
    assert store(results, service.url).exit_code == 0
    assert len(service.instances) == 2, "what is sent twice is one object"
    assert {(method, path) for method, path, _ in service.requests} == {("POST", "/dicom-web/studies")}


def test_one_that_is_refused_does_not_stop_the_other(results: Path, service: Service) -> None:
    kind = pydicom.dcmread(results / ANNOTATIONS).SOPClassUID
    service.refused.add(kind)
    done = store(results, service.url)
    assert (done.exit_code, done.stdout) == (3, f"{results / SEGMENTS}\n")
    refusal = "the archive refuses it (HTTP 409): it does not take objects of this kind"
    assert done.stderr.split("\n")[0] == f"Error: {results / ANNOTATIONS}: {refusal}"
    assert len(service.instances) == 1


def failed(code: object, status: int = 200) -> Reply:
    sequence = [{"00081155": {"vr": "UI", "Value": ["1.2"]}, "00081197": {"vr": "US", "Value": [code]}}]
    return Reply(status, json.dumps({"00081198": {"vr": "SQ", "Value": sequence}}).encode())


@pytest.mark.parametrize(
    ("reply", "status", "why"),
    [
        (failed(0xA701, 202), 3, "refuses it (HTTP 202): it has no room left"),
        (failed(0xC123, 409), 3, "refuses it (HTTP 409): it does not understand the object"),
        (failed(0x9999), 3, "refuses it (HTTP 200): code 0x9999"),
        (failed("none"), 3, "refuses it (HTTP 200)"),
        (Reply(409, b"<html/>"), 3, "refuses it (HTTP 409)"),
        (Reply(415), 3, "refuses it (HTTP 415)"),
        (Reply(200, b"<NativeDicomModel/>"), 0, ""),
        (Reply(200), 0, ""),
        (Reply(200, b'{"00081198": {"vr": "SQ"}}'), 0, ""),
        (Reply(401), 1, f"refuses access (HTTP 401): set {TOKEN_VARIABLE}"),
        (Reply(404), 1, "has nothing at this address (HTTP 404)"),
        (Reply(500), 1, "cannot answer (HTTP 500)"),
        (Reply(308, headers={"Location": "http://127.0.0.1:9/studies"}), 1, "to another server, which is not followed"),
    ],
)
def test_what_an_archive_may_answer(results: Path, service: Service, reply: Reply, status: int, why: str) -> None:
    service.instead.append(lambda _: reply)
    done = store(results, service.url)
    assert done.exit_code == status, done.output
    assert why in done.stderr
    assert "Traceback" not in done.output
    assert len(service.requests) == (1 if status == 1 else 2), "what was sent is not sent again by itself"


def test_a_file_that_was_changed_is_not_sent(results: Path, service: Service) -> None:
    with (results / ANNOTATIONS).open("ab") as file:
        file.write(b"more")
    (results / SEGMENTS).unlink()
    done = store(results, service.url)
    assert (done.exit_code, done.stdout, service.requests) == (3, "", [])
    assert f"Error: {results / ANNOTATIONS}: not as its run wrote it; write it again by convert" in done.stderr
    assert f"Error: {results / SEGMENTS}: cannot be read: No such file or directory" in done.stderr


def test_results_without_dicom(results: Path, service: Service) -> None:
    record = results / "1.2.3.5.run.json"
    values = json.loads(record.read_text(encoding="utf-8"))
    del values["files"]["dicom"]
    record.write_text(json.dumps(values), encoding="utf-8")
    done = store(results, service.url)
    assert (done.exit_code, done.stdout) == (0, f"{results / SEGMENTS}\n")
    assert "Note: 1.2.3.5: there is nothing to store: its results were not written as dicom" in done.stderr
    alone = store(record, service.url)
    assert alone.exit_code == 1
    assert "none of these results has a DICOM file; write them first" in alone.stderr


@pytest.mark.parametrize(
    ("address", "status", "why"),
    [
        ("archive.example/dicom-web", 2, "not the address of a DICOMweb service, which is as https://HOST/dicom-web"),
        ("https://me:pw@archive.example", 2, "must not hold a user's name or password"),
        ("http://127.0.0.1:9/dicom-web", 1, "127.0.0.1 cannot be reached, or broke the connection"),
    ],
)
def test_an_address_that_leads_nowhere(results: Path, address: str, status: int, why: str) -> None:
    done = store(results, address)
    assert done.exit_code == status, done.output
    assert why in done.stderr
    assert "pw" not in done.output


def test_results_of_files_are_converted_by_their_slide_in_an_archive(
    results: Path, written: Path, service: Service, tmp_path: Path
) -> None:
    service.add(written.parent / "1.2.3.5.dcm")
    study = f"{service.url}/studies/1.2.3"
    for record, file in (("1.2.3.5.run.json", ANNOTATIONS), ("1.2.3.5.regions.run.json", SEGMENTS)):
        for place in (study, f"{study}/series/1.2.3.5"):
            (results / file).unlink(missing_ok=True)
            done = run("convert", results / record, "--format", "dicom", "--slide", place)
            assert (done.exit_code, done.stdout) == (0, f"{results / file}\n"), done.output
            made, before = (pydicom.dcmread(folder / file) for folder in (results, written))
            assert (made.SOPInstanceUID, str(made.PatientName)) == (before.SOPInstanceUID, "Müller^Jörg")
    other = run("convert", results / "1.2.3.5.run.json", "--format", "dicom", "--slide", f"{study}/series/1.2.3.6")
    assert other.exit_code == 1
    assert "not where the slide of 1.2.3.5 is; name that slide, or its study" in other.stderr
    report = run("report", results / "1.2.3.5.run.json", "--slide", study, "--out", tmp_path / "report")
    assert report.exit_code == 0, report.output
