"""`signetscan calibrate`, and `detect` with what it wrote, as a user meets them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from signetscan.annotations import read_geojson
from signetscan.batch.calibrate import calibrate
from signetscan.batch.options import BatchOptions, CalibrateOptions
from signetscan.cli.main import cli
from signetscan.errors import OptionError, ResultError
from signetscan.results.calibration import read_calibration
from signetscan.scan.options import ScanOptions
from signetscan.testing.tiny_model import write_tiny_model

if TYPE_CHECKING:
    from click.testing import Result

pytestmark = pytest.mark.usefixtures("ready_workers", "no_settings")

SIDE = 256
"""Side of an image, pixels: one tile, on which the tiny model finds one box."""
DARKER = (0, 12, 24, 36, 48)
"""How much darker each image is than the first: the tiny model's score rises with it."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("site")
    (root / "normal").mkdir()
    noise = np.random.default_rng(0).integers(-8, 9, (SIDE, SIDE, 3))
    for number, darker in enumerate(DARKER):
        pixels = (np.array([200, 120, 170]) - darker + noise).astype(np.uint8)
        Image.fromarray(pixels).save(root / "normal" / f"n{number}.png")
    write_tiny_model(root / "tiny.onnx")
    return root


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def scores_in(folder: Path) -> list[float]:
    """The scores in all CSV files of a folder, by Python's reader."""
    rows = [
        row
        for path in sorted(folder.glob("*.csv"))
        for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    ]
    return sorted((float(row["score"]) for row in rows), reverse=True)


def area_in(folder: Path) -> float:
    """mm² of tissue by all run records of a folder."""
    return float(sum(json.loads(path.read_text())["tissue_mm2"] for path in folder.glob("*.run.json")))


def test_a_site_calibrates_and_detects(store: Path, tmp_path: Path) -> None:
    """Two of five false positives fit the budget; detect then finds those two, and says which calibration it took."""
    out, found = tmp_path / "site", tmp_path / "found"
    words = (store / "tiny.onnx", store / "normal", "--out", out, "--mpp", 0.25, "--device", "cpu")
    result = run("calibrate", *words, "--false-positives-per-mm2", 120)
    assert result.exit_code == 0, result.output
    scores, area = scores_in(out), area_in(out)
    assert len(scores) == len(DARKER)
    assert int(120 * area) == 2
    made = read_calibration(out / "calibration.json")
    assert made.threshold == round(scores[2] + 0.0001, 4)
    assert (made.slides, made.failed) == (5, 0)
    assert made.tissue_mm2 == pytest.approx(area)
    for rate in made.rates:
        assert rate.false_positives == sum(score >= rate.threshold for score in scores)
        assert rate.per_mm2 == pytest.approx(rate.false_positives / area)
        assert rate.low <= rate.per_mm2 <= rate.high
    assert "<- at most 120" in next(line for line in result.stdout.splitlines() if f"{made.threshold:.4g}" in line)
    assert "n0.png: 1 false positive" not in result.stdout  # several slides go by their names
    assert "n0: 1 false positive from score 0.02 on (0.004 mm² of tissue)" in result.stdout

    images = sorted((store / "normal").iterdir())
    detect = ("detect", *images, "--mpp", 0.25, "--model", store / "tiny.onnx", "--out", found, "--device", "cpu")
    result = run(*detect, "--calibration", out / "calibration.json")
    assert result.exit_code == 0, result.output
    assert scores_in(found) == scores[:2]
    assert f"Note: threshold {made.threshold:g} from calibration.json" in result.stderr
    record = json.loads((found / "n0.run.json").read_text())
    assert record["options"]["threshold"] == made.threshold
    assert (record["calibration"]["file"], record["calibration"]["slides"]) == ("calibration.json", 5)
    said = json.loads((found / "n0.geojson").read_text())["signetscan"]
    assert said["calibration"] == record["calibration"]
    assert len(read_geojson(found / "n0.geojson").boxes) == 0

    result = run(*detect, "--calibration", out / "calibration.json", "--threshold", 0.5)
    assert result.exit_code == 2
    assert "See --threshold and --calibration" in " ".join(result.stderr.split())


