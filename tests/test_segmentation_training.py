"""Training of segmentation: crops, runs that are stopped and resumed, checkpoints, and the command."""

from __future__ import annotations

import base64
import csv
import io
import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from toy_images import TINY
from toy_tissue import TINY_SEGMENTATION

from signetscan.cli.main import cli
from signetscan.dataset import hold_out
from signetscan.dataset.masks.images import Mask, MaskedImage
from signetscan.dataset.masks.pixels import PixelStore
from signetscan.dataset.masks.view import MaskedView
from signetscan.errors import OptionError, TrainingError
from signetscan.evaluation.segmented_images import judge_image
from signetscan.training.checkpoint import load_checkpoint
from signetscan.training.losses import Source
from signetscan.training.segmentation.checkpoint import (
    is_for_segmentation,
    load_segmentation_checkpoint,
    save_segmentation_checkpoint,
)
from signetscan.training.segmentation.crops import cut_crop, list_patches
from signetscan.training.segmentation.engine import masked_digest, scored_labels, train_on_masks
from signetscan.training.segmentation.network import SegmentationNet
from signetscan.training.segmentation.report import write_segmentation_report
from signetscan.training.segmentation.segmenter import TorchSegmenter
from signetscan.training.segmentation.spec import make_segmentation_spec
from signetscan.training.segmentation.weights import load_weights

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.dataset.masks.images import MaskedDataset
    from signetscan.training.crops import Patch


# ---- crops ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quarters(tmp_path_factory: pytest.TempPathFactory) -> MaskedView:
    """An image of 300 x 240 px whose red value is its label times 60: four labels, in four quarters."""
    folder = tmp_path_factory.mktemp("quarters")
    rows, columns = np.indices((240, 300))
    labels = (2 * (rows >= 120) + (columns >= 150)).astype(np.uint8)
    Image.fromarray(np.dstack([labels * 60, labels * 0, labels * 0])).save(folder / "image.png")
    Image.fromarray(labels).save(folder / "mask.png")
    image = MaskedImage(
        path=folder / "image.png",
        width=300,
        height=240,
        mask=Mask(path=folder / "mask.png", label=None, shows=(1, 2, 3)),
        slide="s",
    )
    return MaskedView(PixelStore(folder, 1 << 24), image)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_labels_turn_and_shrink_with_their_pixels(quarters: MaskedView, seed: int) -> None:
    options = replace(TINY_SEGMENTATION, max_scale=1.5)
    groups, normals = list_patches([quarters], options)
    assert normals == []
    positives = groups[seed % len(groups)]
    rng = np.random.default_rng(seed)
    crop = cut_crop(rng, quarters, positives[seed % len(positives)], options)
    assert crop.pixels.shape == (128, 128, 3)
    assert crop.labels.shape == crop.sources.shape == (32, 32)
    inside = crop.sources != Source.IGNORED
    pixels = crop.pixels[2::4, 2::4]
    np.testing.assert_array_equal(crop.sources[inside] == Source.POSITIVE, crop.labels[inside] > 0)
    # Where a pixel is no mixture of two quarters or of an edge, it has the colour of its label.
    plain = inside & (pixels[..., 1] == 0) & (pixels[..., 0] % 60 == 0)
    assert plain[inside].mean() > 0.7
    same = pixels[..., 0][plain] // 60 == crop.labels[plain]
    assert same.mean() > 0.97  # resampling may move an edge by half a pixel
    assert (pixels[~inside][:, 1] > 60).all(), "what lies outside is white, or mixed with white at the edge"


def test_a_view_at_another_size_has_the_labels_of_its_centres(quarters: MaskedView) -> None:
    store = quarters._store
    half = MaskedView(store, quarters.image, 2.0)
    assert (half.width, half.height) == (150, 120)
    labels, pixels = half.labels(-2, 0, 154, 120), half.pixels(-2, 0, 154, 120)
    np.testing.assert_array_equal(labels[:, 2:152] * 60, pixels[:, 2:152, 0])
    assert not labels[:, [0, 1, 152, 153]].any()
    assert (pixels[:, [0, 1, 152, 153]] == 255).all()


def test_normal_images_are_trusted_and_others_are_not(tissue_set: MaskedDataset, tmp_path: Path) -> None:
    with PixelStore(tmp_path, 1 << 24) as store:
        views = [MaskedView(store, image) for image in tissue_set.images]
        (positives,), normals = list_patches(views, TINY_SEGMENTATION)
        for patches, background in ((positives, Source.NOISY), (normals, Source.NORMAL)):
            shown = [
                cut_crop(np.random.default_rng(seed), views[patch.image], patch, TINY_SEGMENTATION)
                for seed, patch in enumerate(patches)
            ]
            sources = np.concatenate([crop.sources.ravel() for crop in shown])
            assert set(sources[sources != Source.IGNORED]) - {Source.POSITIVE} == {background}


