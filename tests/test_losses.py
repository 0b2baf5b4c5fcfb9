"""The losses against slow references written straight from the papers' formulas."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from signetscan.errors import OptionError
from signetscan.training.losses import LOSSES, HarmonisedLoss, Source, make_loss
from signetscan.training.options import LossName, LossOptions

POSITIVE, NORMAL, NOISY, IGNORED = (int(source) for source in Source)


def examples(seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random logits, targets and sources; only positives have target 1, as in life."""
    rng = np.random.default_rng(seed)
    sources = rng.choice([POSITIVE, NORMAL, NOISY], count, p=[0.1, 0.4, 0.5])
    logits = rng.normal(-1, 3, count)
    return (
        torch.tensor(logits, dtype=torch.float32),
        torch.tensor((sources == POSITIVE).astype(np.float32)),
        torch.tensor(sources),
    )


def cross_entropy(logit: float, target: float) -> float:
    """-log of the probability given to the target, without overflow."""
    return max(logit, 0) - logit * target + math.log1p(math.exp(-abs(logit)))


def slow_dghm(
    logits: list[float],
    targets: list[float],
    sources: list[int],
    *,
    groups: list[set[int]],
    mus: list[float],
    outlier: float,
    bins: int,
    per_width: bool = True,
) -> float:
    """Eq. 9 to 12 of the DGHM paper, example by example, with unit regions of width 1 / bins."""
    number = len(logits)
    norms = [abs(1 / (1 + math.exp(-logit)) - target) for logit, target in zip(logits, targets, strict=True)]
    # The fast code has norms in float32; a norm on the border of a region must fall on the same side here.
    norms = [float(np.float32(norm)) for norm in norms]
    regions = [min(int(np.float32(norm) * np.float32(bins)), bins - 1) for norm in norms]
    group_of = [next(index for index, group in enumerate(groups) if source in group) for source in sources]
    total = 0.0
    for i in range(number):
        alike = sum(group_of[k] == group_of[i] and regions[k] == regions[i] for k in range(number))
        density = alike / (1 / bins) if per_width else alike
        gamma = mus[group_of[i]] if norms[i] >= np.float32(outlier) else 1.0
        beta = number / density**gamma
        total += beta * cross_entropy(logits[i], targets[i])
    return total / (len(groups) * number)


FAMILY: dict[str, tuple[list[set[int]], list[str]]] = {
    "dghm-c": ([{POSITIVE, NORMAL}, {NOISY}], ["mu_clean", "mu_noisy"]),
    "dghm-c-star": ([{POSITIVE}, {NORMAL}, {NOISY}], ["mu_clean", "mu_clean", "mu_noisy"]),
    "ghm-c": ([{POSITIVE, NORMAL, NOISY}], []),
}


def border_free(logits: torch.Tensor, targets: torch.Tensor, edges: list[float]) -> bool:
    """Whether no gradient norm lies so near a border that float32 and float64 may disagree about its side."""
    norms = (torch.sigmoid(logits.double()) - targets).abs().numpy()
    return bool(np.abs(norms[:, None] - np.array(edges)).min() > 1e-5)


@pytest.mark.parametrize("name", FAMILY)
@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 120),
    bins=st.integers(1, 30),
    per_width=st.booleans(),
    outlier=st.floats(0.05, 0.99),
    mu_noisy=st.floats(0.25, 3),
    mu_clean=st.floats(0.25, 3),
)
def test_fast_harmonised_losses_are_the_formula(
    name: LossName, seed: int, count: int, bins: int, per_width: bool, outlier: float, mu_noisy: float, mu_clean: float
) -> None:
    constants = {"bins": bins, "outlier": outlier, "mu_noisy": mu_noisy, "mu_clean": mu_clean}
    options = LossOptions(loss=name, per_width=per_width, **constants)  # type: ignore[arg-type]
    logits, targets, sources = examples(seed, count)
    if not border_free(logits, targets, [outlier, *(k / bins for k in range(1, bins))]):
        return
    groups, mus = FAMILY[name]
    slow = slow_dghm(
        logits.tolist(),
        targets.tolist(),
        sources.tolist(),
        groups=groups,
        mus=[getattr(options, mu) for mu in mus] or [1.0],
        outlier=outlier,
        bins=bins,
        per_width=per_width,
    )
    fast = make_loss(options)(logits, targets, sources)
    assert float(fast) == pytest.approx(slow, rel=1e-4, abs=1e-6), "float32's rounding and no more"


