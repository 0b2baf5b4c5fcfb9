"""JSON from files: its type, and reading values of known types."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

from signetscan.texts import short_repr

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""Any JSON value."""


class JsonError(ValueError):
    """A value is missing or has the wrong type; the message names it."""


def parse_json(text: str | bytes) -> Json:
    """Parse a text as JSON.

    Raises:
        JsonError: it is not JSON, or is nested too deeply.
    """
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError) as error:  # a UnicodeDecodeError is a ValueError
        message = f"not JSON: {error}"
        raise JsonError(message) from error
    return value


@dataclass(frozen=True, slots=True)
class JsonTable:
    """A JSON object, whose methods read a value by its key.

    They raise `JsonError` if the value is missing or has another type.
    """

    values: Mapping[str, Json]
    """The values by key."""
    name: str = ""
    """Path of the object in its file, with dots between keys; empty for the outermost object."""

    @classmethod
    def of(cls, value: Json, name: str = "") -> JsonTable:
        """Take a value, which must be an object."""
        if not isinstance(value, dict):
            message = f"{name or 'it'} must be a table, not {short_repr(value)}"
            raise JsonError(message)
        return cls(value, name)

    @classmethod
    def of_file(cls, path: Path, most_bytes: int) -> JsonTable:
        """Read a file that holds an object.

        Args:
            path: the file.
            most_bytes: size of the largest file that is parsed.

        Raises:
            OSError: it cannot be read.
            JsonError: it is larger, or holds something else.
        """
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
        if len(content) > most_bytes:
            message = "it is far too long"
            raise JsonError(message)
        return cls.of(parse_json(content))

    def table(self, key: str) -> JsonTable:
        """An object."""
        return JsonTable.of(self._value(key), self._name(key))

    def table_or_none(self, key: str) -> JsonTable | None:
        """An object, or None if it is null or missing."""
        return None if self.values.get(key) is None else self.table(key)

    def array(self, key: str) -> list[Json]:
        """An array."""
        value = self._value(key)
        if not isinstance(value, list):
            raise self._wrong(key, "a list")
        return value

    def text(self, key: str) -> str:
        """A text."""
        value = self._value(key)
        if not isinstance(value, str):
            raise self._wrong(key, "a text")
        return value

    def text_or(self, key: str, default: str) -> str:
        """A text, or the default if it is null or missing."""
        return default if self.values.get(key) is None else self.text(key)

    def truth(self, key: str) -> bool:
        """True or false."""
        value = self._value(key)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false")
        return value

    def number(self, key: str, *, low: float = -math.inf) -> float:
        """A finite number that is not below `low`."""
        value = self._value(key)
        if not is_number(value) or value < low:
            raise self._wrong(key, f"a number{_from(low)}")
        return float(value)

    def number_or_none(self, key: str, *, low: float = -math.inf) -> float | None:
        """A finite number that is not below `low`, or None if it is null or missing."""
        return None if self.values.get(key) is None else self.number(key, low=low)

    def whole(self, key: str, *, low: float = -math.inf) -> int:
        """A whole number that is not below `low`."""
        value = self._value(key)
        if not isinstance(value, int) or not is_number(value) or value < low:
            raise self._wrong(key, f"a whole number{_from(low)}")
        return int(value)

    def numbers(self, key: str) -> tuple[float, ...]:
        """An array of finite numbers."""
        values = self.array(key)
        numbers = tuple(float(value) for value in values if is_number(value))
        if len(numbers) != len(values):
            raise self._wrong(key, "a list of numbers")
        return numbers

    def wholes(self, key: str) -> tuple[int, ...]:
        """An array of whole numbers."""
        values = self.array(key)
        wholes = tuple(value for value in values if isinstance(value, int) and not isinstance(value, bool))
        if len(wholes) != len(values):
            raise self._wrong(key, "a list of whole numbers")
        return wholes

    def texts(self, key: str) -> tuple[str, ...]:
        """An array of texts."""
        values = self.array(key)
        texts = tuple(value for value in values if isinstance(value, str))
        if len(texts) != len(values):
            raise self._wrong(key, "a list of texts")
        return texts

    def _name(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key

    def _value(self, key: str) -> Json:
        if key not in self.values:
            message = f"{self._name(key)} is missing"
            raise JsonError(message)
        return self.values[key]

    def _wrong(self, key: str, kind: str) -> JsonError:
        return JsonError(f"{self._name(key)} must be {kind}, not {short_repr(self.values[key])}")


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a finite number that a float can hold."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _from(low: float) -> str:
    return "" if low == -math.inf else f" from {low:g}"
