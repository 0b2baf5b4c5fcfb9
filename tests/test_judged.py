"""The harness for people who hold DigestPath or points: against a plain loop, and as one run on simulated images."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from signetscan.detections import Detections
from signetscan.errors import AnnotationError
from signetscan.evaluation import AssessOptions, evaluate_files
from signetscan.simulate.image_set import write_image_set
from signetscan.simulate.options import ImageSetOptions
from signetscan.testing.judged.points import PointRule, as_boxes, read_points
from signetscan.testing.tiny_model import write_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

POINTS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6)
BOXES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 15), st.integers(1, 15)), max_size=6)


@given(POINTS, BOXES, st.sampled_from([None, 3.0, 10.0]))
def test_hits_are_those_of_a_plain_loop(
    points: list[tuple[int, int]], boxes: list[tuple[int, int, int, int]], within: float | None
) -> None:
    scores = np.linspace(0.9, 0.1, len(boxes))  # the first is the best
    edges = np.array([(x, y, x + w, y + h) for x, y, w, h in boxes], np.float64).reshape(-1, 4)
    detections = Detections(boxes=edges, scores=scores.astype(np.float32), labels=np.zeros(len(boxes), np.int64))
    free, expected = list(range(len(points))), []
    for x, y, w, h in boxes:
        middle_x, middle_y = x + w / 2, y + h / 2
        reached = []
        for number in free:
            px, py = points[number]
            distance = ((px - middle_x) ** 2 + (py - middle_y) ** 2) ** 0.5
            is_hit = x <= px <= x + w and y <= py <= y + h if within is None else distance <= within
            reached += [(distance, number)] if is_hit else []
        expected.append(bool(reached))
        if reached:
            free.remove(min(reached)[1])
    assert PointRule(within=within)(detections, as_boxes(points)).tolist() == expected


def test_points_are_read_from_each_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("image,x,y\na.png,1,2\nb.c.tif,3,4.5\na.png,5,6\n")
    assert {name: points.tolist() for name, points in read_points(tmp_path / "all.csv").items()} == {
        "a": [[1, 2, 1, 2], [5, 6, 5, 6]],
        "b.c": [[3, 4.5, 3, 4.5]],
    }
    folder = tmp_path / "each"
    folder.mkdir()
    (folder / "a.csv").write_text("x,y\n")
    (folder / "b.json").write_text("[[1, 2]]")
    challenge = {"type": "Multiple points", "points": [{"name": "", "point": [0.5, 1.5, 0]}]}
    (folder / "c.json").write_text(json.dumps(challenge))
    found = read_points(folder, per_pixel=0.5)
    assert {name: points[:, :2].tolist() for name, points in found.items()} == {"a": [], "b": [[2, 4]], "c": [[1, 3]]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.csv", "a,b\n1,2\n"),
        ("p.csv", "x,y\n1,nan\n"),
        ("p.csv", "x,y\n1\n"),
        ("p.json", "{}"),
        ("p.json", "[[1]]"),
        ("p.json", '["ab"]'),
        ("p.json", "[[1, true]]"),
        ("p.json", "[" * 100_000),
    ],
)
def test_a_file_without_points_is_named(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(AnnotationError, match=f"{name}: cannot be read as points"):
        read_points(tmp_path / name)


def judge(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "scripts/experiments/judge_digestpath.py", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own code


def test_a_simulated_set_in_the_layout_of_digestpath_is_judged(tmp_path: Path) -> None:
    """The figures are those of `evaluate` on the same detections; with points, hits are what a loop counts."""
    data, out, model = tmp_path / "data", tmp_path / "out", write_tiny_model(tmp_path / "tiny.onnx")
    write_image_set(data, ImageSetOptions(positives=2, negatives=2, size=256, images_per_slide=1), workers=1)
    done = judge(model, data, "--out", out, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    judged = json.loads((out / "judged.json").read_text())
    assert judged["counts"] | {"cells": 0} == {
        "positive_images": 2, "normal_images": 2, "slides": 4, "cells": 0, "failed": 0
    }  # fmt: skip
    figures = evaluate_files(out / "detections", data, options=AssessOptions(threshold=0.5)).assessment.figures
    for name in ("froc", "recall", "f1", "ap50"):
        assert judged["figures"][name]["value"] == pytest.approx(figures[name].value, abs=1e-6)
    rate = judged["false_positives_per_mm2"]
    assert rate["false_positives"] == round((100 - judged["figures"]["fps_score"]["value"]) * 2)
    assert rate["low"] <= rate["per_mm2"] <= rate["high"]
    page = (out / "judged.md").read_text()
    assert page in done.stdout
    for said in ("| AP at IoU 0.5", "SHA-256", "learnt from: not said", "Versions: signetscan", "2 normal images"):
        assert said in page

    points = tmp_path / "points"
    points.mkdir()
    # The tiny model works at the images' mpp, and its box is around (25, 40) in the only tile.
    for image in (data / "sig-train-pos").glob("*.jpeg"):
        (points / f"{image.stem}.csv").write_text("x,y\n25,40\n200,10\n")
    for image in (data / "sig-train-neg").glob("*.jpeg"):
        (points / f"{image.stem}.json").write_text("[]")
    done = judge(model, data, "--out", out, "--points", points, "--within", 2, "--mpp", 0.25, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    judged = json.loads((out / "judged.json").read_text())
    assert judged["hit"].startswith("the centre of the detection lies at most 2 µm from the point")
    assert (judged["counts"]["cells"], judged["figures"]["recall_at_1"]["value"]) == (4, 0.5)


def test_a_wrong_folder_is_an_error_in_one_line(tmp_path: Path) -> None:
    done = judge(write_tiny_model(tmp_path / "tiny.onnx"), tmp_path / "none", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {tmp_path / 'none'}: cannot be read")
