"""Marks belong to a slide, not to a name."""

from __future__ import annotations

import gzip
import json
import shutil
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING
from zipfile import ZipFile

import numpy as np
import pytest
import tifffile
from conftest import ROOT, BlobDetector
from hypothesis import given
from hypothesis import strategies as st
from scanned_slides import scanned
from served_viewer import one_viewer

from signetscan.annotations.marked_slide import MarkedSlide, Match, mark_id, member_of, read_marked_slide
from signetscan.dataset.add_slide import add_slide
from signetscan.errors import AnnotationError
from signetscan.evaluation.compare import compare_results
from signetscan.evaluation.run import evaluate_files
from signetscan.formats.result_files import corrections_path
from signetscan.results.folder import list_slides
from signetscan.results.lookup import locate_slide
from signetscan.results.namesakes import set_marks_aside
from signetscan.results.reading import load_result
from signetscan.results.run_record import read_run_record, write_run_record
from signetscan.results.writing import write_results
from signetscan.scan.detect import SlideResult
from signetscan.scan.options import ScanOptions
from signetscan.slides import open_slide
from signetscan.slides.concerns import Concern, ConcernKind
from signetscan.slides.fingerprint import FileIdentity
from signetscan.slides.opening import content_now
from signetscan.viewer import Mark, SavedMarks, Verdict, read_marks, write_marks
from signetscan.viewer.opening import open_viewer

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.formats.scanned_slide import ScannedSlide

SAMPLE = ROOT / "tests" / "data" / "sample.svs"
MARK = Mark(box=(100.0, 100.0, 140.0, 140.0), label=0, verdict=Verdict.ACCEPTED)


def marks_of(path: Path, slide: ScannedSlide) -> Path:
    write_marks(path, SavedMarks(marks={0: MARK}), slide, slide.detections)
    return path


def without_member(path: Path) -> Path:
    """What QuPath writes: the objects with their ids, and no members of others."""
    content = json.loads(path.read_text())
    path.write_text(json.dumps({"type": "FeatureCollection", "features": content["features"]}, indent=2))
    return path


def match(path: Path, slide: ScannedSlide) -> Match:
    return read_marked_slide(path).match(slide.fingerprint, slide.content)


@pytest.mark.parametrize("keep", [True, False])
def test_marks_say_which_slide_they_are_of_also_when_qupath_has_saved_them(tmp_path: Path, keep: bool) -> None:
    path = marks_of(tmp_path / "s.corrected.geojson", scanned(fingerprint="one"))
    if not keep:
        without_member(path)
    assert match(path, scanned(fingerprint="one", model_sha256="1" * 64)) is Match.SAME
    assert match(path, scanned(fingerprint="other")) is Match.OTHER
    with pytest.raises(AnnotationError, match="marks of another slide") as caught:
        read_marks(path, scanned(fingerprint="other"), scanned().detections)
    assert caught.value.options == ("out",)


def test_a_slide_that_was_mended_keeps_its_marks(tmp_path: Path) -> None:
    path = marks_of(tmp_path / "a.geojson", scanned(content="before"))
    assert match(path, scanned(content="after")) is Match.CHANGED
    assert match(path, scanned()) is Match.SAME, "nothing is known of its content"
    assert len(read_marks(path, scanned(content="after"), scanned().detections).marks) == 1


def test_marks_of_two_slides_in_one_file_are_of_another(tmp_path: Path) -> None:
    one, other = (marks_of(tmp_path / name, scanned(fingerprint=name)) for name in ("one", "other"))
    both = [feature for path in (one, other) for feature in json.loads(path.read_text())["features"]]
    (tmp_path / "both").write_text(json.dumps(both))
    assert match(tmp_path / "both", scanned(fingerprint="one")) is Match.OTHER


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"type":"FeatureCollection","features":[]}',
        '{"signetscan": {"fingerprint": 3}}',
        '{"signetscan": ' + "[" * 5000,
        '{"signetscan": {"fingerprint": "other", ' + " " * 10_000 + "}}",
        json.dumps([{"type": "Feature", "id": str(uuid.uuid4())}, {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, "x"))}]),
        json.dumps([{"properties": {"name": '"id":"12345678-1234-8234-8234-123456789012"'}}]),
    ],
)
def test_what_does_not_say_its_slide_is_not_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a").write_text(text)
    assert match(tmp_path / "a", scanned()) is Match.UNKNOWN


@given(st.text(min_size=1), st.text(), st.text())
def test_ids_are_uuids_and_differ(fingerprint: str, first: str, second: str) -> None:
    one, other = mark_id(fingerprint, first), mark_id(fingerprint, second)
    assert (one == other) is (first == second)
    parsed = uuid.UUID(one)
    assert (parsed.version, parsed.variant, str(parsed)) == (8, uuid.RFC_4122, one)


@given(st.text(min_size=1), st.text(), st.integers(0, 3), st.booleans())
def test_the_member_is_found_wherever_it_stands(
    tmp_path_factory: pytest.TempPathFactory, fingerprint: str, content: str, fill: int, first: bool
) -> None:
    """Also where it lies on the border of two parts that are read."""
    member = json.loads("{" + member_of(fingerprint, content) + "}")
    features = {"features": ["x" * ((1 << 20) - 30)] * (fill > 0) + ["y"] * fill}
    path = tmp_path_factory.mktemp("member") / "a"
    path.write_text(json.dumps(member | features if first else features | member))
    assert read_marked_slide(path) == MarkedSlide(fingerprint=fingerprint, content=content)


