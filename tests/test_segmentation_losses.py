"""The losses of segmentation against slow references on single pixels, and their gradients against differences."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from signetscan.dataset.masks.images import Mask, MaskedImage
from signetscan.errors import OptionError
from signetscan.training.losses import HarmonisedLoss, Source
from signetscan.training.options import LossName, LossOptions, TrainOptions
from signetscan.training.segmentation.cautions import masked_split_cautions
from signetscan.training.segmentation.losses import SegmentationLoss, dice_loss, margins
from signetscan.training.segmentation.options import SegmentationOptions, segmentation_options

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Wholes = NDArray[np.int64]

POSITIVE, NORMAL, NOISY, IGNORED = (int(source) for source in Source)
NAMES: tuple[LossName, ...] = ("dghm-c", "dghm-c-star", "ghm-c", "focal", "ce", "sce", "dice")


def pixels(seed: int, classes: int = 3, side: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two crops, the second of a normal image: logits, labels, and sources, of which a few are ignored."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, (2, side, side))
    labels[1] = 0
    sources = np.where(labels > 0, POSITIVE, NOISY)
    sources[1] = NORMAL
    sources[rng.random(sources.shape) < 0.1] = IGNORED
    logits = rng.normal(0, 2, (2, classes, side, side))
    return torch.tensor(logits), torch.tensor(labels), torch.tensor(sources)


def softmax(logits: Floats) -> Floats:
    raised = np.exp(logits - logits.max())
    return np.asarray(raised / raised.sum())


def slow_pixels(logits: Floats, labels: Wholes, sources: Wholes, options: SegmentationOptions) -> float:
    """The loss over pixels, one by one: eq. 9 to 12 of the DGHM paper with the gradient norm 1 - p of softmax."""
    loss, together = options.loss, options.pixels_per_example
    groups = {
        "dghm-c": {POSITIVE: 0, NORMAL: 0, NOISY: 1},
        "dghm-c-star": {POSITIVE: 0, NORMAL: 1, NOISY: 2},
        "ghm-c": {POSITIVE: 0, NORMAL: 0, NOISY: 0},
    }.get(loss.loss)
    own = []
    for crop, row, column in np.argwhere(sources != IGNORED):
        p = softmax(logits[crop, :, row, column])[labels[crop, row, column]]
        own.append((float(p), int(sources[crop, row, column]), labels[crop, row, column] > 0))
    if groups is None:
        total = 0.0
        for p, _, outlined in own:
            balance = loss.focal_alpha if outlined else 1 - loss.focal_alpha
            total += {
                "ce": -math.log(p),
                "focal": -balance * (1 - p) ** loss.focal_gamma * math.log(p),
                "sce": -loss.sce_alpha * math.log(p) + loss.sce_beta * 4 * (1 - p),
            }[loss.loss]
        return total / len(own)
    mus = {"dghm-c": [loss.mu_clean, loss.mu_noisy], "ghm-c": [1.0]}.get(
        loss.loss, [loss.mu_clean, loss.mu_clean, loss.mu_noisy]
    )
    regions = [min(int((1 - p) * loss.bins), loss.bins - 1) for p, _, _ in own]
    total = 0.0
    for (p, source, _), region in zip(own, regions, strict=True):
        group = groups[source]
        alike = sum(
            groups[other[1]] == group and other_region == region
            for other, other_region in zip(own, regions, strict=True)
        )
        density = max(alike / together * loss.bins, 1.0 if together > 1 else 0.0)
        gamma = mus[group] if 1 - p >= loss.outlier else 1.0
        total += -math.log(p) / (together * len(mus) * density**gamma)
    return total


def slow_dice(logits: Floats, labels: Wholes, counts: NDArray[np.bool_]) -> float:
    """1 - soft Dice, class by class and pixel by pixel."""
    parts = []
    for label in range(1, logits.shape[1]):
        both = predicted = truth = 0.0
        for crop, row, column in np.argwhere(counts):
            p = float(softmax(logits[crop, :, row, column])[label])
            is_label = float(labels[crop, row, column] == label)
            both, predicted, truth = both + p * is_label, predicted + p, truth + is_label
        if truth:
            parts.append(1 - 2 * both / (predicted + truth))
    return sum(parts) / len(parts) if parts else 0.0


def options_for(name: LossName, **values: object) -> SegmentationOptions:
    return segmentation_options("strong", loss=name, **values)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), together=st.sampled_from([1, 4, 256]), classes=st.integers(2, 4))
def test_losses_are_their_formulas(name: LossName, seed: int, together: int, classes: int) -> None:
    logits, labels, sources = pixels(seed, classes)
    options = options_for(name, pixels_per_example=together, outlier=0.63, bins=7)
    counted = sources != IGNORED
    norms = (1 - torch.softmax(logits, 1).gather(1, labels[:, None])[:, 0])[counted].numpy()
    edges = np.array([0.63, *(np.arange(1, 7) / 7)])
    if len(norms) == 0 or np.abs(norms[:, None] - edges).min() < 1e-5:  # float32 and float64 may disagree on the side
        return
    found = SegmentationLoss(options)(logits, labels, sources)
    arrays = logits.numpy(), labels.numpy(), sources.numpy()
    expected = 0.0 if name == "dice" else slow_pixels(*arrays, options)
    assert float(found.pixels) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    clean = arrays[2] != NOISY if name.startswith("dghm") else np.bool_(True)
    assert float(found.dice) == pytest.approx(
        slow_dice(*arrays[:2], clean & (arrays[2] != IGNORED)), rel=1e-4, abs=1e-6
    )


def test_dice_counts_all_pixels_where_no_image_is_background() -> None:
    """Over outlined pixels alone, Dice is best where everything is called a lesion."""
    logits, labels, sources = pixels(3)
    sources = torch.where(sources == NORMAL, NOISY, sources)
    everything = torch.stack([-torch.ones_like(labels), *(torch.ones_like(labels),) * (logits.shape[1] - 1)], 1) * 9.0
    options = options_for("dghm-c")
    lone, joint = (SegmentationLoss(options, any_normal=known) for known in (True, False))
    arrays = everything.numpy(), labels.numpy()
    counted = sources.numpy() != IGNORED
    assert float(joint(everything, labels, sources).dice) == pytest.approx(slow_dice(*arrays, counted), rel=1e-4)
    outlined = counted & (sources.numpy() != NOISY)
    assert float(lone(everything, labels, sources).dice) == pytest.approx(slow_dice(*arrays, outlined), rel=1e-4)
    assert joint(everything, labels, sources).dice > lone(everything, labels, sources).dice


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_the_loss(name: LossName, monkeypatch: pytest.MonkeyPatch) -> None:
    """By differences; the coefficients of harmonised losses are constants, so those are held fixed."""
    logits, labels, sources = pixels(3)
    loss = SegmentationLoss(options_for(name))
    if isinstance(loss.of_pixels, HarmonisedLoss):
        targets = (labels > 0).float()
        signed = margins(logits, labels) * (2 * targets - 1)
        fixed = loss.of_pixels.coefficients(signed.flatten(), targets.flatten(), sources.flatten())
        monkeypatch.setattr(loss.of_pixels, "coefficients", lambda *_: fixed)
    logits = logits.float().requires_grad_()
    parts = loss(logits, labels, sources)
    (parts.pixels + parts.dice).backward()
    assert logits.grad is not None
    rng = np.random.default_rng(0)
    for _ in range(20):
        place = tuple(int(rng.integers(size)) for size in logits.shape)
        change = torch.zeros_like(logits)
        change[place] = 1e-2
        with torch.no_grad():
            up, down = (float(sum(loss(logits + sign * change, labels, sources))) for sign in (1, -1))
        assert float(logits.grad[place]) == pytest.approx((up - down) / 2e-2, rel=0.02, abs=2e-4)


def test_with_one_class_the_margin_is_the_difference_of_two_logits() -> None:
    logits, labels, _ = pixels(1, classes=2)
    difference = logits[:, 1] - logits[:, 0]
    torch.testing.assert_close(margins(logits, labels), torch.where(labels == 1, difference, -difference))


def test_ignored_pixels_change_nothing() -> None:
    logits, labels, sources = pixels(5)
    changed, other = logits.clone(), labels.clone()
    changed.movedim(1, -1)[sources == IGNORED] += 3
    other[sources == IGNORED] = 2
    for name in NAMES:
        loss = SegmentationLoss(options_for(name))
        assert [float(part) for part in loss(logits, labels, sources)] == pytest.approx(
            [float(part) for part in loss(changed, other, sources)], rel=1e-6
        )


def test_background_that_may_be_a_lesion_pulls_less_under_dghm() -> None:
    """One sure mistake on noisy background: its share of the gradient is far below that under cross-entropy."""
    labels = torch.zeros(1, 32, 32, dtype=torch.int64)
    labels[0, :16] = 1
    sources = torch.where(labels > 0, POSITIVE, NOISY)
    logits = torch.zeros(1, 2, 32, 32)
    logits[0, 1] = torch.where(labels[0] > 0, 3.0, -3.0)
    logits[0, 1, 24:28, :8] = 5.0  # a lesion that nobody outlined, and that the network sees
    shares = {}
    for name in ("ce", "dghm-c"):
        leaf = logits.clone().requires_grad_()
        # The constants of the paper apply at the density of a crop of 600 px, not of this small one.
        options = replace(options_for(name), dice_weight=0.0, pixels_per_example=4)
        SegmentationLoss(options)(leaf, labels, sources).pixels.backward()
        assert leaf.grad is not None
        sizes = leaf.grad[0, 1].abs()
        shares[name] = float(sizes[24:28, :8].sum() / sizes.sum())
    assert shares["ce"] > 0.4
    assert shares["dghm-c"] < shares["ce"] / 3


def test_dice_is_over_classes_that_occur_and_zero_without_any() -> None:
    logits, labels, sources = pixels(2)
    everywhere = torch.ones_like(sources, dtype=torch.bool)
    assert float(dice_loss(logits, labels * 0, everywhere)) == 0
    sure = 50.0 * torch.nn.functional.one_hot(labels, 3).movedim(-1, 1)
    assert float(dice_loss(sure, labels, everywhere)) == pytest.approx(0, abs=1e-6)


def test_a_batch_of_which_nothing_counts_has_a_gradient_of_zero() -> None:
    logits, labels, sources = pixels(2)
    leaf = logits.requires_grad_()
    for name in NAMES:
        parts = SegmentationLoss(options_for(name))(leaf, labels, sources * 0 + IGNORED)
        (parts.pixels + parts.dice).backward()
    assert leaf.grad is not None
    assert not leaf.grad.any()


def test_dice_does_not_train_a_detector() -> None:
    with pytest.raises(OptionError, match="dice is a loss of segmentation"):
        TrainOptions(loss=LossOptions(loss="dice"))


def test_a_run_is_cautioned_of_background_only_if_its_loss_minds(tmp_path: Path) -> None:
    mask = Mask(path=tmp_path, label=1, shows=(1,))
    images = [
        MaskedImage(path=tmp_path, width=9, height=9, mask=mask, slide=str(number), part=None) for number in range(20)
    ]
    normal = replace(images[0], mask=None)

    def said(name: LossName, *held_out: MaskedImage) -> list[str]:
        return masked_split_cautions(images[:10], [*images[10:], *held_out], ("none", "a"), options_for(name))

    assert said("ce") == said("ghm-c", normal) == []
    (line,) = said("dghm-c")
    assert line.startswith("No image is known to be background as a whole, so DGHM can trust no background")
    (line,) = said("dghm-c", normal)
    assert line.startswith("All images without a lesion are held out")
