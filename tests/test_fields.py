"""The fields of a slide to look at first, held to trying every square of the grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetscan.json_values import JsonError, JsonTable
from signetscan.results.record_parts import RegionsRecord
from signetscan.scan import fields
from signetscan.scan.class_map import FIRST_CLASS, NOT_SCANNED, ClassMap
from signetscan.scan.fields import FIELD_UM, PLACE_UM, STEPS, Field, find_fields

if TYPE_CHECKING:
    from signetscan.json_values import Json

PIXEL, PIXEL_UM = (4.0, 8.0), (5.0, 5.0)
CELL = round(PLACE_UM / STEPS / PIXEL_UM[0])
"""Pixels of these maps along a side of a cell of the grid."""


def made_map(scored: np.ndarray, pixel_um: tuple[float, float] = PIXEL_UM) -> ClassMap:
    classes = np.where(scored > 0, FIRST_CLASS, NOT_SCANNED).astype(np.uint8)
    return ClassMap(classes=classes, scored=scored.astype(np.uint8), pixel=PIXEL, pixel_um=pixel_um)


def probability(scored: np.ndarray, row: int, column: int) -> float:
    """The mean over a square by its first cell, where what lies beyond the map counts as nothing."""
    side = STEPS * CELL
    part = scored[row * CELL : row * CELL + side, column * CELL : column * CELL + side]
    return float(part.sum(dtype=np.int64)) / 255 / side**2


@given(st.integers(1, 260), st.integers(1, 1100), st.integers(0, 2**32), st.sampled_from([0.0002, 0.002, 0.5]))
def test_fields_are_those_that_trying_all_squares_finds(columns: int, rows: int, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    scored = np.where(rng.random((rows, columns)) < share, rng.integers(0, 256, (rows, columns)), 0)
    found = find_fields(made_map(scored), most=4)
    high, wide = (max(-(-side // CELL) - STEPS + 1, 1) for side in (rows, columns))
    squares = {(row, column): probability(scored, row, column) for row in range(high) for column in range(wide)}
    side = STEPS * CELL
    for field in found:
        row, column = (field.y / PIXEL[1] - side / 2) / CELL, (field.x / PIXEL[0] - side / 2) / CELL
        assert field.probability == pytest.approx(squares[round(row), round(column)])
        assert field.probability == pytest.approx(max(squares.values()))
        apart = STEPS * FIELD_UM / PLACE_UM
        squares = {
            (other, beside): value
            for (other, beside), value in squares.items()
            if max(abs(other - row), abs(beside - column)) >= apart - 1e-6
        } or {(0, 0): 0.0}
    if len(found) < 4:
        assert max(squares.values()) == 0


def test_one_suspicious_gland_is_in_the_middle_of_its_field() -> None:
    scored = np.full((2000, 2000), 20)
    scored[1000:1020, 600:620] = 250
    first, second, *_ = find_fields(made_map(scored))
    assert first.probability == pytest.approx(250 / 255)
    assert (first.x, first.y) == (610 * PIXEL[0], 1010 * PIXEL[1])
    assert second.probability == pytest.approx(20 / 255)
    assert max(abs(second.x - first.x) / PIXEL[0], abs(second.y - first.y) / PIXEL[1]) * PIXEL_UM[0] >= FIELD_UM


def test_a_slide_without_suspicion_has_no_field_and_a_huge_one_a_coarser_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_fields(made_map(np.zeros((50, 70)))) == ()
    monkeypatch.setattr(fields, "MOST_CELLS", 100)
    scored = np.zeros((1000, 3000))
    scored[500, 2000] = 255
    (field,) = find_fields(made_map(scored))
    assert abs(field.x / PIXEL[0] - 2000) < 500
    assert abs(field.y / PIXEL[1] - 500) < 500


def test_what_the_record_says_of_regions_is_read_back_and_checked() -> None:
    area: dict[str, Json] = {"mm2": 1.0, "share_of_tissue": 1.0, "regions": 2, "colour": [1, 2, 3]}
    table: dict[str, Json] = {
        "slide_score": 0.5,
        "classes": {"A": area},
        "background": "B",
        "scored_classes": ["A"],
        "top_share": 0.1,
        "fields": [{"x": 10.5, "y": 20.0, "probability": 0.75}],
        "map": {"rows": 3, "columns": 4, "pixel_width_px": 8.0, "pixel_height_px": 8.0},
    }
    record = RegionsRecord.from_json(JsonTable.of(table, "regions"))
    assert record.classes[0].colour == (1, 2, 3)
    assert record.fields == (Field(x=10.5, y=20.0, probability=0.75),)
    assert record.to_json() == table
    with pytest.raises(JsonError, match="colour must be red, green and blue"):
        RegionsRecord.from_json(JsonTable.of(table | {"classes": {"A": area | {"colour": [1, 2]}}}))
    with pytest.raises(JsonError, match=r"fields\.0\.x"):
        RegionsRecord.from_json(JsonTable.of(table | {"fields": [{"y": 1, "probability": 1}]}, "regions"))
