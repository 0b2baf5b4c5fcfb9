"""Batches of slides in an archive: results as of their files, and nothing of an archive in what is passed on."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple

import highdicom
import numpy as np
import pydicom
import pytest
from click.testing import CliRunner
from dicom_slides import write_dicom_slide
from dicomweb_server import Reply, Service, dicomweb_service

from signetscan.batch.find import find_slides
from signetscan.cli.main import cli
from signetscan.errors import OptionError
from signetscan.results.run_record import read_run_record
from signetscan.slides import dicomweb, open_slide
from signetscan.slides.addresses import parse_place
from signetscan.slides.dicomweb import TOKEN_VARIABLE
from signetscan.testing.tiny_model import write_tiny_model
from signetscan.testing.tiny_segmenter import write_tiny_segmenter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

pytestmark = pytest.mark.usefixtures("no_settings", "ready_workers")


class Bench(NamedTuple):
    service: Service
    file: Path
    model: Path

    @property
    def address(self) -> str:
        return f"{self.service.url}/studies/1.2.3/series/1.2.3.5"


@pytest.fixture
def bench(tmp_path: Path, small_slide: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A slide in an archive, its file and a model."""
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    monkeypatch.setattr(dicomweb, "PAUSE_S", 0.001)
    folder = tmp_path / "files"
    folder.mkdir()
    with open_slide(small_slide) as slide:
        pixels, mpp = slide.read_region((0, 0), 0, slide.dimensions), slide.mpp
    assert mpp is not None
    file = write_dicom_slide(folder / "1.2.3.5.dcm", pixels, "jpeg-ls", mpp=mpp.x)
    with dicomweb_service() as service:
        service.add(file)
        yield Bench(service, file, write_tiny_model(tmp_path / "tiny.onnx"))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def detect(bench: Bench, *arguments: object) -> Result:
    return run("detect", *arguments, "--model", bench.model, "--threshold", 0.1, "--device", "cpu")


@pytest.mark.slow
def test_results_are_those_of_the_file(bench: Bench, tmp_path: Path) -> None:
    formats = ("--format", "csv", "--format", "geojson", "--format", "dicom")
    for place, out in ((bench.address, "archived"), (bench.file, "file")):
        done = detect(bench, place, "--out", tmp_path / out, *formats)
        assert done.exit_code == 0, done.output
    for suffix in ("csv", "geojson"):
        ours, its = ((tmp_path / out / f"1.2.3.5.{suffix}").read_bytes() for out in ("archived", "file"))
        assert ours == its
        assert ours.count(b"Signet ring cell") > 3
    made, other = (highdicom.ann.annread(tmp_path / out / "1.2.3.5.ann.dcm") for out in ("archived", "file"))
    assert (made.SOPInstanceUID, made.SeriesInstanceUID) == (other.SOPInstanceUID, other.SeriesInstanceUID)
    assert str(made.PatientName) == "Müller^Jörg"
    np.testing.assert_array_equal(
        made.get_annotation_groups()[0].get_graphic_data("2D"), other.get_annotation_groups()[0].get_graphic_data("2D")
    )
    record, of_file = (read_run_record(tmp_path / out / "1.2.3.5.run.json") for out in ("archived", "file"))
    assert (record.slide.fingerprint, record.slide.decoder) == (of_file.slide.fingerprint, "wsidicom")
    assert "127.0.0.1" not in (tmp_path / "archived" / "1.2.3.5.run.json").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_slide_that_is_done_is_skipped_until_its_images_change(bench: Bench, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out", "--json", "-q", "--format", "csv")
    statuses = [json.loads(detect(bench, bench.address, *out).stdout)["status"] for _ in range(2)]
    assert statuses == ["done", "skipped"]
    planned = json.loads(detect(bench, bench.address, *out, "--dry-run").stdout)
    assert (planned["status"], planned["done"], planned["path"]) == ("planned", True, bench.address)
    added = pydicom.dcmread(bench.file)
    added.SOPInstanceUID, added.ImageType = "1.2.3.77", ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]
    bench.service.instances["1.2.3.77"] = added
    assert json.loads(detect(bench, bench.address, *out).stdout)["status"] == "done"


