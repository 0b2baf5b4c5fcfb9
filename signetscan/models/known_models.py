"""The models that are known by name: what they say of themselves, and adding one to a user's own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from signetscan.atomic import make_folder, part_path
from signetscan.errors import ModelError
from signetscan.models.detection_spec import DetectionSpec
from signetscan.models.detector import make_detector
from signetscan.models.loading import load_model
from signetscan.models.onnx_parts import metadata_of
from signetscan.models.segmentation_spec import SegmentationSpec
from signetscan.models.segmenter import make_segmenter
from signetscan.models.spec import Task, task_of
from signetscan.models.store import ROLES, read_model, shipped_models, user_model_folder, user_models

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from signetscan.models.loading import LoadedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A model that is known by a name."""

    name: str
    """The name."""
    path: Path
    """Its file."""
    ships: bool
    """Whether it ships with signetscan; otherwise it is in the user's folder."""
    role: str = ""
    """Its other name, such as "accurate"; empty if it has none."""
    spec: DetectionSpec | SegmentationSpec | None = None
    """What it says of itself; None if that cannot be read."""
    problem: str = ""
    """Why it cannot be read; empty if it can."""


def known_models() -> list[KnownModel]:
    """The models that ship, and those in the user's folder; their graphs are not looked at."""
    roles = {name: role for role, name in ROLES.items()}
    shipped = shipped_models()
    own = {name: path for name, path in user_models().items() if name not in shipped}
    return [
        *(_known(name, path, ships=True, role=roles.get(name, "")) for name, path in sorted(shipped.items())),
        *(_known(name, path, ships=False) for name, path in sorted(own.items())),
    ]


def _known(name: str, path: Path, *, ships: bool, role: str = "") -> KnownModel:
    try:
        spec = _spec_of(metadata_of(read_model(path)))
    except ModelError as error:
        return KnownModel(name=name, path=path, ships=ships, role=role, problem=str(error))
    return KnownModel(name=name, path=path, ships=ships, role=role, spec=spec)


def _spec_of(metadata: Mapping[str, str]) -> DetectionSpec | SegmentationSpec:
    if task_of(metadata) is Task.SEGMENTATION:
        return SegmentationSpec.from_metadata(metadata)
    return DetectionSpec.from_metadata(metadata)


def check_contract(model: LoadedModel) -> DetectionSpec | SegmentationSpec:
    """Check that a loaded model keeps the contract of its task; gives what it says of itself.

    Raises:
        ModelError: it does not; the message names the field.
    """
    with model.naming():
        task = task_of(model.session.metadata)
    return (make_segmenter(model) if task is Task.SEGMENTATION else make_detector(model)).spec


def add_model(path: str | os.PathLike[str], *, overwrite: bool = False) -> KnownModel:
    """Copy a model file into the user's folder, so that it is known by the name of the file without its suffix.

    Args:
        path: the model file, which is checked as if it were to be used.
        overwrite: replace another model of the user's that has this name.

    Raises:
        ModelError: the file cannot be read or breaks the contract, or the name is taken.
        DeviceError: ONNX Runtime is not installed.
        OutputError: the copy cannot be written.
    """
    path = Path(path)
    name, target = path.stem, user_model_folder() / f"{path.stem}.onnx"
    if name in {*ROLES, *shipped_models()}:
        message = f"{path}: a model that ships with signetscan is called {name}; give the file another name"
        raise ModelError(message)
    content = read_model(path)
    spec = check_contract(load_model(path, device="cpu", sha256=hashlib.sha256(content).hexdigest()))
    if target.exists() and not overwrite and read_model(target) != content:
        message = f"{path}: you have another model called {name}; give the file another name, or replace that model"
        raise ModelError(message, options=("overwrite",))
    make_folder(target.parent)
    with part_path(target) as part:
        part.write_bytes(content)
    return KnownModel(name=name, path=target, ships=False, spec=spec)
