"""The features of a GeoJSON file, parsed one by one: a million at once would take gigabytes of memory."""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from typing import TYPE_CHECKING

from signetscan.annotations.objects import read_bounded, too_large
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from signetscan.json_values import Json

MAX_GEOJSON_BYTES = 500_000_000
"""Largest file that is read, unpacked: `signetscan detect` fits more than a million detections into it."""

BEGINNING = re.compile(r'\s*(?:\{\s*"type"\s*:\s*"FeatureCollection"\s*,\s*"features"\s*:\s*)?\[\s*')
"""The start, up to the first feature, of files that have nothing but a list of features."""
BETWEEN = re.compile(r"\s*([,\]])\s*")
"""The text between two features, or after the last."""


def read_features(path: Path) -> Iterator[Json]:
    """The features of a FeatureCollection or of a bare list, or a single feature, one after another, unchecked.

    Args:
        path: the file; one with the suffix `.gz` is unpacked.

    Raises:
        AnnotationError: the file is missing, too large, or not GeoJSON.
    """
    content: bytes | bytearray = read_bounded(path, MAX_GEOJSON_BYTES)
    if path.suffix.lower() == ".gz":
        content = _unpacked(path, bytes(content))
    try:
        text = content.decode("utf-8-sig")
        del content
        begin = BEGINNING.match(text)
        yield from _top_features(path, json.loads(text)) if begin is None else _one_by_one(text, begin.end())
    except RecursionError as error:
        message = f"{path}: not GeoJSON: nested too deeply"
        raise AnnotationError(message) from error
    except ValueError as error:  # not UTF-8, not JSON, or a number of thousands of digits
        message = f"{path}: not GeoJSON: {error}"
        raise AnnotationError(message) from error


def _unpacked(path: Path, content: bytes) -> bytes | bytearray:
    unpacked = bytearray()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            while part := file.read(1 << 20):
                unpacked += part
                if len(unpacked) > MAX_GEOJSON_BYTES:
                    raise too_large(path, MAX_GEOJSON_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        message = f"{path}: cannot be unpacked by gzip: {error}"
        raise AnnotationError(message) from error
    return unpacked


def _one_by_one(text: str, position: int) -> Iterator[Json]:
    """The values of a JSON list that fills a text.

    Args:
        text: the text; nothing but a closing brace may follow the list.
        position: index of the first value, or of the closing bracket.

    Raises:
        ValueError: the text is not JSON.
    """
    decode = json.JSONDecoder().raw_decode
    closed = text.startswith("]", position)
    position += closed
    while not closed:
        value, position = decode(text, position)
        yield value
        between = BETWEEN.match(text, position)
        if between is None:
            message = "Expecting ',' delimiter"
            raise json.JSONDecodeError(message, text, position)
        position, closed = between.end(), between[1] == "]"
    # Checks what stands around the list, by parsing the file with an empty list in its place.
    json.loads(text[: text.index("[")] + "[]" + text[position:])


def _top_features(path: Path, parsed: Json) -> list[Json]:
    match parsed:
        case {"type": "FeatureCollection", "features": list(features)}:
            return features
        case {"type": "Feature"}:
            return [parsed]
    message = f"{path}: not GeoJSON of QuPath: neither a FeatureCollection nor a list of features"
    raise AnnotationError(message)
