"""Foreign graphs that segment or classify patches: they say of each place what the foreign graph says of it."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from foreign_places import (
    CONFIG,
    DEVIATION,
    MEAN,
    NAMES,
    SIDE,
    imported_places,
    logits_of,
    place_graph,
    softmax,
    write_config,
    write_places,
)
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from PIL import Image

from signetscan.cli.main import cli
from signetscan.errors import ModelError, OptionError
from signetscan.foreign.resizing import bilinear_weights
from signetscan.foreign.wrapping import wrap
from signetscan.foreign.wsinfer import read_config
from signetscan.models.segmentation_spec import SlideScore
from signetscan.models.segmenter import load_segmenter
from signetscan.scan.class_map import FIRST_CLASS
from signetscan.scan.options import SegmentOptions
from signetscan.scan.segment import segment_slide
from signetscan.slides import ArraySlide
from signetscan.testing.tiny_segmenter import write_tiny_segmenter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.foreign.importing import ImportedSegmenter
    from signetscan.models.segmentation_spec import SegmentationSpec

ROUNDING = 0.5 / 255 + 1e-4
"""A model file gives bytes."""


def picture(height: int, width: int, seed: int = 5) -> NDArray[np.uint8]:
    """Patches of colour, and noise."""
    rng = np.random.default_rng(seed)
    flat = np.kron(rng.integers(0, 256, (-(-height // 16), -(-width // 16), 3)), np.ones((16, 16, 1)))[:height, :width]
    return (0.8 * flat + 0.2 * rng.integers(0, 256, (height, width, 3))).astype(np.uint8)


def spec_of(model: ImportedSegmenter) -> SegmentationSpec:
    assert model.agreement.probability <= ROUNDING
    return model.spec


def said_of(model: ImportedSegmenter, tiles: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The probabilities (B, rows, columns, C) by the model file, loaded as any other."""
    found: NDArray[np.float64] = load_segmenter(model.path, device="cpu").segment(tiles).transpose(0, 2, 3, 1) / 255
    return found


@pytest.mark.parametrize("opset", [11, 13, 18, 21])
@pytest.mark.parametrize("kind", ["segmentation", "patches"])
def test_logits_become_probabilities(kind: str, opset: int, tmp_path: Path) -> None:
    """In graphs of all ages: before opset 13, a softmax takes all axes from one on together."""
    model = imported_places(write_places(tmp_path / "foreign.onnx", kind, opset=opset))
    spec = spec_of(model)
    assert (model.kind, spec.class_names, spec.background) == (kind, NAMES, 0)
    assert spec.slide_score == SlideScore(classes=(1, 2), top_share=0.01)
    step = 4 if kind == "segmentation" else SIDE
    assert (spec.output_stride, spec.batch_size) == (step, None)
    tiles = np.stack([picture(spec.tile_size, spec.tile_size, seed) for seed in range(3)])
    for tile, found in zip(tiles, said_of(model, tiles), strict=True):
        np.testing.assert_allclose(found, softmax(logits_of(tile / 255, step, 3)), atol=ROUNDING)
        assert len(np.unique(found.argmax(axis=-1))) > 1 or kind == "patches"


@pytest.mark.parametrize("kind", ["segmentation", "patches"])
def test_one_value_is_that_of_the_class_that_is_not_the_background(kind: str, tmp_path: Path) -> None:
    model = imported_places(write_places(tmp_path / "foreign.onnx", kind, classes=1, weight=9), classes=("Gland",))
    spec = spec_of(model)
    assert (spec.class_names, spec.background, spec.slide_score.classes) == (("Background", "Gland"), 0, (1,))
    tile = picture(spec.tile_size, spec.tile_size)
    (logits,) = logits_of(tile / 255, spec.output_stride, 1, 9).transpose(2, 0, 1)
    found = said_of(model, tile[None])[0]
    np.testing.assert_allclose(found[..., 1], 1 / (1 + np.exp(-logits)), atol=ROUNDING)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=2 * ROUNDING)