def test_crops_show_the_class_for_which_they_were_chosen(quarters: MaskedView) -> None:
    """The image is larger than its patches, so each is in the groups of what it shows alone."""
    options = replace(TINY_SEGMENTATION, patch=128, patch_step=64)
    groups, _ = list_patches([quarters], options)

    def shown(patch: Patch) -> int:
        """Pixels of the patch that show its class."""
        return int((quarters.labels(patch.x, patch.y, patch.width, patch.height) == patch.label).sum())

    assert [{patch.label for patch in group} for group in groups] == [{1}, {2}, {3}]
    for group in groups:
        assert 0 < len(group) < len({(patch.x, patch.y) for group in groups for patch in group})
        for patch in group:
            window = quarters.labels(patch.x, patch.y, patch.width, patch.height)
            assert (window == patch.label).any()
        best = max(group, key=shown)
        shows = [
            sum(
                best.label in cut_crop(np.random.default_rng(seed), quarters, patch, options).labels
                for seed in range(100)
            )
            for patch in (best, replace(best, label=None))
        ]
        assert shows[0] >= 40, "half of them are drawn until they do"
        assert shows[0] >= shows[1]


def test_crops_of_small_images_have_different_centres(quarters: MaskedView) -> None:
    """All of an image is seen in enlarged crops, though it is no larger than a crop."""
    options = replace(TINY_SEGMENTATION, crop=320, max_scale=3.0)
    groups, _ = list_patches([quarters], options)
    assert [len(group) for group in groups] == [1, 1, 1]
    crops = [
        cut_crop(np.random.default_rng(seed), quarters, replace(groups[0][0], label=None), options)
        for seed in range(100)
    ]
    counts = [np.bincount(crop.labels[crop.sources != Source.IGNORED], minlength=4) for crop in crops]
    shares = np.array([count / count.sum() for count in counts])
    assert (shares.max(axis=0) > 0.5).all(), "each quarter fills some crops"


# ---- runs -----------------------------------------------------------------------------------------------------------


def test_a_tiny_network_learns_toy_tissue(tissue_run: Path, tissue_set: MaskedDataset) -> None:
    best = load_segmentation_checkpoint(tissue_run / "best.pt")
    assert best.held_out is not None
    assert best.held_out.dice.value is not None
    assert best.held_out.dice.value > 0.8
    assert best.held_out.auc.value == 1
    _, held_out = hold_out(tissue_set.images, 0.25, None, 0)
    assert set(best.held_out_slides) == {image.slide for image in held_out}
    assert (best.class_names, best.scored, best.mpp) == (("background", "lesion"), (1,), 0.5)
    with (tissue_run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert float(rows[-1]["mean_dice"]) == pytest.approx(float(rows[-1]["dice_1"]))
    assert max(float(row["mean_dice"]) for row in rows) == pytest.approx(best.history[-1]["mean_dice"], abs=1e-5)
    assert not list(tissue_run.glob(".decoded*"))


def test_a_run_that_was_stopped_and_resumed_has_the_same_weights(tissue_set: MaskedDataset, tmp_path: Path) -> None:
    options = replace(TINY_SEGMENTATION, epochs=2, batches=3, loss=replace(TINY_SEGMENTATION.loss, loss="dghm-c"))

    class Stop(Exception):  # noqa: N818 - no error
        pass

    def stop(_: object) -> None:
        raise Stop

    train_on_masks(tissue_set, options, tmp_path / "whole", device="cpu")
    with pytest.raises(Stop):
        train_on_masks(tissue_set, options, tmp_path / "parts", device="cpu", on_epoch=stop)
    with pytest.raises(TrainingError, match="already holds a training run"):
        train_on_masks(tissue_set, options, tmp_path / "parts", device="cpu")
    with pytest.raises(OptionError, match="other options \\(epochs\\)"):
        train_on_masks(tissue_set, replace(options, epochs=3), tmp_path / "parts", device="cpu", resume=True)
    train_on_masks(tissue_set, options, tmp_path / "parts", device="cpu", resume=True)
    whole, parts = (load_segmentation_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "parts"))
    for name, value in whole.network.items():
        torch.testing.assert_close(parts.network[name], value, rtol=0, atol=0)
    others = replace(tissue_set, images=tissue_set.images[1:])
    with pytest.raises(TrainingError, match="on other images or masks"):
        train_on_masks(others, options, tmp_path / "parts", device="cpu", resume=True)


