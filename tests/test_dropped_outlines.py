"""The experiment on dropped outlines: what is dropped, its figures against slow references, and its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from signetscan.dataset.masks.images import MaskedImage
from signetscan.testing.dropped_outlines.figures import at_threshold, best_threshold, judged, ranking
from signetscan.testing.dropped_outlines.masks import (
    SIZE_PX,
    drop_outlines,
    few_of_each,
    image_sets,
    outlines_of,
    reduced_dataset,
    truth_of,
)
from signetscan.testing.dropped_outlines.methods import METHODS, RATES, jobs_for
from signetscan.testing.dropped_outlines.report import COLUMNS, paired_difference, write_report

if TYPE_CHECKING:
    from pathlib import Path

GRADES = {"adenocarcinoma": 3, "high-grade-in": 2, "low-grade-in": 2, "normal": 2, "polyp": 2}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A data set in the layout of EBHI-Seg: discs, some in the corner of another."""
    rng = np.random.default_rng(0)
    rows, columns = np.indices((224, 224))
    for grade, cases in GRADES.items():
        for kind in ("images", "masks"):
            (tmp_path / grade / kind).mkdir(parents=True)
        for case in range(cases * 3):
            for number in range(4 if case == 0 else 1):
                mask = np.zeros((224, 224), np.bool_)
                for _ in range(int(rng.integers(1, 6))):
                    mask |= np.hypot(rows - rng.integers(20, 200), columns - rng.integers(20, 200)) < 18
                stem = f"GT{grade[:2].upper()}{case}-1-400-{number:03}"
                noise = rng.integers(0, 255, (224, 224, 3), np.uint8)
                Image.fromarray(noise).save(tmp_path / grade / "images" / f"{stem}.png")
                Image.fromarray(mask).save(tmp_path / grade / "masks" / f"{stem}.png")
    return tmp_path


def test_outlines_are_dropped_whole_and_their_images_stay_doubtful(source: Path, tmp_path: Path) -> None:
    dataset = reduced_dataset(source, "lesions", tmp_path / "reduced")
    assert (dataset.class_names, dataset.mpp) == (("background", "lesion"), 4 * SIZE_PX)
    assert {image.path.name.split("-GT")[0] for image in dataset.images if image.normal} == {"normal", "polyp"}
    with_outlines = [image for image in dataset.images if not image.normal]
    before = [outlines_of(truth_of(image)) for image in with_outlines]
    total = sum(count for _, count in before)
    kept_before: set[tuple[int, int]] | None = None
    for rate in (0.7, 0.3, 0.0):
        dropped = drop_outlines(dataset.images, rate, 5, tmp_path / f"masks{rate}")
        assert [image.normal for image in dropped.images] == [image.normal for image in dataset.images]
        assert all(image.shows == (1,) for image in dropped.images if not image.normal)
        kept: set[tuple[int, int]] = set()
        after = [truth_of(image) for image in dropped.images if not image.normal]
        for index, ((numbers, count), left) in enumerate(zip(before, after, strict=True)):
            for number in range(1, count + 1):
                parts = left[numbers == number]
                assert parts.all() or not parts.any()
                kept |= {(index, number)} if parts.all() else set()
            assert not left[numbers == 0].any()
        assert len(kept) == dropped.kept == total - round(rate * total)
        assert dropped.without == sum(not left.any() for left in after)
        if kept_before is not None:  # what is dropped at a lower rate is dropped at a higher one
            assert kept_before <= kept
        kept_before = kept


def test_sets_share_no_case_and_seeds_share_the_test(source: Path, tmp_path: Path) -> None:
    dataset = reduced_dataset(source, "glands", tmp_path / "reduced")
    assert not any(image.normal for image in dataset.images)
    first, second = image_sets(dataset, 0), image_sets(dataset, 1)
    assert first.test == second.test
    assert first.choose != second.choose
    cases = [{image.slide for image in images} for images in (first.learn, first.choose, first.test)]
    assert len(set.union(*cases)) == sum(map(len, cases))
    image = MaskedImage(path=tmp_path, width=1, height=1, mask=None, slide="a")
    assert len(few_of_each([image] * 10)) == 3


