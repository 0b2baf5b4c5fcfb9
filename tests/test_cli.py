from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import click
import numpy as np
import openslide
import pytest
import tifffile
from click.testing import CliRunner

from signetscan.cli.main import cli
from signetscan.dataset import read_dataset
from signetscan.scan.options import DEFAULT_MIN_TISSUE_UM2
from signetscan.testing.specs import make_spec
from signetscan.testing.tiny_model import BOX, write_tiny_model
from signetscan.training.losses import LOSSES
from signetscan.training.options import PRESETS, LossName, PresetName

if TYPE_CHECKING:
    from click.testing import Result


pytestmark = pytest.mark.usefixtures("ready_workers")


class Bench(NamedTuple):
    slide: Path
    model: Path


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, small_slide: Path) -> Bench:
    """A slide of four pieces of tissue, and a model that finds one box in each tile."""
    folder = tmp_path_factory.mktemp("a bench")
    slide = folder / "a slide.svs"
    shutil.copy(small_slide, slide)
    return Bench(slide, write_tiny_model(folder / "tiny.onnx"))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def detect(bench: Bench, out: Path, *options: object) -> Result:
    return run("detect", bench.slide, "--out", out, "--model", bench.model, *options)


def succeeded(result: Result) -> Result:
    assert result.exception is None, result.output
    assert result.exit_code == 0
    return result


def failed(result: Result, *named: str, status: int | None = None) -> None:
    """One line of error that names what is wrong, on stderr, no result, no traceback."""
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == status if status is not None else result.exit_code > 0
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert [line for line in lines if line.startswith("Error: ")] == lines[-1:], result.stderr
    assert all(name in lines[-1] for name in named), lines[-1]
    assert "Traceback" not in result.stderr


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def numbers_of(row: dict[str, str]) -> tuple[float, ...]:
    return tuple(float(row[name]) for name in ("x0_px", "y0_px", "x1_px", "y1_px"))


# ---- detect ---------------------------------------------------------------------------------------------------------


def test_detect_writes_three_files_and_prints_what_it_found(bench: Bench, tmp_path: Path) -> None:
    """Without overlap each of the 4 x 4 tiles of 256 px has its box at the same place."""
    out = tmp_path / "not there" / "yet"
    result = succeeded(detect(bench, out, "--threshold", 0, "--overlap", 0, "--no-tissue-mask"))
    assert files_in(out) == ["a slide.csv", "a slide.geojson", "a slide.run.json"]
    assert result.stdout.splitlines() == [
        "a slide.svs: 16 signet ring cells in 16 of 16 tiles",
        f"  {out / 'a slide.geojson'}",
        f"  {out / 'a slide.csv'}",
        f"  {out / 'a slide.run.json'}",
    ]
    rows = rows_of(out / "a slide.csv")
    steps = range(0, 1024, 256)
    expected = [(BOX[0] + x, BOX[1] + y, BOX[2] + x, BOX[3] + y) for x in steps for y in steps]
    assert sorted(numbers_of(row) for row in rows) == sorted(expected)
    with openslide.OpenSlide(bench.slide) as slide:
        for row in rows:
            x, y = (int(numbers_of(row)[axis] - BOX[axis]) for axis in (0, 1))
            tile = np.asarray(slide.read_region((x, y), 0, (256, 256)).convert("RGB"))
            assert float(row["score"]) == pytest.approx(1 - tile.mean() / 255, abs=1e-3), "the tile's darkness"
    features = json.loads((out / "a slide.geojson").read_text())["features"]
    assert [feature["id"] for feature in features] == [row["id"] for row in rows]
    record = json.loads((out / "a slide.run.json").read_text())
    assert record["detections"] == {"Signet ring cell": 16}
    assert record["slide"]["mpp"]["x"] == 0.25
    assert record["slide"]["decoder"] == "tifffile"
    assert (record["options"]["overlap"], record["options"]["threshold"]) == (0, 0)