def test_what_cannot_be_learnt_or_judged_is_refused(tissue_set: MaskedDataset, tmp_path: Path) -> None:
    normals = replace(tissue_set, images=tuple(image for image in tissue_set.images if image.normal))
    with pytest.raises(TrainingError, match="no training image has a mask"):
        train_on_masks(normals, replace(TINY_SEGMENTATION, validation_split=0), tmp_path, device="cpu")
    with pytest.raises(TrainingError, match="no class 'polyp' to score images by; the classes are lesion"):
        scored_labels(["polyp"], tissue_set.class_names)
    assert scored_labels([" LESION "], tissue_set.class_names) == (1,)
    assert masked_digest(tissue_set.images) != masked_digest(tissue_set.images[1:])


def test_a_run_goes_on_from_all_of_an_equal_network(
    tissue_run: Path, tissue_set: MaskedDataset, tmp_path: Path
) -> None:
    """Of a network with another number of classes, from its backbone alone."""
    saved = load_segmentation_checkpoint(tissue_run / "best.pt")
    for classes, same in ((2, True), (3, False)):
        network = SegmentationNet(replace(saved.options.architecture, classes=classes))
        assert load_weights(network, tissue_run / "best.pt").startswith("best.pt, SHA-256 ")
        for name, value in network.state_dict().items():
            if same or name.startswith("backbone."):
                torch.testing.assert_close(value, saved.network[name], rtol=0, atol=0)
        decoder = "decoder.0.conv.weight"
        assert torch.equal(network.state_dict()[decoder], saved.network[decoder]) == same
    options = replace(TINY_SEGMENTATION, epochs=1, batches=1, learning_rate=1e-8)
    train_on_masks(tissue_set, options, tmp_path / "on", device="cpu", weights=tissue_run / "best.pt")
    went_on = load_segmentation_checkpoint(tmp_path / "on" / "best.pt")
    assert went_on.held_out is not None
    assert went_on.held_out.dice.value is not None
    assert went_on.held_out.dice.value > 0.7, "what it had learnt is there"


# ---- validation -----------------------------------------------------------------------------------------------------


