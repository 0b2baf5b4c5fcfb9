"""The parts of the label-missing experiment that its figures rest on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from signetscan.dataset import AnnotatedImage
from signetscan.testing.missing_labels.boxes import count_right, drop_boxes, empty_windows
from signetscan.testing.missing_labels.methods import METHODS, RATES, jobs_for
from signetscan.testing.missing_labels.report import AT_THRESHOLD, COLUMNS, PAPER, write_report


def image(boxes: np.ndarray, side: int = 300) -> AnnotatedImage:
    return AnnotatedImage(
        path=Path("a.png"),
        width=side,
        height=side,
        boxes=boxes,
        labels=np.zeros(len(boxes), np.int64),
        normal=False,
        slide="",
    )


def squares(seed: int, count: int, side: int = 300) -> np.ndarray:
    corners = np.random.default_rng(seed).uniform(0, side - 30, (count, 2)).round()
    return np.hstack([corners, corners + 30])


def test_what_is_dropped_at_a_low_rate_is_dropped_at_higher_ones_too() -> None:
    images = [image(squares(seed, 40)) for seed in range(3)]
    before = {(number, *box) for number, one in enumerate(images) for box in one.boxes.tolist()}
    for rate in RATES:
        left = [one.boxes.tolist() for one in drop_boxes(images, rate, seed=4)]
        now = {(number, *box) for number, boxes in enumerate(left) for box in boxes}
        assert len(now) == round(120 * (1 - rate))
        assert now <= before
        before = now
    assert [len(one.boxes) for one in drop_boxes(images, 0.5, seed=5)] != [
        len(one.boxes) for one in drop_boxes(images, 0.5, seed=4)
    ]


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), count=st.integers(0, 20), side=st.sampled_from([64, 128]))
def test_windows_without_cells_touch_no_box_and_not_each_other(seed: int, count: int, side: int) -> None:
    whole = image(squares(seed, count))
    covered = np.zeros((300, 300), np.int64)
    for x, y in empty_windows(whole, side):
        covered[y : y + side, x : x + side] += 1
        assert 0 <= x <= 300 - side
        assert 0 <= y <= 300 - side
    assert covered.max() <= 1
    for x0, y0, x1, y1 in whole.boxes.astype(int).tolist():
        assert not covered[y0:y1, x0:x1].any()
    if count == 0:
        assert covered.sum() == (300 // side) ** 2 * side**2


def test_an_added_box_is_right_where_a_dropped_one_is_and_once() -> None:
    whole = image(np.array([[0, 0, 30, 30], [100, 0, 130, 30], [200, 0, 230, 30]], float))
    seen = image(whole.boxes[:1])
    added = np.array([[101, 0, 131, 30], [99, 0, 129, 30], [1, 0, 31, 30], [50, 200, 80, 230]], float)
    assert count_right([whole], [seen], [image(np.vstack([seen.boxes, added]))]) == 1


def test_a_stopped_experiment_does_what_is_missing() -> None:
    everything = list(jobs_for(2, RATES, ["ce", "dghm-c-early"], set()))
    assert len(everything) == 2 * len(RATES) * 2
    done = {(0, 0.7, "ce"), (0, 0.7, "dghm-c-early")}
    left = list(jobs_for(2, RATES, ["ce", "dghm-c-early"], done))
    assert (0, 0.7, "ce") not in left
    assert (0, 0.7, "dghm-c-early") in left, "what starts from it is not there"
    assert (0, 0.7, "dghm-c-early") not in jobs_for(2, RATES, ["ce", "dghm-c-early"], done | {(0, 0.7, "repair")})


def test_the_table_has_means_and_spreads_beside_the_papers(tmp_path: Path) -> None:
    rows = [
        dict.fromkeys(COLUMNS, "0")
        | {"method": "ce", "missing": "0.7", "seed": str(seed), "froc_from_0.5": value, "froc": "0.9"}
        for seed, value in enumerate(("0.2", "0.4"))
    ]
    write_report(tmp_path, "simulated", rows)
    lines = (tmp_path / "missing-labels-simulated.md").read_text().splitlines()
    line_of_ce = next(line for line in lines if line.startswith("| CE | 2 |") and "0.300" in line)
    assert line_of_ce.endswith("|  | 0.300 ± 0.141 |")
    assert f"{PAPER['ce'][0.7]:.3f}" in lines[lines.index(line_of_ce) + 1]
    assert sum(line.startswith(f"| {METHODS['ghm-c'].title} ") for line in lines) == 10
    assert (tmp_path / "missing-labels-simulated.png").stat().st_size > 10_000
    write_report(tmp_path, "simulated", [row | dict.fromkeys(AT_THRESHOLD, "") for row in rows])
    lines = (tmp_path / "missing-labels-simulated.md").read_text().splitlines()
    assert sum(line.startswith(f"| {METHODS['ghm-c'].title} ") for line in lines) == 7, "no table of nothing"