def test_results_go_to_stdout_and_notes_to_stderr(bench: Bench, tmp_path: Path) -> None:
    loud = succeeded(detect(bench, tmp_path, "--threshold", 0.1))
    quiet = succeeded(detect(bench, tmp_path, "--threshold", 0.1, "--quiet", "--overwrite"))
    assert quiet.stdout == loud.stdout != ""
    assert quiet.stderr == ""
    lines = loud.stderr.splitlines()
    assert lines[0] == "Model test runs on CPUExecutionProvider."
    assert re.fullmatch(r"a slide\.svs: \d+ of \d+ tiles(, [\d.]+ a second)?", lines[-1])
    assert re.search(r"in \d+ of \d+ tiles \(0\.\d mm² of tissue\)", loud.stdout)


@pytest.mark.slow
def test_options_reach_the_scan(bench: Bench, tmp_path: Path) -> None:
    plain = ("--threshold", 0, "--overlap", 0, "--no-tissue-mask")
    for options, tiles, found in (
        (("--tile-size", 512), 4, 4),
        (("--tile-size", 512, "--batch-size", 3, "--readers", 1, "--threads", 1), 4, 4),
        (("--threshold", 1), 16, 0),
        (("--mpp", 0.5), 64, 64),
        (("--mpp", 0.125), 4, 4),
    ):
        result = succeeded(detect(bench, tmp_path, *plain, *options))
        assert result.stdout.startswith(f"a slide.svs: {found} signet ring cells in {tiles} of {tiles} tiles"), options
    assert {numbers_of(row)[0] for row in rows_of(tmp_path / "a slide.csv")} == {2 * BOX[0], 512 + 2 * BOX[0]}


@pytest.mark.slow
def test_a_coarse_slide_is_scanned_with_a_warning(bench: Bench, tmp_path: Path) -> None:
    coarse = detect(bench, tmp_path, "--mpp", 0.5)
    assert "Warning: a slide: the slide has 0.5 µm/px (given by the user)" in succeeded(coarse).stderr
    assert "Warning" not in succeeded(detect(bench, tmp_path)).stderr
    assert succeeded(detect(bench, tmp_path, "--mpp", 0.5, "--quiet")).stderr == ""


