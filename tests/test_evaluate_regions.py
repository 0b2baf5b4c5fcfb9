"""`signetscan evaluate` of segmentations: a model and results against masks, and what is told in words."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy import ndimage
from shapely.geometry import box, mapping
from slide_files import write

from signetscan.cli.main import cli
from signetscan.cli.region_tables import ROWS
from signetscan.errors import ResultError
from signetscan.evaluation import label_maps
from signetscan.evaluation.label_maps import compare_labels
from signetscan.evaluation.options import AssessOptions
from signetscan.evaluation.region_assessment import FIGURES, _Figures, assess_regions
from signetscan.evaluation.region_results import MappedImage, background_of, has_map, read_segmented, scored_of
from signetscan.evaluation.region_set import Classes
from signetscan.evaluation.regions import OutlineCounts, RegionResult
from signetscan.results.failures import write_failure
from signetscan.testing.specs import make_segmentation_spec
from signetscan.testing.tiny_model import write_tiny_model
from signetscan.testing.tiny_segmenter import BEYOND, STEP, tiny_probabilities, write_tiny_segmenter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result
    from numpy.typing import NDArray


pytestmark = pytest.mark.usefixtures("no_settings")

CLASSES = ("Low grade", "High grade")
TONES = (250, 128, 8)
"""Grey of the background and of each class, by which the tiny model tells them."""
WIDTH, HEIGHT, MPP = 128, 96, 0.5
OUTLINES = ("--format", "geojson", "--format", "csv")
EXACT = (*OUTLINES, "--simplify", 0, "--min-area", 0, "--min-hole", 0)
"""Outlines that are those of the map's pixels."""


class Bench(NamedTuple):
    data: Path
    model: Path
    maps: Path
    outlines: Path


def labels_of(rng: np.random.Generator, *, positive: bool) -> NDArray[np.uint8]:
    """Rectangles of both classes, or none."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    for label in (1, 2) if positive else ():
        for _ in range(int(rng.integers(1, 4))):
            x, y, width, height = rng.integers((0, 0, 20, 20), (WIDTH - 20, HEIGHT - 20, 60, 50)).tolist()
            labels[y : y + height, x : x + width] = label
    return labels


def write_images(data: Path) -> None:
    """Six images with both classes and three without, two of a slide, whose masks are a little off."""
    rng = np.random.default_rng(3)
    for folder in ("images", "masks"):
        (data / folder).mkdir(parents=True)
    for number in range(9):
        labels = labels_of(rng, positive=number < 6)
        grey = np.array(TONES, np.float64)[labels] + rng.normal(0, 12, labels.shape)
        pixels = np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
        name = f"GT{number // 2}-1-400-00{number}.png"
        Image.fromarray(pixels).save(data / "images" / name)
        Image.fromarray(np.roll(labels, 3, axis=1)).save(data / "masks" / name)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, ready_workers: None) -> Bench:
    """Images with masks, a model, and its results, as class maps and as outlines."""
    folder = tmp_path_factory.mktemp("regions")
    write_images(folder / "data")
    model = write_tiny_segmenter(folder / "tiny.onnx")
    images = sorted((folder / "data" / "images").iterdir())
    for name, options in (("maps", ("--simplify", 9)), ("outlines", EXACT)):
        made = segment(images, model, folder / name, *options)
        assert made.exit_code == 0, made.output
    return Bench(folder / "data", model, folder / "maps", folder / "outlines")


def segment(images: list[Path], model: Path, out: Path, *options: object) -> Result:
    return run("segment", *images, "--model", model, "--mpp", MPP, "--out", out, "--no-tissue-mask", *options)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def printed(*arguments: object) -> dict[str, Any]:
    result = run("evaluate", *arguments, "--json")
    assert result.exception is None, result.output
    shown: dict[str, Any] = json.loads(result.stdout)
    return shown


def failed(result: Result, *said: str, status: int = 1) -> None:
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert (result.exit_code, result.stdout) == (status, ""), result.output
    last = result.stderr.splitlines()[-1]
    assert all(word in last for word in said), last


def slow_labels(path: Path) -> NDArray[np.int64]:
    """What the tiny model says of each pixel, computed without it."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    around = np.pad(pixels, ((BEYOND, BEYOND), (BEYOND, BEYOND), (0, 0)), constant_values=255)
    classes = tiny_probabilities(around).argmax(axis=0)
    return np.asarray(np.repeat(np.repeat(classes, STEP, axis=0), STEP, axis=1))


