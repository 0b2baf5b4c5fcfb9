"""The file of a calibration: it comes from elsewhere, so nothing in it is believed unchecked."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from signetscan.errors import ResultError
from signetscan.json_values import JsonError
from signetscan.results.calibration import (
    MOST_BYTES,
    Calibration,
    IntervalKind,
    Rate,
    calibrated_threshold,
    read_calibration,
    write_calibration,
)

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.json_values import Json

RATE = Rate(threshold=0.4, false_positives=2, per_mm2=0.8, low=0.1, high=2.9, interval=IntervalKind.POISSON)
MADE = Calibration(
    finished="2026-01-02T03:04:05+00:00",
    version="0.1.0",
    model="mine",
    model_sha256="a" * 64,
    budget=1.0,
    threshold=0.4,
    lowest_score=0.02,
    tissue_mm2=2.5,
    slides=3,
    failed=0,
    rates=(replace(RATE, threshold=0.02, false_positives=9, per_mm2=3.6), RATE),
)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "site.json"
    write_calibration(path, MADE)
    assert read_calibration(path) == MADE
    threshold = calibrated_threshold(path, model_sha256="a" * 64)
    assert (threshold.threshold, threshold.file, threshold.slides) == (0.4, "site.json", 3)
    assert threshold.sha256 == sha256(path.read_bytes()).hexdigest()
    assert threshold.sentence == (
        "0.4 from site.json: at most 1 false positive per mm² of the site's normal tissue (2.50 mm² on 3 slides)"
    )


def test_a_calibration_of_another_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "site.json"
    write_calibration(path, MADE)
    with pytest.raises(ResultError, match=r"site.json: calibrated for another model, mine") as caught:
        calibrated_threshold(path, model_sha256="b" * 64)
    assert caught.value.options == ("calibration", "model")


@pytest.mark.parametrize(
    ("tissue_mm2", "why"),
    [
        (0.5, r"0.50 mm² of normal tissue are too little .* give at least 1 mm²"),
        (2.5, "even the detections with the highest score are more than 1 per mm²"),
    ],
)
def test_a_calibration_without_a_threshold_says_why(tissue_mm2: float, why: str, tmp_path: Path) -> None:
    path = tmp_path / "site.json"
    write_calibration(path, replace(MADE, threshold=None, tissue_mm2=tissue_mm2))
    with pytest.raises(ResultError, match=f"has no threshold: {why}"):
        calibrated_threshold(path, model_sha256="a" * 64)


HOSTILE: list[dict[str, Json]] = [
    {"schema": 2},
    {"schema": "1"},
    {"model_sha256": "a" * 63},
    {"model_sha256": "A" * 64},
    {"model_sha256": None},
    {"threshold": 0.01},  # below all that was looked at
    {"threshold": 1.5},
    {"threshold": -0.1},
    {"threshold": True},
    {"threshold": "0.4"},
    {"lowest_score": 2},
    {"budget": 0},
    {"budget": -1},
    {"tissue_mm2": 0},
    {"tissue_mm2": 1e999},
    {"slides": 0},
    {"slides": 1.5},
    {"slides": 1 << 60},
    {"failed": -1},
    {"model": "m" * 201},
    {"model": 7},
    {"rates": []},
    {"rates": {}},
    {"rates": [7]},
    {"rates": [{}]},
    {"rates": [{**asdict(RATE), "interval": "guess"}]},
    {"rates": [asdict(RATE)] * 1001},
]


@pytest.mark.parametrize("changes", HOSTILE, ids=lambda changes: str(changes)[:40])
def test_an_impossible_value_is_refused(changes: dict[str, Json], tmp_path: Path) -> None:
    path = tmp_path / "site.json"
    path.write_text(json.dumps({**MADE.to_json(), **changes}), encoding="utf-8")
    with pytest.raises(ResultError, match=r"site.json: not a calibration that this version") as caught:
        calibrated_threshold(path, model_sha256="a" * 64)
    assert caught.value.options == ("calibration",)


@pytest.mark.parametrize("key", MADE.to_json())
def test_a_missing_value_is_named(key: str, tmp_path: Path) -> None:
    path = tmp_path / "site.json"
    values = MADE.to_json()
    del values[key]
    path.write_text(json.dumps(values), encoding="utf-8")
    if key == "threshold":  # the same as null
        assert read_calibration(path).threshold is None
        return
    with pytest.raises(ResultError, match=f"{key} is missing"):
        read_calibration(path)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[]", b"7", b"{", b"[" * 100_000, b'{"schema": 1}', b" " * (MOST_BYTES + 1)]
)
def test_what_is_no_calibration_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "site.json"
    path.write_bytes(content)
    with pytest.raises(ResultError, match=r"site.json: not a calibration"):
        read_calibration(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(ResultError, match=f"{path.name}: the calibration cannot be read"):
            read_calibration(path)


def test_an_impossible_calibration_cannot_be_made() -> None:
    with pytest.raises(JsonError, match="tissue_mm2"):
        replace(MADE, tissue_mm2=0.0)


def test_notes_say_what_the_figures_rest_on() -> None:
    none_seen = replace(MADE, threshold=0.02, rates=(replace(MADE.rates[0], false_positives=0, high=1.5),))
    (note,) = none_seen.notes
    assert "no false positive was seen from score 0.02 on" in note
    assert "at most 1.5 per mm²" in note
    (within, poisson) = replace(MADE, threshold=0.02).notes
    assert "all detections from score 0.02 on are within the budget" in within
    assert "Poisson" in poisson
    assert replace(MADE, failed=2).notes[-1] == "2 slides could not be scanned and are left out"
