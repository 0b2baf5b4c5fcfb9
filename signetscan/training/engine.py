"""The training loop, from annotated images to checkpoints. It reads from top to bottom.

A run is exact: the plan of an epoch and each of its crops depend on the seed and the epoch alone, so a run that was
stopped and resumed ends with the same weights, on the same machine, as one that was not (epochs are the grain: a run
stopped within one starts it again).
"""

from __future__ import annotations

import csv
import hashlib
import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn

from signetscan.concurrency import cpu_count, ordered_map
from signetscan.dataset import hold_out
from signetscan.errors import DeviceError, OptionError, TrainingError
from signetscan.outputs.atomic import atomic_text, make_folder
from signetscan.training.checkpoint import Checkpoint, load_checkpoint, load_tensors, save_checkpoint
from signetscan.training.crops import ImageCache, cut_crop, list_patches, plan_epoch
from signetscan.training.losses import make_loss
from signetscan.training.objective import batch_losses, stack
from signetscan.training.retinanet import RetinaNet
from signetscan.training.validation import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from signetscan.dataset import AnnotatedImage, Dataset
    from signetscan.training.crops import Crop, Patch
    from signetscan.training.options import TrainOptions

    Progress = Callable[[int, int], None]

Device = Literal["auto", "cpu", "cuda"]

LAST, BEST, METRICS = "last.pt", "best.pt", "metrics.csv"
"""Files of a run: the state after the latest epoch, that after the best one, and a table of all."""

