"""The training of a detector, from annotated images to checkpoints."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from signetscan.atomic import make_folder
from signetscan.dataset import hold_out
from signetscan.errors import TrainingError
from signetscan.plurals import counted
from signetscan.training.anchors import levels_needed
from signetscan.training.cautions import check_split
from signetscan.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from signetscan.training.crops import ImageCache, cut_crop, list_patches, plan_epoch
from signetscan.training.devices import choose_device, forward_of
from signetscan.training.held_out import held_out_figures
from signetscan.training.history import is_best
from signetscan.training.loop import BEST, LAST, run_epochs
from signetscan.training.losses import make_loss
from signetscan.training.objective import batch_losses, make_batch
from signetscan.training.retinanet import RetinaNet
from signetscan.training.start import (
    check_is_new,
    check_same_options,
    load_backbone,
    make_learner,
    new_network,
    on_cpu,
    restore,
)
from signetscan.training.steps import load_batches
from signetscan.training.thresholds import FIRST_THRESHOLD, ThresholdBasis
from signetscan.training.validation import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from signetscan.dataset import AnnotatedImage, Dataset
    from signetscan.training.crops import Patch
    from signetscan.training.objective import TrainingBatch
    from signetscan.training.options import Device, TrainOptions
    from signetscan.training.steps import Learner
    from signetscan.training.validation import Validation

    Progress = Callable[[int, int], None]


@dataclass(slots=True, kw_only=True, eq=False)
class _Run:
    """A run under way; see `signetscan.training.loop.Run`."""

    learner: Learner
    network: RetinaNet
    """The learner's network."""
    forward: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
    """The network as a function, perhaps compiled."""
    checkpoint: Checkpoint
    """State after the latest epoch, except for the weights, which the learner holds."""
    out: Path
    learn: Sequence[AnnotatedImage]
    held_out: Sequence[AnnotatedImage]
    positives: Sequence[Patch]
    normals: Sequence[Patch]
    on_validation: Progress | None
    cache: ImageCache = field(default_factory=ImageCache)
    validation: Validation | None = None
    """The figures of the epoch under way."""

    @property
    def options(self) -> TrainOptions:
        """The options of the run."""
        return self.checkpoint.options

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return self.checkpoint.epoch

    @property
    def batches(self) -> int:
        """Batches in an epoch."""
        return len(plan_epoch(np.random.default_rng(0), [self.positives], self.normals, self.options))

    def load(self, epoch: int) -> Iterator[TrainingBatch]:
        """The batches of an epoch."""
        options, pin = self.options, self.learner.device.type == "cuda"
        plan = plan_epoch(np.random.default_rng([options.seed, epoch]), [self.positives], self.normals, options)
        return load_batches(
            plan,
            lambda rng, patch: cut_crop(rng, self.cache, self.learn[patch.image], patch, options),
            lambda crops: make_batch(crops, options.architecture.stride, pin=pin),
            options,
            epoch,
        )

    def losses(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """Classification and box loss of a batch."""
        learner = self.learner
        with torch.autocast(learner.device.type, torch.bfloat16, enabled=learner.bf16):
            logits, offsets, anchors = self.forward(batch.pixels.to(learner.device, non_blocking=True))
        loss_class, loss_box = batch_losses(learner.loss, logits, offsets, anchors, batch)
        return {"loss_class": loss_class, "loss_box": loss_box}

    def validate(self) -> dict[str, float]:
        """Figures on held-out images, at a threshold that is chosen on them."""
        self.validation = validate(
            self.network, self.checkpoint, self.held_out, self.learner.device, self.on_validation
        )
        if self.validation is None:
            return {}
        scores = self.validation.scores
        return {
            "froc": scores.froc,
            "ap50": self.validation.ap50,
            "recall": scores.recall,
            "precision": scores.precision,
            "f1": scores.f1,
            "false_positives_per_normal": scores.false_positives_per_normal,
            "fps_score": scores.fps_score,
            "normals": scores.normals,
            "threshold": scores.threshold,
        }

    def finish_epoch(self, row: Mapping[str, float]) -> list[dict[str, float]]:
        """Keep the metrics of an epoch, and write the checkpoint if it is the best."""
        previous, validation = self.checkpoint, self.validation
        threshold, basis = previous.threshold, ThresholdBasis.NOTHING_HELD_OUT
        if validation is not None:
            threshold, basis = validation.scores.threshold, validation.basis
        history = [*previous.history, {name: float(value) for name, value in row.items()}]
        best = is_best(history)
        self.checkpoint = replace(
            previous,
            epoch=int(row["epoch"]),
            threshold=threshold,
            threshold_basis=basis,
            held_out=held_out_figures(validation.results, threshold) if best and validation is not None else None,
            network=on_cpu(self.network.state_dict()),
            optimiser=self.learner.optimiser.state_dict(),
            loss=on_cpu(self.learner.loss.state_dict()),
            history=history,
        )
        if best:
            save_checkpoint(self.out / BEST, replace(self.checkpoint, optimiser={}, loss={}))
        return history

    def save(self) -> None:
        """Write the checkpoint of the latest epoch."""
        save_checkpoint(self.out / LAST, self.checkpoint)


def train(  # noqa: PLR0913 - three of them only listen
    dataset: Dataset,
    options: TrainOptions,
    out: Path,
    *,
    device: Device = "auto",
    weights: Path | None = None,
    resume: bool = False,
    on_progress: Progress | None = None,
    on_validation: Progress | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    before_writing: Callable[[], None] | None = None,
) -> Path:
    """Train a detector.

    Args:
        dataset: annotated images; the network gets as many classes as it has.
        options: how to train.
        out: folder for checkpoints and logs; it must not hold a run, unless that is to be resumed.
        device: `cuda` requires a GPU; `auto` uses one if there is one.
        weights: file of weights to start the backbone from; see `load_backbone`.
        resume: whether to resume the run in `out`.
        on_progress: called with (batches done, batches in all) after each batch.
        on_validation: called with (images done, images held out) after each image in each epoch's validation.
        on_epoch: called with the metrics of each epoch.
        before_writing: called before the files of an epoch are written; an error that it raises ends the run.

    Returns:
        The best checkpoint's path.

    Raises:
        AnnotationError: an image cannot be decoded, or the images with cells are of too few slides to hold one out.
        SlideError: a slide cannot be read.
        DeviceError: `cuda` was asked for, and there is no GPU.
        OptionError: the options do not fit the data or the run to resume.
        TrainingError: there are no boxes to learn from or to choose by, the folder holds another run, or a loss or a
            weight is not a finite number.
        OutputError: a file cannot be written.
    """
    options = fit_options(options, dataset)
    learn, held_out = hold_out(dataset.images, options.validation_split, options.fold, options.seed)
    check_split(learn, held_out, dataset.class_names, options)
    positives, normals = list_patches(learn, options)
    make_folder(out)
    slides = tuple(sorted({image.slide for image in held_out}))
    network, learner, checkpoint = _start(
        dataset, options, out, choose_device(device), slides, weights=weights, resume=resume
    )
    run = _Run(
        learner=learner,
        network=network,
        forward=forward_of(network, options.compile, learner.device),
        checkpoint=checkpoint,
        out=out,
        learn=learn,
        held_out=held_out,
        positives=positives,
        normals=normals,
        on_validation=on_validation,
    )
    return run_epochs(run, out, on_progress=on_progress, on_epoch=on_epoch, before_writing=before_writing)


def fit_options(options: TrainOptions, dataset: Dataset) -> TrainOptions:
    """The options, completed by the data: the number of classes and, if not given, the number of FPN levels."""
    architecture = replace(options.architecture, classes=len(dataset.class_names))
    if architecture.fpn_levels is None:
        boxes = np.concatenate([np.empty((0, 4)), *(image.boxes for image in dataset.images)])
        architecture = replace(architecture, fpn_levels=levels_needed(boxes))
    return replace(options, architecture=architecture)


def _start(
    dataset: Dataset,
    options: TrainOptions,
    out: Path,
    device: torch.device,
    held_out_slides: tuple[str, ...],
    *,
    weights: Path | None,
    resume: bool,
) -> tuple[RetinaNet, Learner, Checkpoint]:
    """A new run, or the one in the folder: its network, what trains it, and its state."""
    digest = data_digest(dataset.images)
    network = new_network(lambda: RetinaNet(options.architecture), options.seed)
    started_from = load_backbone(network, weights) if weights is not None and not resume else ""
    checkpoint = Checkpoint(
        options=options,
        class_names=dataset.class_names,
        mpp=dataset.mpp,
        data=describe(dataset.images, dataset.pseudo_labels),
        data_digest=digest,
        weights=started_from,
        epoch=0,
        threshold=FIRST_THRESHOLD,
        held_out_slides=held_out_slides,
        network={},
    )
    if not resume:
        check_is_new(out)
        return network, make_learner(network, make_loss(options.loss), options, device), checkpoint
    saved = load_checkpoint(out / LAST)
    _check_same(saved, checkpoint, out)
    network.load_state_dict(saved.network)
    learner = make_learner(network, make_loss(options.loss), options, device)
    restore(learner, saved.optimiser, saved.loss, out)
    return network, learner, saved


def _check_same(saved: Checkpoint, asked: Checkpoint, out: Path) -> None:
    if saved.data_digest != asked.data_digest:
        message = f"{out}: the run was on other images or annotations; name another folder for a new run"
        raise TrainingError(message)
    if (saved.class_names, saved.mpp) != (asked.class_names, asked.mpp):
        message = (
            f"{out}: the run was for {', '.join(saved.class_names)} at {saved.mpp:g} µm/px, not "
            f"{', '.join(asked.class_names)} at {asked.mpp:g} µm/px; resume it with the same, or name another folder"
        )
        raise TrainingError(message)
    check_same_options(saved.options, asked.options, out)


def describe(images: Sequence[AnnotatedImage], pseudo_labels: int = 0) -> str:
    """How many images and boxes there are, in a phrase.

    Args:
        images: the images.
        pseudo_labels: number of their boxes that a model added.
    """
    normals = sum(image.normal for image in images)
    boxes = counted(sum(len(image.boxes) for image in images), "box", "boxes")
    if pseudo_labels:
        boxes += f" ({counted(pseudo_labels, 'pseudo-label')})"
    with_cells = counted(len(images) - normals, "image")
    return f"{with_cells} with {boxes}, and {counted(normals, 'image')} without cells"


def data_digest(images: Sequence[AnnotatedImage]) -> str:
    """SHA-256 over the names, positions, sizes and boxes of all images; it does not depend on their folder."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(repr((image.path.name, image.width, image.height, image.normal)).encode())
        if image.place is not None:
            x, y, mpp = image.place.x, image.place.y, image.place.mpp
            # The digest of the same data must never change, or runs of earlier versions could not be resumed.
            digest.update(f"Place(x={x!r}, y={y!r}, mpp={mpp!r})".encode())
        digest.update(image.boxes.tobytes())
        digest.update(image.labels.tobytes())
        if len(image.ignored):
            digest.update(image.ignored.tobytes())
        if image.part is not None or image.upright:
            digest.update(repr((image.part and image.part.value, image.upright)).encode())
    return digest.hexdigest()
