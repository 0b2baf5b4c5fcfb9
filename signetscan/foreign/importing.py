"""Importing a foreign model: the ONNX graph of another library becomes a model file that keeps the contract."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar, assert_never

from signetscan.atomic import part_path
from signetscan.errors import ModelError, OptionError, OutputError
from signetscan.foreign.check import Agreement, check_wrapped, made_up_tiles, takes_any_batch
from signetscan.foreign.check_places import PlaceAgreement, check_places, segments_any_batch
from signetscan.foreign.kinds import BoxConvention, PlaceConvention
from signetscan.foreign.options import ImportOptions
from signetscan.foreign.reading import read_foreign
from signetscan.foreign.specs import detection_spec, segmentation_spec, shared_values
from signetscan.foreign.understanding import understand
from signetscan.foreign.wrapping import wrap
from signetscan.models.detector import load_detector
from signetscan.models.runtime import open_session
from signetscan.models.segmenter import load_segmenter
from signetscan.models.writing import save_graph
from signetscan.scan.real_tiles import real_tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from signetscan.foreign.kinds import Convention
    from signetscan.foreign.options import GraphKind
    from signetscan.foreign.understanding import Understood
    from signetscan.models.detection_spec import DetectionSpec
    from signetscan.models.detector import OnnxDetector
    from signetscan.models.runtime import Session
    from signetscan.models.segmentation_spec import SegmentationSpec
    from signetscan.models.segmenter import OnnxSegmenter
    from signetscan.models.spec import FieldsOfMaker, ModelSpec

Model = TypeVar("Model")
"""A model file that was loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedModel:
    """A model file that was made of a foreign one."""

    path: Path
    """The model file."""
    kind: GraphKind
    """The kind of the foreign graph."""
    spec: ModelSpec
    """Its contract."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedDetector(ImportedModel):
    """A model file that detects, and how closely it follows the foreign graph."""

    spec: DetectionSpec
    """Its contract."""
    agreement: Agreement
    """How closely it follows the foreign graph."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedSegmenter(ImportedModel):
    """A model file that segments, and how closely it follows the foreign graph."""

    spec: SegmentationSpec
    """Its contract."""
    agreement: PlaceAgreement
    """How closely it follows the foreign graph."""


def import_model(
    path: Path, out: Path, *, mpp: float | None = None, options: ImportOptions | None = None
) -> ImportedDetector | ImportedSegmenter:
    """Wrap a foreign ONNX graph as a model file, which is written only if it finds what the foreign graph finds.

    Both are run on made-up tiles, and on tiles of the slides in `check_on`; the outputs of the foreign one are decoded
    by other code, one by one.

    Args:
        path: the foreign file; weights in files beside it are taken into the model file.
        out: the model file to write.
        mpp: size of the pixels that the network learnt from, µm/px; None if the `config` of the options says it.
        options: what the file does not say of itself; the defaults of `ImportOptions` if None.

    Raises:
        ModelError: the file cannot be read or wrapped, or the model file finds something else; nothing is written.
        OptionError: an option does not fit the graph, or is needed because the file does not say it.
        SlideError: a slide or image to check on cannot be read, or shows no tissue.
        DeviceError: ONNX Runtime is not installed.
        OutputError: the model file cannot be written.
    """
    options = options or ImportOptions()
    if out.resolve() == path.resolve():
        message = f"{out}: this is the foreign file itself; choose another name for the model file"
        raise OutputError(message)
    foreign = read_foreign(path)
    session = open_session(foreign.model.SerializeToString(), path, device="cpu")
    try:
        understood = understand(foreign, session, options)
        shared = shared_values(foreign, understood, options, name=options.name or out.stem, mpp=mpp)
        with part_path(out) as part:
            draft = Draft(model=foreign.model, session=session, path=part, check_on=options.check_on)
            return _imported(draft, out, understood, shared, options)
    except (ModelError, OptionError) as error:
        message = f"{path}: {error}"
        raise type(error)(message, options=error.options) from error


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draft:
    """A model file in the making."""

    model: onnx.ModelProto
    """The foreign graph."""
    session: Session
    """The same in the runtime."""
    path: Path
    """The file to write."""
    check_on: Sequence[Path]
    """Slides to check it on."""

    def tiles(self, spec: ModelSpec) -> list[NDArray[np.uint8]]:
        """The tiles to check it on."""
        real = [tile for slide in self.check_on for tile in real_tiles(slide, spec)]
        return [*made_up_tiles(spec.tile_size), *real]

    def save(self, convention: Convention, spec: ModelSpec, load: Callable[[Path], Model]) -> Model:
        """Wrap the foreign graph as a model file, and load that.

        Raises:
            ModelError: the wrapped graph cannot be loaded.
        """
        save_graph(wrap(self.model, convention, spec), spec, self.path)
        try:
            return load(self.path)
        except ModelError as error:
            message = f"its graph cannot be wrapped: {str(error).removeprefix(f'{self.path}: ')}"
            raise ModelError(message) from error


def _imported(
    draft: Draft, out: Path, understood: Understood, shared: FieldsOfMaker, options: ImportOptions
) -> ImportedDetector | ImportedSegmenter:
    """Write the model file and check it.

    Raises:
        ModelError: it finds something else.
        OptionError: an option does not fit the graph.
    """
    convention = understood.convention
    match convention:
        case BoxConvention():
            detector = draft.save(
                convention, detection_spec(convention, shared, options, understood.said.stride), _detector
            )
            tiles = draft.tiles(detector.spec)
            # Many graphs leave the batch open, and then take one picture all the same.
            if detector.spec.batch_size is None and not takes_any_batch(detector, tiles):
                detector = draft.save(convention, replace(detector.spec, batch_size=1), _detector)
            found = check_wrapped(detector, draft.session, convention, tiles)
            return ImportedDetector(path=out, kind=convention.kind, spec=detector.spec, agreement=found)
        case PlaceConvention():
            segmenter = draft.save(convention, segmentation_spec(convention, shared, options), _segmenter)
            tiles = draft.tiles(segmenter.spec)
            if segmenter.spec.batch_size is None and not segments_any_batch(segmenter, tiles):
                single = segmentation_spec(convention, {**shared, "batch_size": 1}, options)
                segmenter, tiles = draft.save(convention, single, _segmenter), draft.tiles(single)
            said = check_places(segmenter, draft.session, convention, tiles)
            return ImportedSegmenter(path=out, kind=convention.kind, spec=segmenter.spec, agreement=said)
        case _:
            assert_never(convention)


def _detector(path: Path) -> OnnxDetector:
    return load_detector(path, device="cpu")


def _segmenter(path: Path) -> OnnxSegmenter:
    return load_segmenter(path, device="cpu")
