from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from signetscan.boxes import area, centres, iou_matrix, paired_iou

if TYPE_CHECKING:
    from numpy.typing import NDArray


@st.composite
def boxes(draw: st.DrawFn, most: int = 40) -> NDArray[np.float64]:
    corner = st.floats(0, 200)
    side = st.floats(0.5, 120)
    rows = draw(st.lists(st.tuples(corner, corner, side, side), max_size=most))
    return np.array([[x, y, x + w, y + h] for x, y, w, h in rows], np.float64).reshape(-1, 4)


def slow_iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap
    return float(overlap / union)


@given(boxes(), boxes())
def test_iou_is_that_of_the_definition(a: NDArray[np.float64], b: NDArray[np.float64]) -> None:
    expected = np.array([[slow_iou(one, other) for other in b] for one in a]).reshape(len(a), len(b))
    np.testing.assert_allclose(iou_matrix(a, b), expected, atol=1e-12)
    shorter = min(len(a), len(b))
    np.testing.assert_allclose(paired_iou(a[:shorter], b[:shorter]), np.diag(expected[:shorter, :shorter]), atol=1e-12)


def test_area_and_centre() -> None:
    some = np.array([[1.0, 2.0, 4.0, 8.0]])
    assert area(some).tolist() == [18.0]
    assert centres(some).tolist() == [[2.5, 5.0]]
