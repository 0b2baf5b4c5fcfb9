"""What a model file says of itself: the part of the contract that the models of all tasks share.

Every model is an ONNX file whose graph has one input, `tiles`: uint8, (B, H, W, 3), RGB. B is free; H and W are
multiples of `ModelSpec.stride`. If the spec says so, the graph takes only tiles of one size, or only so many at once.
The graph normalises the pixels. What it gives for them depends on the task of the model: see `detection_spec.py` and
`segmentation_spec.py`. The file's metadata says the rest about it.
"""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, TypedDict, TypeGuard

from signetscan.class_names import problem_of_names
from signetscan.errors import ModelError
from signetscan.json_values import JsonError, JsonTable, is_number, parse_json
from signetscan.texts import short_repr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from signetscan.json_values import Json

INPUT_NAME = "tiles"
METADATA_PREFIX = "signetscan."
"""Each field of a spec is an entry of the ONNX metadata: this prefix and the field's name -> its value as JSON."""
TASK_KEY = f"{METADATA_PREFIX}task"
"""The metadata entry with the task."""
OPTIONAL = ("task", "precision", "cautions", "held_out", "tile_size_is_fixed", "batch_size")
"""Entries that a file may lack."""
NOT_SAID = "not said"
"""Stands for what a model learnt from, if it does not say."""
UNSAID = frozenset({"", "none", "unknown"})
"""Descriptions of training data, in lower case, that say nothing."""
LONGEST_LINE = 120
"""Longest line on what a model learnt from, characters."""
CLAUSE_END = re.compile(r"[,;:] | \(")
CUT = " ..."
"""Stands at the end of such a line if it is not all."""
MOST_CAUTIONS, LONGEST_CAUTION = 20, 500
LARGEST_SIDE = 16384
"""Largest side of a tile, pixels."""
LARGEST_STRIDE = 1024
"""Largest stride, pixels."""
MOST_TILES = 1024
"""Most tiles that a graph may want at once."""
TEXTS = {"name": 200, "training_data": 10_000, "licence": 10_000, "intended_use": 10_000, "precision": 200}
"""Longest text of each field that is one, characters: results and messages repeat it."""


