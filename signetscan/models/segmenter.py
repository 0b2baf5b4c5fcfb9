"""Loading a model file as a segmenter: checks the contract, and gives the probabilities of classes in tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from signetscan.errors import ModelError
from signetscan.models.loading import Output, batches_of, load_model
from signetscan.models.outputs import check_probabilities
from signetscan.models.segmentation_spec import PROBABILITIES, SegmentationSpec

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from signetscan.models.loading import LoadedModel
    from signetscan.models.placement import Placement
    from signetscan.models.runtime import Device, Session

OUTPUTS = (Output(name=PROBABILITIES, types=("tensor(uint8)", "tensor(float16)"), rank=4),)
"""What the contract says of the graph's output."""


class Segmenter(Protocol):
    """Gives the probabilities of classes in tiles. Training and tests have their own implementations."""

    @property
    def spec(self) -> SegmentationSpec:
        """What the model is."""

    @property
    def sha256(self) -> str:
        """SHA-256 of the model file, hexadecimal."""

    @property
    def runs_on(self) -> Placement:
        """What the model really runs on."""

    def segment(self, tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Segment a batch of tiles.

        Args:
            tiles: uint8 (B, H, W, 3), RGB; H and W are multiples of `spec.stride`.

        Returns:
            Probabilities times 255, (B, C, H / s, W / s), where s is `spec.output_stride`; margins too.
        """


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OnnxSegmenter:
    """A loaded model file. Made by `load_segmenter`."""

    spec: SegmentationSpec
    """What the model is."""
    sha256: str
    """SHA-256 of the model file, hexadecimal."""
    session: Session
    """The model in the runtime."""

    @property
    def runs_on(self) -> Placement:
        """What the model runs on."""
        return self.session.runs_on

    def segment(self, tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Segment a batch of tiles; see `Segmenter.segment`.

        A model whose batch size is fixed is run as often as it takes, the last time with blank tiles besides.

        Raises:
            ModelError: the model's output breaks the contract.
        """
        parts = [self._run(batch)[:count] for batch, count in batches_of(tiles, self.spec.batch_size)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run(self, tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
        (output,) = self.session.run(tiles, (PROBABILITIES,))
        step = self.spec.output_stride
        shape = (len(tiles), len(self.spec.class_names), tiles.shape[1] // step, tiles.shape[2] // step)
        try:
            return check_probabilities(output, shape)
        except ModelError as error:
            message = f"model {self.spec.name} breaks the contract: {error}; nothing that it says can be trusted"
            raise ModelError(message) from error


def load_segmenter(
    path: str | os.PathLike[str], *, device: Device = "auto", threads: int | None = None, sha256: str | None = None
) -> OnnxSegmenter:
    """Load a model file, check that it keeps the contract, and prepare it on a device.

    Args:
        path: the ONNX file.
        device: where to run it; see `signetscan.models.runtime.Device`.
        threads: CPU threads per operation; one per core by default.
        sha256: SHA-256 that the file must have; any by default.

    Raises:
        ModelError: the file is missing, has another SHA-256, keeps weights in other files, is not a model, does not
            segment or breaks the contract (the message names the field).
        DeviceError: the device asked for cannot be used, or no runtime is installed.
    """
    return make_segmenter(load_model(path, device=device, threads=threads, sha256=sha256))


def make_segmenter(model: LoadedModel) -> OnnxSegmenter:
    """Make a segmenter of a loaded model.

    Raises:
        ModelError: it does not segment, or breaks the contract; the message names the field.
    """
    with model.naming():
        spec = SegmentationSpec.from_metadata(model.session.metadata)
        model.check_graph(spec, OUTPUTS)
    return OnnxSegmenter(spec=spec, sha256=model.sha256, session=model.session)
