"""What is suspicious about a slide is said everywhere: by `info`, before and after a scan, in records and reports."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from run_records import MADE, changed_record
from slide_files import texture

from signetscan.cli.main import cli
from signetscan.errors import MppError
from signetscan.json_values import JsonError, JsonTable
from signetscan.results.record_parts import SlideRecord
from signetscan.results.run_record import read_run_record
from signetscan.slides import Mpp, open_slide
from signetscan.slides.concerns import Concern, ConcernKind
from signetscan.slides.mpp import SizeClaims
from signetscan.slides.mpp_checks import size_concerns
from signetscan.testing.tiny_model import write_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from signetscan.json_values import Json

pytestmark = pytest.mark.usefixtures("ready_workers")


def slide_of(path: Path, mpp: tuple[float, float]) -> Path:
    """A tiled TIFF with resolution tags."""
    tifffile.imwrite(
        path,
        texture(600, 700),
        photometric="rgb",
        tile=(256, 256),
        resolution=(1e4 / mpp[0], 1e4 / mpp[1]),
        resolutionunit="CENTIMETER",
    )
    return path


def run(*words: object) -> Result:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result


def test_a_concern_is_said_wherever_the_slide_is_spoken_of(tmp_path: Path) -> None:
    slide, model, out = slide_of(tmp_path / "s.tif", (0.025, 0.025)), write_tiny_model(tmp_path / "m.onnx"), tmp_path
    said = "pixels of 0.025 x 0.025 µm/px (TIFF resolution tags) are finer than any slide scanner's"
    assert f"warnings: {said}" in run("info", slide).stdout
    assert json.loads(run("info", slide, "--json").stdout)["warnings"][0].startswith(said)
    detect = ("detect", slide, "--model", model, "--out", out, "--report")
    plain, planned = run(*detect, "--dry-run"), run(*detect, "--dry-run", "--json", "-q")
    assert f"Warning: s: {said}" in plain.stderr
    assert json.loads(planned.stdout)["warnings"][0].startswith(said)
    for _ in range(2):  # scanned, then skipped
        ran = run(*detect, "--json")
        assert f"Warning: s: {said}" in ran.stderr
        assert json.loads(ran.stdout)["warnings"][0].startswith(said)
    concern, *_ = read_run_record(out / "s.run.json").slide.concerns
    assert concern.kind is ConcernKind.PIXEL_SIZE
    assert concern.message.startswith(said)
    assert said in (out / "s.report.html").read_text(encoding="utf-8").replace("&#39;", "'")


def test_a_slide_without_concerns_is_scanned_without_a_word(tmp_path: Path) -> None:
    slide, model = ROOT / "tests" / "data" / "sample.svs", write_tiny_model(tmp_path / "m.onnx")
    assert "warnings: none" in run("info", slide).stdout.splitlines()
    assert json.loads(run("info", slide, "--json").stdout)["warnings"] == []
    assert "Warning" not in run("detect", slide, "--model", model, "--out", tmp_path / "out").stderr


# ---- in records -----------------------------------------------------------------------------------------------------


def test_concerns_are_read_back_and_records_without_any_are_read() -> None:
    concerns = (Concern(kind=ConcernKind.PIXEL_SIZE, message="a"), Concern(kind=ConcernKind.COLOURS, message="b"))
    record = replace(MADE, slide=replace(MADE.slide, concerns=concerns))
    assert changed_record(record, {}) == record
    former = record.slide.to_json()
    del former["concerns"]
    assert SlideRecord.from_json(JsonTable(former)).concerns == ()


@pytest.mark.parametrize("wrong", ["none", ["x"], [{"kind": "taste", "message": "a"}], [{"kind": "colours"}]])
def test_concerns_that_are_none_are_refused(wrong: Json) -> None:
    with pytest.raises(JsonError, match=r"slide\.concerns"):
        changed_record(MADE, {"slide": MADE.slide.to_json() | {"concerns": wrong}})


# ---- the size of a pixel --------------------------------------------------------------------------------------------


@given(st.floats(0.101, 2.0), st.floats(-0.01, 0.01))
def test_the_pixels_of_scanners_raise_no_concern(size: float, unequal: float) -> None:
    assert size_concerns(Mpp(size, size * (1 + unequal)), (80_000, 80_000), SizeClaims()) == ()


@pytest.mark.parametrize(
    ("mpp", "side", "said"),
    [
        ((0.025, 0.025), 1000, "finer than any"),
        ((0.05, 0.05), 1000, "finer than any"),
        ((0.25 / 2.54, 0.25 / 2.54), 1000, "finer than any"),
        ((0.25, 0.5), 1000, "not square"),
        ((0.26, 0.25), 1000, "not square"),
        ((2.5, 2.5), 100_000, "250 mm long"),
    ],
)
def test_implausible_pixels_raise_a_concern(mpp: tuple[float, float], side: int, said: str) -> None:
    (concern,) = size_concerns(Mpp(*mpp), (10, side), SizeClaims())
    assert concern.kind is ConcernKind.PIXEL_SIZE
    assert said in concern.message


@pytest.mark.parametrize("mpp", [1e-300, 2e-6, 0.0099])
def test_pixels_smaller_than_light_shows_are_no_pixels(tmp_path: Path, mpp: float) -> None:
    path = slide_of(tmp_path / "s.tif", (0.25, 0.25))
    with pytest.raises(MppError, match="not the size of a pixel"):
        open_slide(path, mpp=mpp)


def test_an_aperio_mpp_that_is_no_size_is_as_good_as_none(tmp_path: Path) -> None:
    path = tmp_path / "s.svs"
    image = np.full((256, 256, 3), 200, np.uint8)
    tifffile.imwrite(
        path, image, tile=(256, 256), photometric="rgb", metadata=None, description="Aperio test\r\n|MPP = 1e-300"
    )
    with open_slide(path) as slide:
        assert slide.mpp is None