class Task(StrEnum):
    """What a model does; the value stands in its file."""

    DETECTION = "detection"
    SEGMENTATION = "segmentation"

    @property
    def in_words(self) -> str:
        """What a model of this task does, as the rest of a sentence about it."""
        return "detects cells" if self is Task.DETECTION else "segments tissue"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """What a program must know to run a model, and what users should know about it.

    Each task has a class of its own, which adds its fields.

    Raises:
        ModelError: a value is missing, of the wrong type or out of range; the message names the field.
    """

    task: ClassVar[Task]
    """What models of the class do."""
    version: ClassVar[int]
    """The version of the contract that models of the class keep."""

    name: str
    """Short name, as in `models/NAME.onnx`."""
    mpp: float
    """Size of a tile pixel, µm/px."""
    tile_size: int
    """Side of the tiles that suit the model, tile pixels; a multiple of `stride`."""
    stride: int
    """Stride of the coarsest feature map, tile pixels; sides and positions of tiles must be multiples of it."""
    class_names: tuple[str, ...]
    """Name of each label."""
    training_data: str
    """The data that the model was trained on, in plain words."""
    recipe: Mapping[str, Json]
    """Options of the training run."""
    licence: str
    """Licence of the weights."""
    intended_use: str
    """What the model is for, and what it is not for."""
    precision: str = "fp32"
    """Arithmetic of the convolutions: fp32, fp16 or int8. Files older than this field are fp32."""
    cautions: tuple[str, ...] = ()
    """Why to doubt the model, as ends of sentences about it, such as "its FROC is 0"; said wherever it is used."""
    tile_size_is_fixed: bool = False
    """Whether tiles must be of `tile_size`; otherwise their sides may be any multiples of `stride`."""
    batch_size: int | None = None
    """Number of tiles that the graph takes at once, no more and no fewer; null for any number."""
    contract: int
    """Version of the contract."""

    def __post_init__(self) -> None:
        self._check_version(self.contract)
        for problem in self._problems():
            raise ModelError(problem)

    def _problems(self) -> list[str]:
        problems = [problem for name in TEXTS for problem in _text_problem(name, getattr(self, name), TEXTS[name])]
        if not (is_number(self.mpp) and 0 < self.mpp <= 100):
            problems.append(f"mpp must be a number of µm/px above 0 and up to 100, not {self.mpp!r}")
        if not is_whole(self.stride) or not 1 <= self.stride <= LARGEST_STRIDE:
            message = f"stride must be a whole number of pixels from 1 to {LARGEST_STRIDE}, not {self.stride!r}"
            return [*problems, message]
        problems += multiple_problem("tile_size", self.tile_size, of=self.stride, low=self.stride)
        problems += _names_problem(self.class_names)
        cautions: object = self.cautions
        if not (isinstance(cautions, tuple) and len(cautions) <= MOST_CAUTIONS):
            problems.append(f"cautions must be a list of up to {MOST_CAUTIONS} texts, not {short_repr(cautions)}")
        else:
            problems += [problem for text in cautions for problem in _text_problem("cautions", text, LONGEST_CAUTION)]
        fixed: object = self.tile_size_is_fixed
        if not isinstance(fixed, bool):
            problems.append(f"tile_size_is_fixed must be true or false, not {short_repr(fixed)}")
        if self.batch_size is not None and not (is_whole(self.batch_size) and 1 <= self.batch_size <= MOST_TILES):
            problems.append(f"batch_size must be from 1 to {MOST_TILES} tiles, not {short_repr(self.batch_size)}")
        recipe: object = self.recipe
        if not isinstance(recipe, dict):
            problems.append(f"recipe must be a table of options, not {short_repr(recipe)}")
        return problems or self._task_problems()

    def _task_problems(self) -> list[str]:
        """What is wrong with the fields of the task, when nothing is wrong with the others."""
        return []

    def to_metadata(self) -> dict[str, str]:
        """The contract as entries of an ONNX file's metadata."""
        values = {name: value for name, value in asdict(self).items() if value is not None or name not in OPTIONAL}
        return {METADATA_PREFIX + name: json.dumps(value, sort_keys=True) for name, value in values.items()} | {
            TASK_KEY: json.dumps(self.task)
        }

    @property
    def learnt_from(self) -> str:
        """What the model learnt from, in one line."""
        return in_one_line(self.training_data)

    @classmethod
    def _table(cls, metadata: Mapping[str, str]) -> JsonTable:
        """The entries of a file that are fields of the class.

        Raises:
            ModelError: the file is of another task or version, or an entry is missing or is not JSON.
        """
        _entry(metadata, "name")  # without it, it is a model of another tool, and has no task
        check_task(metadata, cls.task)
        table = JsonTable({field.name: value for field in fields(cls) for value in _entry(metadata, field.name)})
        try:
            cls._check_version(table.whole("contract"))
        except JsonError as error:
            raise ModelError(str(error)) from error
        return table

    @classmethod
    def _check_version(cls, contract: object) -> None:
        """Refuse a file of another version before reading its fields, which may have another meaning there."""
        if contract != cls.version:
            message = (
                f"contract is {contract!r}; this version of signetscan reads contract {cls.version} of models for "
                f"{cls.task}"
            )
            raise ModelError(message)


class FieldsOfMaker(TypedDict):
    """Values of the fields that a network has from those who made it, as `ModelSpec` describes them."""

    name: str
    mpp: float
    class_names: tuple[str, ...]
    training_data: str
    recipe: Mapping[str, Json]
    licence: str
    intended_use: str
    precision: str
    batch_size: int | None


class SharedFields(FieldsOfMaker):
    """Values of the fields that all specs have."""

    tile_size: int
    stride: int
    cautions: tuple[str, ...]
    tile_size_is_fixed: bool
    contract: int


