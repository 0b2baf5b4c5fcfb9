"""How two reviewers of the same slides agree."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served_viewer import SAMPLE, sample_cells, scanned
from workspaces import write_result

from signetscan.cli.main import cli
from signetscan.detections import Detections
from signetscan.errors import AnnotationError, OptionError
from signetscan.evaluation.compare import compare_results
from signetscan.evaluation.options import CompareOptions
from signetscan.evaluation.run import evaluate_files
from signetscan.evaluation.two_reviewers import Judged
from signetscan.formats.result_files import corrections_path
from signetscan.viewer import Marks, SavedMarks, Verdict, write_marks

if TYPE_CHECKING:
    from pathlib import Path

DIMENSIONS = (4200, 2120)
FOUND = Detections(
    boxes=np.array([(100.0 * n, 10, 100 * n + 40, 50) for n in range(8)]),
    scores=np.linspace(0.9, 0.2, 8).astype(np.float32),
    labels=np.zeros(8, np.int64),
)
OF = scanned(FOUND, dimensions=DIMENSIONS)


def marks_of(path: Path, said: str, *added: float, looked: tuple[float, ...] | None = None) -> Path:
    """Marks of a reviewer: + and - for the detections accepted and rejected, and the left edges of cells added."""
    marks = Marks(detections=FOUND, classes=1, dimensions=DIMENSIONS)
    for number, word in enumerate(said):
        if word != " ":
            (marks.accept if word == "+" else marks.reject)(number)
    for left in added:
        marks.add((left, 1000, left + 40, 1040), 0)
    if looked:
        marks.add_region(looked, Verdict.REVIEWED)
    path.parent.mkdir(exist_ok=True)
    write_marks(path, SavedMarks(marks=marks.by_number), OF, FOUND)
    return path


def test_kappa_is_that_of_the_textbook() -> None:
    """Of 50 applications two readers accept 20 and reject 15 both; one accepts 5 more, the other 10."""
    judged = Judged(both_accepted=20, only_a_accepted=5, only_b_accepted=10, both_rejected=15)
    assert judged.kappa == pytest.approx(0.4)
    assert Judged(both_accepted=7, both_rejected=2).kappa == 1
    assert math.isnan(Judged().kappa)
    assert math.isnan(Judged(both_accepted=9).kappa), "chance alone would agree"
    assert Judged(only_a_accepted=5, only_b_accepted=5).kappa == -1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.text("+- ", min_size=1, max_size=8), st.text("+- ", min_size=1, max_size=8))
def test_figures_are_those_of_counting(tmp_path: Path, a: str, b: str) -> None:
    """The slow truth: detection by detection."""
    one, other = marks_of(tmp_path / "a.geojson", a, 100.0), marks_of(tmp_path / "b.geojson", b, 105.0, 700.0)
    figures = compare_results(one, other).figures()
    pairs = list(zip(a.ljust(8), b.ljust(8), strict=True))
    judged = figures.judged
    assert judged is not None
    counted = [pairs.count(pair) for pair in (("+", "+"), ("+", "-"), ("-", "+"), ("-", "-"))]
    # The cell that both added is judged by both: both say that it is one.
    assert [judged.both_accepted, judged.only_a_accepted, judged.only_b_accepted, judged.both_rejected] == [
        counted[0] + 1,
        *counted[1:],
    ]
    # A's only cells are those that B rejected: where B did not decide, nobody knows.
    decided_by_b, decided_by_a = ("+" in b or "-" in b), ("+" in a or "-" in a)
    only_a = counted[1] + (0 if decided_by_b else a.count("+"))
    only_b = counted[2] + (0 if decided_by_a else b.count("+")) + 1
    assert (figures.both, figures.only_a, figures.only_b) == (counted[0] + 1, only_a, only_b)
    assert figures.agreement == pytest.approx(2 * figures.both / (2 * figures.both + only_a + only_b))
    assert math.isnan(figures.score_change_mean)
    assert figures.scores is None


def test_cells_count_where_both_looked(tmp_path: Path) -> None:
    one = marks_of(tmp_path / "a.geojson", "++", 100.0, 3000.0, looked=(0, 0, 2000, 2120))
    other = marks_of(tmp_path / "b.geojson", "++", 100.0, 3000.0, 1800.0, looked=(0, 0, 1500, 2120))
    comparison = compare_results(one, other)
    assert (comparison.figures().both, comparison.figures().only_b) == (3, 0)
    (note,) = comparison.notes
    assert "outside what both looked through: 3" in note


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results of two slides, reviewed by Anna and by Ben."""
    found = sample_cells()
    for name in ("s", "t"):
        write_result(tmp_path / "results" / name, found)
        of = scanned(found, fingerprint=fingerprint(tmp_path / "results" / f"{name}.run.json"))
        for reviewer, rejected in (("anna", 0), ("ben", 3)):
            marks = Marks(detections=found, classes=1, dimensions=DIMENSIONS)
            for number in range(10):
                (marks.reject if number < rejected or number == 9 else marks.accept)(number)
            path = corrections_path(tmp_path / "results" / name, reviewer)
            write_marks(path, SavedMarks(marks=marks.by_number), of, found)
    return tmp_path / "results"


def fingerprint(record: Path) -> str:
    text: str = json.loads(record.read_text())["slide"]["fingerprint"]
    return text


def test_the_command_compares_reviewers_of_a_folder(results: Path, tmp_path: Path) -> None:
    words = ["compare", str(results), str(results), "--a-by", "Anna", "--b-by", "ben"]
    page = ["--out", str(tmp_path / "page"), "--slide", str(SAMPLE)]
    done = CliRunner().invoke(cli, [*words, "--json", *page])
    assert done.exit_code == 0, done.output
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["slide"], second["slide"]) == ("s", "t")
    # 6 accepted and 1 rejected by both, 3 accepted by Anna alone: kappa = (.7 - .58) / (1 - .58).
    assert first["kappa"] == pytest.approx((0.7 - 0.58) / 0.42, abs=1e-6)
    assert (first["judged_by_both"], first["judged_alike"]) == (10, 7)
    assert first["agreement"] == pytest.approx(2 * 6 / 15)
    shown = (tmp_path / "page" / "comparison.html").read_text()
    assert "Two reviewers compared" in shown
    assert "anna (results/results)" not in shown
    assert shown.count('alt="A box in') == 6, "pictures of what they differ on"
    table = CliRunner().invoke(cli, words).stdout.splitlines()
    assert table[0].split()[-3:] == ["both", "alike", "kappa"]
    assert table[-1].split()[0] == "all"


def test_what_is_not_there_is_said(results: Path) -> None:
    with pytest.raises(AnnotationError, match="no marks by eve; there are marks by: anna, ben"):
        compare_results(results, results, CompareOptions(a_by="eve", b_by="ben"))
    with pytest.raises(OptionError, match="no folder of results"):
        compare_results(results / "s.csv", results, CompareOptions(a_by="anna", b_by="ben"))
    with pytest.raises(AnnotationError, match="corrected by anna and ben"):
        evaluate_files(results, results)


def test_a_run_is_compared_with_one_of_the_reviewers(results: Path) -> None:
    """A run against the marks of one: as before, A is judged by B."""
    comparison = compare_results(results, results, CompareOptions(b_by="anna"))
    assert (comparison.by_reviewer, comparison.by_two) == (True, False)
    (results / "s.corrected.ben.geojson").unlink()
    (results / "t.corrected.ben.geojson").unlink()
    assert evaluate_files(results, results).assessment is not None
