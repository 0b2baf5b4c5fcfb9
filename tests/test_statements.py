"""What results say of themselves: what the model learnt from, and that no detection is not no cancer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from conftest import BlobDetector
from defusedxml import ElementTree
from pyarrow import parquet
from results_for_reports import MPP, made_slide, random_detections
from run_records import MADE, changed_record
from scanned_slides import scanned

from signetscan.annotations import read_geojson
from signetscan.batch.slide import warnings_of_record
from signetscan.cli.main import cli
from signetscan.detections import Detections
from signetscan.formats.writers import write_formats
from signetscan.formats.xml_text import xml_comment, xml_text
from signetscan.models.detector import load_detector
from signetscan.models.spec import NOT_SAID, in_one_line
from signetscan.models.store import find_model
from signetscan.plurals import amount
from signetscan.reports.index import find_entries, write_index
from signetscan.reports.slide_report import write_slide_report
from signetscan.results.reading import load_result
from signetscan.results.writing import add_formats, write_results
from signetscan.scan.detect import SlideResult
from signetscan.scan.options import ScanOptions
from signetscan.testing.specs import make_spec
from signetscan.viewer.app import Viewer

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.results.reading import StoredResult

SAID = 'Drawn cells only: 3 <b>"images"</b>. No real one.'


def written(folder: Path, found: Detections, *, tiles: int = 9, training_data: str = SAID) -> StoredResult:
    detector = BlobDetector(mpp=MPP, training_data=training_data)
    result = SlideResult(
        detections=found,
        options=ScanOptions(threshold=0.3).resolve(detector),
        tiles=12,
        tiles_scanned=tiles,
        tissue_mm2=9.0 if tiles else 0.0,
    )
    folder.mkdir(parents=True, exist_ok=True)
    return write_results(folder / "made", made_slide(), detector, result)


def page_of(stored: StoredResult, folder: Path) -> str:
    write_slide_report(folder / "made.report.html", made_slide(), stored.scanned, stored.record)
    return " ".join((folder / "made.report.html").read_text(encoding="utf-8").split())


def index_of(folder: Path) -> str:
    write_index(folder / "index.html", find_entries(folder))
    return " ".join((folder / "index.html").read_text(encoding="utf-8").split())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (SAID, 'Drawn cells only: 3 <b>"images"</b>.'),
        ("two\nlines  here", "two lines here"),
        ("", NOT_SAID),
        (" None ", NOT_SAID),
        ("unknown", NOT_SAID),
        ("word " * 100, f"{'word ' * 23}..."),
        ("a: " + "word " * 19 + "(of one slide, b), " + "word " * 20, f"a: {'word ' * 19}(of one slide, b) ..."),
        ("a, " + "word " * 20 + "(of one slide, " + "word " * 20, f"a, {'word ' * 20}..."),
        (f"{'w' * 114}, {'x' * 4}", f"{'w' * 114}, {'x' * 4}"),
        (f"{'w' * 116}, {'x' * 4}", f"{'w' * 116} ..."),
    ],
)
def test_a_line_is_the_first_sentence_or_its_first_clauses(text: str, line: str) -> None:
    assert in_one_line(text) == line
    assert make_spec(training_data=text).learnt_from == line


def test_every_output_says_what_the_model_learnt_from(tmp_path: Path) -> None:
    stored = add_formats(
        written(tmp_path, random_detections(5)), ["parquet", "geojson.gz", "asap", "imagescope", "heatmap"]
    )
    assert json.loads((tmp_path / "made.run.json").read_text())["model"]["learnt_from"] == SAID
    said = {"model": "test", "model_sha256": stored.record.model.sha256, "learnt_from": SAID}
    assert json.loads((tmp_path / "made.geojson").read_text())["signetscan"] == said
    assert json.loads(parquet.read_schema(tmp_path / "made.parquet").metadata[b"signetscan"]) == said
    line = f"Model test learnt from: {in_one_line(SAID)}"
    for name in ("asap", "imagescope"):
        text = (tmp_path / f"made.{name}.xml").read_text()
        assert f"<!-- {line} -->" in text
        assert len(ElementTree.fromstring(text))
    with tifffile.TiffFile(tmp_path / "made.heatmap.ome.tif") as file:
        (told,) = ElementTree.fromstring(file.ome_metadata or "").iterfind(".//{*}Image/{*}Description")
    assert line in (told.text or "")
    for page in (page_of(stored, tmp_path), index_of(tmp_path)):
        assert "learnt from: Drawn cells only: 3 &lt;b&gt;&#34;images&#34;&lt;/b&gt;." in page
    facts = json.loads(Viewer(stored.scanned, made_slide(), tmp_path / "m.geojson").get("/slide.json").body)
    assert facts["learnt_from"] == in_one_line(SAID)


def test_it_is_read_back_and_written_by_a_later_conversion(tmp_path: Path) -> None:
    written(tmp_path, random_detections(5))
    again = load_result(tmp_path / "made.run.json")
    assert again.scanned.learnt_from == SAID
    before = (tmp_path / "made.geojson").read_bytes()
    add_formats(again, ["geojson"])
    assert (tmp_path / "made.geojson").read_bytes() == before
    assert len(read_geojson(tmp_path / "made.geojson")) == 5


@pytest.mark.parametrize("text", ["--", "a --> <b/>", "-", "---->", "\0\x1b[2J & <!--"])
def test_no_text_ends_a_comment(text: str) -> None:
    comments = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))  # noqa: S314 - ours
    comments.feed(f"<a>{xml_comment(text)}</a>")
    (comment,) = comments.close()
    assert not list(comment)
    assert (comment.text or "").replace("- ", "-").strip() == xml_text(text).replace("- ", "-").strip()


@pytest.mark.parametrize("count", [0, 3])
def test_a_file_without_a_statement_has_nothing_but_features(tmp_path: Path, count: int) -> None:
    slide = scanned([(1, 1, 9, 9)] * count, [0.5] * count, [0] * count)
    write_formats({"geojson": tmp_path / "a", "parquet": tmp_path / "b"}, slide)
    assert set(json.loads((tmp_path / "a").read_text())) == {"type", "features"}
    assert b"signetscan" not in parquet.read_schema(tmp_path / "b").metadata


def test_a_record_of_an_earlier_version_says_nothing(tmp_path: Path) -> None:
    model = {name: value for name, value in MADE.model.to_json().items() if name != "learnt_from"}
    record = changed_record(MADE, {"model": model})
    assert record.model.learnt_from == ""
    stored = written(tmp_path, random_detections(5), training_data="none")
    assert f"learnt from: {NOT_SAID}" in page_of(stored, tmp_path)
    assert f"learnt from: {NOT_SAID}" in index_of(tmp_path)


@pytest.mark.parametrize("name", ["accurate", "fast"])
def test_the_models_that_ship_say_that_they_have_seen_simulated_cells_only(name: str) -> None:
    assert load_detector(find_model(name), device="cpu").spec.learnt_from.startswith("Simulated cells only")


def test_doctor_and_info_say_it_too(tmp_path: Path) -> None:
    for words in (["doctor", "--out", str(tmp_path)], ["info", "fast"]):
        assert "Simulated cells only" in CliRunner().invoke(cli, words).stdout


def test_pages_say_what_no_detection_means(tmp_path: Path) -> None:
    nothing, some = Detections.empty(), random_detections(3)
    said = "Nothing was detected. That does not mean that there is no cancer"
    unscanned = "o tissue was found, so nothing was scanned"
    for name, found, tiles, texts in (("a", nothing, 9, [said]), ("b", nothing, 0, [unscanned]), ("c", some, 9, [])):
        page = page_of(written(tmp_path / name, found, tiles=tiles), tmp_path / name)
        assert [text for text in (said, unscanned) if text in page] == texts
    index = index_of(tmp_path)
    assert "A slide without detections is not a slide without cancer." in index
    assert index.count(unscanned) == 1


def test_unread_area_is_a_warning_each_time_however_small() -> None:
    assert warnings_of_record(MADE) == []
    assert warnings_of_record(replace(MADE, unread_mm2=0.00001)) == [
        "1e-05 mm² could not be read and was not scanned; the run record lists the areas"
    ]


def test_an_amount_is_never_rounded_to_nothing() -> None:
    assert [amount(value, 1) for value in (0, 0.04, 0.06, 0.949, 12.34)] == ["0.0", "0.04", "0.1", "0.9", "12.3"]
    rng = np.random.default_rng(0)
    assert all(float(amount(value, 2)) > 0 for value in 10 ** rng.uniform(-9, 6, 1000))