def slow_counts(data: Path) -> list[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """The prediction and the truth of each image."""
    pairs = []
    for path in sorted((data / "masks").iterdir()):
        with Image.open(path) as mask:
            pairs.append((slow_labels(data / "images" / path.name), np.asarray(mask)))
    return pairs


def test_a_model_is_judged_as_a_slow_reference_judges_it(bench: Bench) -> None:
    shown = printed(bench.model, bench.data, "--mpp", MPP, "--least-region", 0)
    pairs = slow_counts(bench.data)
    predicted, true = (np.stack([pair[side] for pair in pairs]) for side in (0, 1))
    for label, name in enumerate(CLASSES, start=1):
        is_true, called = true == label, predicted == label
        figures = shown["by_class"][name]
        assert figures["dice"]["value"] == pytest.approx(2 * (is_true & called).sum() / (is_true.sum() + called.sum()))
        assert figures["precision"]["value"] == pytest.approx((is_true & called).sum() / called.sum())
        assert figures["recall"]["value"] == pytest.approx((is_true & called).sum() / is_true.sum())
        found = total = 0
        for image in range(len(true)):
            numbers, count = ndimage.label(is_true[image], np.ones((3, 3)))
            total += count
            found += sum(called[image][numbers == number].mean() >= 0.5 for number in range(1, count + 1))
        assert figures["regions"] == total
        assert figures["region_recall"]["value"] == pytest.approx(found / total)
    each = [
        2 * ((one > 0) & (other > 0)).sum() / ((one > 0).sum() + (other > 0).sum())
        for one, other in pairs
        if other.any()
    ]
    assert shown["figures"]["image_dice"]["value"] == pytest.approx(np.mean(each), abs=1e-6)
    assert shown["figures"]["auc"]["value"] == 1
    assert shown["counts"] == {"positive_images": 6, "normal_images": 3, "slides": 5}
    assert shown["pixels"]["Background"]["High grade"] == ((true == 0) & (predicted == 2)).sum()


@pytest.mark.parametrize("form", ["maps", "outlines"])
def test_results_give_the_figures_of_the_model_that_they_are_from(bench: Bench, form: str) -> None:
    results: Path = getattr(bench, form)
    by_model, by_results = printed(bench.model, bench.data, "--mpp", MPP), printed(results, bench.data)
    assert by_results["pixels"] == by_model["pixels"]
    assert by_results["by_class"] == by_model["by_class"]
    for name in FIGURES:  # scores are rounded in run records, which may join two
        assert by_results["figures"][name]["value"] == by_model["figures"][name]["value"]
    assert not any("simplified" in line for line in by_results["notes"])
    one = printed(results / "GT0-1-400-000.regions.geojson", bench.data)
    assert one["counts"]["positive_images"] == 1
    assert one["figures"]["auc"]["value"] is None


def test_files_and_tables_say_the_same(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "report"
    result = run("evaluate", bench.model, bench.data, "--mpp", MPP, "--out", out)
    assert result.exception is None, result.output
    assert sorted(path.name for path in out.iterdir()) == ["confusion.png", "dice.png", "images.csv", "metrics.json"]
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    for name, label in ROWS:
        if name != "dice":  # both classes are scored, so the line would say the same twice
            value = metrics["figures"][name]["value"]
            line = next(line for line in result.stdout.splitlines() if line.startswith(label))
            assert f"{value:.4f}" in line
    assert "fewer than 8 of a kind" in result.stderr
    with (out / "images.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    dice = [float(row["dice"]) for row in rows if row["positive"] == "yes"]
    assert dice == sorted(dice)
    assert np.mean(dice) == pytest.approx(metrics["figures"]["image_dice"]["value"], abs=1e-6)
    assert {row["slide"] for row in rows} == {"GT0", "GT1", "GT2", "GT3", "GT4"}


def test_two_models_are_compared_on_the_same_images(bench: Bench, tmp_path: Path) -> None:
    same = printed(bench.model, bench.data, "--mpp", MPP, "--against", bench.model)["against"]
    assert same["images"] == 9
    assert {(row["difference"], row["low"], row["high"]) for row in same["figures"].values()} == {(0, 0, 0)}
    images = sorted((bench.data / "images").iterdir())
    coarse = tmp_path / "coarse"
    assert segment(images[1:], bench.model, coarse, *OUTLINES, "--simplify", 15).exit_code == 0
    result = run("evaluate", bench.maps, bench.data, "--against", coarse)
    assert result.exception is None, result.output
    assert "on the same 8 images" in result.stdout
    assert "outlines were simplified by 15 µm" in result.stderr
    row = next(line for line in result.stdout.split("Against")[1].splitlines() if line.startswith("Precision"))
    first, other, difference = map(float, row.removeprefix("Precision of pixels").split()[:3])
    assert first - other == pytest.approx(difference, abs=2e-4)
    assert difference != 0
    spec = make_segmentation_spec(class_names=("Background", "Benign", "High grade"))
    renamed = write_tiny_segmenter(tmp_path / "renamed.onnx", metadata=spec.to_metadata())
    failed(run("evaluate", bench.model, bench.data, "--mpp", MPP, "--against", renamed), "Benign", "same classes")


def test_classes_go_by_name_and_may_be_named(bench: Bench, tmp_path: Path) -> None:
    folders = tmp_path / "folders"
    for label, name in ((1, "low grade"), (2, "adenoma")):
        for kind in ("images", "masks"):
            (folders / name / kind).mkdir(parents=True)
        for file in sorted((bench.data / "masks").iterdir())[:6]:
            with Image.open(file) as mask, Image.open(bench.data / "images" / file.name) as image:
                image.putpixel((0, 0), (label, 0, 0))  # a file of its own
                image.save(folders / name / "images" / file.name)
                Image.fromarray((np.asarray(mask) == label).astype(np.uint8)).save(folders / name / "masks" / file.name)
    failed(run("evaluate", bench.model, folders, "--mpp", MPP), "adenoma", "Low grade, High grade", "--truth-class")
    named = ("--truth-class", "Low grade=low grade", "--truth-class", "High grade=adenoma")
    shown = printed(bench.model, folders, "--mpp", MPP, *named, "--scored", "high grade")
    assert shown["scored_classes"] == ["High grade"]
    assert shown["counts"]["positive_images"] == 6
    failed(run("evaluate", bench.model, bench.data, "--scored", "Adenoma"), "no class 'Adenoma'", status=2)
    failed(run("evaluate", bench.model, bench.data, "--truth-class", "Low grade"), "has the value 2")


def test_digestpath_layout_is_judged_and_its_class_may_be_renamed(bench: Bench, tmp_path: Path) -> None:
    root = tmp_path / "Colonoscopy_tissue_segment_dataset"
    for kind in ("tissue-train-pos-v1", "tissue-train-neg"):
        (root / kind).mkdir(parents=True)
    for number, path in enumerate(sorted((bench.data / "masks").iterdir())):
        stem = f"D{number}_2019-02-25 21_57_{number:02d}-lv1-1-2-{WIDTH}-{HEIGHT}"
        positive = number < 6
        folder = root / ("tissue-train-pos-v1" if positive else "tissue-train-neg")
        with Image.open(bench.data / "images" / path.name) as image, Image.open(path) as mask:
            image.save(folder / f"{stem}.jpg", quality=95)
            if positive:
                lesion = np.where(np.asarray(mask) == 2, np.uint8(255), np.uint8(0))
                Image.fromarray(lesion).save(folder / f"{stem}_mask.jpg", quality=75)
    failed(run("evaluate", bench.model, tmp_path), "shows lesion", "--truth-class")
    shown = printed(bench.model, tmp_path, "--truth-class", "High grade", "--scored", "High grade")
    assert shown["counts"] == {"positive_images": 6, "normal_images": 3, "slides": 9}
    assert shown["figures"]["scored_dice"]["value"] > 0.5


def write_outlined(folder: Path, mpp: float = MPP, shade: int = TONES[0]) -> None:
    """A slide on which one of two areas was outlined, within the part that somebody looked through."""
    folder.mkdir(exist_ok=True)
    labels = np.zeros((640, 800), np.uint8)
    labels[100:300, 100:400] = 2
    labels[400:600, 500:700] = 1
    pixels = np.repeat(np.array(TONES, np.uint8)[labels][..., None], 3, axis=2)
    pixels[0, 0] = shade
    tags: dict[str, Any] = {"resolution": (1e4 / mpp,) * 2, "resolutionunit": "CENTIMETER"}
    write(folder / "a.tif", pixels, levels=2, **tags)
    outlines = [(box(100, 100, 400, 300), "High grade"), (box(0, 0, 450, 640), None)]
    features = [
        {
            "type": "Feature",
            "geometry": mapping(area),
            "properties": {"objectType": "annotation"} | ({"classification": {"name": name}} if name else {}),
        }
        for area, name in outlines
    ]
    (folder / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def test_a_model_is_judged_on_a_slide_that_was_outlined(bench: Bench, tmp_path: Path) -> None:
    """What nobody said anything about counts neither way."""
    write_outlined(tmp_path)
    shown = printed(bench.model, tmp_path)
    assert sum(sum(row.values()) for row in shown["pixels"].values()) == 450 * 640
    assert shown["by_class"]["High grade"]["dice"]["value"] > 0.95
    assert shown["by_class"]["High grade"]["regions"] == 1
    assert shown["pixels"]["Low grade"] == {"Background": 0, "Low grade": 0, "High grade": 0}


@pytest.mark.parametrize("mpp", [MPP, 0.4])
@pytest.mark.parametrize("formats", [(), EXACT])
def test_results_are_judged_on_a_slide_that_was_outlined_as_their_model_is(
    bench: Bench, tmp_path: Path, mpp: float, formats: tuple[object, ...]
) -> None:
    truth, out = tmp_path / "truth", tmp_path / "out"
    write_outlined(truth, mpp)
    made = run("segment", truth / "a.tif", "--model", bench.model, "--out", out, "--no-tissue-mask", *formats)
    assert made.exit_code == 0, made.output
    of_model, of_results = printed(bench.model, truth), printed(out, truth)
    counts = [np.array([list(row.values()) for row in shown["pixels"].values()]) for shown in (of_model, of_results)]
    assert counts[0].sum() == counts[1].sum() == round(450 * mpp / MPP) * round(640 * mpp / MPP)
    assert np.abs(counts[0] - counts[1]).sum() < 0.01 * counts[0].sum()
    assert of_results["by_class"]["High grade"]["dice"]["value"] > 0.95
    assert of_results["by_class"]["High grade"]["regions"] == 1
    assert of_results["figures"]["auc"]["value"] is None


def test_results_of_other_slides_than_those_outlined_are_refused(bench: Bench, tmp_path: Path) -> None:
    truth, other, out = tmp_path / "truth", tmp_path / "other", tmp_path / "out"
    write_outlined(truth)
    assert run("segment", truth / "a.tif", "--model", bench.model, "--out", out).exit_code == 0
    write_outlined(other, shade=77)
    failed(run("evaluate", out, other), "a.regions: results of another slide than", "a.tif; segment that slide")
    for suffix in ("tif", "geojson"):
        (other / f"a.{suffix}").rename(other / f"b.{suffix}")
    failed(run("evaluate", out, other), "no result has the name of a slide or image", "names here: a; in", ": b")
    (other / "b.tif").unlink()
    failed(run("evaluate", out, other), "neither images with masks nor slides with outlines", ".geojson")


def test_wrong_inputs_are_told_in_words(bench: Bench, tmp_path: Path) -> None:
    detector = write_tiny_model(tmp_path / "detects.onnx")
    failed(run("evaluate", detector, bench.data), "detects.onnx", "detect")
    cells = tmp_path / "cells"
    cells.mkdir()
    (cells / "GT0-1-400-000.csv").write_text("x0,y0,x1,y1\n1,2,30,40\n", encoding="utf-8")
    failed(run("evaluate", cells, bench.data), "no results of a segmentation", "signetscan segment")
    failed(run("evaluate", bench.outlines, cells), "neither images with masks nor slides with outlines", "DigestPath")
    failed(run("evaluate", bench.model, cells), "no images with masks")
    failed(run("evaluate", cells, bench.data / "masks" / "GT0-1-400-000.png"), "is a picture")
    failed(run("evaluate", bench.model, bench.data, "--iou", 0.5), "iou is an option of detection", status=2)
    failed(run("evaluate", cells, cells, "--least-region", 5), "is an option of segmentation", status=2)
    failed(run("evaluate", bench.maps, bench.data, "--mpp", 1), "give their size for a model only", status=2)
    failed(run("evaluate", tmp_path / "none.onnx", bench.data), "no such file")


def test_results_of_other_images_or_models_are_refused(bench: Bench, tmp_path: Path) -> None:
    def copied(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for path in bench.outlines.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        return folder

    edited = copied("edited")
    path = edited / "GT0-1-400-000.regions.geojson"
    path.write_bytes(path.read_bytes().replace(b"High grade", b"Low grade"))
    failed(run("evaluate", edited, bench.data), "GT0-1-400-000.regions.geojson", "not the file that its run wrote")
    (edited / "GT0-1-400-000.regions.geojson").unlink()
    failed(run("evaluate", edited, bench.data), "GT0-1-400-000.regions.geojson", "cannot be read")
    mixed = copied("mixed")
    record = mixed / "GT0-1-400-000.regions.run.json"
    changed = json.loads(record.read_text(encoding="utf-8"))
    changed["model"]["sha256"] = "0" * 64
    record.write_text(json.dumps(changed), encoding="utf-8")
    failed(run("evaluate", mixed, bench.data), "two models", "evaluate each alone")
    smaller = tmp_path / "smaller"
    for kind in ("images", "masks"):
        (smaller / kind).mkdir(parents=True)
        with Image.open(bench.data / kind / "GT0-1-400-000.png") as picture:
            picture.crop((0, 0, WIDTH - 8, HEIGHT)).save(smaller / kind / "GT0-1-400-000.png")
    failed(run("evaluate", bench.maps, smaller), f"{WIDTH} x {HEIGHT} px", f"{WIDTH - 8} x {HEIGHT} px")
    (smaller / "images" / "GT0-1-400-000.png").rename(smaller / "images" / "T9-9.png")
    (smaller / "masks" / "GT0-1-400-000.png").rename(smaller / "masks" / "T9-9.png")
    failed(run("evaluate", bench.maps, smaller), "no result has the name", "T9-9")


@pytest.mark.parametrize(
    ("form", "change", "said"),
    [
        ("geojson", lambda record: record["files"].pop("geojson"), "neither class map nor outlines"),
        ("classmap", lambda record: record["regions"].update(background="Fat"), "names the class Fat"),
        ("classmap", lambda record: record["regions"].update(scored_classes=["Fat"]), "names the class Fat"),
    ],
)
def test_records_that_do_not_say_enough_are_refused(
    bench: Bench, tmp_path: Path, form: str, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    source = bench.outlines if form == "geojson" else bench.maps
    for path in source.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    path = tmp_path / "GT0-1-400-000.regions.run.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    change(record)
    path.write_text(json.dumps(record), encoding="utf-8")
    failed(run("evaluate", tmp_path, bench.data), "GT0-1-400-000", said)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda feature: feature["properties"].pop("classification"), "is no region that signetscan segment writes"),
        (lambda feature: feature["properties"]["classification"].update(name="Fat"), "its model does not"),
        (lambda feature: feature["geometry"].update(coordinates=[[]]), "feature 1"),
    ],
)
def test_outlines_that_segment_never_wrote_are_refused(
    bench: Bench, tmp_path: Path, spoil: Callable[[dict[str, Any]], object], said: str
) -> None:
    for path in bench.outlines.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    path, record_path = (tmp_path / f"GT0-1-400-000.regions.{end}" for end in ("geojson", "run.json"))
    collection = json.loads(path.read_text(encoding="utf-8"))
    spoil(collection["features"][0])
    path.write_text(json.dumps(collection), encoding="utf-8")
    record = json.loads(record_path.read_text(encoding="utf-8"))
    record["files"]["geojson"] |= {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "bytes": path.stat().st_size,
    }
    record_path.write_text(json.dumps(record), encoding="utf-8")
    failed(run("evaluate", tmp_path, bench.data), "GT0-1-400-000.regions.geojson", said)


def test_a_file_of_regions_needs_its_run_record(bench: Bench, tmp_path: Path) -> None:
    name = "GT0-1-400-000.regions.geojson"
    (tmp_path / name).write_bytes((bench.outlines / name).read_bytes())
    failed(run("evaluate", tmp_path / name, bench.data), "need their run record beside them")


def test_results_of_a_slide_that_failed_later_do_not_count(bench: Bench, tmp_path: Path) -> None:
    for path in bench.maps.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    write_failure(tmp_path, "GT1-1-400-002.regions", "the file is cut short", attempts=2)
    found = read_segmented(tmp_path)
    assert list(found.failed) == ["GT1-1-400-002"]
    assert "cut short" in found.failed["GT1-1-400-002"]
    assert (len(found.slides), "GT1-1-400-002" in found.slides) == (8, False)
    with pytest.raises(ResultError, match="no results of a segmentation"):
        read_segmented(bench.model)


def test_records_of_former_versions_say_less(bench: Bench) -> None:
    slide = read_segmented(bench.maps / "GT0-1-400-000.regions.run.json").slides["GT0-1-400-000"]
    assert scored_of(slide) == (1, 2)
    assert scored_of(replace(slide, regions=replace(slide.regions, scored=()))) == (1, 2)
    assert background_of(replace(slide, regions=replace(slide.regions, background=""))) == 0
    unplaced = replace(slide, regions=replace(slide.regions, map=None))
    assert not has_map(unplaced)
    with pytest.raises(ResultError, match="does not say where the class map lies; segment the slide again"):
        MappedImage(unplaced)


def test_what_is_left_out_is_said(bench: Bench, tmp_path: Path) -> None:
    for path in bench.maps.iterdir():
        if not path.name.startswith("GT1-1-400-002"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    shown = printed(tmp_path, bench.data)
    assert shown["counts"]["positive_images"] == 5
    assert any("Images without results left out" in line and "GT1-1-400-002" in line for line in shown["notes"])


def test_regions_of_a_large_image_are_looked_at_with_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    true = np.kron(rng.integers(0, 3, (12, 9)), np.ones((40, 40), np.int64)).astype(np.uint8)
    predicted = np.where(rng.random(true.shape) < 0.2, 0, true).astype(np.uint8)

    def counted(rows: int) -> tuple[list[int], ...]:
        bands = ((true[top : top + rows], predicted[top : top + rows]) for top in range(0, len(true), rows))
        found = compare_labels(true.shape[::-1], bands, classes=3, background=0, least_px=400)
        expected = np.bincount((true.astype(int) * 3 + predicted).ravel(), minlength=9).reshape(3, 3)
        assert (found.confusion == expected).all()
        outlines = found.outlines()
        return outlines.true.tolist(), outlines.found.tolist()

    whole = counted(100)
    assert sum(whole[0]) > 5
    assert whole[0] == whole[1]
    monkeypatch.setattr(label_maps, "MOST_PLACES", true.size // 20)
    assert counted(7) == whole
    assert counted(64) == whole


def test_weights_count_images_several_times() -> None:
    rng = np.random.default_rng(1)
    classes = Classes(names=("none", "a", "b"), background=0, scored=(1, 2))

    def one(number: int) -> RegionResult:
        true, predicted = (np.append(0, rng.integers(1, 9, 2)) for _ in range(2))
        confusion = rng.integers(1, 50, (3, 3))
        confusion[1:] *= number % 3 > 0
        counts = OutlineCounts(true=true, found=true // 2, predicted=predicted, right=predicted // 3)
        return RegionResult(
            confusion=confusion, scored=(1, 2), score=float(rng.random()), name=str(number), slide="", outlines=counts
        )

    results = [one(number) for number in range(7)]
    weights = rng.integers(0, 4, 7)
    repeated = [result for result, weight in zip(results, weights, strict=True) for _ in range(weight)]
    assert _Figures(results, classes)(weights) == pytest.approx(_Figures(repeated, classes)())
    assessment = assess_regions(results, classes, AssessOptions(bootstrap=50))
    assert set(assessment.figures) == set(FIGURES)
    assert all(figure.low <= figure.value <= figure.high for figure in assessment.figures.values())
