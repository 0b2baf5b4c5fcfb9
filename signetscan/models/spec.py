"""The model contract, which every ONNX file of a model keeps; the file's metadata says the rest about it.

The graph has one input and three outputs:

- `tiles`: uint8, (B, H, W, 3), RGB. B is free; H and W are multiples of `ModelSpec.stride`.
- `boxes`: float32, (B, K, 4), x0, y0, x1, y1 in tile pixels.
- `scores`: float32, (B, K), from 0 to 1, falling along K.
- `labels`: int64, (B, K), indices into `ModelSpec.class_names`.

K may depend on H and W. The graph does the normalisation, the decoding of boxes and the choice of the K best. The score
threshold, non-maximum suppression and all that concerns the slide are outside of it.
"""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from signetscan.class_names import problem_of_names
from signetscan.errors import ModelError
from signetscan.json_values import JsonError, JsonTable, is_number, parse_json
from signetscan.models.held_out import HeldOut
from signetscan.texts import short_repr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from signetscan.json_values import Json

CONTRACT_VERSION = 1
INPUT_NAME = "tiles"
OUTPUT_NAMES = ("boxes", "scores", "labels")
METADATA_PREFIX = "signetscan."
"""Each field of `ModelSpec` is an entry of the ONNX metadata: this prefix and the field's name -> its value as JSON."""
OPTIONAL = ("precision", "cautions", "held_out")
"""Fields that a file may lack."""
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
LEAST_SCORE = 0.02
"""Lowest score that training looks at; a threshold below it lets through what nobody has looked at."""
TEXTS = {"name": 200, "training_data": 10_000, "licence": 10_000, "intended_use": 10_000, "precision": 200}
"""Longest text of each field that is one, characters: results and messages repeat it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """What a program must know to run a model, and what users should know about it.

    Raises:
        ModelError: a value is missing, of the wrong type or out of range; the message names the field.
    """

    name: str
    """Short name, as in `models/NAME.onnx`."""
    mpp: float
    """Size of a tile pixel, µm/px."""
    tile_size: int
    """Side of the tiles that suit the model, tile pixels; a multiple of `stride`."""
    tile_overlap: int
    """Overlap of neighbouring tiles with which every cell is whole in at least one of them, tile pixels."""
    stride: int
    """Stride of the coarsest feature map, tile pixels; sides and positions of tiles must be multiples of it."""
    class_names: tuple[str, ...]
    """Name of each label."""
    score_threshold: float
    """Lowest score of a detection, unless the user sets another."""
    nms_iou: float
    """Of two boxes with the same label that overlap by more than this IoU, only the one with the higher score stays."""
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
    held_out: HeldOut | None = None
    """How it did at its score threshold on held-out images; None if nobody measured it."""
    contract: int = CONTRACT_VERSION
    """Version of this contract."""

    def __post_init__(self) -> None:
        _check_contract(self.contract)
        for problem in self._problems():
            raise ModelError(problem)

    def _problems(self) -> list[str]:
        problems = [problem for name in TEXTS for problem in _text_problem(name, getattr(self, name), TEXTS[name])]
        if not (is_number(self.mpp) and 0 < self.mpp <= 100):
            problems.append(f"mpp must be a number of µm/px above 0 and up to 100, not {self.mpp!r}")
        if not _is_whole(self.stride) or not 1 <= self.stride <= 1024:
            return [*problems, f"stride must be a whole number of pixels from 1 to 1024, not {self.stride!r}"]
        for name, low in (("tile_size", self.stride), ("tile_overlap", 0)):
            value = getattr(self, name)
            if not _is_whole(value) or not low <= value <= 16384 or value % self.stride:
                problems.append(f"{name} must be a multiple of the stride {self.stride} up to 16384, not {value!r}")
        if not problems and self.tile_overlap >= self.tile_size:
            problems.append(f"tile_overlap {self.tile_overlap} must be below tile_size {self.tile_size}")
        for name in ("score_threshold", "nms_iou"):
            value = getattr(self, name)
            if not is_number(value) or not 0 <= value <= 1:
                problems.append(f"{name} must be a number from 0 to 1, not {value!r}")
        problems += _names_problem(self.class_names)
        cautions: object = self.cautions
        if not (isinstance(cautions, tuple) and len(cautions) <= MOST_CAUTIONS):
            problems.append(f"cautions must be a list of up to {MOST_CAUTIONS} texts, not {short_repr(cautions)}")
        else:
            problems += [problem for text in cautions for problem in _text_problem("cautions", text, LONGEST_CAUTION)]
        recipe: object = self.recipe
        if not isinstance(recipe, dict):
            problems.append(f"recipe must be a table of options, not {short_repr(recipe)}")
        return problems

    def to_metadata(self) -> dict[str, str]:
        """The contract as entries of an ONNX file's metadata."""
        return {
            METADATA_PREFIX + name: json.dumps(value, sort_keys=True)
            for name, value in asdict(self).items()
            if name != "held_out" or value is not None  # so that files without it stay as they were
        }

    @property
    def learnt_from(self) -> str:
        """What the model learnt from, in one line."""
        return in_one_line(self.training_data)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> ModelSpec:
        """Read the contract from an ONNX file's metadata.

        Raises:
            ModelError: an entry is missing, is not JSON, or is out of range; the message names the field.
        """
        table = JsonTable({field.name: value for field in fields(cls) for value in _entry(metadata, field.name)})
        try:
            _check_contract(table.whole("contract"))
            return cls(
                name=table.text("name"),
                mpp=table.number("mpp"),
                tile_size=table.whole("tile_size"),
                tile_overlap=table.whole("tile_overlap"),
                stride=table.whole("stride"),
                class_names=table.texts("class_names"),
                score_threshold=table.number("score_threshold"),
                nms_iou=table.number("nms_iou"),
                training_data=table.text("training_data"),
                recipe=dict(table.table("recipe").values),
                licence=table.text("licence"),
                intended_use=table.text("intended_use"),
                precision=table.text("precision") if "precision" in table.values else "fp32",
                cautions=table.texts("cautions") if "cautions" in table.values else (),
                held_out=HeldOut.from_json(table.table("held_out")) if "held_out" in table.values else None,
                contract=table.whole("contract"),
            )
        except JsonError as error:
            raise ModelError(str(error)) from error


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


def _check_contract(contract: object) -> None:
    """Refuse a file of another version before reading its fields, which may have another meaning there."""
    if contract != CONTRACT_VERSION:
        message = f"contract is {contract!r}; this version of signetscan reads contract {CONTRACT_VERSION}"
        raise ModelError(message)


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


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
