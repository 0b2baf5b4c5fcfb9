from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from signetscan.boxes import iou_matrix
from signetscan.training.anchors import (
    BASE_SIZES,
    PER_POSITION,
    assign,
    box_iou,
    decode,
    encode,
    level_anchors,
    levels_needed,
)
from signetscan.training.options import STRIDES

CPU = torch.device("cpu")


@given(st.lists(st.floats(4, 600), max_size=5))
def test_maps_end_at_the_one_that_fits_the_largest_box_best(sides: list[float]) -> None:
    boxes = np.array([[0, 0, side, side] for side in sides], np.float64).reshape(-1, 4)
    fits = []
    for side in sides:
        squares = [size * 2 ** (third / 3) for size in BASE_SIZES for third in range(3)]
        ious = [min(side / square, square / side) ** 2 for square in squares]
        fits.append(1 + int(np.argmax(ious)) // 3)
    assert levels_needed(boxes) == max([2, *fits])


def random_boxes(rng: np.random.Generator, count: int, reach: float = 256) -> torch.Tensor:
    corner = rng.uniform(-20, reach, (count, 2))
    return torch.tensor(np.concatenate([corner, corner + rng.uniform(8, 100, (count, 2))], axis=1), dtype=torch.float32)


def all_anchors(side: int) -> torch.Tensor:
    maps = zip(STRIDES, BASE_SIZES, strict=True)
    return torch.cat([level_anchors(side // stride, side // stride, stride, size, CPU) for stride, size in maps])


def test_anchors_are_the_papers() -> None:
    anchors = level_anchors(2, 3, 8, 16.0, CPU)
    assert anchors.shape == (2 * 3 * PER_POSITION, 4)
    size = anchors[:, 2:] - anchors[:, :2]
    areas = size.prod(dim=1).reshape(6, 3, 3)
    for scale in range(3):
        torch.testing.assert_close(areas[..., scale], torch.full((6, 3), (16 * 2 ** (scale / 3)) ** 2))
    ratios = (size[:, 1] / size[:, 0]).reshape(6, 3, 3)
    for row, ratio in enumerate((0.5, 1.0, 2.0)):
        torch.testing.assert_close(ratios[:, row], torch.full((6, 3), ratio))
    middle = ((anchors[:, :2] + anchors[:, 2:]) / 2).reshape(6, 9, 2)[:, 0]
    assert middle.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]
    assert len(all_anchors(256)) == 9 * (32**2 + 16**2 + 8**2 + 4**2 + 2**2)


@given(st.integers(0, 10**6))
def test_iou_is_that_of_the_numpy_code(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = random_boxes(rng, 7), random_boxes(rng, 5)
    np.testing.assert_allclose(box_iou(a, b).numpy(), iou_matrix(a.numpy(), b.numpy()), atol=1e-5)


@given(st.integers(0, 10**6))
def test_decode_undoes_encode(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes, anchors = random_boxes(rng, 20), random_boxes(rng, 20)
    torch.testing.assert_close(decode(encode(boxes, anchors), anchors), boxes, atol=2e-3, rtol=1e-5)


def test_offsets_are_shifts_in_anchor_sizes_and_logarithms() -> None:
    anchor = torch.tensor([[10.0, 20.0, 30.0, 60.0]])
    assert encode(anchor, anchor).tolist() == [[0, 0, 0, 0]]
    moved = decode(torch.tensor([[0.5, -0.25, np.log(2), 0.0]], dtype=torch.float32), anchor)
    torch.testing.assert_close(moved, torch.tensor([[10.0, 10.0, 50.0, 50.0]]))
    assert torch.isfinite(decode(torch.full((1, 4), 1e6), anchor)).all(), "a wild network makes no infinite box"


@given(seed=st.integers(0, 10**6), count=st.integers(0, 6))
def test_assignment_is_retinanets_rule(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    anchors, boxes = all_anchors(128), random_boxes(rng, count, 100)
    assigned = assign(anchors, boxes)
    overlap = iou_matrix(anchors.numpy(), boxes.numpy()) if count else np.zeros((len(anchors), 0))
    for index in range(len(anchors)):
        best = overlap[index].max(initial=0)
        positive, ignored = bool(assigned.positive[index]), bool(assigned.ignored[index])
        if abs(best - 0.5) < 1e-5 or abs(best - 0.4) < 1e-5:
            continue
        if best >= 0.5:
            assert positive
            assert not ignored
        elif positive:  # only as the best that a box has
            mine = int(assigned.matched[index])
            assert overlap[index, mine] == pytest.approx(overlap[:, mine].max(), abs=1e-5)
            assert overlap[:, mine].max() < 0.5
        else:
            assert ignored == (best >= 0.4)
    for box in range(count):
        if overlap[:, box].max() > 0.01:
            served = assigned.positive & (assigned.matched == box)
            rivals = (overlap >= 0.5).sum(axis=0)
            assert served.any() or rivals[box] > 0, "every box has an anchor, or lost it to a box that fits better"


def test_of_two_odd_boxes_that_want_the_same_anchors_the_last_gets_them() -> None:
    anchors = all_anchors(128)
    thin = torch.tensor([[10.0, 10.0, 50.0, 12.0]])
    alone = assign(anchors, thin)
    assert box_iou(anchors, thin).max() < 0.5
    assert alone.positive.any()
    twice = assign(anchors, torch.cat([thin, torch.tensor([[80.0, 80.0, 110.0, 110.0]]), thin]))
    assert (twice.matched[alone.positive] == 2).all()
    assert twice.positive[alone.positive].all()


def test_cells_of_all_sizes_get_several_anchors() -> None:
    anchors = all_anchors(256)
    for side in (37, 45, 56, 70, 92):
        for aspect in (0.75, 1.0, 1.4):
            box = torch.tensor([[70.0, 80.0, 70 + side * aspect**0.5, 80 + side / aspect**0.5]])
            assert int(assign(anchors, box).positive.sum()) >= 4