def test_defaults_are_the_papers() -> None:
    options = LossOptions()
    assert (options.loss, options.mu_noisy, options.mu_clean, options.outlier) == ("dghm-c", 2.0, 0.5, 0.9)
    assert (options.bins, options.momentum) == (10, 0.0)
    assert (options.focal_alpha, options.focal_gamma) == (0.25, 2.0)
    assert (options.sce_alpha, options.sce_beta) == (0.01, 1.0)


def test_an_outlier_is_one_from_its_norm_on() -> None:
    """A logit of 0 has a gradient norm of a half, exactly."""
    at = (torch.zeros(4), torch.zeros(4), torch.full((4,), NOISY))
    for outlier, gamma in ((0.5, 2.0), (0.5001, 1.0)):
        loss = make_loss(LossOptions(outlier=outlier, per_width=False))
        assert isinstance(loss, HarmonisedLoss)
        assert loss.coefficients(*at).tolist() == pytest.approx([1 / (2 * 4**gamma)] * 4)


def test_dghm_with_equal_exponents_of_one_still_counts_groups_apart() -> None:
    logits, targets, sources = examples(4, 400)
    decoupled = make_loss(LossOptions(mu_noisy=1, mu_clean=1))
    together = make_loss(LossOptions(loss="ghm-c"))
    assert isinstance(decoupled, HarmonisedLoss)
    assert isinstance(together, HarmonisedLoss)
    assert not torch.allclose(
        2 * decoupled.coefficients(logits, targets, sources), together.coefficients(logits, targets, sources)
    )
    # Where all examples are clean there is nothing to decouple.
    clean = torch.where(sources == NOISY, NORMAL, sources)
    torch.testing.assert_close(
        2 * decoupled.coefficients(logits, targets, clean), together.coefficients(logits, targets, clean)
    )


def test_a_missed_cell_weighs_far_less_than_a_hard_positive() -> None:
    """What the loss is for: among noisy negatives an outlier is probably a cell without a box."""
    loss = make_loss(LossOptions())
    assert isinstance(loss, HarmonisedLoss)
    logits = torch.tensor([-5.0] * 20 + [5.0] * 20)
    targets = torch.tensor([1.0] * 20 + [0.0] * 20)
    sources = torch.tensor([POSITIVE] * 20 + [NOISY] * 20)
    positive, noisy = loss.coefficients(logits, targets, sources)[[0, -1]].tolist()
    density = 20 * 10
    assert positive == pytest.approx(1 / (2 * density**0.5))
    assert noisy == pytest.approx(1 / (2 * density**2))


@pytest.mark.parametrize("name", LOSSES)
def test_coefficients_are_constants_to_the_gradient(name: LossName) -> None:
    """The gradient pushes every score towards its target, and is the same from any device precision we train in."""
    logits, targets, sources = examples(7, 300)
    logits.requires_grad_()
    make_loss(LossOptions(loss=name))(logits, targets, sources).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    towards = torch.sign(logits.grad) == torch.sign(torch.sigmoid(logits.detach()) - targets)
    assert towards.all()


def test_harmonised_gradient_is_coefficient_times_norm() -> None:
    logits, targets, sources = examples(8, 200)
    logits.requires_grad_()
    loss = make_loss(LossOptions())
    assert isinstance(loss, HarmonisedLoss)
    loss(logits, targets, sources).backward()
    expected = loss.coefficients(logits, targets, sources) * (torch.sigmoid(logits.detach()) - targets)
    torch.testing.assert_close(logits.grad, expected)


def test_order_of_examples_does_not_matter() -> None:
    logits, targets, sources = examples(9, 500)
    shuffled = torch.randperm(500, generator=torch.Generator().manual_seed(0))
    for name in LOSSES:
        loss = make_loss(LossOptions(loss=name))
        one = loss(logits, targets, sources)
        other = loss(logits[shuffled], targets[shuffled], sources[shuffled])
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("name", LOSSES)
def test_ignored_examples_are_as_if_they_were_not_there(name: LossName, momentum: float) -> None:
    logits, targets, sources = examples(10, 300)
    more = torch.cat([logits, torch.linspace(-9, 9, 40)]).requires_grad_()
    padded = torch.cat([targets, torch.zeros(40)]), torch.cat([sources, torch.full((40,), IGNORED)])
    order = torch.randperm(340, generator=torch.Generator().manual_seed(1))
    without, within = (make_loss(LossOptions(loss=name, momentum=momentum)) for _ in range(2))
    loss = within(more[order], padded[0][order], padded[1][order])
    torch.testing.assert_close(loss, without(logits, targets, sources))
    loss.backward()
    assert more.grad is not None
    assert (more.grad[300:] == 0).all()
    for name_of, counts in without.state_dict().items():
        torch.testing.assert_close(within.state_dict()[name_of], counts)


