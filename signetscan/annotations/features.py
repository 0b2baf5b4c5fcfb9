"""The features of a GeoJSON file, parsed one by one: a million at once would take gigabytes of memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.annotations.bounds import MAX_OBJECTS
from signetscan.annotations.json_stream import JsonStream
from signetscan.annotations.packed import unpacked
from signetscan.annotations.shapes import is_geometry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from signetscan.json_values import Json

MAX_GEOJSON_BYTES = 500_000_000
"""Largest file that is read, unpacked: `signetscan detect` fits more than a million detections into it."""

MOST_KEYS = 1000
"""Most keys of the outermost table."""
KEPT = frozenset({"type", "id", "geometry", "properties", "coordinates", "geometries", "plane", "root"})
"""Keys of the outermost table that matter beside "features"; the values of others are checked and forgotten."""


def read_features(path: Path) -> Iterator[Json]:
    """The features of a FeatureCollection or of a bare list, or a single feature, one after another, unchecked.

    A geometry alone, and the root of a hierarchy alone, count as a feature, as in QuPath.

    Args:
        path: the file, plain, packed by gzip or in a ZIP.

    Raises:
        AnnotationError: the file is missing, too large, of a QuPath project, or not GeoJSON.
    """
    with unpacked(path, MAX_GEOJSON_BYTES) as file:
        stream = JsonStream(file, path, MAX_GEOJSON_BYTES)
        match stream.peek():
            case "[":
                yield from _listed(stream)
            case "{":
                yield from _of_table(stream)
            case _:
                raise _of_another_kind(stream)
        if stream.peek():
            raise stream.wrong("something follows its end")


def _listed(stream: JsonStream) -> Iterator[Json]:
    for _ in stream.items("[", "]", MAX_OBJECTS):
        yield stream.value()


def _of_table(stream: JsonStream) -> Iterator[Json]:
    kept: dict[str, Json] = {}
    has_features = False
    for _ in stream.items("{", "}", MOST_KEYS):
        key = stream.value()
        if not isinstance(key, str):
            raise stream.wrong("a key is not a text")
        stream.take(":")
        if key == "features" and stream.peek() == "[":
            has_features = True
            yield from _listed(stream)
            continue
        value = stream.value()
        if key in KEPT:
            kept[key] = value
    match kept:
        case {"type": "FeatureCollection"} if has_features:
            return
        case {"type": "Feature"} if not has_features:
            yield kept
        case {"root": {"type": "Feature"} as root} if not has_features:
            yield root
        case _ if is_geometry(kept) and not has_features:
            yield kept
        case _:
            raise _of_another_kind(stream)


def _of_another_kind(stream: JsonStream) -> Exception:
    return stream.wrong("neither a FeatureCollection, nor a list of features, nor a feature as QuPath writes them")
