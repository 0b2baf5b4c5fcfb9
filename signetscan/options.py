"""Options that describe themselves.

An options class is a frozen dataclass whose fields are made by `option`. What an `Option` says of a field is all that
the command line, settings files, lists of slides, run records and keys need to know, so an option is added in one
place: its field.
"""

from __future__ import annotations

import math
import types
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from signetscan.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

Scalar = bool | int | float | str | Path
Value = Scalar | tuple[Scalar, ...] | None
"""What an option may be."""

T = TypeVar("T")

ABOUT = "option"
"""Key of an `Option` in the metadata of its field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What is to be known of an option beside its name, type and default."""

    help: str
    """One sentence for users; the command line shows it."""
    unit: str = ""
    """Unit of a number, such as "px" or "µm²"."""
    low: float = -math.inf
    """Lowest value."""
    high: float = math.inf
    """Highest value."""
    above: bool = False
    """Whether `low` itself is too low."""
    default: str = ""
    """What None stands for, such as "the model's"; "none" where nothing does."""
    changes_result: bool = True
    """Whether the result depends on it, so that results of another value are not the same."""
    per_slide: bool = False
    """Whether a row of a list of slides may set it for that slide."""
    choices: tuple[str, ...] = ()
    """The texts that it may be, where its type does not name them."""
    opposite: str = ""
    """For a switch, the name of switching it off; "no" before the option's own by default."""
    former: str = ""
    """A name that it had once, which is still taken."""
    flag: str = ""
    """The flag's name where it is not the field's, such as the singular of what may be given several times."""

    @property
    def range(self) -> str:
        """The range in words, such as "from 0 to 1"; empty where any number will do."""
        lower = "" if self.low == -math.inf else f"{'above' if self.above else 'from'} {self.low:.15g}"
        if self.high == math.inf:
            return lower.replace("from", "at least")
        return f"{lower} to {self.high:.15g}" if lower else f"up to {self.high:.15g}"


def option(default: T, about: Option) -> T:
    """A field of an options class.

    Args:
        default: its default; a class attribute of this type is what type checkers see.
        about: what is to be known of it.
    """
    made: T = field(default=default, metadata={ABOUT: about})
    return made


def options_of(cls: type) -> dict[str, Option]:
    """The options of a class, in the order of its fields. A subclass may narrow a field's type without `option`."""
    found: dict[str, Option] = {}
    for each in fields(cls):
        for base in cls.__mro__:
            about = getattr(base, "__dataclass_fields__", {}).get(each.name)
            if about is not None and ABOUT in about.metadata:
                found[each.name] = about.metadata[ABOUT]
                break
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The type of an option."""

    scalar: type
    """bool, int, float, str or Path."""
    choices: tuple[str, ...] = ()
    """The texts that it may be; any by default."""
    many: bool = False
    """Whether it is a tuple of these."""
    optional: bool = False
    """Whether it may be None."""


_kinds: dict[type, dict[str, Kind]] = {}
"""What `kinds_of` found, since type hints take long to evaluate."""


def kinds_of(cls: type) -> dict[str, Kind]:
    """The types of a class's options, by name."""
    if cls not in _kinds:
        hints = get_type_hints(cls)
        made = {name: (_kind(hints[name]), about.choices) for name, about in options_of(cls).items()}
        _kinds[cls] = {name: replace(kind, choices=choices or kind.choices) for name, (kind, choices) in made.items()}
    return _kinds[cls]


def _kind(hint: object) -> Kind:
    if get_origin(hint) in {Union, types.UnionType}:  # X | None
        return replace(_kind(next(each for each in get_args(hint) if each is not type(None))), optional=True)
    if get_origin(hint) is tuple:
        one = _kind(get_args(hint)[0])
        return Kind(scalar=one.scalar, choices=one.choices, many=True)
    if get_origin(hint) is Literal:
        return Kind(scalar=str, choices=get_args(hint))
    if isinstance(hint, type):
        return Kind(scalar=hint)
    raise TypeError(hint)


def words(name: str) -> str:
    """An option's name in a sentence."""
    return name.replace("_", " ")


