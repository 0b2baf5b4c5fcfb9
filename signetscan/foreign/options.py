"""Options of importing a foreign model.

Nothing heavy is imported here, because the command line makes its flags from this class.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the types of options are looked up
from typing import Literal

from signetscan.options import Option, check_options, option

BoxKind = Literal["rt-detr", "rf-detr", "yolo", "yolo-end-to-end", "torchvision", "mmdetection"]
"""Kinds of foreign graphs that detect, by what their outputs mean; see `signetscan.foreign.kinds`."""
PlaceKind = Literal["segmentation", "patches"]
"""Kinds of foreign graphs that say of which class each place of a picture, or a whole picture, is."""
GraphKind = Literal[BoxKind, PlaceKind]
"""Kinds of foreign graphs."""
Values = Literal["logits", "probabilities"]
"""What a graph of a `PlaceKind` gives."""
Pixels = Literal["0-1", "imagenet", "symmetric", "0-255"]
"""What a network takes for a pixel: values from 0 to 1; those less the mean and divided by the deviation of ImageNet;
values from -1 to 1; bytes as they are."""
ColourOrder = Literal["rgb", "bgr"]

THE_FILES = "what the file says"
"""Default that help shows for what may stand in the metadata of a foreign file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What a foreign file does not say of itself, or not rightly.

    Raises:
        OptionError: a value is out of range.
    """

    kind: GraphKind | None = option(
        None,
        Option(
            help="Kind of the graph by its outputs; rt-detr also stands for D-FINE and DEIM, patches for networks "
            "that classify pictures.",
            default="by names and shapes",
        ),
    )
    classes: tuple[str, ...] = option(
        (),
        Option(
            help="Name of a class, in the order of labels; may be given several times.",
            default=THE_FILES,
            flag="class",
        ),
    )
    first_label: int | None = option(
        None,
        Option(
            help="The network's number for the first class named.",
            low=0,
            high=1000,
            default="1 for torchvision, else 0",
        ),
    )
    pixels: Pixels | None = option(
        None,
        Option(
            help="What the network takes for a pixel; symmetric: -1 to 1; imagenet: 0 to 1, less the mean, divided by "
            "the deviation of ImageNet.",
            default="imagenet for rf-detr and mmdetection, else 0-1",
        ),
    )
    colours: ColourOrder = option("rgb", Option(help="Order of the colours that the network takes."))
    tile_size: int | None = option(
        None,
        Option(
            help="Side of the tiles, which are the pictures that the network gets.",
            unit="px",
            low=32,
            high=16384,
            default=THE_FILES,
        ),
    )
    overlap: int | None = option(
        None,
        Option(help="Overlap of a detector's tiles.", unit="px", low=0, high=16384, default="a quarter of a tile"),
    )
    threshold: float | None = option(
        None, Option(help="Score threshold of a detector.", low=0, high=1, default="0.5, with a caution")
    )
    nms_iou: float | None = option(
        None,
        Option(
            help="Of two boxes that overlap by more than this IoU, keep the better one.",
            low=0,
            high=1,
            default="0.5",
        ),
    )
    config: Path | None = option(
        None,
        Option(
            help="The config.json that the WSInfer zoo has beside a network that classifies patches.", default="none"
        ),
    )
    values: Values | None = option(
        None,
        Option(help="What a segmentation, or a network that classifies patches, gives.", default="by their sums"),
    )
    background: str | None = option(
        None,
        Option(
            help="Name of the class of no interest, of which a segmentation writes no regions.",
            default="the class called Background or Other",
        ),
    )
    scored: tuple[str, ...] = option(
        (),
        Option(
            help="Class whose probabilities score a segmented slide; may be given several times.",
            default="all but the background",
            flag="scored-class",
        ),
    )
    margin: int | None = option(
        None,
        Option(
            help="Edge of a segmenter's tiles that is thrown away, because the network sees too little around it.",
            unit="px",
            low=0,
            high=8192,
            default="an eighth of a tile",
        ),
    )
    output_stride: int | None = option(
        None,
        Option(
            help="Pixels of a tile per pixel of a segmenter's output, along each side; probabilities of several of the "
            "network's pixels are averaged.",
            unit="px",
            low=1,
            high=1024,
            default="the network's, but 4 where that is finer",
        ),
    )
    name: str | None = option(None, Option(help="Short name of the model.", default="the model file's"))
    training_data: str | None = option(
        None,
        Option(help="What the network learnt from, stored in the model.", default="the file's description, or unknown"),
    )
    licence: str | None = option(
        None, Option(help="Licence of the weights, stored in the model.", default="the file's, or unknown")
    )
    intended_use: str | None = option(
        None, Option(help="What the model is for, stored in the model.", default="unknown")
    )
    check_on: tuple[Path, ...] = option(
        (),
        Option(
            help="Slide or image on whose tissue the model is checked as well; may be given several times.",
            default="none",
        ),
    )

    def __post_init__(self) -> None:
        check_options(self)
