from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetscan.boxes import iou_matrix, paired_iou
from signetscan.detections import Detections
from signetscan.scan import merge, neighbours
from signetscan.scan.merge import SEAM_MARGIN, best_first, keep_owned, merge_tiles, suppress
from signetscan.scan.tiling import Tile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from signetscan.boxes import Boxes


@st.composite
def detections(draw: st.DrawFn, most: int = 40) -> Detections:
    # Few different places and scores, so that ties, boxes given twice and chains of overlaps are common.
    place = st.integers(-2, 30).map(lambda n: n * 4.0) | st.sampled_from([-0.0, 1e-12, 1.0 + 2**-40, 1.0])
    side = st.sampled_from([20.0, 24.0, 40.0]) | st.sampled_from([0.01, 3.0, 200.0, 5000.0])
    score = st.integers(1, 20).map(lambda n: n / 20)
    label = st.integers(0, draw(st.sampled_from([0, 1, 9])))
    rows = draw(st.lists(st.tuples(place, place, side, side, score, label), max_size=most))
    table = np.array(rows, np.float64).reshape(-1, 6)
    boxes = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1)
    return Detections(boxes=boxes, scores=table[:, 4].astype(np.float32), labels=table[:, 5].astype(np.int64))


def by_all_keys(detected: Detections) -> list[int]:
    """The order of `best_first`, by Python's sort on all keys."""
    rows = zip((-detected.scores).tolist(), detected.boxes.tolist(), detected.labels.tolist(), strict=True)
    keys = [(score, *box, label) for score, box, label in rows]
    return sorted(range(len(detected)), key=keys.__getitem__)


def one_by_one(detected: Detections, threshold: float) -> list[int]:
    """The textbook loop of greedy suppression: indices of the kept detections, best first."""
    kept: list[int] = []
    for index in by_all_keys(detected):
        rivals = [other for other in kept if detected.labels[other] == detected.labels[index]]
        if not (iou_matrix(detected.boxes[[index]], detected.boxes[rivals]) > threshold).any():
            kept.append(index)
    return kept


def rows_of(detected: Detections) -> list[tuple[float, ...]]:
    return [
        (score, *box, label)
        for score, box, label in zip(
            detected.scores.tolist(), detected.boxes.tolist(), detected.labels.tolist(), strict=True
        )
    ]


def same_bits(one: Detections, other: Detections) -> bool:
    pairs = ((one.boxes, other.boxes), (one.scores, other.scores), (one.labels, other.labels))
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in pairs)


THRESHOLDS = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])


@given(detections(), THRESHOLDS)
def test_suppression_is_greedy(detected: Detections, threshold: float) -> None:
    assert same_bits(suppress(detected, threshold), detected.select(np.array(one_by_one(detected, threshold), np.intp)))


@given(detections(), THRESHOLDS, st.integers(1, 12), st.integers(0, 6))
def test_suppression_in_many_rounds_is_the_same(
    detected: Detections, threshold: float, at_once: int, pairs: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge, "MOST_AT_ONCE", at_once)
        patch.setattr(merge, "MOST_PAIRS", pairs)
        patch.setattr(neighbours, "PAIRS_AT_ONCE", 3)
        kept = suppress(detected, threshold)
    assert same_bits(kept, detected.select(np.array(one_by_one(detected, threshold), np.intp)))


@pytest.mark.parametrize("threshold", [0.1, 0.4, 0.8])
def test_suppression_of_a_dense_crowd(threshold: float) -> None:
    rng = np.random.default_rng(0)
    cells = rng.uniform(0, 1200, (300, 2))
    middle = cells[rng.integers(0, 300, 2000)] + rng.normal(0, 4, (2000, 2))
    size = rng.normal(60, 8, (2000, 2)).clip(20)
    detected = Detections(
        boxes=np.concatenate([middle - size / 2, middle + size / 2], axis=1),
        scores=rng.random(2000).round(2).astype(np.float32),
        labels=rng.integers(0, 3, 2000),
    )
    expected = detected.select(np.array(one_by_one(detected, threshold)))
    assert same_bits(suppress(detected, threshold), expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge, "MOST_PAIRS", 100)
        assert same_bits(suppress(detected, threshold), expected)


@given(detections())
def test_best_first_breaks_ties_by_box_label_and_index(detected: Detections) -> None:
    assert best_first(detected).tolist() == by_all_keys(detected)


def test_best_first_of_values_that_are_equal_in_32_bits() -> None:
    edges = np.array([3.0, 1e300, -1e300, 1 + 1e-12, 1.0, -0.0, 0.0, -1e-300, 1e-300, -3.0, -3 - 1e-12])
    detected = Detections(
        boxes=np.stack([edges, np.arange(11.0)[::-1], edges, edges], axis=1),
        scores=np.full(11, 0.5, np.float32),
        labels=np.zeros(11, np.int64),
    )
    assert best_first(detected).tolist() == by_all_keys(detected)


