"""Files of tensors and plain values, such as checkpoints, read without running code from them."""

from __future__ import annotations

import io
import pickle  # for the name of its error; nothing is unpickled here
import struct
import zipfile
from typing import TYPE_CHECKING, TypeVar

import torch

from signetscan.atomic import part_path
from signetscan.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

T = TypeVar("T")

MAX_BYTES = 4 << 30
"""Largest file that is read: the paper's network with its optimiser takes well under 1 GiB."""

DAMAGED = (RuntimeError, ValueError, EOFError, LookupError, TypeError, AttributeError, struct.error)
"""What `torch.load` raises on bytes that are no checkpoint."""


def not_finite(tensors: Mapping[str, torch.Tensor]) -> list[str]:
    """Names of the tensors in which a number is infinite or nan."""
    return [name for name, value in tensors.items() if not bool(torch.isfinite(value).all())]


def save_tensors(path: Path, values: Mapping[str, object]) -> None:
    """Write tensors and plain values, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    buffer = io.BytesIO()  # written to a file by torch, a full disk would be reported as an internal error
    torch.save(dict(values), buffer)
    with part_path(path) as part:
        part.write_bytes(buffer.getbuffer())


def load_tensors(path: Path) -> dict[str, object]:
    """Read a file of tensors and plain values.

    Raises:
        TrainingError: the file is missing, damaged, too large, or holds objects that would run code when loaded.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            message = f"{path}: over {MAX_BYTES >> 30} GiB, too large for a checkpoint"
            raise TrainingError(message)
        values = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}"
        raise TrainingError(message) from error
    except (pickle.UnpicklingError, *DAMAGED) as error:
        message = f"{path}: not a file of weights, or it holds more than weights; it was not loaded"
        raise TrainingError(message) from error
    if not isinstance(values, dict):
        message = f"{path}: holds a {type(values).__name__}, not weights by name"
        raise TrainingError(message)
    return {str(name): value for name, value in values.items()}


def check_packing(path: Path) -> None:
    """Check that a file has the packing in which checkpoints are written, and unpacks to no more than it may.

    Raises:
        TrainingError: it has not; the message says so.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            members = packed.infolist()
    except FileNotFoundError:
        return  # reading it says so
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        message = f"{path}: not a file of weights, or damaged; it was not loaded"
        raise TrainingError(message) from error
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        message = f"{path}: compressed, as no checkpoint is; it was not loaded"
        raise TrainingError(message)


def tensors_of(values: object) -> dict[str, torch.Tensor]:
    """Tensors by name.

    Raises:
        TypeError: the values are something else.
    """
    return {typed(name, str): typed(value, torch.Tensor) for name, value in typed(values, dict).items()}


def metrics_of(row: object) -> dict[str, float]:
    """The metrics of an epoch; some may be nan.

    Raises:
        TypeError: the values are something else.
    """
    return {typed(name, str): typed(value, float) for name, value in typed(row, dict).items()}


def typed(value: object, kind: type[T]) -> T:
    """The value, if it is of a type.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(value, kind):
        message = f"expected {kind.__name__}, not {type(value).__name__}"
        raise TypeError(message)
    return value
