"""Options of the simulator.

Nothing heavy is imported here, because the command line makes its flags from these classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the types of options are looked up

from signetscan.errors import OptionError
from signetscan.options import Option, check_options, option

MPP = 0.25
"""Size of a drawn pixel, µm."""
MARGIN = 60
"""Width of the glass around the pieces of tissue on a slide, pixels of 0.25 µm."""

SEED = Option(help="The same seed and options give the same bytes.", low=0, high=2**63 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSetOptions:
    """Images, cells and boxes of a training set.

    Raises:
        OptionError: a value is out of range.
    """

    positives: int = option(20, Option(help="Images with signet ring cells.", low=0, high=100_000))
    negatives: int = option(40, Option(help="Images without signet ring cells.", low=0, high=100_000))
    size: int = option(2000, Option(help="Side of an image.", unit="pixels of 0.25 µm", low=200, high=8000))
    seed: int = option(0, SEED)
    images_per_slide: int = option(4, Option(help="Images that share a slide's stain and scanner.", low=1, high=1000))
    missing_rate: float = option(
        0.0, Option(help="Part of the boxes missing in the XML, 0 to 1; those in truth/ are complete.", low=0, high=1)
    )
    backgrounds: tuple[Path, ...] = option(
        (),
        Option(
            help=(
                "Real image (of 0.25 µm/px), folder of such images, or slide, in which most images are "
                "composed; may be given several times."
            ),
            default="none",
            flag="background",
        ),
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideOptions:
    """Size, tissue and file of a slide.

    Raises:
        OptionError: a value is out of range.
    """

    width: int = option(8400, Option(help="Width of the slide.", unit="px", low=256, high=200_000))
    height: int = option(8400, Option(help="Height of the slide.", unit="px", low=256, high=200_000))
    mpp: float = option(MPP, Option(help="Size of a pixel.", unit="µm", low=0.1, high=2))
    region: int = option(2000, Option(help="Side of a piece of tissue.", unit="pixels of 0.25 µm", low=200, high=4000))
    jpeg_quality: int = option(80, Option(help="Quality of the JPEG tiles, 1 to 100.", low=1, high=100))
    seed: int = option(0, SEED)

    def __post_init__(self) -> None:
        check_options(self)
        if not self.columns or not self.rows:
            message = (
                f"a piece of tissue of {self.region} px at 0.25 µm/px does not fit on the slide; make it smaller, or "
                "the slide larger"
            )
            raise OptionError(message, options=("region", "width", "height"))

    @property
    def scale(self) -> float:
        """Level-0 pixels per drawn pixel."""
        return MPP / self.mpp

    @property
    def columns(self) -> int:
        """Number of pieces of tissue side by side."""
        return int((self.width / self.scale - MARGIN) // (self.region + MARGIN))

    @property
    def rows(self) -> int:
        """Number of pieces of tissue above each other."""
        return int((self.height / self.scale - MARGIN) // (self.region + MARGIN))
