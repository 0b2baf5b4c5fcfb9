from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from signetscan.boxes import iou_matrix
from signetscan.detections import Detections
from signetscan.merge import SEAM_MARGIN, keep_owned, merge_tiles, suppress
from signetscan.tiling import Tile

if TYPE_CHECKING:
    from numpy.typing import NDArray


@st.composite
def detections(draw: st.DrawFn, most: int = 40) -> Detections:
    # Few different places and scores, so that ties and chains of overlaps are common.
    place = st.integers(0, 30).map(lambda n: n * 4.0)
    side = st.sampled_from([20.0, 24.0, 40.0])
    score = st.integers(1, 20).map(lambda n: n / 20)
    rows = draw(st.lists(st.tuples(place, place, side, side, score, st.integers(0, 1)), max_size=most))
    table = np.array(rows, np.float64).reshape(-1, 6)
    boxes = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1)
    return Detections(boxes=boxes, scores=table[:, 4].astype(np.float32), labels=table[:, 5].astype(np.int64))


def one_by_one(found: Detections, threshold: float) -> set[tuple[float, ...]]:
    """Greedy suppression as everybody knows it."""
    rows = sorted(
        zip(found.scores.tolist(), found.boxes.tolist(), found.labels.tolist(), strict=True),
        key=lambda row: (-row[0], row[1], row[2]),
    )
    kept: list[tuple[float, list[float], int]] = []
    for score, box, label in rows:
        rivals = np.array([other for _, other, its in kept if its == label]).reshape(-1, 4)
        if not (iou_matrix(np.array([box]), rivals) > threshold).any():
            kept.append((score, box, label))
    return {(score, *box, label) for score, box, label in kept}


def rows_of(found: Detections) -> list[tuple[float, ...]]:
    return [
        (score, *box, label)
        for score, box, label in zip(found.scores.tolist(), found.boxes.tolist(), found.labels.tolist(), strict=True)
    ]


@given(detections(), st.sampled_from([0.1, 0.3, 0.5, 0.7]))
def test_suppression_is_greedy(found: Detections, threshold: float) -> None:
    assert set(rows_of(suppress(found, threshold))) == one_by_one(found, threshold)


@given(detections(), st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_show(found: Detections, random: object) -> None:
    order = np.arange(len(found))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert rows_of(suppress(found.select(order), 0.4)) == rows_of(suppress(found, 0.4))


def test_result_is_sorted_best_first() -> None:
    found = Detections(
        boxes=np.array([[0.0, 0, 9, 9], [50, 50, 60, 60], [90, 0, 99, 9]]),
        scores=np.array([0.2, 0.9, 0.5], np.float32),
        labels=np.zeros(3, np.int64),
    )
    assert suppress(found, 0.5).scores.tolist() == sorted(found.scores.tolist(), reverse=True)


def tile_at(owned: tuple[float, float, float, float]) -> Tile:
    return Tile(index=0, x=0, y=0, width=256, height=256, owned=owned)


def one(x: float, y: float, score: float = 0.9) -> Detections:
    box: NDArray[np.float64] = np.array([[x - 10, y - 10, x + 10, y + 10]])
    return Detections(boxes=box, scores=np.array([score], np.float32), labels=np.zeros(1, np.int64))


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_an_object_on_a_seam_is_found_once(jitter_a: float, jitter_b: float) -> None:
    """Two tiles that place the same object some pixels apart, on either side of the border between them."""
    left, right = tile_at((0, 0, 100, 200)), tile_at((100, 0, 200, 200))
    parts = [keep_owned(one(100 + jitter_a, 50), left), keep_owned(one(100 + jitter_b, 50, 0.8), right)]
    assert len(merge_tiles(parts, 0.5)) == 1


def test_what_another_tile_owns_is_left_to_it() -> None:
    tile = tile_at((0, 0, 100, 100))
    assert len(keep_owned(one(100 + SEAM_MARGIN + 0.1, 50), tile)) == 0
    assert len(keep_owned(one(50, 100 + SEAM_MARGIN - 0.1), tile)) == 1
    assert len(keep_owned(Detections.empty(), tile)) == 0
    assert len(merge_tiles([], 0.5)) == 0