FIRST_THRESHOLD = 0.5
"""Score threshold of a run without normal images to choose it on."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Run:
    """What changes while training."""

    network: RetinaNet
    optimiser: torch.optim.Adam
    loss: nn.Module
    device: torch.device
    bf16: bool
    checkpoint: Checkpoint
    """State after the latest epoch, but for weights, which `network` has."""


def train(
    dataset: Dataset,
    options: TrainOptions,
    out: Path,
    *,
    device: Device = "auto",
    weights: Path | None = None,
    resume: bool = False,
    on_progress: Progress | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> Path:
    """Train a detector.

    Args:
        dataset: annotated images; the network gets as many classes as it has.
        options: how.
        out: folder for checkpoints and `metrics.csv`; must hold no run unless resumed.
        device: `cuda` must run on a GPU; `auto` does if there is one.
        weights: file of torchvision's ResNet-18 weights to start the backbone from.
        resume: whether to go on with the run in `out`.
        on_progress: called with (batches done, batches in all) after each batch.
        on_epoch: called with the metrics of each epoch.

    Returns:
        The best checkpoint's path.

    Raises:
        AnnotationError: an image cannot be decoded, or images with cells are of too few slides to hold one out.
        SlideError: a slide cannot be read.
        DeviceError: there is no GPU where one was asked for.
        OptionError: options do not fit the data or the run to resume.
        TrainingError: there are no boxes, the folder holds another run, or the loss is not a number.
        OutputError: a file cannot be written.
    """
    options = replace(options, architecture=replace(options.architecture, classes=len(dataset.class_names)))
    learn, held_out = hold_out(dataset.images, options.validation_share, options.fold, options.seed)
    positives, normals = list_patches(learn, options.patch, options.patch_step)
    if not positives:
        message = "no image to learn from has a box: check the annotations, or lower the validation share"
        raise TrainingError(message)
    make_folder(out)
    run = _start(dataset, options, out, choose_device(device), weights=weights, resume=resume)
    cache = ImageCache()
    for epoch in range(run.checkpoint.epoch, options.epochs):
        started = time.perf_counter()
        rng = np.random.default_rng([options.seed, epoch])
        plan = plan_epoch(rng, positives, normals, options)
        total = len(plan) * options.epochs
        sums = np.zeros(2)
        for number, crops in enumerate(_load(plan, learn, cache, options, epoch)):
            sums += _step(run, crops, rate_at(options, epoch * len(plan) + number, len(plan)))
            if on_progress is not None:
                on_progress(epoch * len(plan) + number + 1, total)
        loss_class, loss_box = sums / len(plan)
        _finish_epoch(run, {"epoch": epoch + 1, "loss_class": loss_class, "loss_box": loss_box}, held_out, out, started)
        if on_epoch is not None:
            on_epoch(run.checkpoint.history[-1])
    return out / BEST


def choose_device(device: Device) -> torch.device:
    """The device to train on.

    Raises:
        DeviceError: `cuda` was asked for and is not there.
    """
    if device == "cuda" and not torch.cuda.is_available():
        message = (
            f"--device cuda: torch {torch.__version__} sees no GPU. Check that `nvidia-smi` shows one and that torch "
            "is a CUDA build, or train with --device cpu"
        )
        raise DeviceError(message)
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def use_bf16(options: TrainOptions, device: torch.device) -> bool:
    """Whether to calculate in bf16: as asked, or where the processor has instructions for it."""
    if options.precision != "auto":
        return options.precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def rate_at(options: TrainOptions, batch: int, batches: int) -> float:
    """Learning rate of a batch (counted over the whole run), of `batches` in each epoch."""
    warm = min(1.0, (batch + 1) / max(options.warm_up, 1))
    if options.schedule == "cosine":
        return options.rate * warm * 0.5 * (1 + math.cos(math.pi * batch / (batches * options.epochs)))
    passed = sum(batch >= step * batches for step in options.rate_steps)
    return options.rate * warm / 10.0**passed


def _start(
    dataset: Dataset,
    options: TrainOptions,
    out: Path,
    device: torch.device,
    *,
    weights: Path | None,
    resume: bool,
) -> _Run:
    """A new run, or the one in the folder."""
    digest = data_digest(dataset.images)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        network = RetinaNet(options.architecture)
    if weights is not None and not resume:
        load_backbone(network, weights)
    loss = make_loss(options.loss)
    checkpoint = Checkpoint(
        options=options,
        class_names=dataset.class_names,
        mpp=dataset.mpp,
        data=describe(dataset.images),
        data_digest=digest,
        epoch=0,
        threshold=FIRST_THRESHOLD,
        network={},
    )
    if resume:
        before = load_checkpoint(out / LAST)
        _check_same(before, checkpoint, out)
        checkpoint = before
        network.load_state_dict(checkpoint.network)
        loss.load_state_dict(checkpoint.loss)
    elif (out / LAST).exists():
        message = f"{out}: holds a training run; go on with it by --resume, or name another folder"
        raise TrainingError(message)
    network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload] # missing in stubs
    optimiser = torch.optim.Adam(network.parameters(), options.rate)
    if resume:
        optimiser.load_state_dict(checkpoint.optimiser)
    bf16 = use_bf16(options, device)
    return _Run(
        network=network, optimiser=optimiser, loss=loss.to(device), device=device, bf16=bf16, checkpoint=checkpoint
    )


def _check_same(before: Checkpoint, now: Checkpoint, out: Path) -> None:
    if before.data_digest != now.data_digest:
        message = f"{out}: the run was on other images or annotations; name another folder for a new run"
        raise TrainingError(message)
    if (before.class_names, before.mpp) != (now.class_names, now.mpp):
        message = (
            f"{out}: the run was for {', '.join(before.class_names)} at {before.mpp:g} um/px, not "
            f"{', '.join(now.class_names)} at {now.mpp:g}; resume it with the same, or name another folder"
        )
        raise TrainingError(message)
    old, new = before.options.as_dict(), now.options.as_dict()
    changed = [name for name in new if old[name] != new[name]]
    if changed:
        message = f"{out}: the run has other options ({', '.join(changed)}); resume it with the same ones"
        raise OptionError(message)


def describe(images: Sequence[AnnotatedImage]) -> str:
    """What the images are, in plain words."""
    normals = sum(image.normal for image in images)
    boxes = sum(len(image.boxes) for image in images)
    return f"{len(images) - normals} images with {boxes} boxes, and {normals} images without cells"


def data_digest(images: Sequence[AnnotatedImage]) -> str:
    """SHA-256 over the names, places, sizes and boxes of all images, whatever folder they are in."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(repr((image.path.name, image.width, image.height, image.normal)).encode())
        if image.place is not None:
            digest.update(repr(image.place).encode())
        digest.update(image.boxes.tobytes())
        digest.update(image.labels.tobytes())
    return digest.hexdigest()