# ---- where marks are read -------------------------------------------------------------------------------------------


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results of the sample slide, called s, with one cell."""
    detector = BlobDetector()
    found = replace(scanned([MARK.box], [0.75], [0]).detections)
    result = SlideResult(
        detections=found, options=ScanOptions().resolve(detector), tiles=1, tiles_scanned=1, tissue_mm2=1.0
    )
    with open_slide(SAMPLE) as slide:
        write_results(tmp_path / "s", slide, detector, result, identity=FileIdentity(content=content_now(SAMPLE)))
    return tmp_path


def test_marks_of_another_slide_are_neither_shown_nor_judged_nor_learnt(results: Path) -> None:
    marks = marks_of(results / "s.corrected.geojson", scanned(fingerprint="other"))
    with pytest.raises(AnnotationError, match="another slide"), open_viewer(results / "s.csv", SAMPLE):
        pass
    for judge in (evaluate_files, compare_results):
        with pytest.raises(AnnotationError, match="another slide"):
            judge(results / "s.csv", marks)
    with pytest.raises(AnnotationError, match="of another slide than"):
        add_slide(results / "mine", SAMPLE, [marks])


@pytest.mark.parametrize("suffix", [".geojson.gz", ".geojson.zip"])
def test_marks_of_another_slide_are_noticed_in_packed_files_too(results: Path, tmp_path: Path, suffix: str) -> None:
    content = marks_of(tmp_path / "marks.geojson", scanned(fingerprint="other")).read_bytes()
    packed = tmp_path / f"packed{suffix}"
    if suffix.endswith("zip"):
        with ZipFile(packed, "w") as archive:
            archive.writestr("s.geojson", content)
    else:
        packed.write_bytes(gzip.compress(content))
    for judge in (evaluate_files, compare_results):
        with pytest.raises(AnnotationError, match="another slide"):
            judge(results / "s.csv", packed)
    with pytest.raises(AnnotationError, match="of another slide than"):
        add_slide(results / "mine", SAMPLE, [packed])
    packed.write_bytes(packed.read_bytes()[:-30])
    with pytest.raises(AnnotationError):
        read_marked_slide(packed)


def test_what_the_viewer_saved_is_taken_for_its_slide(results: Path) -> None:
    marks = marks_of(results / "s.corrected.geojson", load_result(results / "s.run.json").scanned)
    with open_viewer(results / "s.csv", SAMPLE) as server:
        viewer = one_viewer(server)
        assert (len(viewer.marks.by_number), viewer.warnings) == (1, ())
    assert match(marks, load_result(results / "s.run.json").scanned) is Match.SAME
    assert compare_results(results / "s.csv", marks).figures().both == 1
    assert add_slide(results / "mine", SAMPLE, [marks]).cells == {"Signet ring cell": 1}


def test_a_slide_that_has_changed_since_is_shown_with_a_warning(results: Path) -> None:
    with open_viewer(results / "s.csv", SAMPLE) as server:
        assert server.viewer.warnings == ()
    record = read_run_record(results / "s.run.json")
    doubted = Concern(kind=ConcernKind.COLOURS, message="its colours are odd")
    before = replace(record.slide, identity=FileIdentity(content="before"), concerns=(doubted,))
    changed = replace(record, slide=before)
    write_run_record(results / "s.run.json", changed)
    marks_of(results / "s.corrected.geojson", scanned(fingerprint=record.slide.fingerprint, content="long before"))
    with open_viewer(results / "s.csv", SAMPLE) as server:
        colours, slide, marks = server.viewer.warnings
        assert colours == "its colours are odd"
        assert "changed since it was scanned" in slide
        assert "changed since these marks were made" in marks


def test_of_two_copies_the_one_that_has_not_changed_is_found(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "slides"
    folder.mkdir()
    shutil.copy(SAMPLE, folder / "t.svs")
    (folder / "s.svs").write_bytes(SAMPLE.read_bytes() + b"more")
    assert locate_slide(read_run_record(results / "s.run.json"), folder) == folder / "t.svs"
    (folder / "t.svs").unlink()
    assert locate_slide(read_run_record(results / "s.run.json"), folder) == folder / "s.svs"


def test_results_of_another_slide_are_not_learnt(results: Path) -> None:
    other = results / "other.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (512, 512, 3), np.uint8)
    tifffile.imwrite(other, pixels, tile=(256, 256), photometric="rgb", resolution=(40_000, 40_000))
    with pytest.raises(AnnotationError, match="of another slide than"):
        add_slide(results / "mine", other, [results / "s.geojson"])


def test_marks_of_the_slide_that_was_there_before_are_kept_under_another_name(results: Path) -> None:
    """Also those of former versions, which do not say their slide."""
    record = read_run_record(results / "s.run.json")
    marks = results / "s.corrected.geojson"
    for number in range(2):
        marks.write_text(f"[] {number}")
        assert set_marks_aside(results / "s", record.slide.fingerprint) == []
        ((before, aside),) = set_marks_aside(results / "s", "other")
        assert before == marks
        assert (marks.exists(), aside.read_text()) == (False, f"[] {number}")
    marks_of(marks, scanned(fingerprint="other"))
    assert set_marks_aside(results / "s", "other") == [], "its own"
    assert len(list(results.glob("s.corrected.geojson.of-*"))) == 2
    assert list_slides(results)[0].corrections == marks
    of_anna = corrections_path(results / "s", "anna")
    of_anna.write_text("[]")
    (results / "s.t.corrected.geojson").write_text("[]")  # of another slide, s.t
    moved = [before for before, _ in set_marks_aside(results / "s", "another")]
    assert moved == [of_anna, marks], "those of reviewers with a name too"
