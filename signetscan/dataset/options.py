"""Options of making a data set.

Nothing heavy is imported here, because the command line makes its flags from this class.
"""

from __future__ import annotations

from dataclasses import dataclass

from signetscan.options import Option, check_options, option

MPP = 0.25
"""Default size of a pixel, µm: DigestPath's images are at x40, where scanners have about this."""
MAX_MPP = 10.0
"""Largest size of a pixel, µm: no cell can be seen at larger ones."""
MIN_SIDE = 64
"""Least side of a region inside its slide, pixels of the data set's mpp: thinner ones are drawn by mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddOptions:
    """How to make training images of a slide.

    Raises:
        OptionError: a value is out of range.
    """

    classes: tuple[str, ...] = option(
        (),
        Option(
            help="Class of cells, in upper or lower case; may be given several times.",
            default="all classes",
            flag="class",
        ),
    )
    detections: bool | None = option(
        None,
        Option(
            help="Whether detections that nobody changed count as cells.",
            default="those in positive regions",
        ),
    )
    rejected_windows: bool = option(
        True,
        Option(
            help="Make images without cells of the parts of reviewed regions in which everything was rejected.",
        ),
    )
    window: int = option(
        2000,
        Option(
            help="Without positive or reviewed regions: longest side of an image.", unit="px", low=MIN_SIDE, high=4000
        ),
    )
    bounds_crop: bool = option(
        True,
        Option(help="Origin of GeoJSON coordinates: the slide's bounds, as in QuPath, or level 0."),
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
        None, Option(help="Name of the slide in the names of its images.", default="the file's name")
    )

    def __post_init__(self) -> None:
        check_options(self)
