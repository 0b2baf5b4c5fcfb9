"""Looking through an ONNX file for weights that are not in it.

ONNX lets a model name other files for its weights. The runtime looks for them in the working folder even if it gets
the model as bytes, and then detects with weights that the model's SHA-256 does not cover. So such a model is refused
before the runtime sees it. The file's structure is walked here, because the library onnx is only there for training.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from signetscan.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_FIELDS = 5_000_000
"""Fields that are looked at, in some seconds; weights are one field however large, so that models have thousands."""
TENSOR_FILE, TENSOR_PLACE, NODE_KIND = 13, 14, 4
"""Fields of a tensor that name a file and say that its values are there, and the field of a node's operator."""
METADATA = 14
"""Field of a model that holds an entry of its metadata."""
COMPILED = b"EPContext"
"""An operator that stands for a part compiled for one device, which may be in another file."""


class Part(Enum):
    """A kind of message in an ONNX file that may contain tensors, or is one."""

    MODEL = auto()
    TRAINING = auto()
    GRAPH = auto()
    FUNCTION = auto()
    NODE = auto()
    ATTRIBUTE = auto()
    SPARSE = auto()
    TENSOR = auto()


INNER: dict[Part, dict[int, Part]] = {
    Part.MODEL: {7: Part.GRAPH, 20: Part.TRAINING, 25: Part.FUNCTION},
    Part.TRAINING: {1: Part.GRAPH, 2: Part.GRAPH},
    Part.GRAPH: {1: Part.NODE, 5: Part.TENSOR, 15: Part.SPARSE},
    Part.FUNCTION: {7: Part.NODE, 11: Part.ATTRIBUTE},
    Part.NODE: {5: Part.ATTRIBUTE},
    Part.ATTRIBUTE: {
        5: Part.TENSOR,
        6: Part.GRAPH,
        10: Part.TENSOR,
        11: Part.GRAPH,
        22: Part.SPARSE,
        23: Part.SPARSE,
    },
    Part.SPARSE: {1: Part.TENSOR, 2: Part.TENSOR},
    Part.TENSOR: {},
}
"""The fields of each part that hold other parts, by number, as in onnx.proto."""


def check_is_whole(content: bytes) -> None:
    """Check that all weights of a model are in its file.

    Args:
        content: the bytes of an ONNX file.

    Raises:
        ModelError: some are in other files, or the bytes are not those of an ONNX file.
    """
    waiting: list[tuple[memoryview, Part]] = [(memoryview(content), Part.MODEL)]
    fields = 0
    while waiting:
        data, part = waiting.pop()
        position = 0
        while position < len(data):
            fields += 1
            number, value, position = _field(data, position)
            if fields > MOST_FIELDS:
                raise _too_many()
            if _is_elsewhere(part, number, value):
                message = "some of its weights are in other files; save the model as one file, without external data"
                raise ModelError(message)
            inner = INNER[part].get(number)
            if inner is not None and isinstance(value, memoryview):
                waiting.append((value, inner))


def metadata_of(content: bytes) -> dict[str, str]:
    """The metadata of a model, without a look at its graph.

    Args:
        content: the bytes of an ONNX file.

    Raises:
        ModelError: the bytes are not those of an ONNX file.
    """
    return dict(_entry(value) for number, value in _fields(memoryview(content)) if number == METADATA)


def _entry(value: memoryview | int) -> tuple[str, str]:
    """Key and value of an entry of the metadata."""
    if isinstance(value, int):
        raise _no_onnx()
    parts = {number: part for number, part in _fields(value) if isinstance(part, memoryview)}
    try:
        return str(parts.get(1, b""), "utf-8"), str(parts.get(2, b""), "utf-8")
    except UnicodeDecodeError as error:
        raise _no_onnx() from error


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Number and value of each field of a message."""
    position = 0
    for _ in range(MOST_FIELDS):
        if position == len(data):
            return
        number, value, position = _field(data, position)
        yield number, value
    raise _too_many()


def _too_many() -> ModelError:
    return ModelError("it has far more parts than a model")


def _is_elsewhere(part: Part, number: int, value: memoryview | int) -> bool:
    """Whether a field says that something is in another file."""
    if part is Part.TENSOR:
        return (number == TENSOR_FILE and isinstance(value, memoryview)) or (number == TENSOR_PLACE and value != 0)
    return part is Part.NODE and number == NODE_KIND and isinstance(value, memoryview) and bytes(value) == COMPILED


def _field(data: memoryview, position: int) -> tuple[int, memoryview | int, int]:
    """A field of a message in the wire format of protocol buffers: number, value, and where the next one starts.

    Raises:
        ModelError: there is no such field.
    """
    tag, position = _varint(data, position)
    tag &= 0xFFFFFFFF  # as other readers cut it
    match tag & 7:
        case 0:
            value, position = _varint(data, position)
            return tag >> 3, value, position
        case 1:
            length = 8
        case 2:
            length, position = _varint(data, position)
        case 5:
            length = 4
        case _:
            raise _no_onnx()
    if tag >> 3 == 0 or position + length > len(data):
        raise _no_onnx()
    return tag >> 3, data[position : position + length], position + length


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position == len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise _no_onnx()


def _no_onnx() -> ModelError:
    return ModelError("not an ONNX model, or a damaged one")
