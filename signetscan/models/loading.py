"""Loading a model file of any task: what is checked of all models, and their graph in the runtime."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from signetscan.errors import ModelError
from signetscan.models.onnx_parts import check_is_whole
from signetscan.models.runtime import model_errors, open_session
from signetscan.models.spec import INPUT_NAME
from signetscan.models.store import read_model

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from signetscan.models.runtime import Device, Session
    from signetscan.models.spec import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What the contract of a task says of an output of the graph."""

    name: str
    """Its name."""
    types: tuple[str, ...]
    """The types that it may have, as the runtime names them."""
    rank: int
    """Number of its axes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedModel:
    """A model file in the runtime, of which only the task is unknown. Made by `load_model`."""

    path: Path
    """The file."""
    sha256: str
    """SHA-256 of the file, hexadecimal."""
    session: Session
    """The model in the runtime."""

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Put the file's path before errors about its content."""
        with _naming(self.path):
            yield

    def check_graph(self, spec: ModelSpec, outputs: Sequence[Output]) -> None:
        """Check the graph's input and outputs against the contract.

        Args:
            spec: what the file says of the model.
            outputs: what the contract says of the outputs.

        Raises:
            ModelError: the graph breaks it.
        """
        with model_errors():  # names of sizes may be no text
            inputs = {value.name: value for value in self.session.inputs}
            if list(inputs) != [INPUT_NAME]:
                message = f"inputs are {list(inputs)}; the contract has one, {INPUT_NAME}"
                raise ModelError(message)
            found = inputs | {value.name: value for value in self.session.outputs}
            for wanted in (Output(name=INPUT_NAME, types=("tensor(uint8)",), rank=4), *outputs):
                value = found.get(wanted.name)
                if value is None:
                    message = f"output {wanted.name} is missing"
                    raise ModelError(message)
                if value.type not in wanted.types or len(value.shape) != wanted.rank:
                    types = " or ".join(wanted.types)
                    message = (
                        f"{wanted.name} is {value.type} of shape {value.shape}; the contract says {types} of rank "
                    )
                    raise ModelError(message + str(wanted.rank))
            self._check_input(inputs[INPUT_NAME].shape, spec)

    def _check_input(self, shape: Sequence[int | str | None], spec: ModelSpec) -> None:
        batch, height, width, channels = shape
        if channels != 3 or (batch if isinstance(batch, int) else None) != spec.batch_size:
            size = "batch free" if spec.batch_size is None else f"and metadata says batch_size {spec.batch_size}"
            message = f"{INPUT_NAME} has shape {list(shape)}; the contract says (batch, H, W, 3), {size}"
            raise ModelError(message)
        if any(isinstance(side, int) and side != spec.tile_size for side in (height, width)):
            message = f"{INPUT_NAME} is {width} x {height} px, but metadata says tile_size {spec.tile_size}"
            raise ModelError(message)
        if not spec.tile_size_is_fixed and isinstance(height, int):
            message = f"its graph takes tiles of {spec.tile_size} px only, but tile_size_is_fixed is not true"
            raise ModelError(message)


def batches_of(tiles: NDArray[np.uint8], size: int | None) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Split a batch into those that a graph takes; gives each, and how many tiles of it are not blank.

    Args:
        tiles: (B, H, W, 3).
        size: the number of tiles that the graph takes at once; None for any.
    """
    if size is None:
        yield tiles, len(tiles)
        return
    for start in range(0, len(tiles), size):
        part = tiles[start : start + size]
        blank = np.full((size - len(part), *part.shape[1:]), 255, np.uint8)
        yield np.concatenate([part, blank]) if len(blank) else part, len(part)


def load_model(
    path: str | os.PathLike[str], *, device: Device, threads: int | None = None, sha256: str | None = None
) -> LoadedModel:
    """Load a model file, and prepare it on a device.

    Args:
        path: the ONNX file.
        device: where to run it; see `signetscan.models.runtime.Device`.
        threads: CPU threads per operation; one per core by default.
        sha256: SHA-256 that the file must have; any by default.

    Raises:
        ModelError: the file is missing, has another SHA-256, keeps weights in other files, or is not a model.
        DeviceError: the device asked for cannot be used, or no runtime is installed.
    """
    path = Path(path)
    content = read_model(path)
    digest = hashlib.sha256(content).hexdigest()
    if sha256 not in {None, digest}:
        message = f"{path}: the model has changed since this run began, which stops here; start it again"
        raise ModelError(message)
    with _naming(path):
        check_is_whole(content)
    return LoadedModel(path=path, sha256=digest, session=open_session(content, path, device=device, threads=threads))


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except ModelError as error:
        message = f"{path}: {error}"
        raise ModelError(message) from error
