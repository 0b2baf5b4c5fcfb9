"""Finding a model: a path, or the name of one that ships with signetscan."""

from __future__ import annotations

from pathlib import Path

from signetscan.errors import ModelError

DEFAULT_MODEL = "signet-sim-2"
"""The model used where none is named."""

ROLES = {"accurate": "signet-sim-2", "fast": "signet-sim-2-int8"}
"""What the shipped models are for. FROC of the fast one is within 0.005 of that of the accurate one (its card)."""

FOLDERS = (Path(__file__).parent, Path(__file__).parents[2] / "models")
"""Where shipped models are: inside an installed package, or beside it in a checkout."""


def shipped_models() -> dict[str, Path]:
    """Name and file of every model that ships with this installation."""
    return {path.stem: path for folder in reversed(FOLDERS) for path in sorted(folder.glob("*.onnx"))}


def shipped_model(name: str) -> Path | None:
    """The file of a shipped model by its name or role; None where there is none."""
    return shipped_models().get(ROLES.get(name, name))


def find_model(name_or_path: str) -> Path:
    """The file of a model.

    Args:
        name_or_path: name or role of a shipped model, or the path of an ONNX file.

    Raises:
        ModelError: there is no such model.
    """
    path = Path(name_or_path)
    if path.exists():
        return path
    found = shipped_model(name_or_path)
    if found is not None:
        return found
    shipped = shipped_models()
    names = ", ".join([*(role for role, name in ROLES.items() if name in shipped), *shipped]) or "none"
    message = f"{name_or_path}: no such model file, nor a shipped model (shipped: {names})"
    raise ModelError(message)
