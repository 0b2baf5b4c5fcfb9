"""Options of evaluation and comparison.

Nothing heavy is imported here, because the command line makes its flags from these classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the types of options are read at run time
from typing import Literal

from signetscan.errors import OptionError
from signetscan.options import Option, check_options, option

MATCH_IOU = 0.3
"""Least IoU of a detection with the cell that it matches, in DigestPath."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssessOptions:
    """Threshold, IoU and intervals of an evaluation.

    Raises:
        OptionError: a value is out of range.
    """

    threshold: float | None = option(
        None,
        Option(
            help="Lowest score of predictions that count for recall, precision, F1 and false positives.",
            low=0,
            high=1,
            default="the model's by the run records, else 0",
        ),
    )
    iou: float = option(
        MATCH_IOU,
        Option(
            help="Least IoU of a prediction with the cell that it matches; AP50 always takes 0.5.",
            low=0,
            above=True,
            high=1,
        ),
    )
    bootstrap: int = option(1000, Option(help="Resamples for the 95% intervals; 0 for none.", low=0, high=100_000))
    seed: int = option(
        0, Option(help="Seed of the resamples: the same seed gives the same intervals.", low=0, high=2**63 - 1)
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthOptions:
    """How to read predictions and truth.

    Raises:
        OptionError: a value is out of range.
    """

    class_name: str | None = option(
        None,
        Option(help="Class to evaluate, in upper or lower case.", default="the only one there is", flag="class"),
    )
    ignore_classes: tuple[str, ...] = option(
        (),
        Option(
            help="Class of the truth that counts neither way: its objects are no cells, and predictions on them no "
            "false positives; may be given several times.",
            default="none",
            flag="ignore_class",
        ),
    )
    full_truth: bool = option(
        False, Option(help="TRUTH is a simulated data set: read all cells, from its folder truth.")
    )
    truth_origin: Literal["bounds", "level0"] = option(
        "bounds",
        Option(help="Origin of the coordinates of a GeoJSON TRUTH: the slide's bounds, as in QuPath, or level 0."),
    )

    def __post_init__(self) -> None:
        check_options(self)
        ignored = {name.strip().casefold() for name in self.ignore_classes}
        if self.class_name is not None and self.class_name.strip().casefold() in ignored:
            message = f"the class {self.class_name} cannot be both evaluated and ignored"
            raise OptionError(message, options=("class_name", "ignore_classes"))


@dataclass(frozen=True, slots=True, kw_only=True)
class AgainstOptions:
    """A second result on the same slides or images, to compare with.

    Raises:
        OptionError: a value is out of range, or a threshold is given without a result.
    """

    against: Path | None = option(
        None,
        Option(help="Other predictions for the same TRUTH: print differences, with paired intervals.", default="none"),
    )
    against_threshold: float | None = option(
        None,
        Option(
            help="Lowest score of the other predictions that counts.",
            low=0,
            high=1,
            default="the threshold given, else their model's",
        ),
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.against is None and self.against_threshold is not None:
            message = "a threshold of other predictions needs those predictions"
            raise OptionError(message, options=("against", "against_threshold"))


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskOptions:
    """How to read masks as the truth of a segmentation, and which regions count.

    Raises:
        OptionError: a value is out of range.
    """

    truth_classes: tuple[str, ...] = option(
        (),
        Option(
            help="Masks: class of the model that the masks show, in the order of their values; or NAME=FOLDER,FOLDER "
            "for what these folders of images and masks outline; may be given several times.",
            default="the model's names",
            flag="truth_class",
        ),
    )
    scored: tuple[str, ...] = option(
        (),
        Option(
            help="Masks: name of a class that images are told by; may be given several times.",
            default="those that give the model's slide score",
        ),
    )
    mpp: float | None = option(
        None,
        Option(
            help="Masks and a model: size of the images' pixels.",
            unit="µm/px",
            low=0,
            above=True,
            default="0.5 for DigestPath's images, else 0.25",
        ),
    )
    least_region: float = option(
        500.0, Option(help="Masks: smallest region that counts as one to find.", unit="µm²", low=0)
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions:
    """How to match and read the two sides of a comparison.

    Raises:
        OptionError: a value is out of range.
    """

    iou: float = option(MATCH_IOU, Option(help="Least IoU of two boxes of the same cell.", low=0, above=True, high=1))
    threshold: float = option(
        0.0,
        Option(help="Lowest score of detections that count. A reviewer's objects always count.", low=0, high=1),
    )
    class_name: str | None = option(
        None,
        Option(help="Class to compare, in upper or lower case.", default="the only one there is", flag="class"),
    )
    reviewer: bool | None = option(
        None,
        Option(
            help="B has a reviewer's annotations, against which A is evaluated.",
            default="if it has regions, marks or objects without a score",
            former="reader",
        ),
    )
    a_by: str | None = option(
        None,
        Option(
            help="Reviewer whose marks beside the results A has, by the name given in the viewer; empty for none.",
            default="the results",
        ),
    )
    b_by: str | None = option(None, Option(help="The same of B.", default="the results"))
    bounds_crop: bool = option(
        True, Option(help="Origin of GeoJSON coordinates of B: the slide's bounds, as in QuPath, or level 0.")
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonPageOptions:
    """Folder and pictures of a comparison's page.

    Raises:
        OptionError: a value is out of range, or pictures are wanted without a page.
    """

    out: Path | None = option(None, Option(help="Folder for comparison.html.", default="no page"))
    slide: Path | None = option(
        None,
        Option(help="The slide, or a folder that holds all slides, for the page's pictures.", default="no pictures"),
    )
    pictures: int = option(24, Option(help="Most pictures of each kind.", low=0, high=500))

    def __post_init__(self) -> None:
        check_options(self)
        if self.slide is not None and self.out is None:
            message = "slides are read for the pictures of a page, which needs a folder to be written to"
            raise OptionError(message, options=("out",))
