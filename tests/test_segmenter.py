"""Models that segment: their contract, loading them and what they give."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from signetscan.errors import ModelError
from signetscan.info import ModelInfo, describe
from signetscan.models.detector import load_detector
from signetscan.models.held_out import Estimate, HeldOutRegions
from signetscan.models.segmentation_spec import SegmentationSpec, SlideScore
from signetscan.models.segmenter import load_segmenter
from signetscan.models.spec import METADATA_PREFIX, OPTIONAL
from signetscan.testing.specs import make_segmentation_spec, make_spec
from signetscan.testing.tiny_model import write_tiny_model
from signetscan.testing.tiny_segmenter import BEYOND, tiny_probabilities, write_tiny_segmenter

if TYPE_CHECKING:
    from pathlib import Path

FIGURE = Estimate(value=0.9, low=0.8, high=0.95)
HELD_OUT = HeldOutRegions(
    positives=3, negatives=2, intervals="5 slides", dice=FIGURE, scored_dice=FIGURE, image_dice=FIGURE, auc=FIGURE
)


@pytest.mark.parametrize("held_out", [None, HELD_OUT])
def test_metadata_round_trip(held_out: HeldOutRegions | None) -> None:
    spec = make_segmentation_spec(recipe={"lr": 1e-4}, held_out=held_out, precision="int8")
    assert SegmentationSpec.from_metadata(spec.to_metadata()) == spec
    fixed = make_segmentation_spec(tile_size_is_fixed=True, batch_size=4, held_out=held_out)
    assert SegmentationSpec.from_metadata(fixed.to_metadata()) == fixed


def test_a_file_from_before_tiles_could_be_fixed_takes_any() -> None:
    metadata = make_segmentation_spec().to_metadata()
    del metadata["signetscan.tile_size_is_fixed"]
    assert "signetscan.batch_size" not in metadata
    spec = SegmentationSpec.from_metadata(metadata)
    assert (spec.tile_size_is_fixed, spec.batch_size, spec.contract) == (False, None, 2)


@pytest.mark.parametrize("field", [key.removeprefix(METADATA_PREFIX) for key in make_segmentation_spec().to_metadata()])
def test_a_missing_or_broken_field_is_named(field: str) -> None:
    metadata = make_segmentation_spec().to_metadata()
    for broken in ({**metadata, METADATA_PREFIX + field: "{"}, {**metadata, METADATA_PREFIX + field: "null"}):
        with pytest.raises(ModelError, match=field):
            SegmentationSpec.from_metadata(broken)
    if field not in OPTIONAL:
        del metadata[METADATA_PREFIX + field]
        with pytest.raises(ModelError, match=field):
            SegmentationSpec.from_metadata(metadata)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("contract", 1),
        ("mpp", 0),
        ("tile_size", 100),
        ("output_stride", 3),
        ("output_stride", 32),
        ("output_stride", 0),
        ("output_stride", 4.0),
        ("margin", 6),
        ("margin", -4),
        ("margin", 60),
        ("class_names", ("Background",)),
        ("class_names", tuple(map(str, range(251)))),
        ("class_colours", ((0, 0, 0), (1, 1, 1))),
        ("class_colours", ((0, 0, 0), (1, 1, 1), (1, 1, 256))),
        ("class_colours", ((0, 0, 0), (1, 1, 1), (1, 1))),
        ("background", 3),
        ("background", True),
        ("tile_size_is_fixed", 1),
        ("batch_size", 0),
        ("batch_size", 1025),
        ("batch_size", True),
        ("slide_score", None),
        ("slide_score.classes", SlideScore(classes=(), top_share=0.1)),
        ("slide_score.classes", SlideScore(classes=(1, 1), top_share=0.1)),
        ("slide_score.classes", SlideScore(classes=(0, 1), top_share=0.1)),
        ("slide_score.classes", SlideScore(classes=(3,), top_share=0.1)),
        ("slide_score.top_share", SlideScore(classes=(1,), top_share=0)),
        ("slide_score.top_share", SlideScore(classes=(1,), top_share=1.5)),
    ],
)
def test_a_value_out_of_range_is_named(field: str, value: object) -> None:
    with pytest.raises(ModelError, match=field):
        make_segmentation_spec(**{field.split(".", maxsplit=1)[0]: value})


@given(
    st.sampled_from(sorted(make_segmentation_spec().to_metadata())),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(max_size=3) | st.sampled_from(["classes", "top_share"]), inner, max_size=3)
        ),
        max_leaves=6,
    ),
)
def test_any_json_is_taken_or_refused_and_nothing_else(key: str, value: object) -> None:
    metadata = make_segmentation_spec().to_metadata() | {key: json.dumps(value)}
    with contextlib.suppress(ModelError):
        spec = SegmentationSpec.from_metadata(metadata)
        assert 0 < spec.inner_side <= spec.tile_size - 2 * spec.margin
        assert spec.background not in spec.slide_score.classes


def test_a_model_of_the_other_task_is_refused_in_words(tmp_path: Path) -> None:
    detector, segmenter = write_tiny_model(tmp_path / "detects.onnx"), write_tiny_segmenter(tmp_path / "segments.onnx")
    with pytest.raises(ModelError, match=r"segments\.onnx: this model segments tissue; choose one that detects cells"):
        load_detector(segmenter)
    with pytest.raises(ModelError, match=r"detects\.onnx: this model detects cells; choose one that segments tissue"):
        load_segmenter(detector)
    for task in ("null", '"classification"', "3", "{"):
        odd = write_tiny_model(tmp_path / "odd.onnx", metadata=make_spec().to_metadata() | {"signetscan.task": task})
        with pytest.raises(ModelError, match="task is"):
            load_detector(odd)


def test_a_file_from_before_there_were_tasks_detects(tmp_path: Path) -> None:
    metadata = make_spec().to_metadata()
    del metadata["signetscan.task"]
    assert load_detector(write_tiny_model(tmp_path / "old.onnx", metadata=metadata)).spec == make_spec()


def test_a_model_is_described_by_its_task(tmp_path: Path) -> None:
    described = describe(str(write_tiny_segmenter(tmp_path / "segments.onnx")))
    assert isinstance(described, ModelInfo)
    assert described.spec == make_segmentation_spec()


@pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.FLOAT16])
def test_probabilities_are_those_of_a_slow_computation(tmp_path: Path, kind: int) -> None:
    rng = np.random.default_rng(1)
    pixels = np.kron(rng.integers(0, 256, (2, 9, 6, 1)), np.ones((1, 16, 16, 3))).astype(np.uint8)[:, :128, :96]
    found = load_segmenter(write_tiny_segmenter(tmp_path / "tiny.onnx", output_type=kind)).segment(pixels)
    assert found.shape == (2, 3, 32, 24)
    assert found.dtype == np.uint8
    for tile, mine in zip(pixels, found, strict=True):
        # Beyond its edges the graph sees noughts.
        black = np.pad(tile, ((BEYOND, BEYOND), (BEYOND, BEYOND), (0, 0)))
        expected = tiny_probabilities(black).astype(int)
        assert np.abs(expected - mine).max() <= (0 if kind == TensorProto.UINT8 else 1)
    assert (found.argmax(axis=1) == 2).any()


@pytest.mark.parametrize(
    ("breach", "says"),
    [
        ({"output_name": "scores"}, "output probabilities is missing"),
        ({"output_type": TensorProto.FLOAT}, r"probabilities is tensor\(float\)"),
        ({"metadata": {}}, "metadata entry signetscan.name is missing"),
    ],
)
def test_a_file_that_breaks_the_contract_is_not_loaded(tmp_path: Path, breach: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        load_segmenter(write_tiny_segmenter(tmp_path / "tiny.onnx", **breach))


@pytest.mark.parametrize(
    ("breach", "says"),
    [
        ({"metadata": make_segmentation_spec(output_stride=8).to_metadata()}, "shape"),
        (
            {
                "metadata": make_segmentation_spec(
                    class_names=("a", "b"),
                    class_colours=((0, 0, 0), (1, 1, 1)),
                    slide_score=SlideScore(classes=(1,), top_share=1),
                ).to_metadata()
            },
            "shape",
        ),
        ({"scale": 250.0}, r"add up to 0\.9"),
        ({"output_type": TensorProto.FLOAT16, "scale": 1.1}, "a probability of 1.0996"),
        ({"output_type": TensorProto.FLOAT16, "scale": float("nan")}, "a probability of nan"),
    ],
)
def test_an_output_that_breaks_the_contract_is_refused(tmp_path: Path, breach: dict[str, Any], says: str) -> None:
    segmenter = load_segmenter(write_tiny_segmenter(tmp_path / "tiny.onnx", **breach))
    with pytest.raises(ModelError, match=f"model test breaks the contract.*{says}"):
        segmenter.segment(np.full((1, 128, 128, 3), 255, np.uint8))


def test_a_segmenter_of_a_fixed_size_and_batch_is_run_as_often_as_it_takes(tmp_path: Path) -> None:
    metadata = make_segmentation_spec(tile_size_is_fixed=True, batch_size=2).to_metadata()
    fixed = load_segmenter(
        write_tiny_segmenter(tmp_path / "fixed.onnx", input_shape=(2, 128, 128, 3), metadata=metadata), device="cpu"
    )
    free = load_segmenter(write_tiny_segmenter(tmp_path / "free.onnx"), device="cpu")
    tiles = np.random.default_rng(0).integers(0, 256, (5, 128, 128, 3), np.uint8)
    for count in range(1, 6):
        np.testing.assert_array_equal(fixed.segment(tiles[:count]), free.segment(tiles[:count]))


@pytest.mark.parametrize(
    ("shape", "said", "named"),
    [
        ((2, 128, 128, 3), {"tile_size_is_fixed": True}, "batch free"),
        (("batch", "h", "w", 3), {"batch_size": 1}, "metadata says batch_size 1"),
        (("batch", 128, 128, 3), {}, "takes tiles of 128 px only, but tile_size_is_fixed is not true"),
        (("batch", 64, 64, 3), {"tile_size_is_fixed": True}, "metadata says tile_size 128"),
    ],
)
def test_a_graph_takes_what_its_metadata_says(
    tmp_path: Path, shape: tuple[str | int, ...], said: dict[str, Any], named: str
) -> None:
    metadata = make_segmentation_spec(**said).to_metadata()
    with pytest.raises(ModelError, match=named):
        load_segmenter(write_tiny_segmenter(tmp_path / "m.onnx", input_shape=shape, metadata=metadata))
