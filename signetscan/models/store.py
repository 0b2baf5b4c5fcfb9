"""Finding a model by its path, or by the name of one that ships with signetscan or is in the user's folder."""

from __future__ import annotations

from pathlib import Path

from signetscan.errors import ModelError
from signetscan.user_folder import user_folder

DEFAULT_MODEL = "signet-sim-3"
"""The model used if none is named."""

ROLES = {"accurate": "signet-sim-3", "fast": "signet-sim-3-int8", "nuclei": "nuclei-1", "glands": "glands-2"}
"""Shipped models by role; `glands` segments, the others detect. The FROC of the fast one is within 0.007 of that of the
accurate one (see its card)."""

MAX_MODEL_BYTES = 1 << 30
"""Largest model file, bytes; detectors are far smaller."""

FOLDERS = (Path(__file__).parent, Path(__file__).parents[2] / "models")
"""Where shipped models are: inside an installed package, and next to it in a checkout."""


def shipped_models() -> dict[str, Path]:
    """The files of the models that ship with this installation, by name."""
    # Later entries replace earlier ones, so the folders are taken from the last to the first.
    return {path.stem: path for folder in reversed(FOLDERS) for path in sorted(folder.glob("*.onnx"))}


def user_model_folder() -> Path:
    """The folder of the user's own models; it need not exist."""
    return user_folder() / "models"


def user_models() -> dict[str, Path]:
    """The files of the user's own models, by name."""
    return {path.stem: path for path in sorted(user_model_folder().glob("*.onnx"))}


def named_model(name: str) -> Path | None:
    """The file of a model by its name or role; None if there is no such model. A shipped one comes first."""
    return (user_models() | shipped_models()).get(ROLES.get(name, name))


def find_model(name_or_path: str) -> Path:
    """The file of a model.

    Args:
        name_or_path: name or role of a shipped model, name of one of the user's, or the path of an ONNX file.

    Raises:
        ModelError: there is no such model.
    """
    path = Path(name_or_path)
    if path.exists():
        return path
    model = named_model(name_or_path)
    if model is not None:
        return model
    known = shipped_models() | user_models()
    names = ", ".join([*(role for role, name in ROLES.items() if name in known), *known]) or "none"
    message = f"{name_or_path}: no such model file, nor a model of this name (known: {names})"
    raise ModelError(message)


def read_model(path: Path) -> bytes:
    """The bytes of a model file.

    Raises:
        ModelError: it cannot be read, or cannot be a model.
    """
    try:
        size = path.stat().st_size
        if path.is_dir():
            message = f"{path}: a folder, not a model; give the .onnx file in it"
            raise ModelError(message)
        if not 0 < size <= MAX_MODEL_BYTES:
            message = f"{path}: {size} bytes is not the size of a model"
            raise ModelError(message)
        return path.read_bytes()
    except OSError as error:
        message = f"{path}: the model cannot be read: {error.strerror}"
        raise ModelError(message) from error
