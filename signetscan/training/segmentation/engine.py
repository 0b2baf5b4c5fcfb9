"""The training of a network that segments, from images with masks to checkpoints."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

import numpy as np
import torch

from signetscan.atomic import make_folder
from signetscan.dataset import hold_out
from signetscan.dataset.masks.images import IGNORED, DrawnMask, Mask
from signetscan.dataset.masks.pixels import PixelStore
from signetscan.dataset.masks.view import MaskedView
from signetscan.errors import TrainingError
from signetscan.evaluation.regions import class_dice, held_out_regions, region_figures
from signetscan.evaluation.segmented_images import judge_images
from signetscan.plurals import counted
from signetscan.training.crops import cache_bytes, plan_epoch
from signetscan.training.devices import choose_device, forward_of
from signetscan.training.history import is_best
from signetscan.training.loop import BEST, LAST, run_epochs
from signetscan.training.segmentation.cautions import check_masked_split
from signetscan.training.segmentation.checkpoint import (
    SegmentationCheckpoint,
    load_segmentation_checkpoint,
    save_segmentation_checkpoint,
)
from signetscan.training.segmentation.crops import cut_crop, list_patches, make_batch
from signetscan.training.segmentation.losses import SegmentationLoss
from signetscan.training.segmentation.network import SegmentationNet
from signetscan.training.segmentation.segmenter import TorchSegmenter
from signetscan.training.segmentation.spec import make_segmentation_spec
from signetscan.training.segmentation.weights import load_weights
from signetscan.training.start import (
    check_is_new,
    check_same_options,
    make_learner,
    new_network,
    on_cpu,
    restore,
)
from signetscan.training.steps import load_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from signetscan.dataset.masks.images import MaskedDataset, MaskedImage
    from signetscan.evaluation.regions import RegionResult
    from signetscan.training.crops import Patch
    from signetscan.training.options import Device
    from signetscan.training.segmentation.crops import MaskedBatch
    from signetscan.training.segmentation.options import SegmentationOptions
    from signetscan.training.steps import Learner

    Progress = Callable[[int, int], None]


@dataclass(slots=True, kw_only=True, eq=False)
class _Run:
    """A run under way; see `signetscan.training.loop.Run`."""

    learner: Learner
    network: SegmentationNet
    """The learner's network."""
    forward: Callable[[Tensor], Tensor]
    """The network as a function, perhaps compiled."""
    checkpoint: SegmentationCheckpoint
    """State after the latest epoch, except for the weights, which the learner holds."""
    out: Path
    learn: Sequence[MaskedView]
    held_out: Sequence[MaskedView]
    positives: Sequence[Sequence[Patch]]
    normals: Sequence[Patch]
    on_validation: Progress | None
    results: Sequence[RegionResult] = ()
    """What the network of the epoch under way says of the held-out images."""

    @property
    def options(self) -> SegmentationOptions:
        """The options of the run."""
        return self.checkpoint.options

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return self.checkpoint.epoch

    @property
    def batches(self) -> int:
        """Batches in an epoch."""
        return len(plan_epoch(np.random.default_rng(0), self.positives, self.normals, self.options))

    def load(self, epoch: int) -> Iterator[MaskedBatch]:
        """The batches of an epoch."""
        options, pin = self.options, self.learner.device.type == "cuda"
        plan = plan_epoch(np.random.default_rng([options.seed, epoch]), self.positives, self.normals, options)
        return load_batches(
            plan,
            lambda rng, patch: cut_crop(rng, self.learn[patch.image], patch, options),
            lambda crops: make_batch(crops, pin=pin),
            options,
            epoch,
        )

    def losses(self, batch: MaskedBatch) -> dict[str, Tensor]:
        """The loss over pixels and soft Dice of a batch."""
        learner = self.learner
        pixels, labels, sources = (
            tensor.to(learner.device, non_blocking=True) for tensor in (batch.pixels, batch.labels, batch.sources)
        )
        with torch.autocast(learner.device.type, torch.bfloat16, enabled=learner.bf16):
            logits = self.forward(pixels)
        losses = learner.loss(logits, labels, sources)
        return {"loss_pixels": losses.pixels, "loss_dice": losses.dice}

    def validate(self) -> dict[str, float]:
        """Dice and AUC on held-out images."""
        if not self.held_out:
            return {}
        spec = make_segmentation_spec(self.checkpoint, name="validation")
        segmenter = TorchSegmenter(self.network, spec, self.learner.device)
        self.results = judge_images(segmenter, self.held_out, self.on_validation)
        each = class_dice(self.results)[1:]
        by_class = {f"dice_{label}": value for label, value in enumerate(each, start=1)}
        known = [value for value in each if not math.isnan(value)]
        mean = sum(known) / len(known) if known else math.nan
        return {"mean_dice": mean, **region_figures(self.results, spec.background), **by_class}

    def finish_epoch(self, row: Mapping[str, float]) -> list[dict[str, float]]:
        """Keep the metrics of an epoch, and write the checkpoint if it is the best."""
        history = [*self.checkpoint.history, {name: float(value) for name, value in row.items()}]
        best = is_best(history, merit)
        self.checkpoint = replace(
            self.checkpoint,
            epoch=int(row["epoch"]),
            held_out=held_out_regions(self.results, 0) if best and self.results else None,
            network=on_cpu(self.network.state_dict()),
            optimiser=self.learner.optimiser.state_dict(),
            loss=on_cpu(self.learner.loss.state_dict()),
            history=history,
        )
        if best:
            save_segmentation_checkpoint(self.out / BEST, replace(self.checkpoint, optimiser={}, loss={}))
        return history

    def save(self) -> None:
        """Write the checkpoint of the latest epoch."""
        save_segmentation_checkpoint(self.out / LAST, self.checkpoint)


