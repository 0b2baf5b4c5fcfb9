"""Describing a slide or a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from signetscan.models.known_models import check_contract
from signetscan.models.loading import load_model
from signetscan.models.store import find_model, named_model
from signetscan.slides import open_slide
from signetscan.slides.addresses import parse_place

if TYPE_CHECKING:
    from signetscan.models.detection_spec import DetectionSpec
    from signetscan.models.segmentation_spec import SegmentationSpec
    from signetscan.slides import Bounds, Mpp
    from signetscan.slides.concerns import Concern


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideInfo:
    """The description of a slide."""

    file: str
    """Its file's name, or the UID of its series in an archive."""
    format_name: str
    """Kind of file, as the slide reader names it."""
    dimensions: tuple[int, int]
    """Width and height, level-0 pixels."""
    mpp: Mpp | None
    """Size of a level-0 pixel, µm/px; None if it is unknown."""
    level_dimensions: tuple[tuple[int, int], ...]
    """Width and height of each level in its own pixels, largest first."""
    level_downsamples: tuple[float, ...]
    """Level-0 pixels per pixel of each level."""
    bounds: Bounds | None
    """The scanned part if the file declares one, else None."""
    fingerprint: str
    """Identifies the slide's content."""
    concerns: tuple[Concern, ...]
    """What is suspicious about it, without a look at its pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """The description of a model."""

    file: str
    """Its file's name."""
    sha256: str
    """SHA-256 of the file, hexadecimal."""
    spec: DetectionSpec | SegmentationSpec
    """The contract in the file's metadata."""


def describe(name_or_path: str, *, mpp: float | None = None) -> SlideInfo | ModelInfo:
    """Describe a slide or a model.

    Args:
        name_or_path: path or address of a slide, path of a model file, or name of a model.
        mpp: size of the slide's pixels, µm/px, instead of what its file says.

    Raises:
        SlideError: the slide cannot be opened.
        ModelError: the model cannot be loaded.
        DeviceError: ONNX Runtime is not installed.
    """
    place = parse_place(name_or_path)
    is_missing = isinstance(place, Path) and not place.exists()
    if name_or_path.endswith(".onnx") or (is_missing and named_model(name_or_path) is not None):
        file = find_model(name_or_path)
        return _describe_model(file)
    with open_slide(place, mpp=mpp) as slide:
        return SlideInfo(
            file=place.name if isinstance(place, Path) else slide.name,
            format_name=slide.format_name,
            dimensions=slide.dimensions,
            mpp=slide.mpp,
            level_dimensions=slide.level_dimensions,
            level_downsamples=slide.level_downsamples,
            bounds=slide.bounds,
            fingerprint=slide.fingerprint,
            concerns=slide.concerns,
        )


def _describe_model(file: Path) -> ModelInfo:
    loaded = load_model(file, device="cpu")
    return ModelInfo(file=file.name, sha256=loaded.sha256, spec=check_contract(loaded))