@pytest.mark.parametrize(("classes", "last"), [(3, "Softmax <axis = -1>"), (1, "Sigmoid")])
def test_probabilities_stay_as_they_are(classes: int, last: str, tmp_path: Path) -> None:
    path = write_places(tmp_path / "foreign.onnx", "segmentation", classes=classes, last=last)
    if classes == 1:  # which could be logits
        with pytest.raises(OptionError, match="may be probabilities or logits; say which"):
            imported_places(path, classes=("Gland",))
    model = imported_places(path, classes=NAMES[:classes], values="probabilities" if classes == 1 else None)
    spec = spec_of(model)
    assert spec.recipe["values"] == "probabilities"
    tile = picture(SIDE, SIDE)
    logits = logits_of(tile / 255, 4, classes)
    expected = softmax(logits) if classes == 3 else 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(said_of(model, tile[None])[0][..., -classes:], expected, atol=ROUNDING)


@pytest.mark.parametrize(
    ("step", "wanted", "stride"), [(1, None, 4), (2, None, 4), (8, None, 8), (1, 1, 1), (4, 16, 16)]
)
def test_probabilities_of_finer_places_are_averaged(step: int, wanted: int | None, stride: int, tmp_path: Path) -> None:
    model = imported_places(write_places(tmp_path / "foreign.onnx", "segmentation", step=step), output_stride=wanted)
    spec = spec_of(model)
    assert (spec.output_stride, spec.stride % stride, spec.margin) == (stride, 0, SIDE // 8 // stride * stride)
    tile = picture(SIDE, SIDE)
    fine = softmax(logits_of(tile / 255, step, 3))
    each = stride // step
    mean = fine.reshape(SIDE // stride, each, SIDE // stride, each, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(said_of(model, tile[None])[0], mean, atol=ROUNDING)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("kind", ["segmentation", "patches"])
def test_a_fixed_number_of_pictures_is_kept(kind: str, batch: int, tmp_path: Path) -> None:
    """Then a tile is a picture, also where patches are classified."""
    model = imported_places(write_places(tmp_path / "foreign.onnx", kind, batch=batch))
    spec = spec_of(model)
    assert (spec.batch_size, spec.tile_size, spec.tile_size_is_fixed) == (batch, SIDE, True)
    tiles = np.stack([picture(SIDE, SIDE, seed) for seed in range(5)])
    step = spec.output_stride
    expected = np.stack([softmax(logits_of(tile / 255, step, 3)) for tile in tiles])
    np.testing.assert_allclose(said_of(model, tiles), expected, atol=ROUNDING)


@pytest.mark.parametrize("kind", ["segmentation", "patches"])
def test_a_batch_that_is_free_in_name_only_is_one(kind: str, tmp_path: Path) -> None:
    foreign = place_graph(kind)
    foreign.graph.node[0].input[0] = "first"
    foreign.graph.node.insert(0, helper.make_node("Reshape", ["images", "one"], ["first"]))
    foreign.graph.initializer.append(numpy_helper.from_array(np.array([1, 3, SIDE, SIDE]), "one"))
    onnx.save(foreign, tmp_path / "foreign.onnx")
    spec = spec_of(imported_places(tmp_path / "foreign.onnx"))
    assert (spec.batch_size, spec.tile_size, spec.tile_size_is_fixed) == (1, SIDE, True)


def test_of_several_outputs_that_called_out_counts(tmp_path: Path) -> None:
    """As torchvision has them, whose other one is for training."""
    model = imported_places(write_places(tmp_path / "foreign.onnx", "segmentation", outputs="out,aux"))
    assert spec_of(model).output_stride == 4
    (tmp_path / "out.onnx").unlink()
    with pytest.raises(ModelError, match=r"nothing tells of which kind it is .* its outputs are first"):
        imported_places(write_places(tmp_path / "foreign.onnx", "segmentation", outputs="first,aux"))


@pytest.mark.parametrize("side", [SIDE, 96, 40, 128])
def test_patches_are_prepared_as_a_config_says(side: int, tmp_path: Path) -> None:
    """Resized by Pillow, as in the WSInfer zoo, which enlarges some."""
    config = write_config(tmp_path / "config.json", patch_size_pixels=side)
    path = write_places(tmp_path / "foreign.onnx", "patches", weight=1)
    model = imported_places(path, mpp=None, config=config, classes=(), pixels=None)
    spec = spec_of(model)
    assert (spec.mpp, spec.class_names, spec.background) == (0.5, NAMES, 0)
    assert (spec.output_stride, spec.stride, spec.margin, spec.tile_size) == (side, side, 0, round(1024 / side) * side)
    tile = picture(2 * side, 3 * side)
    found = said_of(model, tile[None])[0]
    for row, column in np.ndindex(2, 3):
        patch = tile[row * side : (row + 1) * side, column * side : (column + 1) * side]
        small = np.asarray(Image.fromarray(patch).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        logits = logits_of((small / 255 - MEAN) / DEVIATION, SIDE, 3, 1)
        np.testing.assert_allclose(found[row, column], softmax(logits)[0, 0], atol=ROUNDING)
    assert imported_places(path, mpp=0.25, config=config).spec.mpp == 0.25


@given(st.integers(16, 80), st.integers(16, 80), st.integers(0, 9))
def test_resizing_is_that_of_pillow(source: int, target: int, seed: int) -> None:
    plane = np.random.default_rng(seed).integers(0, 256, (source, source), np.uint8)
    weights = bilinear_weights(source, target).astype(np.float64)
    wide = np.floor(plane @ weights.T + 0.5)
    ours = np.floor(weights @ wide + 0.5)
    theirs = np.asarray(Image.fromarray(plane).resize((target, target), Image.Resampling.BILINEAR))
    apart = np.abs(ours - theirs)
    assert apart.max() <= 2
    assert (apart > 0).mean() < 0.2, "only halves may be rounded otherwise"


def test_a_slide_is_classified_patch_by_patch(tmp_path: Path) -> None:
    model = imported_places(write_places(tmp_path / "foreign.onnx", "patches"))
    pixels = picture(5 * SIDE + 20, 7 * SIDE - 20)
    slide = ArraySlide([pixels], mpp=0.5)
    segmenter = load_segmenter(model.path, device="cpu")
    results = [
        segment_slide(slide, segmenter, SegmentOptions(tissue_mask=False, tile_size=size, batch_size=batch))
        for size, batch in ((None, None), (SIDE, 3))
    ]
    white = np.full((5 * SIDE, 7 * SIDE, 3), 255, np.uint8)
    white[:, : 7 * SIDE - 20] = pixels[: 5 * SIDE]
    expected = softmax(logits_of(white / 255, SIDE, 3)).argmax(axis=-1)
    for result in results:
        np.testing.assert_array_equal(result.class_map.classes, expected + FIRST_CLASS)
        assert result.options.simplify == 10, "patches stay squares"


def test_what_ultralytics_classifies_is_known_by_its_file(tmp_path: Path) -> None:
    foreign = place_graph("patches", last="Softmax <axis = -1>")
    helper.set_model_props(foreign, {"task": "classify", "names": "{0: 'Other', 1: 'Gland', 2: 'Lesion'}"})
    onnx.save(foreign, tmp_path / "foreign.onnx")
    spec = spec_of(imported_places(tmp_path / "foreign.onnx", classes=()))
    assert (spec.class_names, spec.recipe["values"]) == (NAMES, "probabilities")


def test_names_say_what_is_of_interest(tmp_path: Path) -> None:
    path = write_places(tmp_path / "foreign.onnx", "patches")
    spec = spec_of(imported_places(path, classes=("Tumour", "Stroma", "Glass"), background="Glass", scored=("Tumour",)))
    assert (spec.background, spec.slide_score.classes) == (2, (0,))
    assert spec.class_colours[2] == (255, 255, 255)


def of(kind: str, **changes: object) -> Callable[[], onnx.ModelProto]:
    return lambda: place_graph(kind, **changes)  # type: ignore[arg-type]


def with_task(task: str, kind: str) -> Callable[[], onnx.ModelProto]:
    def make() -> onnx.ModelProto:
        model = place_graph(kind)
        helper.set_model_props(model, {"task": task})
        return model

    return make


def huge() -> onnx.ModelProto:
    """Gives 13 GB for a picture."""
    model = place_graph("segmentation")
    model.graph.node[-1].output[0] = "small"
    model.graph.node.append(helper.make_node("Tile", ["small", "often"], ["out"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 2048, 2048]), "often"))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("out", 1, ("n", 3, "rows", "columns")))
    return model


def of_odd_places() -> onnx.ModelProto:
    model = place_graph("segmentation")
    model.graph.node[0].attribute[0].CopyFrom(helper.make_attribute("kernel_shape", [6, 6]))
    model.graph.node[0].attribute[1].CopyFrom(helper.make_attribute("strides", [5, 5]))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("out", 1, ("n", 3, "rows", "columns")))
    return model