def load_backbone(network: RetinaNet, path: Path) -> None:
    """Start the backbone from torchvision's ResNet-18 weights.

    Raises:
        TrainingError: the file is not one, or the backbone has another width.
    """
    values = {name: value for name, value in load_tensors(path).items() if not name.startswith("fc.")}
    try:
        network.backbone.load_state_dict(values)
    except RuntimeError as error:
        message = f"{path}: does not fit a ResNet-18 of width {network.architecture.width}; the full width is 64"
        raise TrainingError(message) from error


def _load(
    plan: Sequence[Sequence[Patch]],
    images: Sequence[AnnotatedImage],
    cache: ImageCache,
    options: TrainOptions,
    epoch: int,
) -> Iterator[list[Crop]]:
    """The crops of each batch, cut and augmented on several threads, in the order of the plan."""

    def cut(job: tuple[int, Patch]) -> Crop:
        number, patch = job
        rng = np.random.default_rng([options.seed, epoch, number])
        return cut_crop(rng, cache, images[patch.image], patch, options)

    jobs = enumerate(patch for batch in plan for patch in batch)
    crops = ordered_map(cut, jobs, workers=cpu_count(), ahead=2 * options.batch + cpu_count())
    for batch in plan:
        yield [next(crops) for _ in batch]


def _step(run: _Run, crops: list[Crop], rate: float) -> tuple[float, float]:
    """One step down the gradient; returns the losses of classes and boxes."""
    for group in run.optimiser.param_groups:
        group["lr"] = rate
    run.network.train()
    with torch.autocast(run.device.type, torch.bfloat16, enabled=run.bf16):
        logits, offsets, anchors = run.network(stack(crops).to(run.device, non_blocking=True))
    loss_class, loss_box = batch_losses(run.loss, logits, offsets, anchors, crops)
    total = loss_class + loss_box
    values = float(loss_class.detach()), float(loss_box.detach())
    if not all(math.isfinite(value) for value in values):
        names = ", ".join(sorted({crop.name for crop in crops}))
        message = f"the loss is not a number (classes {values[0]}, boxes {values[1]}) in a batch of {names}"
        raise TrainingError(message)
    run.optimiser.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), run.checkpoint.options.clip_norm)
    run.optimiser.step()
    return values


def _finish_epoch(
    run: _Run, row: dict[str, float], held_out: Sequence[AnnotatedImage], out: Path, started: float
) -> None:
    """Validate, write the checkpoints and the table."""
    before = run.checkpoint
    scores = validate(run.network.eval(), before, held_out, run.device) if held_out else None
    threshold = before.threshold
    if scores is not None:
        threshold = scores.threshold
        row |= {"froc": scores.froc, "recall": scores.recall, "precision": scores.precision}
        row |= {"fps_score": scores.fps_score, "threshold": threshold}
    row["seconds"] = time.perf_counter() - started
    run.checkpoint = replace(
        before,
        epoch=int(row["epoch"]),
        threshold=threshold,
        network=_on_cpu(run.network.state_dict()),
        optimiser=run.optimiser.state_dict(),
        loss=_on_cpu(run.loss.state_dict()),
        history=[*before.history, {name: float(value) for name, value in row.items()}],
    )
    if _is_best(run.checkpoint.history):
        save_checkpoint(out / BEST, replace(run.checkpoint, optimiser={}, loss={}))
    _write_metrics(out / METRICS, run.checkpoint.history)
    save_checkpoint(out / LAST, run.checkpoint)  # last: what is in it is what a resumed run goes on from


def _on_cpu(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}


def _is_best(history: Sequence[dict[str, float]]) -> bool:
    """Whether the latest epoch has the highest FROC so far; without validation every epoch is the best so far."""
    curve = [row.get("froc", math.nan) for row in history]
    return math.isnan(curve[-1]) or curve[-1] >= max(value for value in curve if not math.isnan(value))


def _write_metrics(path: Path, history: Sequence[dict[str, float]]) -> None:
    with atomic_text(path) as file:
        writer = csv.DictWriter(file, list(history[-1]), lineterminator="\n")
        writer.writeheader()
        for row in history:
            writer.writerow({name: f"{value:.6g}" for name, value in row.items()})