def test_validation_is_a_scan_in_which_every_pixel_counts(
    tissue_run: Path, tissue_set: MaskedDataset, tmp_path: Path
) -> None:
    """Against one pass over the image with its margin; at the image's size, and at twice the size of its pixels."""
    best = load_segmentation_checkpoint(tissue_run / "best.pt")
    network = best.make_network()
    for scale in (1.0, 2.0):
        spec = make_segmentation_spec(replace(best, mpp=best.mpp * scale), name="toy")
        segmenter = TorchSegmenter(network, spec, torch.device("cpu"))
        with PixelStore(tmp_path, 1 << 24) as store:
            view = MaskedView(store, tissue_set.images[0], scale)
            result = judge_image(segmenter, view)
            margin = spec.margin
            sides = [-(-side // 32) * 32 + 2 * margin for side in (view.height, view.width)]
            tile = view.pixels(-margin, -margin, sides[1], sides[0]).copy()
            truth = view.image_labels(0, view.image.height)
        kept = np.s_[margin // 4 : -margin // 4]
        (probabilities,) = segmenter.segment(tile[None])[:, :, kept, kept]
        size = round(4 * scale)
        predicted = probabilities.argmax(axis=0).repeat(size, axis=0).repeat(size, axis=1)
        predicted = predicted[: truth.shape[0], : truth.shape[1]]
        expected = np.bincount((truth * 2 + predicted).ravel(), minlength=4).reshape(2, 2)
        # Tiles of other sizes may round a few probabilities the other way.
        assert np.abs(result.confusion - expected).sum() <= 0.001 * truth.size
        assert result.confusion.sum() == truth.size
        assert result.score > 0.8


def test_the_report_shows_what_people_and_the_model_say(
    tissue_run: Path, tissue_set: MaskedDataset, tmp_path: Path
) -> None:
    shutil.copytree(tissue_run, tmp_path / "<run>")
    page = write_segmentation_report(tmp_path / "<run>", tissue_set, device="cpu").read_text(encoding="utf-8")
    assert "&lt;run&gt;" in page
    assert "<run>" not in page
    best = load_segmentation_checkpoint(tissue_run / "best.pt")
    assert best.held_out is not None
    for label, estimate in best.held_out.figures.items():
        assert f'<td class="text">{label}</td><td>{estimate}</td>' in page
    rows = [[float(share) for share in re.findall(r">([\d.]+)%<", row)] for row in re.findall("<tr>.*", page)]
    shares = [row for row in rows if row]
    assert len(shares) == 2
    assert all(sum(row) == pytest.approx(100, abs=0.2) for row in shares)
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)" alt="(Outlined|By)', page)
    assert len(pictures) == 4, "of two held-out images with lesions"
    for data, _ in pictures:
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            assert picture.size == (192, 160)
            pixels = np.asarray(picture).astype(int)
        red = (pixels[..., 0] - pixels[..., 2] > 40).mean()  # toy tissue has none; the class's colour is red
        assert 0.03 < red < 0.6


# ---- checkpoints ----------------------------------------------------------------------------------------------------


def test_a_checkpoint_says_its_task(tissue_run: Path, trained: Path) -> None:
    assert is_for_segmentation(tissue_run / "best.pt")
    assert not is_for_segmentation(trained / "best.pt")
    with pytest.raises(TrainingError, match="of a run for segmentation"):
        load_checkpoint(tissue_run / "best.pt")
    with pytest.raises(TrainingError, match="not a checkpoint of this version of signetscan for segmentation"):
        load_segmentation_checkpoint(trained / "best.pt")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"class_names": ("background", "a", "b")}, "names 3 classes, but its network has 2"),
        ({"scored": (0,)}, r"scored classes have the labels \[0\]"),
        ({"mpp": 0.0}, "its mpp is 0"),
        ({"history": []}, "metrics of its epochs are not complete"),
        ({"network": {}}, "weights do not fit"),
    ],
)
def test_checkpoints_that_do_not_fit_together_are_refused(
    tissue_run: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    changed = replace(load_segmentation_checkpoint(tissue_run / "best.pt"), **changes)
    save_segmentation_checkpoint(tmp_path / "changed.pt", changed)
    with pytest.raises(TrainingError, match=said):
        load_segmentation_checkpoint(tmp_path / "changed.pt")


# ---- the command ----------------------------------------------------------------------------------------------------


def test_the_command_knows_the_task_by_the_data(tissue_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    sizes = ["--width", 8, "--decoder-channels", 8, "--crop", 128, "--batches", 2, "--epochs", 1, "--loss", "ce"]
    arguments = ["train", tissue_folder, "--out", out, "--device", "cpu", *sizes, "--model-mpp", 1.0]
    ran = CliRunner().invoke(cli, [*map(str, arguments)])
    assert ran.exit_code == 0, ran.output
    assert "8 images with masks, and 4 images of background alone; lesion at 0.5 µm/px" in ran.output
    assert "AUC of the slide score" in ran.output
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Segmentation of lesion; 1 epoch." in page
    assert page.count('alt="By the model"') == page.count('alt="Outlined by people"') == 2
    best = load_segmentation_checkpoint(out / "best.pt")
    assert (best.mpp, best.options.dice_weight, best.options.architecture.width) == (1.0, 1.0, 8)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--fpn-levels", "3"], "fpn levels is an option of detection, and this run is for segmentation"),
        (["--task", "detection"], "has no image or slide with annotations"),
        (["--task", "detection", "--output-stride", "2"], "output stride is an option of segmentation"),
        (["--preset", "paper"], "the paper has no recipe for segmentation"),
        (["--others-are-normal"], "masks say which images have nothing of a class"),
        (["--model-mpp", "0.01"], "cannot be resampled to 0.01"),
        (["--class", "lesion"], "have one class; leave its name out"),
        (["--scored", "polyp"], "no class 'polyp' to score images by"),
    ],
)
def test_what_does_not_fit_the_task_is_refused(
    tissue_folder: Path, tmp_path: Path, extra: list[str], said: str
) -> None:
    ran = CliRunner().invoke(cli, ["train", str(tissue_folder), "--out", str(tmp_path / "run"), *extra])
    assert ran.exit_code != 0
    assert said in " ".join(ran.output.split())


def test_data_for_both_tasks_needs_the_task(tissue_folder: Path, toy_folder: Path, tmp_path: Path) -> None:
    for source in (tissue_folder, toy_folder):
        for folder in source.iterdir():
            (tmp_path / folder.name).symlink_to(folder)
    ran = CliRunner().invoke(cli, ["train", str(tmp_path), "--out", str(tmp_path / "run")])
    assert ran.exit_code != 0
    assert "say which task to train for. See --task" in " ".join(ran.output.split())


def test_dice_and_masks_are_not_for_detection() -> None:
    with pytest.raises(OptionError, match="dice is a loss of segmentation"):
        replace(TINY, loss=replace(TINY.loss, loss="dice"))
