"""The simulator's look-alikes: each is drawn, is no cell, and stays on its canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from signetscan.simulate.canvas import Canvas
from signetscan.simulate.lookalikes import PER_MEGAPIXEL, fat, scatter_lookalikes

if TYPE_CHECKING:
    from signetscan.simulate.lookalikes import Draw

CELL = 7
"""Identity of a signet ring cell that lies in the middle."""


def field(side: int = 420, seed: int = 0) -> Canvas:
    """Even stroma with a cell in its middle."""
    amounts = np.empty((3, side, side), np.float32)
    amounts[0], amounts[1], amounts[2] = 0.1, 0.5, 0.0
    canvas = Canvas(np.random.default_rng(seed), amounts)
    canvas.owner[side // 2 - 3 : side // 2 + 3, side // 2 - 3 : side // 2 + 3] = CELL
    return canvas


@pytest.mark.parametrize("draw", list(PER_MEGAPIXEL), ids=lambda draw: draw.__name__)
def test_a_look_alike_is_seen_and_is_no_cell(draw: Draw) -> None:
    changed = 0.0
    for seed in range(3):
        canvas = field(seed=seed)
        before = canvas.amounts.copy()
        draw(canvas, 210, 210)
        assert np.isfinite(canvas.amounts).all()
        assert set(np.unique(canvas.owner)) <= {0, CELL}
        changed = max(changed, float(np.abs(canvas.amounts - before).max()))
    assert changed > 0.1


@pytest.mark.parametrize("draw", list(PER_MEGAPIXEL), ids=lambda draw: draw.__name__)
def test_beside_the_canvas_nothing_is_drawn_and_at_its_corner_a_part(draw: Draw) -> None:
    canvas = field(200)
    before = canvas.amounts.copy()
    draw(canvas, -5000, 9000)
    np.testing.assert_array_equal(canvas.amounts, before)
    assert (canvas.owner == CELL).sum() == 36
    draw(canvas, 0, 199)
    assert np.isfinite(canvas.amounts).all()


def test_no_cell_lies_in_fat() -> None:
    canvas = field(900)
    assert canvas.has_room(450, 450)
    fat(canvas, 450, 450)
    assert not canvas.has_room(450, 450)
    assert canvas.has_room(5, 5)


def test_fields_differ_in_how_many_there_are_and_the_seed_decides() -> None:
    def changed(seed: int) -> float:
        canvas = field(300, seed)
        before = canvas.amounts.copy()
        scatter_lookalikes(canvas)
        return float((np.abs(canvas.amounts - before).max(axis=0) > 0.05).mean())

    shares = [changed(seed) for seed in range(5)]
    assert changed(0) == shares[0]
    assert max(shares) > 0.02
    assert len(set(shares)) > 3
