"""GeoJSON in pieces, and its geometries: what is wrong is said, with its place, and what is too much is not held."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from signetscan.annotations import json_stream
from signetscan.annotations.json_stream import JsonStream
from signetscan.annotations.left_out import Unreadable
from signetscan.annotations.shapes import is_in_first_plane, shape_of
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from signetscan.json_values import Json


def stream(text: str, limit: int = 1 << 20) -> JsonStream:
    return JsonStream(io.BytesIO(text.encode()), Path("a.geojson"), limit)


def values(text: str, most: int = 99) -> list[Json]:
    source = stream(text)
    return [source.value() for _ in source.items("[", "]", most)]


def test_a_list_is_taken_value_by_value() -> None:
    assert values(' [1, "a" ,[2,3], {"b": null}]') == [1, "a", [2, 3], {"b": None}]
    assert values("[]") == []
    assert values("[1,2,3]", 3) == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", r"'\[' is missing at character 0"),
        ("", r"'\[' is missing at character 0"),
        ("[1 2]", r"'\]' is missing at character 3"),
        ("[1,", "Expecting value at character 3"),
        ("[" * 100_000, "nested too deeply"),
        ("[1,2,3,4]", "too many items, at character 7"),
        ("[" + "9" * 10_000 + "]", "Exceeds the limit"),
    ],
)
def test_what_is_no_json_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(AnnotationError, match=rf"a\.geojson: not GeoJSON: .*{said}"):
        values(text, 3)


def test_a_value_of_too_many_characters_or_parts_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "FEW_PARTS", 20)
    monkeypatch.setattr(json_stream, "MOST_PARTS", 8)
    assert values("[[1],[2],[3],[4]]") == [[1], [2], [3], [4]]
    with pytest.raises(AnnotationError, match="the object at character 0 is over"):
        values("[" + "[1]," * 9 + "[1]]")
    monkeypatch.undo()
    monkeypatch.setattr(json_stream, "MOST_CHARACTERS", 1000)
    monkeypatch.setattr(json_stream, "STEP", 100)
    assert values('["' + "x" * 700 + '"]') == ["x" * 700]
    with pytest.raises(AnnotationError, match=r"simplify its outline .* and export it again"):
        values('["' + "x" * 2000 + '"]')


def test_no_more_bytes_are_read_than_allowed() -> None:
    source = stream("[" + "1," * 5000 + "1]", 1000)
    with pytest.raises(AnnotationError, match=r"a\.geojson"):
        list(source.items("[", "]", 9999))


@pytest.mark.parametrize(
    ("geometry", "said"),
    [
        ({"type": "GeometryCollection", "geometries": [5]}, "something is no geometry"),
        ({"type": "GeometryCollection", "geometries": []}, "has no coordinates"),
        ({"type": "Polygon", "coordinates": [[[0, "1"]]]}, "not a list of x, y"),
        ({"type": "Polygon", "coordinates": [[[0, 10**400]]]}, "not a number up to"),
        ({"type": "Circle", "coordinates": [0, 0]}, "unknown type"),
    ],
)
def test_geometries_that_are_none_say_why(geometry: dict[str, Json], said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        shape_of(geometry)


@pytest.mark.parametrize(
    ("plane", "expected"),
    [
        (None, True),
        ({}, True),
        ({"z": 0, "t": 0, "c": -1}, True),
        ({"z": 1}, False),
        ({"c": 2}, False),
        ({"z": "0"}, None),
        ([0, 0, 0], None),
    ],
)
def test_only_the_first_plane_is_scanned(plane: Json, expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(Unreadable, match="has a plane that is not made of the numbers c, z and t"):
            is_in_first_plane({"plane": plane})
    else:
        assert is_in_first_plane({"plane": plane}) == expected
