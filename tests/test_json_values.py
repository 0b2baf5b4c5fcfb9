"""Reading values from untrusted JSON: each has the right type, or an error names it."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetscan.json_values import JsonError, JsonTable, is_number, parse_json

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.json_values import Json

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
METHODS = ("table", "array", "text", "number", "whole", "numbers", "wholes", "texts", "table_or_none", "number_or_none")
TABLE = JsonTable.of(
    {"t": {"x": 1}, "a": [1, 2.5], "w": [1], "s": ["a"], "n": 2, "f": 2.5, "b": True, "null": None, "inf": math.inf}
)


@given(ANY, st.sampled_from(METHODS))
def test_any_json_gives_a_value_or_an_error_in_words(value: Json, method: str) -> None:
    table = JsonTable.of({"key": value})
    try:
        getattr(table, method)("key")
    except JsonError as error:
        message = str(error)
    else:
        return
    assert "key must be" in message
    assert len(message) < 200


def test_values_come_out_as_they_are() -> None:
    assert TABLE.table("t").whole("x") == 1
    assert TABLE.array("a") == [1, 2.5]
    assert TABLE.numbers("a") == (1.0, 2.5)
    assert TABLE.wholes("w") == (1,)
    assert TABLE.texts("s") == ("a",)
    assert TABLE.number("n") == 2
    assert TABLE.number_or_none("null") is None
    assert TABLE.table_or_none("gone") is None


@pytest.mark.parametrize(
    ("method", "key", "message"),
    [
        ("number", "b", "b must be a number, not True"),
        ("number", "inf", "inf must be a number, not inf"),
        ("whole", "f", "f must be a whole number, not 2.5"),
        ("whole", "b", "b must be a whole number"),
        ("wholes", "a", "a must be a list of whole numbers, not list"),
        ("text", "n", "n must be a text, not 2"),
        ("text", "gone", "gone is missing"),
        ("table", "a", "a must be a table, not list"),
    ],
)
def test_an_error_names_the_value(method: str, key: str, message: str) -> None:
    with pytest.raises(JsonError, match=re.escape(message)):
        getattr(TABLE, method)(key)


def test_an_error_gives_the_path_in_the_file() -> None:
    with pytest.raises(JsonError, match=re.escape("t.x must be a text")):
        TABLE.table("t").text("x")


@pytest.mark.parametrize("text", ["{", b"\xff", "[" * 100_000, ""])
def test_text_that_is_not_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(JsonError, match="not JSON"):
        parse_json(text)


def test_a_number_too_large_for_a_float_is_not_a_number() -> None:
    assert not is_number(10**400)
    assert is_number(json.loads("1e308"))


def test_a_file_is_read_up_to_a_size(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'{"a": 1}')
    assert JsonTable.of_file(path, 8).whole("a") == 1
    with pytest.raises(JsonError, match="far too long"):
        JsonTable.of_file(path, 7)
    with pytest.raises(FileNotFoundError):
        JsonTable.of_file(tmp_path / "b.json", 8)