def test_memory_is_bounded_where_thousands_of_boxes_lie_on_one_spot(monkeypatch: pytest.MonkeyPatch) -> None:
    """20,000 boxes on one spot make 200 million pairs; only few are compared, and few at once."""
    looked_at: list[int] = []
    held: list[int] = []

    def counted(a: Boxes, b: Boxes) -> NDArray[np.floating]:
        looked_at.append(len(a))
        return paired_iou(a, b)

    def decide(pairs: Iterable[tuple[NDArray[np.intp], NDArray[np.intp]]], *rest: NDArray[np.generic]) -> None:
        pairs = list(pairs)
        held.append(sum(len(one) for one, _ in pairs))
        plain(pairs, *rest)  # type: ignore[arg-type]

    plain = merge._decide
    monkeypatch.setattr(merge, "_decide", decide)
    monkeypatch.setattr(neighbours, "paired_iou", counted)
    monkeypatch.setattr(merge, "MOST_PAIRS", 100_000)
    rng = np.random.default_rng(0)
    middle = 50_000 + rng.normal(0, 6, (20_000, 2))
    size = rng.normal(60, 8, (20_000, 2)).clip(30)
    detected = Detections(
        boxes=np.concatenate([middle - size / 2, middle + size / 2], axis=1),
        scores=rng.random(20_000).astype(np.float32).round(4),
        labels=np.zeros(20_000, np.int64),
    )
    assert 1 <= len(suppress(detected, 0.4)) < 20
    assert max(looked_at) <= neighbours.PAIRS_AT_ONCE
    assert max(held) <= 100_000
    assert sum(looked_at) < 1_000_000


def test_a_long_chain_is_decided_in_one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each box of a row depends on the one before it: if each round took all boxes, every box would need a round."""
    decided: list[object] = []
    plain = merge._decide
    monkeypatch.setattr(merge, "_decide", lambda *arguments: decided.append(plain(*arguments)))
    left = np.arange(5000) * 20.0
    detected = Detections(
        boxes=np.stack([left, left * 0, left + 60, left * 0 + 60], axis=1),
        scores=np.linspace(1, 0, 5000, dtype=np.float32),
        labels=np.zeros(5000, np.int64),
    )
    assert suppress(detected, 0.4).boxes[:, 0].tolist() == left[::2].tolist()
    assert len(decided) == 1


@given(detections(), st.randoms(use_true_random=False))
def test_the_result_does_not_depend_on_the_order_of_detections(detected: Detections, random: object) -> None:
    order = np.arange(len(detected))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert rows_of(suppress(detected.select(order), 0.4)) == rows_of(suppress(detected, 0.4))


def test_result_is_sorted_best_first() -> None:
    detected = Detections(
        boxes=np.array([[0.0, 0, 9, 9], [50, 50, 60, 60], [90, 0, 99, 9]]),
        scores=np.array([0.2, 0.9, 0.5], np.float32),
        labels=np.zeros(3, np.int64),
    )
    assert suppress(detected, 0.5).scores.tolist() == sorted(detected.scores.tolist(), reverse=True)


def tile_at(owned: tuple[float, float, float, float]) -> Tile:
    return Tile(index=0, x=0, y=0, width=256, height=256, owned=owned)


def one(x: float, y: float, score: float = 0.9) -> Detections:
    box: NDArray[np.float64] = np.array([[x - 10, y - 10, x + 10, y + 10]])
    return Detections(boxes=box, scores=np.array([score], np.float32), labels=np.zeros(1, np.int64))


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_an_object_on_a_seam_is_kept_once(jitter_a: float, jitter_b: float) -> None:
    """Two tiles see the same object some pixels apart, on either side of the border between their parts."""
    left, right = tile_at((0, 0, 100, 200)), tile_at((100, 0, 200, 200))
    parts = [keep_owned(one(100 + jitter_a, 50), left), keep_owned(one(100 + jitter_b, 50, 0.8), right)]
    assert len(merge_tiles(parts, 0.5)) == 1


def test_objects_that_another_tile_owns_are_dropped() -> None:
    tile = tile_at((0, 0, 100, 100))
    assert len(keep_owned(one(100 + SEAM_MARGIN + 0.1, 50), tile)) == 0
    assert len(keep_owned(one(50, 100 + SEAM_MARGIN - 0.1), tile)) == 1
    assert len(keep_owned(Detections.empty(), tile)) == 0


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("place", "kept"), [(91.9, False), (92, True), (150, True), (207.9, True), (208, False)])
def test_a_tile_keeps_objects_in_its_part_and_a_margin_around_it(axis: int, place: float, *, kept: bool) -> None:
    centre = [150.0, 150.0]
    centre[axis] = place
    assert SEAM_MARGIN == 8
    assert len(keep_owned(one(*centre), tile_at((100, 100, 200, 200)))) == kept
    assert len(merge_tiles([], 0.5)) == 0


def test_zero_has_no_sign() -> None:
    """Of two boxes at x = 0 the upper one comes first, whichever zero it has."""
    for zeros in ((0.0, -0.0), (-0.0, 0.0)):
        boxes = np.array([[zeros[0], 9, 20, 30], [zeros[1], 5, 20, 30]])
        detected = Detections(boxes=boxes, scores=np.full(2, 0.5, np.float32), labels=np.zeros(2, np.int64))
        assert best_first(detected).tolist() == [1, 0]
