"""Files of a million detections are read an object at a time, and mean what they mean when read at once."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scanned_slides import many

from signetscan.annotations import read_annotations, read_geojson
from signetscan.errors import AnnotationError
from signetscan.formats.writers import WRITERS

if TYPE_CHECKING:
    from pathlib import Path

ONE = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {}}
BLANK = st.text(" \t\r\n", max_size=3)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "ending"), [("csv", "csv"), ("geojson", "geojson"), ("geojson.gz", "geojson.gz")])
def test_memory_is_a_few_times_the_files_size(tmp_path: Path, name: str, ending: str) -> None:
    """Lists of lists, as JSON becomes, take ten times as much as their text."""
    slide = many(20_000)
    path = tmp_path / f"a.{ending}"
    WRITERS[name](path, slide)
    WRITERS["geojson" if "json" in name else "csv"](tmp_path / "text", slide)
    tracemalloc.start()
    read = read_annotations(path)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < 3 * (tmp_path / "text").stat().st_size
    np.testing.assert_array_equal(read.boxes, slide.detections.boxes)


@given(
    count=st.integers(0, 4),
    blanks=st.lists(BLANK, min_size=8, max_size=8),
    collection=st.booleans(),
    behind=st.sampled_from(["", ',"name":"x"', ',"crs":{"a":[1]},"bbox":[1,2]', ',"features":3']),
    slip=st.sampled_from(["", ",", "]", "}", "x", "[", "{}", '"']),
    place=st.integers(0, 600),
)
def test_one_by_one_is_as_all_at_once(
    tmp_path_factory: pytest.TempPathFactory,
    count: int,
    blanks: list[str],
    collection: bool,
    behind: str,
    slip: str,
    place: int,
) -> None:
    """A file is taken if it is JSON, and refused if it is not, wherever something is too much in it."""
    between = f"{blanks[0]},{blanks[1]}"
    text = f"[{blanks[2]}{between.join([json.dumps(ONE)] * count)}{blanks[3]}]{blanks[4]}"
    if collection:
        head = f'{{{blanks[5]}"type"{blanks[6]}:"FeatureCollection",{blanks[7]}"features":'
        text = f"{head}{text}{behind}}}\n"
    place %= len(text) + 1
    text = text[:place] + slip + text[place:]
    path = tmp_path_factory.getbasetemp() / "a.geojson"
    path.write_text(text, newline="")
    try:
        parsed = json.loads(text)
    except ValueError:
        with pytest.raises(AnnotationError, match=r"a\.geojson: "):
            read_geojson(path)
        return
    features = parsed["features"] if isinstance(parsed, dict) and "features" in parsed else parsed
    if slip == "" and isinstance(features, list):
        assert len(read_geojson(path)) == len(features) == count


@pytest.mark.parametrize("deep", ["[" * 100_000, '{"type":"FeatureCollection","features":[' + "[" * 100_000])
def test_what_is_nested_too_deeply_is_refused(tmp_path: Path, deep: str) -> None:
    (tmp_path / "a.geojson").write_text(deep)
    with pytest.raises(AnnotationError, match="not GeoJSON"):
        read_geojson(tmp_path / "a.geojson")