def merit(row: Mapping[str, float]) -> float:
    """The figure by which an epoch is chosen: the mean Dice of all classes but the background; nan without it."""
    return row.get("mean_dice", math.nan)


def train_on_masks(  # noqa: PLR0913 - three of them only listen
    dataset: MaskedDataset,
    options: SegmentationOptions,
    out: Path,
    *,
    mpp: float | None = None,
    scored: Sequence[str] = (),
    device: Device = "auto",
    weights: Path | None = None,
    resume: bool = False,
    on_progress: Progress | None = None,
    on_validation: Progress | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    before_writing: Callable[[], None] | None = None,
) -> Path:
    """Train a network that segments.

    Args:
        dataset: images with masks; the network gets as many classes as it has.
        options: how to train.
        out: folder for checkpoints and logs; it must not hold a run, unless that is to be resumed.
        mpp: size of the pixels that the network works at, µm/px, to which images are resampled; theirs by default.
        scored: names of the classes by which an image gets its score; all but the background by default.
        device: `cuda` requires a GPU; `auto` uses one if there is one.
        weights: file of weights to start from; see `load_weights`.
        resume: whether to resume the run in `out`.
        on_progress: called with (batches done, batches in all) after each batch.
        on_validation: called with (images done, images held out) after each image in each epoch's validation.
        on_epoch: called with the metrics of each epoch.
        before_writing: called before the files of an epoch are written; an error that it raises ends the run.

    Returns:
        The best checkpoint's path.

    Raises:
        AnnotationError: an image cannot be decoded, or the images with masks are of too few slides to hold one out.
        DeviceError: `cuda` was asked for, and there is no GPU.
        OptionError: the options do not fit the data or the run to resume.
        TrainingError: there is nothing to learn from or to choose by, the folder holds another run, or a loss or a
            weight is not a finite number.
        OutputError: a file cannot be written.
    """
    options = fit_to_masks(options, dataset)
    mpp = dataset.mpp if mpp is None else mpp
    learn, held_out = hold_out(dataset.images, options.validation_split, options.fold, options.seed)
    check_masked_split(learn, held_out, dataset.class_names, options)
    make_folder(out)
    torch_device = choose_device(device)
    network = new_network(lambda: SegmentationNet(options.architecture), options.seed)
    fresh = SegmentationCheckpoint(
        options=options,
        class_names=dataset.class_names,
        scored=scored_labels(scored, dataset.class_names),
        mpp=mpp,
        data=describe_masked(dataset.images),
        data_digest=masked_digest(dataset.images),
        weights=load_weights(network, weights) if weights is not None and not resume else "",
        epoch=0,
        held_out_slides=tuple(sorted({image.slide for image in held_out})),
        network={},
    )
    loss = SegmentationLoss(options, any_normal=any(image.normal for image in learn))
    learner, checkpoint = _start(fresh, network, loss, out, torch_device, resume=resume)
    with PixelStore(out, cache_bytes()) as store:
        views = [[MaskedView(store, image, mpp / dataset.mpp) for image in images] for images in (learn, held_out)]
        positives, normals = list_patches(views[0], options)
        run = _Run(
            learner=learner,
            network=network,
            forward=forward_of(network, options.compile, torch_device),
            checkpoint=checkpoint,
            out=out,
            learn=views[0],
            held_out=views[1],
            positives=positives,
            normals=normals,
            on_validation=on_validation,
        )
        return run_epochs(run, out, on_progress=on_progress, on_epoch=on_epoch, before_writing=before_writing)


