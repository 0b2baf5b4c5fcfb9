"""How to train: every choice in one place, with its reason, and presets of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from signetscan.checks import check_ranges
from signetscan.errors import OptionError
from signetscan.training.devices import Compile, Precision
from signetscan.training.losses import LossOptions
from signetscan.training.retinanet import Architecture

if TYPE_CHECKING:
    from collections.abc import Mapping

Augment = Literal["plain", "strong"]
Schedule = Literal["steps", "cosine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """All options of a training run; the defaults are the DGHM paper's, or what it leaves open and why.

    Raises:
        OptionError: a value is out of range.
    """

    architecture: Architecture = field(default_factory=Architecture)
    """Sizes of the network."""
    loss: LossOptions = field(default_factory=LossOptions)
    """Classification loss."""
    patch: int = 800
    """Side of the patches that images are cut into, pixels."""
    patch_step: int = 300
    """Distance between patches, pixels."""
    crop: int = 600
    """Side of the random crop of a patch, pixels."""
    batch: int = 8
    """Crops in a batch."""
    normals_per_positive: float = 3.0
    """Crops of normal images to each crop with cells."""
    batches: int = 0
    """Batches in an epoch; 0 uses every patch with cells once."""
    epochs: int = 13
    """Epochs. The paper lowers the rate after 9 and 12 and does not say when it stops."""
    rate: float = 1e-4
    """Adam's learning rate."""
    schedule: Schedule = "steps"
    """`steps`: a tenth after each of `rate_steps`; `cosine`: falls to nothing over the run."""
    rate_steps: tuple[int, ...] = (9, 12)
    """Epochs after which the rate is divided by 10."""
    warm_up: int = 100
    """Batches over which the rate rises from nothing: at first every positive is an outlier and DGHM's gradients are
    large."""
    clip_norm: float = 10.0
    """Gradients longer than this are shortened: one batch with few examples in a region must not undo the rest."""
    augment: Augment = "plain"
    """`plain`: flips and quarter turns, as in the paper; `strong`: stain, blur, noise and JPEG too."""
    max_scale: float = 1.0
    """Crops are enlarged or shrunk by up to this factor."""
    validation_share: float = 0.2
    """Share of the images, by whole slides, held out to choose the best epoch and the threshold; 0 for none."""
    fold: tuple[int, int] | None = None
    """(I, K) holds out fold I of K, counted from 1, in place of a share."""
    alarms_per_normal: float = 1.0
    """The model's score threshold lets this many false alarms into a normal validation image on average."""
    precision: Precision = "auto"
    """Arithmetic of the forward and backward pass; auto takes bf16 where the processor is made for it."""
    compile: Compile = "auto"
    """Whether torch compiles the network for the device; auto does on a GPU, if the machine can."""
    seed: int = 0
    """Same seed, data, options and machine: same weights."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            patch=(128, 8192),
            patch_step=(16, 8192),
            crop=(128, 4096),
            batch=(1, 1024),
            normals_per_positive=(0, 100),
            batches=(0, 10**6),
            epochs=(1, 10_000),
            rate=(1e-8, 1),
            warm_up=(0, 10**6),
            clip_norm=(1e-6, 1e6),
            max_scale=(1, 4),
            validation_share=(0, 0.9),
            alarms_per_normal=(0, 1000),
            seed=(0, 2**63 - 1),
        )
        if self.fold is not None and not (1 <= self.fold[0] <= self.fold[1] and 2 <= self.fold[1] <= 1000):
            message = f"fold must be I/K with I from 1 to K and K from 2 to 1000, not {self.fold[0]}/{self.fold[1]}"
            raise OptionError(message)
        choices = {"augment": Augment, "schedule": Schedule, "precision": Precision, "compile": Compile}
        for name, allowed in choices.items():
            if getattr(self, name) not in get_args(allowed):
                message = f"{name} must be one of {', '.join(get_args(allowed))}, not {getattr(self, name)}"
                raise OptionError(message)

    def as_dict(self) -> dict[str, Any]:
        """Plain values such as JSON has, for checkpoints and model files."""
        lists = {"rate_steps": list(self.rate_steps), "fold": None if self.fold is None else list(self.fold)}
        return asdict(self) | lists

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainOptions:
        """The inverse of `as_dict`.

        Raises:
            OptionError: a value is missing, unknown or out of range.
        """
        try:
            return cls(
                **{
                    **values,
                    "architecture": Architecture(**values["architecture"]),
                    "loss": LossOptions(**values["loss"]),
                    "rate_steps": tuple(values["rate_steps"]),
                    "fold": None if values.get("fold") is None else tuple(values["fold"]),
                }
            )
        except (TypeError, KeyError) as error:
            message = f"not the options of this version: {error}"
            raise OptionError(message) from error


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "strong": {"augment": "strong", "max_scale": 1.25},
    "fast": {
        "architecture": Architecture(width=32, pyramid=96),
        "crop": 384,
        "batch": 8,
        "normals_per_positive": 1.0,
        "batches": 250,
        "epochs": 12,
        "rate": 1e-3,
        "schedule": "cosine",
        "augment": "strong",
        "max_scale": 1.15,
    },
}
"""`paper`: the paper's recipe, for a GPU. `strong`: the same with strong augmentation, of all later additions the one
with the largest gain reported on DigestPath (FROC .44 to .64 with CenterNet on ResNet-18). `fast`: a slim network from
scratch in about an hour on a few CPU cores."""


def preset_options(preset: str, **chosen: Any) -> TrainOptions:  # noqa: ANN401 - any option's value
    """The options of a preset, with some chosen otherwise (None: as the preset has it).

    Raises:
        OptionError: no such preset, or a value is out of range.
    """
    if preset not in PRESETS:
        message = f"preset must be one of {', '.join(PRESETS)}, not {preset}"
        raise OptionError(message)
    return TrainOptions(**(PRESETS[preset] | {name: value for name, value in chosen.items() if value is not None}))
