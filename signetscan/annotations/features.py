"""The features of a GeoJSON file, read one by one so that memory does not grow with them."""

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
"""Unpacked: more than a million detections as `signetscan detect` writes them."""

BEGINNING = re.compile(r'\s*(?:\{\s*"type"\s*:\s*"FeatureCollection"\s*,\s*"features"\s*:\s*)?\[\s*')
"""How files begin that hold nothing but a list of features, up to the first."""
BETWEEN = re.compile(r"\s*([,\]])\s*")
"""What is between two features, or behind the last."""


def read_features(path: Path) -> Iterator[Json]:
    """The features of a FeatureCollection, of a bare list, or one alone, one after another, unchecked.

    A million at once would take gigabytes.

    Args:
        path: the file; one that ends in `.gz` is unpacked.

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
    """The values of a list whose first is at a position of a text, and which little but a closing brace may follow.

    Raises:
        ValueError: it is not JSON.
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
    opened = text[: text.index("[")] + "[]"
    json.loads(opened + text[position:])  # the rest of the file, around an empty list


def _top_features(path: Path, parsed: Json) -> list[Json]:
    match parsed:
        case {"type": "FeatureCollection", "features": list(features)}:
            return features
        case {"type": "Feature"}:
            return [parsed]
    message = f"{path}: not GeoJSON of QuPath: neither a FeatureCollection nor a list of features"
    raise AnnotationError(message)
