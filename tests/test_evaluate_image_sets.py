"""Evaluation against the truth of many images: COCO files and YOLO's labels; and truth that does not fit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from signetscan.annotations import boxes_xml
from signetscan.errors import AnnotationError
from signetscan.evaluation import AssessOptions, evaluate_files, read_results

if TYPE_CHECKING:
    from pathlib import Path


def predictions(folder: Path) -> Path:
    """One cell found in a, two detections in the crowd of b, none in n, and one false positive in c."""
    folder.mkdir()
    found = {"a": [(10, 20, 40, 60)], "b": [(0, 0, 20, 20), (5, 5, 30, 30)], "n": [], "c": [(0, 0, 9, 9)]}
    for stem, boxes in found.items():
        xml = boxes_xml(f"{stem}.png", (200, 100), np.array(boxes).reshape(-1, 4), ["ring"] * len(boxes))
        text = xml.decode().replace("</name>", "</name><score>0.9</score>")
        (folder / f"{stem}.xml").write_text(text)
    return folder


def coco(folder: str = "") -> str:
    names = ["a.png", "b.png", "n.png", "c.png"]
    images = [
        {"id": number, "file_name": f"{folder}{name}", "width": 200, "height": 100} for number, name in enumerate(names)
    ]
    annotations: list[dict[str, Any]] = [
        {"image_id": 0, "category_id": 1, "bbox": [10, 20, 30, 40]},
        {"image_id": 0, "category_id": 1, "bbox": [11, 20, 30, 40]},
        {"image_id": 0, "category_id": 1, "bbox": [100, 20, 30, 40]},
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 50], "iscrowd": 1},
    ]
    categories = [{"id": 1, "name": "ring"}]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories})


@pytest.mark.parametrize("folder", ["", "val2017/"])
@pytest.mark.parametrize("is_file", [True, False])
def test_a_coco_file_is_truth_without_its_images(tmp_path: Path, folder: str, is_file: bool) -> None:
    truth = tmp_path / "truth"
    truth.mkdir()
    (truth / "instances.json").write_text(coco(folder))
    read = read_results(predictions(tmp_path / "found"), truth / "instances.json" if is_file else truth)
    seen = [(len(result.truth), len(result.detections), result.normal) for result in read.results]
    assert seen == [(2, 1, False), (0, 0, False), (0, 0, True), (0, 1, True)]
    notes = "\n".join(read.notes)
    for words in ("boxed twice, counted once: 1", "iscrowd", "in ignored areas: 2", "taken for normal ones: 2"):
        assert words in notes
    evaluation = evaluate_files(tmp_path / "found", truth, options=AssessOptions(bootstrap=0))
    assert evaluation.assessment.figures["recall"].value == 0.5
    assert (evaluation.assessment.positives, evaluation.assessment.normals) == (2, 2)


def test_yolo_s_labels_are_truth_with_their_images(tmp_path: Path) -> None:
    root = tmp_path / "yolo"
    for name, labels in (("a", "0 0.125 0.4 0.15 0.4\n0 0.6 0.4 0.15 0.4\n"), ("n", "")):
        for folder, suffix in (("images", "png"), ("labels", "txt")):
            (root / folder).mkdir(parents=True, exist_ok=True)
            if suffix == "txt":
                (root / folder / f"{name}.txt").write_text(labels)
            else:
                Image.new("RGB", (200, 100), name and (ord(name), 0, 0)).save(root / folder / f"{name}.png")
    (root / "data.yaml").write_text("names: [ring]\n")
    found = predictions(tmp_path / "found")
    for truth in (root, root / "data.yaml"):
        read = read_results(found, truth)
        assert [(len(result.truth), len(result.detections), result.normal) for result in read.results] == [
            (2, 1, False),
            (0, 0, True),
        ]


def test_an_image_in_two_coco_files_is_refused(tmp_path: Path) -> None:
    truth = tmp_path / "truth"
    truth.mkdir()
    for name in ("one.json", "two.json"):
        (truth / name).write_text(coco())
    with pytest.raises(AnnotationError, match=r"a\.png is in one\.json already"):
        read_results(predictions(tmp_path / "found"), truth)


def test_truth_of_another_size_is_said(tmp_path: Path) -> None:
    found, truth = predictions(tmp_path / "found"), tmp_path / "truth"
    truth.mkdir()
    for stem, size in (("a", (200, 100)), ("b", (400, 200))):
        (truth / f"{stem}.xml").write_bytes(boxes_xml("x", size, np.array([(10, 20, 40, 60)]), ["ring"]))
    read = read_results(found, truth)
    assert [result.name for result in read.results] == ["a", "b"]
    assert any("another size" in note and "b (400 x 200 px, 200 x 100 px)" in note for note in read.notes)
