"""Loading a model file as a detector: checks the contract, and gives the candidates in tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from signetscan.detections import Detections
from signetscan.errors import ModelError
from signetscan.models.detection_spec import OUTPUT_NAMES, DetectionSpec
from signetscan.models.loading import Output, batches_of, load_model
from signetscan.models.outputs import check_outputs

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from signetscan.models.loading import LoadedModel
    from signetscan.models.placement import Placement
    from signetscan.models.runtime import Device, Session

OUTPUTS = (
    Output(name="boxes", types=("tensor(float)",), rank=3),
    Output(name="scores", types=("tensor(float)",), rank=2),
    Output(name="labels", types=("tensor(int64)",), rank=2),
)
"""What the contract says of the graph's outputs."""


class Detector(Protocol):
    """Detects objects in tiles. Training and tests have their own implementations."""

    @property
    def spec(self) -> DetectionSpec:
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

    spec: DetectionSpec
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

        A model whose batch size is fixed is run as often as it takes, the last time with blank tiles besides.

        Raises:
            ModelError: the model's outputs break the contract.
        """
        return [
            found
            for batch, count in batches_of(tiles, self.spec.batch_size)
            for found in self._run(batch, score_threshold)[:count]
        ]

    def _run(self, tiles: NDArray[np.uint8], score_threshold: float) -> list[Detections]:
        boxes, scores, labels = self.session.run(tiles, OUTPUT_NAMES)
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
        ModelError: the file is missing, has another SHA-256, keeps weights in other files, is not a model, does not
            detect or breaks the contract (the message names the field).
        DeviceError: the device asked for cannot be used, or no runtime is installed.
    """
    return make_detector(load_model(path, device=device, threads=threads, sha256=sha256))


def make_detector(model: LoadedModel) -> OnnxDetector:
    """Make a detector of a loaded model.

    Raises:
        ModelError: it does not detect, or breaks the contract; the message names the field.
    """
    with model.naming():
        spec = DetectionSpec.from_metadata(model.session.metadata)
        model.check_graph(spec, OUTPUTS)
    return OnnxDetector(spec=spec, sha256=model.sha256, session=model.session)


def _declared_rows(session: Session) -> int | None:
    """The number of rows for each tile that the graph declares; None if it leaves it open."""
    rows = next(value.shape[1] for value in session.outputs if value.name == "scores")
    return rows if isinstance(rows, int) else None
