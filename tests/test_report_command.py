"""`signetscan report`, and `detect --report`, as a user meets them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from signetscan.cli.main import cli
from signetscan.simulate.options import SlideOptions
from signetscan.simulate.slide_file import write_slide
from signetscan.testing.tiny_model import write_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, small_slide: Path, ready_workers: None) -> Path:
    """Two slides, a model, and results without reports."""
    root = tmp_path_factory.mktemp("store")
    (root / "slides" / "sub").mkdir(parents=True)
    shutil.copy(small_slide, root / "slides")
    write_slide(root / "slides" / "sub" / "b.svs", SlideOptions(width=1024, height=1024, region=400, seed=6))
    write_tiny_model(root / "tiny.onnx")
    assert detect(root, root / "results", root / "slides").exit_code == 0
    return root


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def detect(store: Path, out: Path, *arguments: object) -> Result:
    where = ("--out", out, "--model", store / "tiny.onnx", "--device", "cpu", "--threshold", 0.1)
    return run("detect", *where, *arguments)


def pages_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.html"))


ALL = ["a.report.html", "index.html", "sub/b.report.html"]


def test_a_batch_writes_reports_and_an_index(store: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.svs").write_text("no slide")
    out = tmp_path / "out"
    result = detect(store, out, store / "slides", tmp_path / "bad.svs", "--report")
    assert result.exit_code == 3, result.output
    assert pages_in(out) == ALL
    assert f"Reports: {out / 'index.html'}" in result.stderr
    index = (out / "index.html").read_text()
    assert 'href="./sub/b.report.html"' in index
    assert "bad.svs" in index
    for page in map(out.joinpath, ALL):
        assert str(tmp_path) not in page.read_text()
        assert str(store) not in page.read_text()


@pytest.mark.slow
def test_a_report_of_a_region_says_that_there_is_more_to_the_slide(store: Path, tmp_path: Path) -> None:
    ring = [[100, 100], [900, 100], [900, 900], [100, 900], [100, 100]]
    outline = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {}}
    (tmp_path / "roi.geojson").write_text(json.dumps(outline))
    slide = store / "slides" / "a.svs"
    for name, roi in (("part", ("--roi", tmp_path / "roi.geojson")), ("whole", ())):
        assert detect(store, tmp_path / name, slide, "--report", *roi).exit_code == 0
    said = "Only a region of interest was scanned (1 polygon"
    assert [said in (tmp_path / name / "a.report.html").read_text() for name in ("part", "whole")] == [True, False]


@pytest.mark.slow
def test_reports_that_are_missing_are_made_from_results_that_are_there(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(store / "results", out)
    record = (out / "a.run.json").read_bytes()
    result = detect(store, out, store / "slides", "--report", "--json")
    assert result.exit_code == 0, result.output
    assert result.stdout.count('"skipped"') == 2
    assert pages_in(out) == ALL
    assert (out / "a.run.json").read_bytes() == record
    changed = (out / "a.report.html").stat().st_mtime_ns
    assert detect(store, out, store / "slides", "--report").exit_code == 0
    assert (out / "a.report.html").stat().st_mtime_ns == changed, "what is there stays"


def test_a_single_slide_says_where_its_report_is(store: Path, tmp_path: Path) -> None:
    result = detect(store, tmp_path, store / "slides" / "a.svs", "--report")
    assert f"  {tmp_path / 'a.report.html'}" in result.stdout.splitlines()
    again = detect(store, tmp_path, store / "slides" / "a.svs", "--overwrite")
    assert again.exit_code == 0
    assert pages_in(tmp_path) == ["index.html"], "a report of other detections is removed"


def test_no_report_is_made_unless_it_is_asked_for(store: Path, tmp_path: Path) -> None:
    assert pages_in(store / "results") == []
    assert detect(store, tmp_path / "out", store / "slides", "--report", "--dry-run").exit_code == 0
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_watch_writes_them_too(store: Path, tmp_path: Path) -> None:
    where = ("--out", tmp_path / "out", "--model", store / "tiny.onnx", "--device", "cpu")
    result = run("watch", store / "slides", *where, "--settle", 0.05, "--every", 0.1, "--until-idle", "--report")
    assert result.exit_code == 0, result.output
    assert pages_in(tmp_path / "out") == ALL


@pytest.mark.slow
def test_pseudonyms_keep_names_out_of_reports(store: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(store / "slides" / "a.svs", tmp_path / "in" / "Smith.svs")
    (tmp_path / "in" / "Jones.svs").write_text("no slide")
    (tmp_path / "key").write_bytes(b"a secret of many bytes")
    detect(store, tmp_path / "out", tmp_path / "in", "--pseudonymise", tmp_path / "key", "--report")
    assert len(pages_in(tmp_path / "out")) == 2
    for page in (tmp_path / "out").rglob("*.html"):
        assert "Smith" not in page.name + page.read_text()
        assert "Jones" not in page.read_text()


@pytest.mark.slow
def test_reports_of_a_folder_of_results(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    shutil.copytree(store / "results", out)
    result = run("report", out, "--slide", store / "slides")
    assert result.exit_code == 0, result.output
    assert pages_in(out) == ALL
    assert result.stdout.splitlines() == [str(out / name) for name in (ALL[0], ALL[2], ALL[1])]
    detected = tmp_path / "detected"
    detect(store, detected, store / "slides", "--report")

    def plain(page: Path) -> str:
        return "\n".join(line for line in page.read_text().splitlines() if " UTC" not in line and " s</dd>" not in line)

    for name in ALL:
        assert plain(out / name) == plain(detected / name), "as they are made in one go"


def test_the_report_of_one_result_goes_where_it_is_wanted(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "reports"
    result = run(
        "report", store / "results" / "sub" / "b.csv", "--slide", store / "slides" / "sub" / "b.svs", "-o", out
    )
    assert result.exit_code == 0, result.output
    assert pages_in(out) == ["b.report.html", "index.html"]
    assert run("report", store / "results", "--slide", store / "slides", "--out", out).exit_code == 0
    assert {*ALL} <= {*pages_in(out)}
    assert pages_in(store / "results") == []


@pytest.mark.parametrize("name", ["index.html", "sub/b.report.html"])
def test_pages_of_others_are_kept(store: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("<title>Home</title>")
    where = ("report", store / "results", "--slide", store / "slides", "--out", tmp_path)
    refused = run(*where)
    assert refused.exit_code == 1
    assert f"{name}: there is a file of this name already" in refused.stderr
    assert (tmp_path / name).read_text() == "<title>Home</title>"
    assert run(*where, "--overwrite").exit_code == 0
    assert "Home" not in (tmp_path / name).read_text()


@pytest.mark.slow
def test_pixels_of_a_size_that_the_user_gave_keep_it(store: Path, tmp_path: Path) -> None:
    detect(store, tmp_path, store / "slides" / "a.svs", "--mpp", 0.5)
    assert run("report", tmp_path, "--slide", store / "slides").exit_code == 0
    assert "0.5 x 0.5 µm (given by the user)" in (tmp_path / "a.report.html").read_text()
    assert 'alt="The slide, 0.5 mm wide and 0.5 mm high"' in (tmp_path / "a.report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said", "status"),
    [
        (("results",), "--slide", 2),
        (("results", "--slide", "slides/a.svs"), "b", 1),
        (("results/sub/b.csv", "--slide", "slides/a.svs"), "a.svs: not the slide of b", 1),
        (("slides", "--slide", "slides"), "no results of signetscan", 1),
        (("none", "--slide", "slides"), "no such file", 1),
        ((), "RESULT", 2),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    store: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str, status: int
) -> None:
    monkeypatch.chdir(store)
    before = pages_in(store)
    result = run("report", *arguments)
    assert result.exit_code == status, result.output
    assert said in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.output
    for page in set(pages_in(store)) - set(before):
        (store / page).unlink()


@pytest.mark.parametrize("command", ["detect", "report"])
def test_what_must_be_installed_is_said_before_anything_is_done(store: Path, tmp_path: Path, command: str) -> None:
    """In a Python of its own, where jinja2 cannot be found."""
    words = {
        "detect": ["detect", str(store / "slides"), "--report", "--model", str(store / "tiny.onnx"), "--out"],
        "report": ["report", str(store / "results"), "--slide", str(store / "slides"), "--out"],
    }[command]
    code = (
        "import sys\n"
        "from importlib import util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'jinja2' else find(name, *rest)\n"
        "from signetscan.cli.main import cli\n"
        f"sys.argv = ['signetscan', *{[*words, str(tmp_path / 'out')]!r}]\n"
        "cli()\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == 'Error: jinja2 is not installed: pip install "signetscan[report]"'
    assert not (tmp_path / "out").exists()