def fit_to_masks(options: SegmentationOptions, dataset: MaskedDataset) -> SegmentationOptions:
    """The options, completed by the data: the number of classes."""
    return replace(options, architecture=replace(options.architecture, classes=len(dataset.class_names)))


def scored_labels(names: Sequence[str], class_names: Sequence[str]) -> tuple[int, ...]:
    """The labels of classes by their names, in upper or lower case; of all but the background if there are none.

    Raises:
        TrainingError: there is no such class.
    """
    labels = {name.casefold(): label for label, name in enumerate(class_names) if label}
    if not names:
        return tuple(labels.values())
    for name in names:
        if name.strip().casefold() not in labels:
            message = f"no class {name!r} to score images by; the classes are {', '.join(class_names[1:])}"
            raise TrainingError(message, options=("scored",))
    return tuple(sorted({labels[name.strip().casefold()] for name in names}))


def _start(
    fresh: SegmentationCheckpoint,
    network: SegmentationNet,
    loss: SegmentationLoss,
    out: Path,
    device: torch.device,
    *,
    resume: bool,
) -> tuple[Learner, SegmentationCheckpoint]:
    """What trains the network, and the state of a new run or of the one in the folder."""
    if not resume:
        check_is_new(out)
        return make_learner(network, loss, fresh.options, device), fresh
    saved = load_segmentation_checkpoint(out / LAST)
    if saved.data_digest != fresh.data_digest:
        message = f"{out}: the run was on other images or masks; name another folder for a new run"
        raise TrainingError(message)
    if (saved.class_names, saved.scored, saved.mpp) != (fresh.class_names, fresh.scored, fresh.mpp):
        message = (
            f"{out}: the run was for {', '.join(saved.class_names)} at {saved.mpp:g} µm/px, or scored other classes; "
            "resume it with the same, or name another folder"
        )
        raise TrainingError(message)
    check_same_options(saved.options, fresh.options, out)
    network.load_state_dict(saved.network)
    learner = make_learner(network, loss, fresh.options, device)
    restore(learner, saved.optimiser, saved.loss, out)
    return learner, saved


def describe_masked(images: Sequence[MaskedImage]) -> str:
    """How many images there are, in a phrase."""
    normals = sum(image.normal for image in images)
    return f"{counted(len(images) - normals, 'image')} with masks, and {counted(normals, 'image')} of background alone"


def masked_digest(images: Sequence[MaskedImage]) -> str:
    """SHA-256 over the names, sizes and masks of all images; it does not depend on their folder."""
    digest = hashlib.sha256()
    for image in images:
        mask, size = image.mask, (image.path.name, image.width, image.height)
        match mask:
            case None:
                digest.update(repr((*size, None)).encode())
            case Mask():
                digest.update(repr((*size, (mask.label, mask.cut))).encode())
                with mask.path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
            case DrawnMask():
                within = [] if mask.within is None else [(IGNORED, mask.within)]
                digest.update(repr((*size, image.place, mask.normal, len(within))).encode())
                for label, area in (*mask.outlines, *within):
                    digest.update(repr((label, [len(ring) for ring in area.rings])).encode())
                    for ring in area.rings:
                        digest.update(ring.astype("<f8").tobytes())
            case _:
                assert_never(mask)
    return digest.hexdigest()