def test_a_calibration_of_another_model_stops_before_anything_is_scanned(store: Path, tmp_path: Path) -> None:
    other = write_tiny_model(tmp_path / "other.onnx", changed={"box": np.array([[(5.0, 5.0, 9.0, 9.0)]], np.float32)})
    values = {"finished": "", "version": "", "model": "m", "model_sha256": "a" * 64, "budget": 1, "threshold": 0.5}
    values |= {"schema": 1, "lowest_score": 0.02, "tissue_mm2": 5, "slides": 1, "failed": 0}
    rate = {"threshold": 0.5, "false_positives": 1, "per_mm2": 0.2, "low": 0, "high": 1, "interval": "poisson"}
    (tmp_path / "site.json").write_text(json.dumps({**values, "rates": [rate]}))
    image = store / "normal" / "n0.png"
    result = run("detect", image, "--mpp", 0.25, "--model", other, "--calibration", tmp_path / "site.json", "-o", "out")
    assert result.exit_code == 1
    assert "calibrated for another model" in result.stderr
    assert not Path("out").exists()


def test_too_little_tissue_and_failed_slides_are_said(store: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.svs").write_text("no slide")
    words = (store / "tiny.onnx", store / "normal" / "n0.png", tmp_path / "bad.svs", "--mpp", 0.25, "--out", "site")
    result = run("calibrate", *words, "--json", "--quiet")
    assert result.exit_code == 3
    *slides, last = map(json.loads, result.stdout.splitlines())
    assert sorted(line["status"] for line in slides) == ["done", "failed"]
    assert (last["calibration"], last["threshold"], last["failed"]) == (str(Path("site/calibration.json")), None, 1)
    result = run("calibrate", *words[:2], "--mpp", 0.25, "--out", "site")
    assert result.exit_code == 1
    assert "mm² of normal tissue are too little to tell 1 false positive per mm² from more" in result.stderr


def test_a_dry_run_says_how_much_tissue_there_is_and_writes_nothing(store: Path, tmp_path: Path) -> None:
    words = ("calibrate", store / "tiny.onnx", store / "normal", "--mpp", 0.25, "--out", tmp_path / "site")
    result = run(*words, "--false-positives-per-mm2", 120, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "0.02 mm² of tissue; a budget of 120 per mm² allows 2 false positives." in result.stderr
    assert not (tmp_path / "site").exists()


@pytest.mark.slow
def test_regions_are_what_is_counted_and_a_second_run_goes_on(store: Path, tmp_path: Path) -> None:
    """Half of each image is known to be normal: half the tissue counts, and the box whose centre is in it."""
    half = [[0, 0], [SIDE / 2, 0], [SIDE / 2, SIDE], [0, SIDE], [0, 0]]
    region = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [half]}, "properties": {}}
    (tmp_path / "regions").mkdir()
    for number in range(len(DARKER)):
        (tmp_path / "regions" / f"n{number}.geojson").write_text(json.dumps(region))
    request = BatchOptions(
        model=str(store / "tiny.onnx"), out=tmp_path / "site", mpp=0.25, roi=tmp_path / "regions", formats=("asap",)
    )
    first = calibrate([store / "normal"], request, None, CalibrateOptions(false_positives_per_mm2=1000))
    assert first.calibration is not None
    assert first.tissue_mm2 == pytest.approx(len(DARKER) * (SIDE * 0.25 / 1000) ** 2 / 2, rel=0.05)
    kinds: list[str] = []
    again = calibrate(
        [store / "normal"], request, None, CalibrateOptions(), on_event=lambda event: kinds.append(type(event).__name__)
    )
    assert again.calibration is not None
    assert again.calibration.rates[0] == first.calibration.rates[0]
    assert "Progressed" not in kinds


def test_what_cannot_be_counted_is_refused(store: Path, tmp_path: Path) -> None:
    request = BatchOptions(model=str(store / "tiny.onnx"), out=tmp_path / "site", mpp=0.25)
    with pytest.raises(OptionError, match="per mm² of tissue"):
        calibrate([store / "normal"], request, ScanOptions(tissue_mask=False))
    Image.new("RGB", (SIDE, SIDE), "white").save(tmp_path / "blank.png")
    with pytest.raises(ResultError, match="no tissue was found on any slide"):
        calibrate([tmp_path / "blank.png"], request)
    assert not (tmp_path / "site" / "calibration.json").exists()