@pytest.mark.slow
def test_a_study_is_a_batch_and_a_failure_costs_one_slide(bench: Bench, tmp_path: Path) -> None:
    broken = pydicom.dcmread(bench.file)
    broken.SOPInstanceUID, broken.SeriesInstanceUID, broken.SamplesPerPixel = "1.2.3.77", "1.2.3.6", 1
    bench.service.instances["1.2.3.77"] = broken
    study = bench.address.partition("/series")[0]
    done = detect(bench, study, bench.address, "--out", tmp_path / "out", "--format", "csv")
    assert done.exit_code == 3, done.output
    assert "Traceback" not in done.output
    failed = [line for line in done.stderr.splitlines() if "1.2.3.6" in line]
    assert len(failed) == 2, "it is tried twice"
    assert "as in fluorescence" in failed[1]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("1.2.3.5.csv", "1.2.3.5.run.json", "1.2.3.6.failed.json"),
    }


def test_a_list_may_hold_addresses(bench: Bench, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text(f"path,mpp\n{bench.address},0.5\n", encoding="utf-8")
    done = run(
        "detect", "--list", listed, "--model", bench.model, "--out", tmp_path / "out", "--dry-run", "--json", "-q"
    )
    assert json.loads(done.stdout)["mpp"] == 0.5
    listed.write_text(f"path\n{bench.address.partition('/series')[0]}\n", encoding="utf-8")
    done = run("detect", "--list", listed, "--model", bench.model, "--out", tmp_path / "out")
    assert done.exit_code != 0
    assert "line 2: the address of a study, which may hold many slides; name one of its series" in done.stderr


@pytest.mark.slow
def test_with_pseudonyms_nothing_names_the_series(bench: Bench, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(os.urandom(32))
    out = tmp_path / "out"
    done = detect(bench, bench.address, "--out", out, "--pseudonymise", key, "--log-file", tmp_path / "log")
    assert done.exit_code == 0, done.output
    written = [path for path in out.rglob("*") if path.is_file()]
    assert len(written) == 3
    held = [done.output, (tmp_path / "log").read_text(encoding="utf-8")]
    for text in (*held, *(path.read_text(encoding="utf-8") for path in written), *map(str, written)):
        assert "1.2.3" not in text
        assert "127.0.0.1" not in text


@pytest.mark.slow
def test_segmentation_of_an_archived_slide(bench: Bench, tmp_path: Path) -> None:
    segmenter, formats = write_tiny_segmenter(tmp_path / "s.onnx"), ("--format", "csv", "--format", "dicom")
    for place, out in ((bench.address, "archived"), (bench.file, "file")):
        done = run("segment", place, "--model", segmenter, "--out", tmp_path / out, *formats)
        assert done.exit_code == 0, done.output
    ours, its = (highdicom.seg.segread(tmp_path / out / "1.2.3.5.regions.seg.dcm") for out in ("archived", "file"))
    assert (ours.SOPInstanceUID, ours.PixelData) == (its.SOPInstanceUID, its.PixelData)


@pytest.mark.parametrize(
    ("address", "status", "why"),
    [
        ("https://user:pw@archive/studies/1.2/series/3", 2, "must not hold a user's name or password"),
        ("https://archive/dicom-web", 2, "the address of a slide is as https://HOST/dicom-web/studies/"),
        ("http://127.0.0.1:9/studies/1.2", 1, "127.0.0.1 cannot be reached, or broke the connection"),
        ("http://127.0.0.1:9/studies/1.2/series/3", 3, "127.0.0.1 cannot be reached, or broke the connection"),
    ],
)
def test_an_address_that_leads_nowhere(bench: Bench, tmp_path: Path, address: str, status: int, why: str) -> None:
    done = detect(bench, address, "--out", tmp_path / "out")
    assert (done.exit_code, "Traceback" in done.output) == (status, False), done.output
    assert why in done.stderr


def test_a_study_without_slides(bench: Bench, tmp_path: Path) -> None:
    bench.service.instead.append(lambda _: Reply(204))
    done = detect(bench, f"{bench.service.url}/studies/1.2.4", "--out", tmp_path / "out")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no series of slide microscopy (SM) in this study" in done.stderr


def test_files_come_before_addresses_and_names_stay_apart(bench: Bench) -> None:
    address = parse_place(bench.address)
    tasks = find_slides([address, bench.file, address])
    assert [(task.name, task.place) for task in tasks] == [("1.2.3.5.dcm", bench.file), ("1.2.3.5", address)]
    elsewhere = parse_place("http://127.0.0.1:9/studies/1.2.3/series/1.2.3.5")
    with pytest.raises(OptionError, match=r"would have the same results.*scan them into different folders"):
        find_slides([address, elsewhere])