def without_numbers() -> onnx.ModelProto:
    model = place_graph("segmentation")
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "bias")
    bias.CopyFrom(numpy_helper.from_array(np.full(3, np.nan, np.float32), "bias"))
    return model


@pytest.mark.parametrize(
    ("make", "options", "says", "named"),
    [
        (of("segmentation"), {"classes": ("a", "b", "c")}, "which class is of no interest .a, b, c.", ("background",)),
        (of("patches"), {"background": "other"}, "no class 'other', but Other, Gland, Lesion", ("background",)),
        (of("patches"), {"scored": ("a",)}, "there is no class 'a'", ("scored",)),
        (of("patches"), {"scored": ("Other",)}, "must not hold the background", ()),
        (of("patches"), {"classes": ("Other", "b")}, "room for 3 classes, but there are 2 names", ("classes",)),
        (of("patches"), {"classes": ()}, "does not say the names", ("classes",)),
        (of("patches"), {"mpp": None}, "say it in µm/px", ("mpp",)),
        (of("patches"), {"threshold": 0.5}, "kind patches have no use for this", ("threshold",)),
        (of("segmentation"), {"nms_iou": 0.5, "overlap": 0}, "have no use for this", ("overlap", "nms_iou")),
        (of("patches"), {"margin": 0}, "kind patches have no use for this", ("margin",)),
        (of("segmentation"), {"output_stride": 6}, "must be a multiple of 4 px, and a part", ("output_stride",)),
        (of("segmentation"), {"margin": 32}, "margin 32 leaves nothing of a tile of 64 px", ()),
        (of("segmentation"), {"values": "probabilities"}, "no probabilities .* some are not in 0 to 1", ("values",)),
        (of("segmentation", last="Sigmoid"), {"values": "probabilities"}, "differ from 1 by up to", ("values",)),
        (of("segmentation", weight=0), {}, "the same of every place.*name a slide or image", ("check_on",)),
        (of("segmentation", classes=1), {"classes": ("Ignore*",)}, "is a mark of objects that do not count", ()),
        (
            with_task("detect", "patches"),
            {},
            "its task is 'detect', but its outputs are of the kind patches",
            ("kind",),
        ),
        (with_task("classify", "segmentation"), {}, "'classify', but its outputs are of the kind segm", ("kind",)),
        (huge, {}, "its output out has the shape .* too large for a tile", ()),
        (of_odd_places, {}, "12 x 12 places for pictures of 64 x 64 px", ()),
        (without_numbers, {}, "not finite numbers", ()),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    make: Callable[[], onnx.ModelProto],
    options: dict[str, object],
    says: str,
    named: tuple[str, ...],
    tmp_path: Path,
) -> None:
    onnx.save(make(), tmp_path / "foreign.onnx")
    with pytest.raises((ModelError, OptionError), match=says) as caught:
        imported_places(tmp_path / "foreign.onnx", **options)  # type: ignore[arg-type]
    assert caught.value.options == named
    assert "foreign.onnx" in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["foreign.onnx"]


STEPS = CONFIG["transform"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"spec_version": "2.0"}, "spec_version is '2.0', and only 1.0 is known"),
        ({"num_classes": 2}, "num_classes is 2, but class_names has 3"),
        ({"class_names": "abc"}, "class_names must be a list"),
        ({"patch_size_pixels": 0}, "patch_size_pixels must be from 1 to 1024, not 0"),
        ({"patch_size_pixels": 10**9}, "patch_size_pixels must be from 1 to 1024"),
        ({"spacing_um_px": -1}, "spacing_um_px must be above 0"),
        ({"transform": STEPS[:1]}, "ToTensor alone is needed"),
        ({"transform": [*STEPS, STEPS[0]]}, "in this order"),
        ({"transform": [{"name": "CenterCrop"}, *STEPS]}, "transform has 'CenterCrop'"),
        ({"transform": [{"name": "Resize", "arguments": {"size": [64, 32]}}, *STEPS[1:]]}, "to a square of up to"),
        ({"transform": [{"name": "Resize", "arguments": {"size": 10**6}}, *STEPS[1:]]}, "to a square of up to"),
        ({"transform": [{"name": "Resize", "arguments": {"size": 64, "interpolation": 3}}, *STEPS[1:]]}, "only a size"),
        (
            {"transform": [*STEPS[:2], {"name": "Normalize", "arguments": {"mean": [0, 0, 0], "std": [1, 0, 1]}}]},
            "std of Normalize must be above 0",
        ),
        (
            {"transform": [*STEPS[:2], {"name": "Normalize", "arguments": {"mean": [0], "std": [1, 1, 1]}}]},
            "mean of Normalize must be 3 numbers",
        ),
        ({"transform": [{"name": "Resize", "arguments": {"size": 96}}, *STEPS[1:]]}, "takes pictures of 64 px, and"),
    ],
)
def test_a_config_that_cannot_be_followed_is_refused(changes: dict[str, object], says: str, tmp_path: Path) -> None:
    path = write_places(tmp_path / "foreign.onnx", "patches")
    config = write_config(tmp_path / "config.json", **changes)
    with pytest.raises((ModelError, OptionError), match=says) as caught:
        imported_places(path, config=config)
    assert "config" in caught.value.options