def shared_fields(table: JsonTable) -> SharedFields:
    """Read the fields that all specs have.

    Raises:
        JsonError: a value is missing or of the wrong type.
    """
    return SharedFields(
        name=table.text("name"),
        mpp=table.number("mpp"),
        tile_size=table.whole("tile_size"),
        stride=table.whole("stride"),
        class_names=table.texts("class_names"),
        training_data=table.text("training_data"),
        recipe=dict(table.table("recipe").values),
        licence=table.text("licence"),
        intended_use=table.text("intended_use"),
        precision=table.text("precision") if "precision" in table.values else "fp32",
        cautions=table.texts("cautions") if "cautions" in table.values else (),
        tile_size_is_fixed="tile_size_is_fixed" in table.values and table.truth("tile_size_is_fixed"),
        batch_size=table.whole("batch_size") if "batch_size" in table.values else None,
        contract=table.whole("contract"),
    )


def task_of(metadata: Mapping[str, str]) -> Task:
    """The task of a model; files that do not say it are from before there was another than detection.

    Raises:
        ModelError: there is no such task.
    """
    if TASK_KEY not in metadata:
        return Task.DETECTION
    try:
        return Task(str(parse_json(metadata[TASK_KEY])))
    except (JsonError, ValueError) as error:
        known = ", ".join(Task)
        message = f"task is {short_repr(metadata[TASK_KEY])}; this version of signetscan knows {known}"
        raise ModelError(message) from error


def check_task(metadata: Mapping[str, str], wanted: Task) -> None:
    """Make sure that a model has the task for which it is needed.

    Raises:
        ModelError: it has another.
    """
    task = task_of(metadata)
    if task is not wanted:
        message = f"this model {task.in_words}; choose one that {wanted.in_words}"
        raise ModelError(message)


def multiple_problem(name: str, value: object, *, of: int, low: int) -> list[str]:
    """What is wrong with a field that must be a number of pixels, a multiple of another."""
    if is_whole(value) and low <= value <= LARGEST_SIDE and not value % of:
        return []
    return [f"{name} must be a multiple of {of} px from {low} to {LARGEST_SIDE}, not {short_repr(value)}"]


def in_one_line(training_data: str) -> str:
    """The first sentence of what a model says that it learnt from, or its first clauses, if they alone fit on a line.

    A sentence without clauses is cut between words; of a model that says nothing, it is `NOT_SAID`.
    """
    sentence = said_data(re.split(r"(?<=[.!?]) ", " ".join(training_data.split()), maxsplit=1)[0])
    if len(sentence) <= LONGEST_LINE:
        return sentence
    room = LONGEST_LINE - len(CUT)
    starts = [sentence[: end.start()] for end in CLAUSE_END.finditer(sentence[: room + 2])]
    whole = [start for start in starts if start.count("(") == start.count(")")]
    return f"{whole[-1]}{CUT}" if whole else textwrap.shorten(sentence, LONGEST_LINE, placeholder=CUT)


def said_data(training_data: str) -> str:
    """What a model says that it learnt from; `NOT_SAID` if it says nothing."""
    return NOT_SAID if training_data.strip().casefold() in UNSAID else training_data


def _entry(metadata: Mapping[str, str], name: str) -> tuple[Json, ...]:
    """The value of a field; empty if an optional field is missing."""
    key = METADATA_PREFIX + name
    if key not in metadata:
        if name in OPTIONAL:
            return ()
        message = f"metadata entry {key} is missing: not a signetscan model, or one made by another tool"
        raise ModelError(message)
    try:
        return (parse_json(metadata[key]),)
    except JsonError as error:
        message = f"metadata entry {key} is {error}"
        raise ModelError(message) from error


def _text_problem(name: str, value: object, longest: int) -> list[str]:
    """What is wrong with a field that must be a text."""
    if not isinstance(value, str):
        return [f"{name} must be a text, not {short_repr(value)}"]
    if len(value) > longest:
        return [f"{name} is longer than {longest} characters"]
    # JSON allows half of a pair of surrogates, which no file of results can hold.
    is_whole = value.encode(errors="replace").decode() == value
    return [] if is_whole else [f"{name} cannot be encoded: {short_repr(value)}"]


def _names_problem(names: object) -> list[str]:
    """What is wrong with the names of the classes."""
    if not (isinstance(names, tuple) and all(isinstance(name, str) for name in names)):
        return [f"class_names must be a list of texts, not {short_repr(names)}"]
    problem = problem_of_names(names)
    return [f"class_names: {problem}"] if problem else []


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)
