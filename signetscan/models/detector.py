"""Loading a model file as a detector: checks the contract, and gives the candidates in tiles."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from signetscan.detections import Detections
from signetscan.errors import ModelError
from signetscan.models.onnx_parts import check_is_whole
from signetscan.models.outputs import check_outputs
from signetscan.models.runtime import Session, open_session
from signetscan.models.spec import INPUT_NAME, ModelSpec
from signetscan.models.store import read_model

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from signetscan.models.placement import Placement
    from signetscan.models.runtime import Device


class Detector(Protocol):
    """Detects objects in tiles. Training and tests have their own implementations."""

    @property
    def spec(self) -> ModelSpec:
        """What the model is."""

    @property
    def sha256(self) -> str:
        """SHA-256 of the model file, hexadecimal."""

    @property
    def runs_on(self) -> Placement:
        """What the model really runs on."""

    def detect(self, tiles: NDArray[np.uint8], score_threshold: float) -> list[Detections]:
        """Detect objects in a batch of tiles.

        Args:
            tiles: uint8 (B, H, W, 3), RGB; H and W are multiples of `spec.stride`.
            score_threshold: lowest score of a candidate.

        Returns:
            The candidates of each tile, in tile pixels, before any suppression.
        """


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OnnxDetector:
    """A loaded model file. Made by `load_detector`."""

    spec: ModelSpec
    """What the model is."""
    sha256: str
    """SHA-256 of the model file, hexadecimal."""
    session: Session
    """The model in the runtime."""

    @property
    def runs_on(self) -> Placement:
        """What the model runs on."""
        return self.session.runs_on

    def detect(self, tiles: NDArray[np.uint8], score_threshold: float) -> list[Detections]:
        """Detect objects in a batch of tiles; see `Detector.detect`.

        Raises:
            ModelError: the model's outputs break the contract.
        """
        boxes, scores, labels = self.session.run(tiles)
        try:
            check_outputs(
                boxes,
                scores,
                labels,
                tiles=(len(tiles), tiles.shape[1], tiles.shape[2]),
                rows=_declared_rows(self.session),
                classes=len(self.spec.class_names),
            )
        except ModelError as error:
            message = f"model {self.spec.name} breaks the contract: {error}; nothing that it finds can be trusted"
            raise ModelError(message) from error
        return candidates(boxes, scores, labels, score_threshold)


def candidates(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], labels: NDArray[np.int64], score_threshold: float
) -> list[Detections]:
    """Turn the outputs of a model, which keep the contract, into the candidates of each tile.

    Args:
        boxes: (B, K, 4), tile pixels.
        scores: (B, K).
        labels: (B, K).
        score_threshold: lowest score to keep. Boxes that are empty or not finite are dropped too.
    """
    per_tile = []
    for tile_boxes, tile_scores, tile_labels in zip(boxes, scores, labels, strict=True):
        keep = tile_scores >= score_threshold
        kept = tile_boxes[keep].astype(np.float64)
        solid = np.isfinite(kept).all(axis=1) & (kept[:, 2:] > kept[:, :2]).all(axis=1)
        per_tile.append(
            Detections(
                boxes=kept[solid],
                scores=tile_scores[keep][solid].astype(np.float32),
                labels=tile_labels[keep][solid].astype(np.int64),
            )
        )
    return per_tile


def load_detector(
    path: str | os.PathLike[str], *, device: Device = "auto", threads: int | None = None, sha256: str | None = None
) -> OnnxDetector:
    """Load a model file, check that it keeps the contract, and prepare it on a device.

    Args:
        path: the ONNX file.
        device: where to run it; see `signetscan.models.runtime.Device`.
        threads: CPU threads per operation; one per core by default.
        sha256: SHA-256 that the file must have; any by default.

    Raises:
        ModelError: the file is missing, has another SHA-256, keeps weights in other files, is not a model or breaks the
            contract (the message names the field).
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
    session = open_session(content, path, device=device, threads=threads)
    with _naming(path):
        spec = ModelSpec.from_metadata(session.metadata)
        _check_graph(session, spec)
    return OnnxDetector(spec=spec, sha256=digest, session=session)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put a file's path before errors about its content."""
    try:
        yield
    except ModelError as error:
        message = f"{path}: {error}"
        raise ModelError(message) from error


def _declared_rows(session: Session) -> int | None:
    """The number of rows for each tile that the graph declares; None if it leaves it open."""
    rows = next(value.shape[1] for value in session.outputs if value.name == "scores")
    return rows if isinstance(rows, int) else None


def _check_graph(session: Session, spec: ModelSpec) -> None:
    """Check the graph's inputs and outputs against the contract."""
    inputs = {value.name: value for value in session.inputs}
    outputs = {value.name: value for value in session.outputs}
    if list(inputs) != [INPUT_NAME]:
        message = f"inputs are {list(inputs)}; the contract has one, {INPUT_NAME}"
        raise ModelError(message)
    contract = {INPUT_NAME: ("tensor(uint8)", 4), "boxes": ("tensor(float)", 3), "scores": ("tensor(float)", 2)}
    contract["labels"] = ("tensor(int64)", 2)
    for name, (kind, rank) in contract.items():
        value = inputs.get(name) or outputs.get(name)
        if value is None:
            message = f"output {name} is missing"
            raise ModelError(message)
        if value.type != kind or len(value.shape) != rank:
            message = f"{name} is {value.type} of shape {value.shape}; the contract says {kind} of rank {rank}"
            raise ModelError(message)
    batch, height, width, channels = inputs[INPUT_NAME].shape
    if channels != 3 or isinstance(batch, int):
        message = f"{INPUT_NAME} has shape {inputs[INPUT_NAME].shape}; the contract says (batch, H, W, 3), batch free"
        raise ModelError(message)
    if any(isinstance(side, int) and side != spec.tile_size for side in (height, width)):
        message = f"{INPUT_NAME} is {width} x {height} px, but metadata says tile_size {spec.tile_size}"
        raise ModelError(message)
