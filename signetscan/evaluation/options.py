"""How to evaluate and compare. Apart from what does it, so that the command line is quick to help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the types of options are read at run time
from typing import Literal

from signetscan.errors import OptionError
from signetscan.options import Option, check_options, option

MATCH_IOU = 0.3
"""Least IoU of a detection with a cell that it finds, in DigestPath."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssessOptions:
    """How to judge.

    Raises:
        OptionError: a value is out of range.
    """

    threshold: float = option(
        0.0,
        Option(
            help="Score from which predictions count for recall, precision, FPs score and F1.",
            low=0,
            high=1,
        ),
    )
    iou: float = option(
        MATCH_IOU,
        Option(
            help="Least IoU of a prediction with the cell that it finds; AP50 has its own.", low=0, above=True, high=1
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
    """How to read predictions and truth."""

    class_name: str | None = option(
        None, Option(help="Class to judge, in any case.", default="the only one there is", flag="class")
    )
    full_truth: bool = option(
        False, Option(help="TRUTH is a simulated data set: take all cells, from its folder truth.")
    )
    truth_origin: Literal["bounds", "level0"] = option(
        "bounds",
        Option(help="Where the coordinates of a GeoJSON TRUTH start: at the slide's bounds, as in QuPath, or level 0."),
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions:
    """How to compare.

    Raises:
        OptionError: a value is out of range.
    """

    iou: float = option(MATCH_IOU, Option(help="Least IoU of two boxes of the same cell.", low=0, above=True, high=1))
    threshold: float = option(
        0.0,
        Option(
            help="Score from which detections count. A reviewer's objects count whatever their score.", low=0, high=1
        ),
    )
    class_name: str | None = option(
        None, Option(help="Class to compare, in any case.", default="the only one there is", flag="class")
    )
    reviewer: bool | None = option(
        None,
        Option(
            help="B is a reviewer's annotations, by which A is judged.",
            default="if it has regions, marks or objects without a score",
            former="reader",
        ),
    )
    bounds_crop: bool = option(
        True, Option(help="GeoJSON of B counts from the slide's bounds, as QuPath shows it, or from level 0.")
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonPageOptions:
    """Whether and how to write a page of a comparison.

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
            message = "slides are for the pictures of a page, which needs a folder"
            raise OptionError(message, options=("out",))
