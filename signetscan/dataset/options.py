"""How to make a data set. Apart from what does it, so that the command line is quick to help."""

from __future__ import annotations

from dataclasses import dataclass

from signetscan.options import Option, check_options, option

MPP = 0.25
"""Size of a pixel, µm, unless said otherwise: DigestPath says x40, at which scanners have about this."""
MAX_MPP = 10.0
"""No cell can be told at larger pixels, µm."""
MIN_SIDE = 64
"""A region thinner than this inside the slide is a slip of the hand, pixels of the data set's mpp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddOptions:
    """How to make training images of a slide.

    Raises:
        OptionError: a value is out of range.
    """

    classes: tuple[str, ...] = option(
        (),
        Option(
            help="Class of cells, in any case; may be given several times.",
            default="all classes",
            flag="class",
        ),
    )
    detections: bool | None = option(
        None,
        Option(
            help="Whether a model's detections count as cells.",
            default="those in positive regions; without such regions all, or none if there are annotated cells",
        ),
    )
    rejected_windows: bool = option(
        True,
        Option(
            help="Without positive regions: take windows in which everything was rejected as images without cells.",
        ),
    )
    window: int = option(
        2000,
        Option(help="Without positive regions: longest side of an image.", unit="px", low=MIN_SIDE, high=4000),
    )
    bounds_crop: bool = option(
        True,
        Option(help="GeoJSON counts from the slide's bounds, as QuPath shows it, or from level 0."),
    )
    mpp: float | None = option(
        None,
        Option(
            help="Size of the slide's pixels.",
            unit="µm",
            low=0,
            above=True,
            default="what the file says",
        ),
    )
    image_mpp: float | None = option(
        None,
        Option(
            help="Size of the pixels of a new data set, to which all slides are resampled.",
            unit="µm",
            low=0,
            above=True,
            high=MAX_MPP,
            default="the first slide's",
        ),
    )
    name: str | None = option(
        None, Option(help="What to call the slide in the names of images.", default="the file's name")
    )

    def __post_init__(self) -> None:
        check_options(self)
