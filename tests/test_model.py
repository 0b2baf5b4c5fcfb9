"""The model that ships, on the slide that ships: a simulated one that it did not learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import ROOT

from signetscan.boxes import iou_matrix
from signetscan.errors import ModelError
from signetscan.evaluation import evaluate
from signetscan.models.detection_spec import LEAST_SCORE
from signetscan.models.detector import OnnxDetector, load_detector
from signetscan.models.known_models import check_contract
from signetscan.models.loading import load_model
from signetscan.models.store import DEFAULT_MODEL, ROLES, find_model, shipped_models
from signetscan.results.writing import write_results
from signetscan.scan.detect import SlideResult, detect_slide
from signetscan.scan.options import ScanOptions
from signetscan.slides import open_slide
from signetscan.testing.simulated import with_truth
from signetscan.testing.tilings import agreement, region_of, scan

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = ROOT / "tests" / "data" / "sample.svs"


@pytest.fixture(scope="module")
def detector() -> OnnxDetector:
    return load_detector(find_model(DEFAULT_MODEL), device="cpu")


@pytest.fixture(scope="module")
def result(detector: OnnxDetector) -> SlideResult:
    """Everything found on the sample, down to a low score."""
    with open_slide(SAMPLE) as slide:
        return detect_slide(slide, detector, ScanOptions(threshold=LEAST_SCORE))


def test_a_model_has_a_role_or_a_name_or_is_not_there() -> None:
    assert find_model("accurate") == find_model(DEFAULT_MODEL)
    assert set(ROLES.values()) == set(shipped_models())
    with pytest.raises(
        ModelError,
        match=r"nor a model of this name \(known: accurate, fast, nuclei, glands, glands-2, nuclei-1, signet-sim-3",
    ):
        find_model("quick")


@pytest.mark.parametrize("name", sorted(shipped_models()))
def test_every_model_is_small_and_has_a_card(name: str) -> None:
    path = find_model(name)
    model = load_model(path, device="cpu")
    spec = check_contract(model)
    assert path.stat().st_size < 50e6
    assert spec.name == name
    card = (ROOT / "models" / f"{name.removesuffix('-int8')}.md").read_text(encoding="utf-8")
    assert model.sha256 in card
    assert spec.training_data in " ".join(card.split())
    assert spec.intended_use in " ".join(card.split())


def test_the_fast_model_finds_what_the_accurate_one_finds(detector: OnnxDetector) -> None:
    found = []
    fast = load_detector(find_model("fast"), device="cpu")
    for model in (detector, fast):
        with open_slide(SAMPLE) as slide:
            found.append(detect_slide(slide, model).detections)
    same = iou_matrix(found[0].boxes, found[1].boxes) >= 0.5
    assert same.any(axis=1).mean() >= 0.95
    assert same.any(axis=0).mean() >= 0.95


def test_it_finds_the_cells_of_the_sample(result: SlideResult, detector: OnnxDetector) -> None:
    images = with_truth(result.detections, SAMPLE.with_name("sample.truth.geojson"))
    scores = evaluate(images, detector.spec.score_threshold)
    assert scores.cells == 72
    assert scores.froc >= 0.8
    assert scores.recall >= 0.7
    assert scores.fps_score >= 90


@pytest.mark.slow
@pytest.mark.parametrize(("size", "overlap"), [(512, 384), (768, 256), (768, 384)])
def test_tiles_find_what_one_pass_finds(detector: OnnxDetector, size: int, overlap: int) -> None:
    """At full size, on more tilings: scripts/tools/check_tiling.py."""
    with open_slide(SAMPLE) as slide:
        region = region_of(slide, detector.spec.mpp, 300, 300, 1280)
    threshold = detector.spec.score_threshold
    whole = scan(region, detector, threshold, 1280, 0)
    assert (whole.scores >= threshold).sum() > 30
    assert agreement(whole, scan(region, detector, threshold, size, overlap), threshold) >= 0.995


@pytest.mark.slow
def test_outputs_are_the_same_bytes_whatever_the_batches_and_readers(detector: OnnxDetector, tmp_path: Path) -> None:
    written = []
    with open_slide(SAMPLE) as slide:
        region = region_of(slide, detector.spec.mpp, 300, 300, 1280)
    for batch_size, readers in ((1, 1), (3, 2), (8, 4)):
        out = tmp_path / f"{batch_size}"
        out.mkdir()
        options = ScanOptions(batch_size=batch_size, read_threads=readers, tile_size=512, overlap=256)
        write_results(out / "sample", region, detector, detect_slide(region, detector, options))
        written.append([(out / f"sample.{ending}").read_bytes() for ending in ("geojson", "csv")])
    assert len(written[0][0]) > 1000
    assert written[1:] == [written[0]] * 2


def test_a_real_slide_of_half_the_resolution_is_scanned(detector: OnnxDetector, shared_slides: Path) -> None:
    """No truth here: the boxes lie on the slide, in level-0 pixels, and are of a cell's size."""
    with open_slide(shared_slides / "CMU-1-Small-Region.svs") as slide:
        options = ScanOptions(threshold=LEAST_SCORE)
        found = detect_slide(slide, detector, options)
        assert slide.mpp is not None
        sides = (found.detections.boxes[:, 2:] - found.detections.boxes[:, :2]) * slide.mpp.x
        assert (found.detections.boxes >= 0).all()
        assert (found.detections.boxes <= np.array([*slide.dimensions, *slide.dimensions])).all()
    assert 0 < found.tiles_scanned <= found.tiles
    assert 5 < np.median(sides) < 30, "um"
