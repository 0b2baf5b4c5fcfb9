"""Options that describe themselves.

An options class is a frozen dataclass whose fields are made by `option`. The `Option` of a field holds all that the
command line, settings files, lists of slides, run records and keys need to know, so an option is added in one place:
its field.
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
"""Types of an option's value."""

T = TypeVar("T")

ABOUT = "option"
"""Key of an `Option` in the metadata of its field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """The description of an option: all but its name, type and default."""

    help: str
    """One sentence for users; the command line shows it."""
    unit: str = ""
    """Unit of its number, such as "px" or "µm²"."""
    low: float = -math.inf
    """Lowest value."""
    high: float = math.inf
    """Highest value."""
    above: bool = False
    """Whether the value must be above `low`, not just at least `low`."""
    default: str = ""
    """What the default None means, such as "the model's" or "none"."""
    changes_result: bool = True
    """Whether results depend on it, so that results with another value cannot be reused."""
    keyed_if_set: bool = False
    """Whether keys of results hold it only where it is not the default, because it is younger than results that stay
    valid."""
    per_slide: bool = False
    """Whether a list of slides may set it for each slide."""
    choices: tuple[str, ...] = ()
    """The texts that are allowed, if its type does not list them."""
    opposite: str = ""
    """Name of the flag that switches it off; by default "no-" and the option's name."""
    former: str = ""
    """Its former name, which is still accepted."""
    flag: str = ""
    """Name of its flag if that is not the field's, such as the singular for a flag that may be given several times."""

    @property
    def range(self) -> str:
        """The range in words, such as "from 0 to 1"; empty if all numbers are allowed."""
        lower = "" if self.low == -math.inf else f"{'above' if self.above else 'from'} {self.low:.15g}"
        if self.high == math.inf:
            return lower.replace("from", "at least")
        return f"{lower} to {self.high:.15g}" if lower else f"up to {self.high:.15g}"


def option(default: T, about: Option) -> T:
    """Make a field of an options class.

    Args:
        default: default value of the option; type checkers see an attribute of its type.
        about: description of the option.
    """
    options_field: T = field(default=default, metadata={ABOUT: about})
    return options_field


def options_of(cls: type) -> dict[str, Option]:
    """The descriptions of a class's options by name, in the order of its fields."""
    options: dict[str, Option] = {}
    for options_field in fields(cls):
        # A subclass that only narrows a field's type has no description of its own, so its bases are searched too.
        for base in cls.__mro__:
            base_field = getattr(base, "__dataclass_fields__", {}).get(options_field.name)
            if base_field is not None and ABOUT in base_field.metadata:
                options[options_field.name] = base_field.metadata[ABOUT]
                break
    return options


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The type of an option."""

    scalar: type
    """bool, int, float, str or Path."""
    choices: tuple[str, ...] = ()
    """The texts that are allowed; empty if all are."""
    many: bool = False
    """Whether the option is a tuple of such values."""
    optional: bool = False
    """Whether it may be None."""


_kinds: dict[type, dict[str, Kind]] = {}
"""Results of `kinds_of`, kept because type hints take long to evaluate."""


def kinds_of(cls: type) -> dict[str, Kind]:
    """The types of a class's options, by name."""
    if cls not in _kinds:
        hints = get_type_hints(cls)
        kinds = {}
        for name, about in options_of(cls).items():
            kind = _kind(hints[name])
            kinds[name] = replace(kind, choices=about.choices or kind.choices)
        _kinds[cls] = kinds
    return _kinds[cls]


def _kind(hint: object) -> Kind:
    if get_origin(hint) in {Union, types.UnionType}:  # X | None
        return replace(_kind(next(member for member in get_args(hint) if member is not type(None))), optional=True)
    if get_origin(hint) is tuple:
        return replace(_kind(get_args(hint)[0]), many=True)
    if get_origin(hint) is Literal:
        return Kind(scalar=str, choices=get_args(hint))
    if isinstance(hint, type):
        return Kind(scalar=hint)
    raise TypeError(hint)


def words(name: str) -> str:
    """An option's name as words of a sentence."""
    return name.replace("_", " ")


def check_options(options: object) -> None:
    """Check the value of every option; called by an options class when it is made.

    Raises:
        OptionError: a number is out of range, or a text is not among the choices; the message names the option.
    """
    kinds = kinds_of(type(options))
    for name, about in options_of(type(options)).items():
        value = getattr(options, name)
        for single in value if isinstance(value, tuple) else (value,):
            wanted = _violated(single, kinds[name], about)
            if wanted:
                message = f"{words(name)} must be {wanted}, not {single}"
                raise OptionError(message, options=(name,))


def _violated(value: object, kind: Kind, about: Option) -> str:
    """The requirement that a value does not meet, in words; empty if it meets all."""
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
    """Parse the value of an option, such as a field of a list of slides.

    Raises:
        OptionError: the text is not a value of the option's type.
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
    """Replace some of the options by values parsed from texts.

    Raises:
        OptionError: a text is not a value of its option's type, or the value is out of range.
    """
    cls = type(options)
    values = {name: getattr(options, name) for name in options_of(cls)}
    return cls(**values | {name: parse_option(cls, name, text) for name, text in texts.items()})


def per_slide(cls: type) -> tuple[str, ...]:
    """The names of the options that a list of slides may set for each slide."""
    return tuple(name for name, about in options_of(cls).items() if about.per_slide)


def result_values(options: object) -> dict[str, Value]:
    """The values, by name, of the options on which results depend."""
    return {
        name: getattr(options, name)
        for name, about in options_of(type(options)).items()
        if about.changes_result and not (about.keyed_if_set and not getattr(options, name))
    }


def options_from(cls: type[T], values: Mapping[str, object], **others: object) -> T:
    """Make the options of a class from plain values, such as those of JSON, by present or former names.

    Args:
        cls: the class.
        values: the values; options without one keep their defaults.
        others: values of fields of the class that are not options.

    Raises:
        OptionError: there is no option of a name, or a value has the wrong type or is out of range.
    """
    options, kinds = options_of(cls), kinds_of(cls)
    present_names = {about.former: name for name, about in options.items() if about.former}
    typed: dict[str, object] = {}
    for given, value in values.items():
        name = present_names.get(given, given)
        if name not in options:
            message = f"there is no option {words(given)}"
            raise OptionError(message, options=(given,))
        typed[name] = _of_kind(name, value, kinds[name])
    return cls(**typed, **others)


def _of_kind(name: str, value: object, kind: Kind) -> Value:
    """Convert a plain value to an option's type.

    Raises:
        OptionError: it has another type.
    """
    if value is None and kind.optional:
        return None
    if not kind.many:
        return _scalar(name, value, kind.scalar)
    if not isinstance(value, list | tuple):
        message = f"{words(name)} must be a list, not {value!r:.60}"
        raise OptionError(message, options=(name,))
    return tuple(_scalar(name, single, kind.scalar) for single in value)


def _scalar(name: str, value: object, scalar: type) -> Scalar:
    if scalar is Path and isinstance(value, str):
        return Path(value)
    accepted = int | float if scalar is float else scalar
    # To Python a bool is an int, but it is not a number to users.
    fits = isinstance(value, accepted) and isinstance(value, bool) == (scalar is bool)
    if not fits or not isinstance(value, bool | int | float | str | Path):
        message = f"{words(name)} must be of the type {scalar.__name__}, not {value!r:.60}"
        raise OptionError(message, options=(name,))
    return value
