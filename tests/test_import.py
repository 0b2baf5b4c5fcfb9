"""Foreign graphs as model files: they find what the foreign graph finds, or they are not written."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np
import onnx
import pytest
from conftest import ROOT
from foreign_graphs import SIDE, foreign_graph, found_by, imported, refused, write_foreign
from onnx import TensorProto, helper, numpy_helper

from signetscan.errors import OptionError
from signetscan.foreign.options import BoxKind, Pixels
from signetscan.models.detector import load_detector
from signetscan.scan.detect import detect_slide
from signetscan.scan.options import ScanOptions
from signetscan.slides import ArraySlide
from signetscan.testing.tiny_model import BOX, write_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.foreign.importing import ImportedDetector

KINDS = get_args(BoxKind)


def tiles(count: int = 3) -> NDArray[np.uint8]:
    rng = np.random.default_rng(2)
    flat = rng.integers(0, 256, (count, 1, 1, 3)) * np.ones((1, SIDE, SIDE, 1))
    return (0.5 * flat + 0.5 * rng.integers(0, 256, (count, SIDE, SIDE, 3))).astype(np.uint8)


def check_same(model: ImportedDetector, foreign: onnx.ModelProto, pixels: str = "") -> None:
    """The model file, run as any other, finds what the foreign graph finds, tile by tile."""
    detector = load_detector(model.path, device="cpu")
    some = tiles()
    total = 0
    for tile, found in zip(some, detector.detect(some, 0.0), strict=True):
        boxes, scores, labels = found_by(foreign, model.kind, tile, pixels)
        np.testing.assert_allclose(found.boxes, boxes, atol=0.01)
        np.testing.assert_allclose(found.scores, scores, atol=1e-5)
        assert found.labels.tolist() == labels.tolist()
        total += len(found)
    assert total > 20


@pytest.mark.parametrize("kind", KINDS)
def test_a_foreign_graph_finds_the_same_as_a_model_file(kind: BoxKind, tmp_path: Path) -> None:
    foreign = foreign_graph(kind)
    model = imported(write_foreign(tmp_path / "foreign.onnx", kind))
    assert model.kind == kind
    assert model.agreement.candidates >= 3
    assert model.agreement.box_px <= 0.01
    assert model.spec == load_detector(model.path, device="cpu").spec
    assert (model.spec.tile_size, model.spec.tile_overlap, model.spec.stride) == (64, 0, 32)
    assert (model.spec.tile_size_is_fixed, model.spec.batch_size, model.spec.cautions) == (True, 1, ())
    assert model.spec.recipe["imported_from"] == "foreign.onnx"
    check_same(model, foreign)


@pytest.mark.parametrize("pixels", get_args(Pixels))
def test_pixels_are_prepared_as_the_network_takes_them(pixels: Pixels, tmp_path: Path) -> None:
    weight = 0.01 if pixels == "0-255" else 2.0
    path = write_foreign(tmp_path / "foreign.onnx", "yolo", weight=weight)
    check_same(imported(path, pixels=pixels), foreign_graph("yolo", weight=weight), pixels)


def test_colours_may_be_the_other_way_round(tmp_path: Path) -> None:
    model = imported(write_foreign(tmp_path / "foreign.onnx", "yolo"), colours="bgr")
    (tile,) = tiles(1)
    (found,) = load_detector(model.path, device="cpu").detect(tile[None], 0.0)
    boxes, scores, _ = found_by(foreign_graph("yolo"), "yolo", tile[:, :, ::-1])
    np.testing.assert_allclose(found.boxes, boxes, atol=0.01)
    np.testing.assert_allclose(found.scores, scores, atol=1e-5)


@pytest.mark.parametrize(("pixel_type", "pixels"), [(TensorProto.FLOAT16, "0-1"), (TensorProto.UINT8, "0-255")])
def test_other_layouts_and_types_of_pixels_are_taken(pixel_type: int, pixels: Pixels, tmp_path: Path) -> None:
    """A picture (B, H, W, 3) of half precision, or of bytes."""
    weight = 0.01 if pixels == "0-255" else 2.0
    foreign, other = (foreign_graph("yolo", weight=weight) for _ in range(2))
    del other.graph.input[:]
    other.graph.input.append(helper.make_tensor_value_info("picture", pixel_type, (1, SIDE, SIDE, 3)))
    other.graph.node.insert(0, helper.make_node("Transpose", ["wide"], ["images"], perm=[0, 3, 1, 2]))
    other.graph.node.insert(0, helper.make_node("Cast", ["picture"], ["wide"], to=TensorProto.FLOAT))
    onnx.save(other, tmp_path / "foreign.onnx")
    model = imported(tmp_path / "foreign.onnx", pixels=pixels)
    assert model.agreement.box_px <= 0.01
    (tile,) = tiles(1)
    (found,) = load_detector(model.path, device="cpu").detect(tile[None], 0.0)
    np.testing.assert_allclose(found.boxes, found_by(foreign, "yolo", tile, pixels)[0], atol=0.1)
    if pixels == "0-255":
        model.path.unlink()
        refused(tmp_path / "foreign.onnx", "takes bytes", pixels="0-1")


def test_colours_are_the_axis_of_three_even_if_all_others_are_free(tmp_path: Path) -> None:
    said = {"names": "['a', 'b']", "imgsz": "64"}
    path = write_tiny_model(tmp_path / "foreign.onnx", metadata=said, input_name="picture")
    model = imported(path, kind="rt-detr", pixels="0-255", classes=())
    assert (model.spec.tile_size, model.spec.batch_size) == (64, None)
    (found,) = load_detector(model.path, device="cpu").detect(np.zeros((1, 64, 64, 3), np.uint8), 0.5)
    assert found.boxes.tolist() == [list(BOX)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "torchvision"])
def test_a_free_batch_stays_free(kind: BoxKind, tmp_path: Path) -> None:
    model = imported(write_foreign(tmp_path / "foreign.onnx", kind, batch="n"))
    assert model.spec.batch_size is None
    check_same(model, foreign_graph(kind))


def test_a_batch_that_is_free_in_name_only_is_one(tmp_path: Path) -> None:
    foreign = foreign_graph("yolo", batch="n")
    for constant in foreign.graph.initializer:
        if constant.name == "cell_shape":
            constant.CopyFrom(numpy_helper.from_array(np.array([1, 3, 16]), "cell_shape"))
    onnx.save(foreign, tmp_path / "foreign.onnx")
    model = imported(tmp_path / "foreign.onnx")
    assert model.spec.batch_size == 1
    check_same(model, foreign_graph("yolo"))


def test_a_batch_of_several_is_filled(tmp_path: Path) -> None:
    model = imported(write_foreign(tmp_path / "foreign.onnx", "yolo", batch=2))
    assert model.spec.batch_size == 2
    check_same(model, foreign_graph("yolo"))


def test_a_slide_is_scanned_with_tiles_of_the_size_that_the_network_takes(tmp_path: Path) -> None:
    model = imported(write_foreign(tmp_path / "foreign.onnx", "yolo"), overlap=32, threshold=0.6)
    slide = ArraySlide([np.random.default_rng(0).integers(0, 200, (150, 201, 3), np.uint8)], mpp=0.5)
    found = detect_slide(slide, load_detector(model.path, device="cpu"))
    assert found.tiles_scanned >= 20
    assert len(found.detections)
    with pytest.raises(OptionError, match="64 px only"):
        detect_slide(slide, load_detector(model.path, device="cpu"), ScanOptions(tile_size=128))


def with_metadata(path: Path, kind: str, **entries: str) -> Path:
    model = foreign_graph(kind)
    helper.set_model_props(model, entries)
    onnx.save(model, path)
    return path


def test_what_a_file_says_of_itself_is_taken(tmp_path: Path) -> None:
    path = with_metadata(
        tmp_path / "yolo.onnx",
        "yolo",
        names="{0: 'Signet ring cell', 1: \"Crohn's\"}",
        imgsz="[64, 64]",
        stride="16",
        task="detect",
        license="AGPL-3.0 License (https://ultralytics.com/license)",
        description="Ultralytics YOLO11n model trained on cells.yaml",
    )
    spec = imported(path, classes=(), threshold=None).spec
    assert spec.class_names == ("Signet ring cell", "Crohn's")
    assert (spec.stride, spec.tile_overlap) == (16, 16)
    assert spec.licence == "AGPL-3.0 License (https://ultralytics.com/license)"
    assert spec.training_data == "Ultralytics YOLO11n model trained on cells.yaml"
    assert (spec.score_threshold, spec.intended_use) == (0.5, "unknown")
    assert spec.cautions == ("nobody chose its score threshold: 0.5 is that of all imported models",)
    said = {"licence": "MIT", "training_data": "200 slides", "intended_use": "research", "name": "mine"}
    spec = imported(path, **said).spec
    assert {name: getattr(spec, name) for name in said} == said


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"task": "segment"}, "its task is 'segment'"),
        ({"imgsz": "[64, 128]"}, "square tiles"),
        ({"names": "{0: 'a'}"}, "room for 2 classes, but there are 1 name"),
        ({"names": "{0: 'a', 2: 'b'}"}, "does not say the names"),
        ({"names": "[" * 5000}, "does not say the names"),
        ({"names": "'x'" * 10**6}, "does not say the names"),
        ({"names": "__import__('os').system('true')"}, "does not say the names"),
        ({"names": "['a', 'A']"}, "stands there twice"),
        ({}, "does not say the names"),
    ],
)
def test_metadata_that_cannot_be_is_refused(entries: dict[str, str], says: str, tmp_path: Path) -> None:
    refused(with_metadata(tmp_path / "yolo.onnx", "yolo", **entries), says, classes=())


def test_background_is_no_detection(tmp_path: Path) -> None:
    """Of torchvision's networks, some learn the label 0 like any other."""
    model = imported(write_foreign(tmp_path / "foreign.onnx", "torchvision"), first_label=2, classes=("Mitosis",))
    (tile,) = tiles(1)
    boxes, _, labels = found_by(foreign_graph("torchvision"), "torchvision", tile)
    assert {0, 1} == set(labels.tolist())
    (found,) = load_detector(model.path, device="cpu").detect(tile[None], 0.01)
    np.testing.assert_allclose(found.boxes, boxes[labels == 1], atol=0.01)
    assert not found.labels.any()


