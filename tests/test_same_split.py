"""A second stage holds out what its first stage held out, whatever else changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from toy_images import TINY

from signetscan.dataset import hold_out
from signetscan.errors import OptionError
from signetscan.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from signetscan.training.engine import data_digest
from signetscan.training.retinanet import RetinaNet
from signetscan.training.same_split import with_split_of

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.dataset import Dataset
    from signetscan.training.options import TrainOptions


def slides(dataset: Dataset, options: TrainOptions) -> set[str]:
    _, held_out = hold_out(dataset.images, options.validation_split, options.fold, options.seed)
    return {image.slide for image in held_out}


def first_run(path: Path, dataset: Dataset, options: TrainOptions, *, says: bool = True) -> Path:
    """The checkpoint of a run; one of an earlier version does not say what it held out."""
    checkpoint = Checkpoint(
        options=options,
        class_names=dataset.class_names,
        mpp=dataset.mpp,
        data="",
        data_digest=data_digest(dataset.images),
        epoch=0,
        threshold=0.5,
        held_out_slides=tuple(sorted(slides(dataset, options))) if says else None,
        network=RetinaNet(options.architecture).state_dict(),
    )
    save_checkpoint(path, checkpoint)
    assert load_checkpoint(path).held_out_slides == checkpoint.held_out_slides
    return path


@pytest.mark.parametrize("says", [True, False])
def test_another_seed_fold_or_split_changes_nothing(toy_set: Dataset, tmp_path: Path, says: bool) -> None:
    path = first_run(tmp_path / "first.pt", toy_set, TINY, says=says)
    held = slides(toy_set, TINY)
    same, options = with_split_of(toy_set, TINY, path)
    assert same is toy_set
    assert options is TINY
    others = [replace(TINY, seed=seed) for seed in range(1, 5)]
    others += [replace(TINY, fold=(2, 3)), replace(TINY, validation_split=0.5), replace(TINY, validation_split=0.0)]
    assert any(slides(toy_set, other) != held for other in others[:4]), "else the test shows nothing"
    for other in others:
        dataset, options = with_split_of(toy_set, other, path)
        assert slides(dataset, options) == held
        assert options.seed == other.seed
        assert ("Held out are the" in dataset.warnings[-1]) == (slides(toy_set, other) != held)


def test_new_slides_are_learnt_from(toy_set: Dataset, tmp_path: Path) -> None:
    images = toy_set.images
    some = replace(toy_set, images=tuple(image for image in images if not image.slide.startswith(("S0", "S1"))))
    path = first_run(tmp_path / "first.pt", some, TINY)
    dataset, options = with_split_of(toy_set, TINY, path)
    assert slides(dataset, options) == slides(some, TINY)
    former = first_run(tmp_path / "former.pt", some, TINY, says=False)
    with pytest.raises(OptionError, match="does not say what it held out"):
        with_split_of(toy_set, TINY, former)


def test_after_a_run_that_learnt_from_everything_nothing_can_be_held_out(toy_set: Dataset, tmp_path: Path) -> None:
    everything = replace(TINY, validation_split=0.0)
    path = first_run(tmp_path / "first.pt", toy_set, everything)
    with pytest.raises(OptionError, match="hold out nothing either"):
        with_split_of(toy_set, TINY, path)
    assert with_split_of(toy_set, everything, path) == (toy_set, everything)