def test_a_config_is_bounded_and_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "long.json").write_text(" " * (1 << 20) + "{}")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    for name, says in (("long", "far too long"), ("deep", "not JSON"), ("gone", "cannot be read")):
        with pytest.raises(ModelError, match=says):
            read_config(tmp_path / f"{name}.json")


@given(
    st.sampled_from(sorted(CONFIG)),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["name", "arguments", "size", "mean", "std"]), inner, max_size=3)
        ),
        max_leaves=8,
    ),
)
def test_any_config_is_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: object
) -> None:
    path = tmp_path_factory.getbasetemp() / "config.json"
    path.write_text(json.dumps(CONFIG | {key: value}))
    with contextlib.suppress(ModelError):
        config = read_config(path)
        assert 1 <= config.side <= 1024
        assert 1 <= (config.resized or config.side) <= 2048


def test_a_file_of_torch_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    (tmp_path / "foreign.pt").write_bytes(b"PK" + bytes(1000))
    with pytest.raises(ModelError, match="perhaps one of torch; export it as ONNX"):
        imported_places(tmp_path / "foreign.pt")


def test_a_file_that_says_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check works: a graph whose probabilities change places is refused."""

    def wrongly(model: onnx.ModelProto, *rest: object) -> onnx.ModelProto:
        wrapped = wrap(model, *rest)  # type: ignore[arg-type]
        wrapped.graph.node[-1].output[0] = "almost"
        wrapped.graph.node.append(helper.make_node("Transpose", ["almost"], ["probabilities"], perm=[0, 1, 3, 2]))
        return wrapped

    monkeypatch.setattr("signetscan.foreign.importing.wrap", wrongly)
    path = write_places(tmp_path / "foreign.onnx", "segmentation")
    with pytest.raises(
        ModelError, match=r"differs from the foreign one by 0\.\d+ in probability, so it was not written"
    ):
        imported_places(path)
    assert [file.name for file in tmp_path.iterdir()] == ["foreign.onnx"]


def test_the_command_says_what_it_made(tmp_path: Path, no_settings: None) -> None:
    path, config = write_places(tmp_path / "tumour.onnx", "patches"), write_config(tmp_path / "config.json")
    words = ["import", str(path), "--out", str(tmp_path / "mine.onnx")]
    done = CliRunner().invoke(cli, [*words, "--config", str(config)])
    assert done.exit_code == 0, done.output
    assert "patches, takes any number of tiles of 1056 px at once; 363 places within 0.00" in done.stdout
    done = CliRunner().invoke(cli, [*words, "--mpp", "0.5", *(word for name in "abc" for word in ("--class", name))])
    assert done.exit_code == 2
    assert "See --background" in done.stderr


def test_sizes_whose_names_are_no_text_are_refused(tmp_path: Path) -> None:
    """The runtime cannot even tell them."""
    path = tmp_path / "foreign.onnx"
    content = place_graph("segmentation", batch="batches").SerializeToString()
    path.write_bytes(content.replace(b"batches", b"bat\xff\xfees"))
    with pytest.raises(ModelError, match=r"foreign\.onnx: ONNX Runtime cannot run it: a name in it is not text"):
        imported_places(path)
    path = write_tiny_segmenter(tmp_path / "ours.onnx")
    path.write_bytes(path.read_bytes().replace(b"columns", b"col\xff\xfens"))
    with pytest.raises(ModelError, match=r"ours\.onnx: ONNX Runtime cannot run it: a name in it is not text"):
        load_segmenter(path, device="cpu")