def test_rf_detr_has_a_logit_more_than_classes(tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "foreign.onnx", "rf-detr")
    for first in (0, 1):
        model = imported(path, classes=("Cell",), first_label=first)
        assert model.agreement.box_px <= 0.01
        (found,) = load_detector(model.path, device="cpu").detect(tiles(1), 0.0)
        assert len(found) == 16
        assert set(found.labels.tolist()) == {0}
        model.path.unlink()
    refused(path, "room for 2 classes, but there are 3 names", classes=("a", "b", "c"))
    refused(path, "from label 2 on", classes=("a",), first_label=2)


def test_the_network_of_a_kind_may_have_other_names(tmp_path: Path) -> None:
    """RT-DETR and D-FINE as transformers has them: decoded as RF-DETR, but the kind must be named."""
    model = foreign_graph("rf-detr")
    for node in model.graph.node:
        for index, name in enumerate(node.output):
            node.output[index] = {"dets": "pred_boxes", "labels": "scores"}.get(name, name)
    for value, name in zip(model.graph.output, ("pred_boxes", "scores"), strict=True):
        value.name = name
    onnx.save(model, tmp_path / "foreign.onnx")
    refused(tmp_path / "foreign.onnx", "nothing tells of which kind it is")
    imported_model = imported(tmp_path / "foreign.onnx", kind="rf-detr", pixels="0-1")
    (tile,) = tiles(1)
    (found,) = load_detector(imported_model.path, device="cpu").detect(tile[None], 0.0)
    boxes, scores, _ = found_by(foreign_graph("rf-detr"), "rf-detr", tile, "0-1")
    np.testing.assert_allclose(found.boxes, boxes, atol=0.01)
    np.testing.assert_allclose(found.scores, scores, atol=1e-5)