def check_options(options: object) -> None:
    """Make sure that every option has a value that makes sense; called where an options class is made.

    Raises:
        OptionError: a number is out of range, or a text is none of the choices; the message names it.
    """
    kinds = kinds_of(type(options))
    for name, about in options_of(type(options)).items():
        value = getattr(options, name)
        for each in value if isinstance(value, tuple) else (value,):
            problem = _problem(each, kinds[name], about)
            if problem:
                message = f"{words(name)} must be {problem}, not {each}"
                raise OptionError(message, options=(name,))


def _problem(value: object, kind: Kind, about: Option) -> str:
    """What a value should be and is not."""
    if value is None:
        return ""
    if kind.choices:
        return "" if value in kind.choices else f"one of {', '.join(kind.choices)}"
    if not isinstance(value, int | float) or isinstance(value, bool):
        return ""
    inside = about.low < value if about.above else about.low <= value
    if inside and value <= about.high and math.isfinite(value):
        return ""
    return " ".join(filter(None, [about.range or "a finite number", about.unit]))


def parse_option(cls: type, name: str, text: str) -> Scalar:
    """The value of an option that a text gives, such as a field of a list.

    Raises:
        OptionError: it is not of the option's type.
    """
    scalar = kinds_of(cls)[name].scalar
    try:
        if scalar is float:
            return float(text)
        if scalar is int:
            number = float(text)
            if number.is_integer():
                return int(number)
            raise ValueError(text)
    except (ValueError, OverflowError) as error:
        kind = "whole number" if scalar is int else "number"
        message = f"{words(name)} must be a {kind}, not {text!r}"
        raise OptionError(message, options=(name,)) from error
    return Path(text) if scalar is Path else text


def with_texts(options: T, texts: Mapping[str, str]) -> T:
    """The options with other values for some of them, which texts give.

    Raises:
        OptionError: a text is not of its option's type, or out of range.
    """
    cls = type(options)
    values = {name: getattr(options, name) for name in options_of(cls)}
    return cls(**values | {name: parse_option(cls, name, text) for name, text in texts.items()})


def per_slide(cls: type) -> tuple[str, ...]:
    """Names of the options that a list of slides may set for each slide."""
    return tuple(name for name, about in options_of(cls).items() if about.per_slide)


def result_values(options: object) -> dict[str, Value]:
    """The values of the options on which results depend, by name."""
    return {name: getattr(options, name) for name, about in options_of(type(options)).items() if about.changes_result}


def options_from(cls: type[T], values: Mapping[str, object], **others: object) -> T:
    """Options of a class from plain values such as JSON has, by their present or former names.

    Args:
        cls: the class.
        values: a value for each option; what is missing has its default.
        others: fields of the class that are no options.

    Raises:
        OptionError: a value is of no option, of the wrong type or out of range.
    """
    abouts, kinds = options_of(cls), kinds_of(cls)
    present = {about.former: name for name, about in abouts.items() if about.former}
    typed: dict[str, object] = {}
    for given, value in values.items():
        name = present.get(given, given)
        if name not in abouts:
            message = f"there is no option {words(given)}"
            raise OptionError(message, options=(given,))
        typed[name] = _of_kind(name, value, kinds[name])
    return cls(**typed, **others)


def _of_kind(name: str, value: object, kind: Kind) -> Value:
    """A plain value as an option holds it.

    Raises:
        OptionError: it is of another type.
    """
    if value is None and kind.optional:
        return None
    if not kind.many:
        return _scalar(name, value, kind.scalar)
    if not isinstance(value, list | tuple):
        message = f"{words(name)} must be a list, not {value!r:.60}"
        raise OptionError(message, options=(name,))
    return tuple(_scalar(name, each, kind.scalar) for each in value)


def _scalar(name: str, value: object, scalar: type) -> Scalar:
    if scalar is Path and isinstance(value, str):
        return Path(value)
    accepted = int | float if scalar is float else scalar
    # A bool is an int to Python, but no number to anybody else.
    fits = isinstance(value, accepted) and isinstance(value, bool) == (scalar is bool)
    if not fits or not isinstance(value, bool | int | float | str | Path):
        message = f"{words(name)} must be of the type {scalar.__name__}, not {value!r:.60}"
        raise OptionError(message, options=(name,))
    return value