def test_a_blank_slide_gives_valid_empty_results(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "blank.tif"
    tifffile.imwrite(
        path,
        np.full((700, 900, 3), 243, np.uint8),
        photometric="rgb",
        tile=(256, 256),
        resolution=(40000, 40000),
        resolutionunit="CENTIMETER",
    )
    out = tmp_path / "out"
    result = succeeded(run("detect", path, "--out", out, "--model", bench.model, "--threshold", 0))
    assert result.stdout.startswith("blank.tif: 0 signet ring cells in 0 of ")
    assert files_in(out) == ["blank.csv", "blank.geojson", "blank.run.json"]
    assert json.loads((out / "blank.geojson").read_text()) == {"type": "FeatureCollection", "features": []}
    assert rows_of(out / "blank.csv") == []
    assert json.loads((out / "blank.run.json").read_text())["detections"] == {"Signet ring cell": 0}


@pytest.mark.slow
def test_a_slide_without_mpp_needs_the_option(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "mute.tif"
    tifffile.imwrite(path, np.full((300, 300, 3), 90, np.uint8), photometric="rgb", tile=(256, 256))
    arguments = ("detect", path, "--out", tmp_path / "out", "--model", bench.model)
    failed(run(*arguments), "mute", "--mpp", status=3)
    assert files_in(tmp_path / "out") == ["mute.failed.json"]
    succeeded(run(*arguments, "--mpp", 0.25))
    failed(run(*arguments, "--mpp", -1), "--mpp")


def test_a_real_slide_is_scanned(bench: Bench, shared_slides: Path, tmp_path: Path) -> None:
    slide = shared_slides / "CMU-1-Small-Region.svs"
    arguments = ("--model", bench.model, "--tile-size", 2048, "--overlap", 0, "--no-tissue-mask", "--threshold", 0)
    result = succeeded(run("detect", slide, "--out", tmp_path, *arguments))
    # 2220 x 2967 px of 0.499 um are 4431 x 5922 of the model's: three tiles each way, of 1504 x 1984 px.
    assert result.stdout.startswith("CMU-1-Small-Region.svs: 9 signet ring cells in 9 of 9 tiles")
    rows = rows_of(tmp_path / "CMU-1-Small-Region.csv")
    scale = 0.25 / 0.499
    expected = [
        tuple(scale * edge for edge in (BOX[0] + x, BOX[1] + y, BOX[2] + x, BOX[3] + y))
        for x in (0, 1504, 2944)
        for y in (0, 1984, 3968)
    ]
    np.testing.assert_allclose(sorted(numbers_of(row) for row in rows), sorted(expected), atol=0.01)
    assert all(0.05 < float(row["score"]) < 0.6 for row in rows)


# ---- detect: what goes wrong ----------------------------------------------------------------------------------------


def write_strips(path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    tifffile.imwrite(path, image, photometric="rgb", rowsperstrip=16)


def damage(kind: str, folder: Path, good: Path) -> Path:
    """A file that is not a slide, in one of several ways."""
    path = folder / f"{kind}.svs"
    match kind:
        case "text":
            path.write_text("hello, this is not a slide")
        case "zero byte":
            path.touch()
        case "folder":
            path.mkdir()
        case "truncated":
            path.write_bytes(good.read_bytes()[: good.stat().st_size * 6 // 10])
        case "truncated strips":
            write_strips(path)
            path.write_bytes(path.read_bytes()[:-1000])
        case "no ImageWidth" | "no RowsPerStrip":
            write_strips(path)
            with tifffile.TiffFile(path, mode="r+") as file:
                file.pages.first.tags[kind.removeprefix("no ")].overwrite(0)
        case "overwritten tiles":
            content = bytearray(good.read_bytes())
            content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
            path.write_bytes(content)
        case "model":
            write_tiny_model(path)
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "text",
        "zero byte",
        "folder",
        "missing",
        "truncated",
        "truncated strips",
        "no ImageWidth",
        "no RowsPerStrip",
        "overwritten tiles",
        "model",
    ],
)
def test_what_is_no_slide_ends_in_one_line_that_names_it(bench: Bench, tmp_path: Path, kind: str) -> None:
    path = damage(kind, tmp_path, bench.slide)
    out = tmp_path / "out"
    status = 2 if kind in {"missing", "folder"} else 3
    failed(run("detect", path, "--out", out, "--model", bench.model, "--mpp", 0.25), path.name, status=status)
    assert not out.exists() if status == 2 else files_in(out) == [f"{kind}.failed.json"]
    if kind != "overwritten tiles":  # which shows only when they are read
        failed(run("info", path), path.name, status=1)


@pytest.mark.parametrize("kind", ["missing", "unknown name", "text", "zero byte", "folder", "slide", "other contract"])
def test_what_is_no_model_ends_in_one_line_that_names_it(bench: Bench, tmp_path: Path, kind: str) -> None:
    model = tmp_path / f"{kind}.onnx"
    match kind:
        case "unknown name":
            model = Path("no-such-model")
        case "text":
            model.write_text("hello, this is not a model")
        case "zero byte":
            model.touch()
        case "folder":
            model.mkdir()
        case "slide":
            model.write_bytes(bench.slide.read_bytes())
        case "other contract":
            write_tiny_model(model, metadata=make_spec().to_metadata() | {"signetscan.contract": "2"})
    out = tmp_path / "out"
    failed(run("detect", bench.slide, "--out", out, "--model", model), model.name, status=4)
    assert not out.exists() or files_in(out) == []
    failed(run("info", model), model.name, status=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("library", "said"),
    [
        ("torch", 'torch is not installed: pip install "signetscan[train]"'),
        ("tensorboardX", 'tensorboardX is not installed: pip install "signetscan[train]"'),
        ("jinja2", 'jinja2 is not installed: pip install "signetscan[report]"'),
        ("matplotlib", 'matplotlib is not installed: pip install "signetscan[report]"'),
    ],
)
def test_training_says_what_to_install_before_it_starts(tmp_path: Path, library: str, said: str) -> None:
    """In a Python of its own, where the import of a library fails as it does where it is not installed."""
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {library!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from signetscan.cli.main import cli\n"
        f"sys.argv = ['signetscan', 'train', {str(tmp_path)!r}]\n"
        "cli()\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    assert result.returncode == 1
    assert result.stderr.splitlines() == [f"Error: {said}"]


def test_an_out_that_is_a_file_is_refused_and_left_alone(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        failed(detect(bench, out), str(out), "another folder", status=1)
    assert (tmp_path / "file").read_text() == "precious"
    assert files_in(tmp_path) == ["file"]


def test_a_result_that_cannot_be_written_leaves_no_part_of_it(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "a slide.geojson").mkdir()
    failed(detect(bench, tmp_path), "a slide.geojson", status=3)
    assert files_in(tmp_path) == ["a slide.failed.json", "a slide.geojson"]


@pytest.mark.parametrize(
    "options",
    [
        ("--device", "gpu"),
        ("--threshold", "1.5"),
        ("--threshold", "nan"),
        ("--threshold", "high"),
        ("--nms-iou", "-0.1"),
        ("--tile-size", "100"),
        ("--tile-size", "0"),
        ("--overlap", "256"),
        ("--batch-size", "0"),
        ("--readers", "0"),
        ("--threads", "0"),
        ("--min-tissue", "-1"),
        ("--mpp", "small"),
        ("--no-such-option",),
        ("another argument",),
    ],
)
def test_wrong_options_of_detect_end_with_status_2(bench: Bench, tmp_path: Path, options: tuple[str, ...]) -> None:
    out = tmp_path / "out"
    failed(detect(bench, out, *options), status=2)
    assert not out.exists() or files_in(out) == []


# ---- info -----------------------------------------------------------------------------------------------------------


def test_info_says_what_a_slide_is(bench: Bench) -> None:
    lines = succeeded(run("info", bench.slide)).stdout.splitlines()
    assert lines[:6] == [
        "slide: a slide.svs",
        "format: aperio",
        "size: 1024 x 1024 px",
        "mpp: 0.25 x 0.25 µm/px (slide properties)",
        "levels: 1024 x 1024 (1/1)",
        "bounds: none declared",
    ]
    facts = json.loads(succeeded(run("info", bench.slide, "--json")).stdout)
    single = [f"{key}: {value}" for key, value in facts.items() if key not in {"levels", "warnings"}]
    assert single == lines[:4] + lines[5:-1]
    assert (facts["warnings"], lines[-1]) == ([], "warnings: none")
    assert facts["levels"] == ["1024 x 1024 (1/1)"]
    assert "0.3 µm/px (given by the user)" in succeeded(run("info", bench.slide, "--mpp", 0.3)).stdout


def test_info_says_what_a_model_is(bench: Bench) -> None:
    facts = json.loads(succeeded(run("info", bench.model, "--json")).stdout)
    spec = make_spec()
    assert facts["model"] == "tiny.onnx"
    assert re.fullmatch("[0-9a-f]{64}", facts["sha256"])
    assert {name: facts[name] for name in ("name", "mpp", "tile_size", "licence", "recipe")} == {
        "name": spec.name,
        "mpp": spec.mpp,
        "tile_size": spec.tile_size,
        "licence": spec.licence,
        "recipe": spec.recipe,
    }
    assert facts["class_names"] == ["Signet ring cell"]
    lines = succeeded(run("info", bench.model)).stdout.splitlines()
    assert "class_names: Signet ring cell" in lines
    assert [line.split(": ")[0] for line in lines] == [*(name for name in facts if name != "held_out"), "held_out"]


# ---- simulate -------------------------------------------------------------------------------------------------------


def test_simulate_images_writes_a_set_and_says_what_is_in_it(tmp_path: Path) -> None:
    out = tmp_path / "a set"
    options: tuple[object, ...] = ("--positives", 2, "--negatives", 1, "--size", 300, "--images-per-slide", 1)
    options += ("--missing-rate", 0.5, "--workers", 1)
    result = succeeded(run("simulate", "images", out, *options))
    annotated, whole = read_dataset(out).images, read_dataset(out, full_truth=True).images
    cells, boxes = (sum(len(image.boxes) for image in images) for images in (whole, annotated))
    assert cells > boxes > 0
    assert result.stdout == f"{out}: 2 images with {cells} signet ring cells ({boxes} with a box), 1 without\n"
    assert re.fullmatch(r"drawing: 3 of 3 images(, [\d.]+ a (second|minute))?\n", result.stderr)
    assert [image.normal for image in annotated] == [False, False, True]
    assert len({image.slide for image in annotated}) == 3
    failed(run("simulate", "images", out, *options), str(out), "not empty", status=1)
    quiet = succeeded(run("simulate", "images", tmp_path / "again", *options, "--quiet"))
    assert (quiet.stdout, quiet.stderr) == (result.stdout.replace("a set", "again"), "")


def test_simulate_images_takes_backgrounds_and_names_a_bad_one(bench: Bench, tmp_path: Path) -> None:
    options = ("--positives", 0, "--negatives", 1, "--size", 200, "--workers", 1, "--background", bench.slide)
    bad = tmp_path / "bad.png"
    bad.write_text("hello")
    failed(run("simulate", "images", tmp_path / "out", *options, "--background", bad), "bad.png", status=1)
    succeeded(run("simulate", "images", tmp_path / "out", *options))
    described = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert described["options"]["backgrounds"] == ["a slide.svs"]


def test_simulate_slide_writes_a_slide_and_its_truth(tmp_path: Path) -> None:
    path = tmp_path / "slides" / "made.svs"
    options = ("--width", 400, "--height", 660, "--region", 240, "--mpp", 0.25, "--seed", 3, "--jpeg-quality", 70)
    result = succeeded(run("simulate", "slide", path, *options))
    assert files_in(path.parent) == ["made.svs", "made.truth.geojson"]
    features = json.loads((path.parent / "made.truth.geojson").read_text())["features"]
    kinds = [feature["properties"]["objectType"] for feature in features]
    cells = kinds.count("detection")
    assert kinds.count("annotation") == 2
    assert result.stdout == f"{path}: 1 region with {cells} signet ring cell{'s' * (cells != 1)}, 1 without\n"
    with openslide.OpenSlide(path) as slide:
        assert slide.dimensions == (400, 660)


@pytest.mark.parametrize(
    "arguments",
    [
        ("images", "--size", "20"),
        ("images", "--positives", "-1"),
        ("images", "--missing-rate", "2"),
        ("images", "--workers", "0"),
        ("slide", "--region", "5000"),
        ("slide", "--width", "500", "--region", "600"),
        ("slide", "--jpeg-quality", "0"),
        ("slide", "--mpp", "9"),
        ("movie",),
    ],
)
def test_wrong_options_of_simulate_end_with_status_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    failed(run("simulate", arguments[0], tmp_path / "out", *arguments[1:]), status=2)
    assert files_in(tmp_path) == []


# ---- train and export -----------------------------------------------------------------------------------------------


def test_train_and_export_name_what_they_cannot_use(tmp_path: Path) -> None:
    failed(run("train", tmp_path / "missing", "--out", tmp_path / "run"), "missing", "sig-train-pos", status=1)
    failed(run("train", tmp_path, "--out", tmp_path / "run", "--loss", "hinge"), "hinge", status=2)
    (tmp_path / "text.pt").write_text("hello")
    failed(run("export", tmp_path / "text.pt"), "text.pt", status=1)
    failed(run("export", tmp_path / "missing.pt"), "missing.pt", status=1)
    assert files_in(tmp_path) == ["text.pt"]


def test_every_loss_and_preset_that_an_option_names_is_there() -> None:
    assert [*LOSSES, "dice"] == list(get_args(LossName)), "dice is for segmentation alone"
    assert list(PRESETS) == list(get_args(PresetName))


def defaults_of(*path: str) -> dict[str, Any]:
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    assert command.name == path[-1]
    return {str(option.name): option.default for option in command.params if isinstance(option, click.Option)}


def test_the_defaults_that_help_shows_are_those_of_the_library() -> None:
    assert defaults_of("detect")["min_tissue"] == DEFAULT_MIN_TISSUE_UM2
