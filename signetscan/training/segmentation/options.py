"""Options of training networks that segment tissue, and presets of them.

Nothing heavy is imported here, because the command line makes its flags from these classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from signetscan.errors import OptionError
from signetscan.options import Option, option, options_from, options_of
from signetscan.training.options import (
    PRESETS_DECIDE,
    Augment,
    BackboneOptions,
    LossOptions,
    Preset,
    RunOptions,
    Schedule,
    run_options_from,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from signetscan.json_values import Json

SegmentationPresetName = Literal["strong", "fast"]

TRUSTS_CLEAN_ONLY = ("dghm-c", "dghm-c-star")
"""Losses beside which Dice sums over clean pixels."""
STRIDE = 32
"""Stride of the coarsest feature map, pixels; sides of tiles are multiples of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationArchitecture(BackboneOptions):
    """The sizes of the network.

    Raises:
        OptionError: a value is out of range.
    """

    classes: int = option(2, Option(help="Number of classes, with the background.", low=2, high=250))
    decoder_channels: int = option(
        64, Option(help="Segmentation: channels of the decoder.", low=8, high=1024, default=PRESETS_DECIDE)
    )
    # See docs/training.md: with 2, the decoder takes most of the time.
    output_stride: int = option(
        4, Option(help="Segmentation: pixels per pixel of the output, along each axis; 2 or 4.", low=2, high=4)
    )

    def __post_init__(self) -> None:
        BackboneOptions.__post_init__(self)
        if self.output_stride == 3:
            message = "output stride must be 2 or 4, not 3"
            raise OptionError(message, options=("output_stride",))


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationOptions(RunOptions):
    """All options on which the weights of a network that segments depend, besides its data.

    Raises:
        OptionError: a value is out of range.
    """

    architecture: SegmentationArchitecture = field(default_factory=SegmentationArchitecture)
    """Sizes of the network."""
    dice_weight: float = option(
        1.0,
        Option(help="Segmentation: weight of soft Dice beside another loss; 0 leaves it out.", low=0, high=100),
    )
    # Neighbouring pixels show the same thing. With each as an example of its own, densities would be a thousand times
    # those of anchors, for which the exponents of DGHM were chosen.
    pixels_per_example: int = option(
        256,
        Option(
            help="Segmentation, DGHM: pixels of the output that count as one example.",
            low=1,
            high=10**6,
        ),
    )
    # So small a lesion must still give a slide a high score. Where all of an image is of one kind, more is steadier.
    top_share: float = option(
        0.01,
        Option(
            help="Segmentation: part of an image or slide, where the scored classes are likeliest, over which its "
            "score is the mean.",
            low=0,
            above=True,
            high=1,
        ),
    )
    patch: int = option(
        768, Option(help="Side of the patches that images are cut into.", unit="px", low=128, high=8192)
    )
    patch_step: int = option(512, Option(help="Distance between patches.", unit="px", low=16, high=8192))
    crop: int = option(
        512,
        Option(help="Side of a random crop of a patch.", unit="px", low=64, high=4096, default=PRESETS_DECIDE),
    )
    normals_per_positive: float = option(
        1.0, Option(help="Crops of normal images to each crop of another image.", low=0, high=100)
    )
    epochs: int = option(40, Option(help="Epochs.", low=1, high=10_000, default=PRESETS_DECIDE))
    learning_rate: float = option(
        1e-3, Option(help="Adam's learning rate.", low=1e-8, high=1, default=PRESETS_DECIDE, former="rate")
    )
    schedule: Schedule = option(
        "cosine",
        Option(help="steps: divided by 10 after each of the learning rate steps; cosine: falls to 0 over the run."),
    )
    augment: Augment = option(
        "strong",
        Option(
            help="plain: flips and quarter turns; strong: also stain, blur, noise and JPEG.", default=PRESETS_DECIDE
        ),
    )
    # Crypts of one magnification differ that much in size, and so do the magnifications of images called the same.
    max_scale: float = option(1.5, Option(help="Crops are enlarged or shrunk by up to this factor.", low=1, high=4))

    @classmethod
    def from_dict(cls, values: Json) -> SegmentationOptions:
        """The inverse of `as_dict`.

        Raises:
            OptionError: a value is unknown, of the wrong type or out of range.
        """
        return run_options_from(cls, SegmentationArchitecture, values)


SEGMENTATION_PRESETS: Mapping[SegmentationPresetName, Preset] = MappingProxyType(
    {
        # For a GPU.
        "strong": {},
        # For a few CPU cores.
        "fast": {
            "backbone": "efficientnet-lite0",
            "decoder_channels": 32,
            "crop": 256,
            "epochs": 20,
        },
    }
)


def segmentation_options(preset: SegmentationPresetName = "strong", **chosen: object) -> SegmentationOptions:
    """The options of a preset, with some replaced.

    Args:
        preset: name of the preset.
        chosen: options of `SegmentationOptions`, `LossOptions` and `SegmentationArchitecture` by name, such as
            `epochs=3` or `loss="ce"`. None stands for the preset's value.

    Raises:
        OptionError: there is no such preset or option, a value is out of range, or two options contradict each other.
    """
    if preset not in SEGMENTATION_PRESETS:
        message = f"preset must be one of {', '.join(SEGMENTATION_PRESETS)} for segmentation, not {preset}"
        raise OptionError(message, options=("preset",))
    chosen = {name: value for name, value in chosen.items() if value is not None}
    if "fold" in chosen and "validation_split" in chosen:
        message = "a fold decides which images are held out; leave the validation split out"
        raise OptionError(message, options=("fold", "validation_split"))
    values: dict[str, object] = {**SEGMENTATION_PRESETS[preset], **chosen}
    if "width" in chosen and "backbone" not in chosen:
        values["backbone"] = "resnet18"  # the only one with a width
    of_architecture, of_loss = (
        {name: values.pop(name) for name in options_of(cls) if name in values}
        for cls in (SegmentationArchitecture, LossOptions)
    )
    return options_from(
        SegmentationOptions,
        values,
        architecture=options_from(SegmentationArchitecture, of_architecture),
        loss=options_from(LossOptions, of_loss),
    )