def test_figures_are_those_of_a_slow_reference() -> None:
    rng = np.random.default_rng(2)
    truths = [rng.random((20, 24)) < 0.3 for _ in range(4)] + [np.zeros((20, 24), np.bool_)] * 2
    truths[0] = np.zeros((20, 24), np.bool_)
    truths[0][2:9, 3:9] = truths[0][12:18, 12:20] = True
    # Halves of thousandths, so that a score lies within a level and not on its edge.
    found = [
        (np.round((0.5 * rng.random(truth.shape) + 0.4 * truth * rng.random()) * 1000) + 0.5) / 1001 for truth in truths
    ]
    result = judged(found, truths, [True] * 4 + [False] * 2)
    scores, labels = np.concatenate([each.ravel() for each in found]), np.concatenate([each.ravel() for each in truths])
    for threshold in (0.1, 0.35, 0.5):
        called = scores >= threshold
        figures = at_threshold(result, threshold)
        assert figures["dice"] == pytest.approx(2 * (called & labels).sum() / (called.sum() + labels.sum()))
        assert figures["precision"] == pytest.approx((called & labels).sum() / called.sum())
        assert figures["recall"] == pytest.approx((called & labels).sum() / labels.sum())
        normal = np.concatenate([each.ravel() for each in found[4:]])
        assert figures["in_normal"] == pytest.approx((normal >= threshold).mean())
        hits = []
        for truth, each in zip(truths, found, strict=True):
            numbers, count = outlines_of(truth)
            inside = [each[numbers == number] for number in range(1, count + 1)]
            hits += [(part >= threshold).mean() > 0.5 for part in inside if len(part) >= 8]
        assert figures["glands"] == pytest.approx(np.mean(hits))
    order = scores[labels][:, None] - scores[~labels]
    assert ranking(result)["auc"] == pytest.approx(np.mean(np.where(order == 0, 0.5, order > 0)), abs=2e-3)
    tops = [np.sort(each, axis=None)[-5:].mean() for each in found]
    pairs = [one > other for one in tops[:4] for other in tops[4:]]
    assert ranking(result)["image_auc"] == pytest.approx(np.mean(pairs))
    best = best_threshold(result)
    assert at_threshold(result, best)["dice"] == pytest.approx(ranking(result)["best_dice"])
    assert all(at_threshold(result, other)["dice"] <= ranking(result)["best_dice"] for other in (0.2, 0.4, 0.6))
    precision = [(labels & (scores >= cut)).sum() / (scores >= cut).sum() for cut in scores[labels]]
    assert ranking(result)["ap"] == pytest.approx(np.mean(precision), abs=5e-3)


def test_tables_tell_differences_with_intervals(tmp_path: Path) -> None:
    rows = [
        dict.fromkeys(COLUMNS, "0.5")
        | {"method": method, "dropped": "0.5", "seed": str(seed), "ap": str(0.5 + bonus + 0.01 * seed)}
        for method, bonus in (("ce", 0.0), ("ce-dice", 0.1))
        for seed in range(3)
    ]
    rows[0]["ap"] = "0.53"
    middle, low, high, count = paired_difference(rows, "ce", 0.5, "ap") or pytest.fail("no difference")
    assert middle == pytest.approx(-0.09)
    assert count == 3
    # Student's t with two degrees of freedom is 4.3027; differences are -0.07, -0.1 and -0.1.
    assert high - middle == pytest.approx(4.3027 * 0.0173205 / 3**0.5, rel=1e-3)
    assert middle - low == pytest.approx(high - middle)
    assert paired_difference(rows[:1], "ce", 0.5, "ap") is None
    write_report(tmp_path, "lesions", rows)
    assert sorted(path.name.rpartition(".")[2] for path in tmp_path.iterdir()) == ["csv", "md", "png"]
    text = (tmp_path / "dropped-outlines-lesions.md").read_text(encoding="utf-8")
    assert "| CE |  |  | -0.090 (-0.133 to -0.047) |  |" in text
    assert "| CE + Dice |  |  | 0.610 ± 0.010 |  |" in text


def test_runs_that_are_done_are_not_made_again() -> None:
    jobs = list(jobs_for([0, 2], RATES, list(METHODS), {(0, 0.3, "ce"), (2, 0.7, "ghm")}))
    assert len(jobs) == len(set(jobs)) == 2 * len(RATES) * len(METHODS) - 2
    assert (0, 0.3, "ce") not in jobs
