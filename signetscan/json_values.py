"""JSON that comes from files: its type, and taking values of known types out of it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Mapping

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""Any value of JSON."""


class JsonError(ValueError):
    """A value is missing or of another type than it should be; the message names it."""


def parse_json(text: str | bytes) -> Json:
    """What a text in JSON says.

    Raises:
        JsonError: it is not JSON, or nested without end.
    """
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError) as error:  # a UnicodeDecodeError is a ValueError
        message = f"not JSON: {error}"
        raise JsonError(message) from error
    return value


@dataclass(frozen=True, slots=True)
class JsonTable:
    """An object of JSON. Each method takes a value out by its key.

    They raise `JsonError` where the value is missing or of another type.
    """

    values: Mapping[str, Json]
    """What it holds."""
    name: str = ""
    """Where it stands in its file, with dots between keys; empty for the whole."""

    @classmethod
    def of(cls, value: Json, name: str = "") -> JsonTable:
        """A value that must be an object."""
        if not isinstance(value, dict):
            message = f"{name or 'it'} must be a table, not {_short(value)}"
            raise JsonError(message)
        return cls(value, name)

    def table(self, key: str) -> JsonTable:
        """An object."""
        return JsonTable.of(self._value(key), self._name(key))

    def table_or_none(self, key: str) -> JsonTable | None:
        """An object, or None where null or nothing stands."""
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
        """A text, or the default where null or nothing stands."""
        return default if self.values.get(key) is None else self.text(key)

    def number(self, key: str, *, low: float = -math.inf) -> float:
        """A finite number that is not below `low`."""
        value = self._value(key)
        if not is_number(value) or value < low:
            raise self._wrong(key, f"a number{_from(low)}")
        return float(value)

    def number_or_none(self, key: str, *, low: float = -math.inf) -> float | None:
        """A finite number that is not below `low`, or None where null or nothing stands."""
        return None if self.values.get(key) is None else self.number(key, low=low)

    def whole(self, key: str, *, low: float = -math.inf) -> int:
        """A whole number that is not below `low`."""
        value = self._value(key)
        if not isinstance(value, int) or not is_number(value) or value < low:
            raise self._wrong(key, f"a whole number{_from(low)}")
        return int(value)

    def numbers(self, key: str) -> tuple[float, ...]:
        """An array of finite numbers."""
        found = tuple(float(each) for each in self.array(key) if is_number(each))
        if len(found) != len(self.array(key)):
            raise self._wrong(key, "a list of numbers")
        return found

    def wholes(self, key: str) -> tuple[int, ...]:
        """An array of whole numbers."""
        values = self.array(key)
        found = tuple(each for each in values if isinstance(each, int) and not isinstance(each, bool))
        if len(found) != len(values):
            raise self._wrong(key, "a list of whole numbers")
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        """An array of texts."""
        values = self.array(key)
        found = tuple(each for each in values if isinstance(each, str))
        if len(found) != len(values):
            raise self._wrong(key, "a list of texts")
        return found

    def _name(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key

    def _value(self, key: str) -> Json:
        if key not in self.values:
            message = f"{self._name(key)} is missing"
            raise JsonError(message)
        return self.values[key]

    def _wrong(self, key: str, kind: str) -> JsonError:
        return JsonError(f"{self._name(key)} must be {kind}, not {_short(self.values[key])}")


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a finite number; one too large for a float is not."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _from(low: float) -> str:
    return "" if low == -math.inf else f" from {low:g}"


def _short(value: Json) -> str:
    """A value in a message, however long it is."""
    text = repr(value) if not isinstance(value, dict | list) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."