def test_rows_that_only_fill_up_are_no_breach_of_the_contract(tmp_path: Path) -> None:
    """They have no score, and any label and box."""
    model = foreign_graph("mmdetection")
    for node in model.graph.node:
        for index, name in enumerate(node.output):
            node.output[index] = {"dets": "real_dets", "labels": "real_labels"}.get(name, name)
    padding = {
        "no_dets": np.array([[[0, 0, 0, 0, 0], [9, 9, 3, 3, 0]]], np.float32),
        "no_labels": np.array([[-1, 77]]),
    }
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in padding.items())
    for name in ("dets", "labels"):
        model.graph.node.append(helper.make_node("Concat", [f"no_{name}", f"real_{name}"], [name], axis=1))
    for value, shape in zip(model.graph.output, ((1, 18, 5), (1, 18)), strict=True):
        value.CopyFrom(helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, shape))
    onnx.save(model, tmp_path / "foreign.onnx")
    check_same(imported(tmp_path / "foreign.onnx"), foreign_graph("mmdetection"))


def test_a_model_is_checked_on_the_tissue_of_a_slide_too(tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "foreign.onnx", "yolo")
    few = imported(path).agreement.candidates
    more = imported(path, check_on=(ROOT / "tests" / "data" / "sample.svs",)).agreement.candidates
    assert few < more <= few + 4 * 16
