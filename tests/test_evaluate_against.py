"""Two results on the same images, and classes of the truth that count neither way."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from image_results import random_results, square

from signetscan.annotations import boxes_xml
from signetscan.cli.main import cli
from signetscan.errors import AnnotationError, OptionError
from signetscan.evaluation import AgainstOptions, AssessOptions, TruthOptions, assess, evaluate, read_results
from signetscan.evaluation.bootstrap import resamples, units_of
from signetscan.evaluation.paired import COMPARED, compare_paired, on_same_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signetscan.evaluation import ImageResult

OTHER = Path("other")


def many(*, worse: bool = False) -> list[ImageResult]:
    """Images of ten slides; `worse` loses every second detection."""
    results = [
        replace(one, name=f"{seed}/{number}", slide=f"slide {seed}")
        for seed in range(10)
        for number, one in enumerate(random_results(seed, distinct=True))
    ]
    if not worse:
        return results
    return [replace(one, detections=one.detections.select(np.arange(len(one.detections)) % 2 == 0)) for one in results]


# ---- two results ----------------------------------------------------------------------------------------------------


def test_a_result_does_not_differ_from_itself() -> None:
    found = compare_paired(many(), many(), (0.3, 0.3), AssessOptions(bootstrap=20), OTHER)
    assert tuple(found.figures) == COMPARED
    for figure in found.figures.values():
        assert figure.value == figure.other
        assert (figure.difference.value, figure.difference.low, figure.difference.high) == (0, 0, 0)


def test_differences_are_those_of_resampled_images_evaluated_anew() -> None:
    first, second, options = many(), many(worse=True), AssessOptions(bootstrap=30, seed=3)
    found = compare_paired(first, second, (0.2, 0.4), options, OTHER)
    units = units_of(first)
    assert units is not None
    drawn = []
    for weights in resamples(units, 30, 3):
        picked = np.repeat(np.arange(len(first)), weights)
        one, two = (
            evaluate([results[index] for index in picked], threshold)
            for results, threshold in ((first, 0.2), (second, 0.4))
        )
        drawn.append((one.recall - two.recall, one.f1 - two.f1, one.froc - two.froc))
    for name, values in zip(("recall", "f1", "froc"), np.array(drawn).T, strict=True):
        low, high = np.percentile(values, [2.5, 97.5])
        difference = found.figures[name].difference
        assert (difference.low, difference.high) == pytest.approx((low, high))
    assert found.figures["recall"].difference.low > 0
    apart = assess(first, options).figures["recall"]
    recall = compare_paired(first, second, (0, 0), options, OTHER).figures["recall"]
    assert recall.value == apart.value
    assert recall.difference.value == pytest.approx(recall.value - recall.other)


def test_only_images_of_both_are_compared() -> None:
    first, second = many(), many()[3:]
    ours, theirs, remarks = on_same_images(first, second[::-1], OTHER)
    assert [one.name for one in ours] == [one.name for one in theirs] == [one.name for one in second]
    (remark,) = remarks
    assert "left out of the comparison: 3, namely " in remark
    assert all(one.name in remark for one in first[:3])
    assert on_same_images(first, first, OTHER)[2] == []
    with pytest.raises(AnnotationError, match="none of the same images"):
        on_same_images(first[:3], second, OTHER)


def test_a_threshold_needs_its_predictions() -> None:
    with pytest.raises(OptionError, match="needs those predictions"):
        AgainstOptions(against_threshold=0.5)


def table(path: Path, *rows: Sequence[float]) -> None:
    path.parent.mkdir(exist_ok=True)
    lines = [",".join(map(str, row)) for row in rows]
    path.write_text("\n".join(["x0,y0,x1,y1,score", *lines]) + "\n")


def test_the_command_says_both_and_on_how_many(tmp_path: Path) -> None:
    for number in range(4):
        cells = [square(0, 0), square(100, 0)] if number < 2 else []
        table(tmp_path / "truth" / f"{number}.csv", *([*cell, 1] for cell in cells))
        table(tmp_path / "first" / f"{number}.csv", [*square(0, 0), 0.9], [*square(100, 0), 0.6])
        table(tmp_path / "second" / f"{number}.csv", [*square(0, 0), 0.9])
    arguments = ["evaluate", *(str(tmp_path / name) for name in ("first", "truth"))]
    arguments += ["--against", str(tmp_path / "second"), "--threshold", "0.5", "--bootstrap", "20"]
    shown = CliRunner().invoke(cli, arguments)
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    (recall,) = [line.split() for line in lines[lines.index("") :] if line.startswith("Recall  ") and "+" in line]
    assert recall == ["Recall", "1.0000", "0.5000", "+0.5000", "+0.5000", "to", "+0.5000"]
    assert lines[-1].startswith("Intervals: resamples of 2 images with cells and 2 without; fewer than 8 of a kind")
    printed = json.loads(CliRunner().invoke(cli, [*arguments, "--json", "--against-threshold", "0.95"]).stdout)
    against = printed["against"]
    assert (against["images"], against["threshold"], against["other_threshold"]) == (4, 0.5, 0.95)
    assert against["figures"]["recall"]["difference"] == 1
    assert against["figures"]["false_positives_per_normal"]["difference"] == 2
    assert against["intervals"]["few"] is True
    alone = CliRunner().invoke(cli, ["evaluate", *map(str, (tmp_path / "first", tmp_path / "truth"))])
    assert "Against" not in alone.stdout


# ---- classes to ignore ----------------------------------------------------------------------------------------------


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A cell, something unsure that overlaps it, something unsure alone; and predictions on all, and beside them."""
    truth, predictions = tmp_path / "truth", tmp_path / "found"
    truth.mkdir()
    boxes = np.array([square(0, 0), square(20, 20), square(300, 0)])
    (truth / "a.xml").write_bytes(boxes_xml("a", (600, 600), boxes, ["Ring", "Unsure", "Unsure"]))
    (truth / "b.xml").write_bytes(boxes_xml("b", (600, 600), boxes[2:], ["Unsure"]))
    table(predictions / "a.csv", [*square(8, 8), 0.9], [*square(305, 0), 0.8], [*square(500, 0), 0.7])
    table(predictions / "b.csv", [*square(300, 0), 0.6])
    return predictions, truth