def test_momentum_is_a_running_mean_of_counts() -> None:
    options = LossOptions(momentum=0.75, bins=4)
    loss = make_loss(options)
    assert isinstance(loss, HarmonisedLoss)
    expected = np.zeros((2, 4))
    for seed in range(5):
        logits, targets, sources = examples(seed, 60)
        loss(logits, targets, sources)
        norms = (torch.sigmoid(logits) - targets).abs().numpy()
        group = (sources.numpy() == NOISY).astype(int)
        fresh = np.stack([np.histogram(norms[group == g], 4, (0, 1))[0] for g in (0, 1)])
        expected = np.where(expected > 0, 0.75 * expected + 0.25 * fresh, fresh)
        np.testing.assert_allclose(loss.counts.numpy(), expected)
    loss.eval()
    loss(*examples(99, 60))
    np.testing.assert_allclose(loss.counts.numpy(), expected, err_msg="only training moves the counts")


def test_a_single_example_counts_for_the_running_mean_too() -> None:
    loss = make_loss(LossOptions(momentum=0.75, bins=1))
    for count in (1, 3, 5):
        loss(torch.zeros(count), torch.zeros(count), torch.full((count,), NOISY))
    assert isinstance(loss, HarmonisedLoss)
    assert loss.counts[1].tolist() == [0.75 * (0.75 * 1 + 0.25 * 3) + 0.25 * 5]


def test_plain_losses_are_their_formulas() -> None:
    logits, targets, sources = examples(11, 200)
    options = LossOptions()
    totals: dict[LossName, float] = {"ce": 0.0, "focal": 0.0, "sce": 0.0}
    for logit, target in zip(logits.tolist(), targets.tolist(), strict=True):
        score = 1 / (1 + math.exp(-logit))
        entropy = cross_entropy(logit, target)
        totals["ce"] += entropy
        alpha = options.focal_alpha if target else 1 - options.focal_alpha
        right = score if target else 1 - score
        totals["focal"] += alpha * (1 - right) ** options.focal_gamma * entropy
        # Reverse cross-entropy: -sum over both outcomes of predicted * log(label), log(0) taken as -4.
        reverse = -(score * (0 if target else -4) + (1 - score) * (-4 if target else 0))
        totals["sce"] += options.sce_alpha * entropy + options.sce_beta * reverse
    for name, total in totals.items():
        got = make_loss(LossOptions(loss=name))(logits, targets, sources)
        assert float(got) == pytest.approx(total / max(float(targets.sum()), 1), rel=1e-4)


@pytest.mark.parametrize(("positives", "divisor"), [(0, 1), (1, 1), (2, 2)])
def test_plain_losses_are_divided_by_the_positives(positives: int, divisor: int) -> None:
    targets = torch.tensor([1.0] * positives + [0.0] * (4 - positives))
    got = make_loss(LossOptions(loss="ce"))(torch.zeros(4), targets, torch.where(targets > 0, POSITIVE, NOISY))
    assert float(got) == pytest.approx(4 * math.log(2) / divisor)


@pytest.mark.parametrize("name", LOSSES)
def test_extreme_scores_stay_finite(name: LossName) -> None:
    logits = torch.tensor([-1e4, 1e4, 0.0, -1e4, 1e4], requires_grad=True)
    targets = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0])
    sources = torch.tensor([POSITIVE, NOISY, POSITIVE, NORMAL, POSITIVE])
    loss = make_loss(LossOptions(loss=name))(logits, targets, sources)
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(
    ("name", "low", "high", "step"),
    [
        ("mu_noisy", 0, 10, 0.01),
        ("mu_clean", 0, 10, 0.01),
        ("outlier", 0, 1, 0.01),
        ("bins", 1, 1000, 1),
        ("momentum", 0, 0.999, 0.0005),
        ("focal_alpha", 0, 1, 0.01),
        ("focal_gamma", 0, 10, 0.01),
        ("sce_alpha", 0, 100, 0.01),
        ("sce_beta", 0, 100, 0.01),
    ],
)
def test_the_ends_of_ranges_are_allowed_and_no_more(name: str, low: float, high: float, step: float) -> None:
    for value in (low, high):
        assert getattr(replace(LossOptions(), **{name: value}), name) == value  # type: ignore[arg-type]
    for value in (low - step, high + step, math.nan):
        with pytest.raises(OptionError, match=name.replace("_", " ")):
            replace(LossOptions(), **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change", [{"loss": "hinge"}, {"bins": 0}, {"outlier": 1.5}, {"momentum": 1.0}, {"mu_noisy": -1}]
)
def test_options_out_of_range_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(change)).replace("_", " ")):
        replace(LossOptions(), **change)  # type: ignore[arg-type]
