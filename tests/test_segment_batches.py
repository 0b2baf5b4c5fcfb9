"""`signetscan segment` with what batches offer: a region of interest, pseudonyms, and a Dask cluster."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
import shapely
import tifffile
from click.testing import CliRunner

from signetscan.cli.main import cli
from signetscan.results.run_record import read_run_record
from signetscan.testing.tiny_segmenter import write_tiny_segmenter

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

pytestmark = pytest.mark.usefixtures("no_settings")

NAME = "Muster, Eva"
ENDINGS = ("regions.classmap.ome.tif", "regions.csv", "regions.geojson", "regions.run.json")


class Bench(NamedTuple):
    slides: Path
    model: Path
    out: Path
    """Results of the whole slide."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, small_slide: Path, ready_workers: None) -> Bench:
    """A slide, whose name is a patient's, a model, and its results."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "slides").mkdir()
    shutil.copy(small_slide, folder / "slides" / f"{NAME}.svs")
    made = Bench(folder / "slides", write_tiny_segmenter(folder / "seg.onnx"), folder / "out")
    assert segment(made, made.out).exit_code == 0
    return made


def segment(bench: Bench, out: Path, *options: object) -> Result:
    words = ("segment", bench.slides, "--model", bench.model, "--out", out, *options)
    return CliRunner().invoke(cli, [str(word) for word in words])


def test_only_the_region_of_interest_is_segmented(bench: Bench, tmp_path: Path) -> None:
    roi = shapely.Polygon([(100, 50), (800, 120), (700, 900), (60, 700)])
    feature = {
        "type": "Feature",
        "geometry": shapely.geometry.mapping(roi),
        "properties": {"objectType": "annotation"},
    }
    (tmp_path / "roi.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    out = tmp_path / "out"
    result = segment(bench, out, "--roi", tmp_path / "roi.geojson", "--simplify", 0, "--min-area", 0, "--min-hole", 0)
    assert result.exit_code == 0, result.output
    record = read_run_record(out / f"{NAME}.regions.run.json")
    assert record.roi is not None
    assert record.regions is not None
    placed = record.regions.map
    assert placed is not None
    whole, part = (
        tifffile.imread(folder / f"{NAME}.regions.classmap.ome.tif", key=0, level=0) for folder in (bench.out, out)
    )
    rows, columns = np.indices(part.shape)
    inside = shapely.contains_xy(roi, (columns + 0.5) * placed.pixel[0], (rows + 0.5) * placed.pixel[1])
    # A pixel whose centre is on the outline may count either way.
    centres = shapely.points((columns + 0.5) * placed.pixel[0], (rows + 0.5) * placed.pixel[1])
    on_outline = shapely.distance(roi.exterior, centres) < 1e-9
    assert not ((part > 0) & ~inside & ~on_outline).any()
    both = (part > 0) & (whole > 0)
    assert (part == whole)[both].all(), "a region of interest changes nothing within it"
    assert both.sum() > 0.9 * (inside & (whole > 0)).sum()
    features = json.loads((out / f"{NAME}.regions.geojson").read_text(encoding="utf-8"))["features"]
    assert features
    around = roi.buffer(max(placed.pixel))
    assert all(around.contains(shapely.geometry.shape(feature["geometry"])) for feature in features)
    again = segment(bench, out, "--simplify", 0, "--min-area", 0, "--min-hole", 0, "--json", "-q")
    assert json.loads(again.stdout)["status"] == "done", "the whole slide is another job"


def test_pseudonyms_are_in_all_that_is_written_and_said(bench: Bench, tmp_path: Path) -> None:
    key, out = tmp_path / "key", tmp_path / "out"
    key.write_bytes(bytes(range(32)))
    result = segment(bench, out, "--pseudonymise", key, "--json")
    assert result.exit_code == 0, result.output
    files = sorted(path for path in out.rglob("*") if path.is_file())
    (name,) = {path.name.partition(".")[0] for path in files if ".regions." in path.name}
    assert {f"{name}.{ending}" for ending in ENDINGS} <= {path.name for path in files}
    assert json.loads(result.stdout.splitlines()[-1])["slide"] == f"{name}.regions"
    for text in (result.stdout, result.stderr, *(path.name for path in files)):
        assert "Muster" not in text
    assert not any(b"Muster" in path.read_bytes() for path in files)
    ours, theirs = (
        json.loads((folder / f"{stem}.regions.geojson").read_text(encoding="utf-8"))["features"]
        for folder, stem in ((out, name), (bench.out, NAME))
    )
    assert [one["geometry"] for one in ours] == [one["geometry"] for one in theirs]
    assert json.loads(segment(bench, out, "--pseudonymise", key, "--json").stdout)["status"] == "skipped"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="as the other tests of clusters")
def test_a_cluster_writes_the_same_bytes(bench: Bench, tmp_path: Path) -> None:
    slides = tmp_path / "slides"
    slides.mkdir()
    for name in ("a", "b"):
        shutil.copy(bench.slides / f"{NAME}.svs", slides / f"{name}.svs")
    (slides / "bad.svs").write_text("no slide")
    said: list[dict[str, str]] = []
    for out, options in (("alone", ()), ("cluster", ("--dask", "local", "--workers", "2"))):
        words = ("segment", slides, "--model", bench.model, "--out", tmp_path / out, "--json", *options)
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "signetscan", *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 3, done.stderr
        said.append({line["slide"]: line["status"] for line in map(json.loads, done.stdout.splitlines())})
    assert said[0] == said[1] == {"a.regions": "done", "b.regions": "done", "bad.regions": "failed"}
    for name in ("a", "b"):
        for ending in ENDINGS[:3]:
            alone, cluster = ((tmp_path / out / f"{name}.{ending}").read_bytes() for out in ("alone", "cluster"))
            assert alone == cluster, ending
    assert (tmp_path / "cluster" / "bad.regions.failed.json").is_file()