def test_predictions_on_an_ignored_class_count_neither_way(pair: tuple[Path, Path]) -> None:
    with pytest.raises(AnnotationError, match="2 classes"):
        read_results(*pair)
    counted = read_results(*pair, TruthOptions(class_name="ring"))
    assert [len(one.detections) for one in counted.results] == [3, 1]
    for options in (
        TruthOptions(ignore_classes=(" unsure ",)),
        TruthOptions(class_name="Ring", ignore_classes=("UNSURE",)),
    ):
        read = read_results(*pair, options)
        a, b = read.results
        assert a.detections.scores.tolist() == pytest.approx([0.9, 0.7]), "the first finds the cell"
        assert (len(a.truth), len(b.truth), len(b.detections)) == (1, 0, 0)
        assert not b.normal, "what is ignored may be a cell"
        scores = evaluate(read.results, 0)
        assert (scores.recall, scores.precision) == (1, 0.5)
        assert any("on objects of classes to ignore: 2" in note for note in read.notes)


def test_a_class_to_ignore_must_be_there_and_not_be_the_one_to_evaluate(pair: tuple[Path, Path]) -> None:
    with pytest.raises(AnnotationError, match="no object of the class 'mitosis' to ignore; its classes: Ring, Unsure"):
        read_results(*pair, TruthOptions(ignore_classes=("mitosis",)))
    with pytest.raises(OptionError, match="both evaluated and ignored"):
        TruthOptions(class_name="Ring", ignore_classes=("ring",))
    assert math.isnan(evaluate(read_results(*pair, TruthOptions(ignore_classes=("ring", "unsure"))).results, 0).recall)
