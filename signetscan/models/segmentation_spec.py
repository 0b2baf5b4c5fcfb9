"""The contract of models that segment tissue.

The graph has one output, `probabilities`: (B, C, H / s, W / s), where C is the number of classes and s the spec's
`output_stride`. It is uint8, a probability times 255, or float16, from 0 to 1. At each place the probabilities of all
classes sum to 1. The choice of the likeliest class, the margin and all that concerns the slide are outside of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from signetscan.errors import ModelError
from signetscan.json_values import JsonError, JsonTable, is_number
from signetscan.models.held_out import HeldOutRegions
from signetscan.models.spec import ModelSpec, Task, is_whole, multiple_problem, shared_fields
from signetscan.texts import short_repr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from signetscan.json_values import Json

PROBABILITIES = "probabilities"
"""Name of the output."""
MOST_TISSUE_CLASSES = 250
"""Most classes of a model: a class map has them as one byte, with other values for what was not scanned."""

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideScore:
    """How a slide gets one score from 0 to 1, by which slides are put in order.

    At each place of the scanned tissue, the probabilities of the scored classes are added up. The slide's score is the
    mean of that sum over the part of the tissue where it is highest.
    """

    classes: tuple[int, ...]
    """The scored classes: indices into `class_names`."""
    top_share: float
    """The part of the tissue over which the mean is taken, above 0 and up to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationSpec(ModelSpec):
    """What a model that segments tissue says of itself.

    Raises:
        ModelError: a value is missing, of the wrong type or out of range; the message names the field.
    """

    task: ClassVar[Task] = Task.SEGMENTATION
    version: ClassVar[int] = 2

    output_stride: int
    """Tile pixels per pixel of the output, along each axis; a divisor of `stride`."""
    margin: int
    """Tile pixels at each edge of a tile whose output is thrown away, because the network does not see enough around
    them; a multiple of `output_stride`."""
    class_colours: tuple[Colour, ...]
    """Red, green and blue of each class, 0 to 255."""
    background: int
    """Index of the class that is of no interest, for which no regions are written."""
    slide_score: SlideScore
    """How a slide gets its score: `classes`, the indices of the classes whose probabilities are added up at each place,
    and `top_share`, the part of the scanned tissue, where that sum is highest, over which its mean is the score."""
    held_out: HeldOutRegions | None = None
    """How it did on held-out images; None if nobody measured it."""
    contract: int = 2
    """Version of the contract: 2 for segmentation."""

    def _task_problems(self) -> list[str]:
        count, step = len(self.class_names), self.output_stride
        if not 2 <= count <= MOST_TISSUE_CLASSES:
            return [f"class_names must be 2 to {MOST_TISSUE_CLASSES} classes, not {count}"]
        if not is_whole(step) or not 1 <= step <= self.stride or self.stride % step:
            return [f"output_stride must be a divisor of the stride {self.stride}, not {short_repr(step)}"]
        problems = multiple_problem("margin", self.margin, of=step, low=0)
        if not problems and self.inner_side < self.stride:
            problems.append(f"margin {self.margin} leaves nothing of a tile of {self.tile_size} px")
        if not _is_index(self.background, count):
            problems.append(
                f"background must be the index of a class, 0 to {count - 1}, not {short_repr(self.background)}"
            )
        return problems + _colour_problem(self.class_colours, count) + self._score_problem()

    def _score_problem(self) -> list[str]:
        """What is wrong with the slide score."""
        score: object = self.slide_score
        if not isinstance(score, SlideScore):
            return [f"slide_score must be a table, not {short_repr(score)}"]
        count = len(self.class_names)
        scored: object = score.classes
        is_list = isinstance(scored, tuple) and all(_is_index(one, count) for one in scored)
        if not is_list or not score.classes or len(set(score.classes)) < len(score.classes):
            return [
                f"slide_score.classes must be different indices of classes, 0 to {count - 1}, not {short_repr(scored)}"
            ]
        if self.background in score.classes:
            return ["slide_score.classes must not hold the background"]
        if not is_number(score.top_share) or not 0 < score.top_share <= 1:
            return [f"slide_score.top_share must be a number above 0 and up to 1, not {short_repr(score.top_share)}"]
        return []

    @property
    def inner_side(self) -> int:
        """Side of the part of a tile of `tile_size` that is kept, tile pixels; see `inner_side_of`."""
        return self.inner_side_of(self.tile_size)

    def inner_side_of(self, side: int) -> int:
        """Side of the part of a tile that is kept: all but the margins, a multiple of the stride, tile pixels."""
        return (side - 2 * self.margin) // self.stride * self.stride

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> SegmentationSpec:
        """Read the contract from an ONNX file's metadata.

        Raises:
            ModelError: the model has another task, or an entry is missing, is not JSON, or is out of range; the message
                names the field.
        """
        table = cls._table(metadata)
        try:
            score = table.table("slide_score")
            return cls(
                **shared_fields(table),
                output_stride=table.whole("output_stride"),
                margin=table.whole("margin"),
                class_colours=tuple(_colour(value) for value in table.array("class_colours")),
                background=table.whole("background"),
                slide_score=SlideScore(classes=score.wholes("classes"), top_share=score.number("top_share")),
                held_out=HeldOutRegions.from_json(table.table("held_out")) if "held_out" in table.values else None,
            )
        except JsonError as error:
            raise ModelError(str(error)) from error


def _colour(value: Json) -> Colour:
    """A colour from JSON.

    Raises:
        JsonError: it is none.
    """
    red, green, blue, *more = (*JsonTable({"class_colours": value}).wholes("class_colours"), -1, -1, -1)
    if len(more) != 3:
        message = f"class_colours must be lists of red, green and blue, not {short_repr(value)}"
        raise JsonError(message)
    return red, green, blue


def _colour_problem(colours: object, count: int) -> list[str]:
    """What is wrong with the colours of the classes."""
    if isinstance(colours, tuple) and len(colours) == count and all(map(_is_colour, colours)):
        return []
    return [f"class_colours must be {count} lists, one for each class, of red, green and blue from 0 to 255"]


def _is_colour(colour: object) -> bool:
    return (
        isinstance(colour, tuple) and len(colour) == 3 and all(is_whole(part) and 0 <= part <= 255 for part in colour)
    )


def _is_index(value: object, count: int) -> bool:
    return is_whole(value) and 0 <= value < count
