"""The config.json of the WSInfer zoo: what is known of a network that classifies patches.

Source: the schema of version 1.0 in `wsinfer_zoo/schemas/model-config.schema.json` of SBU-BMI/wsinfer-zoo. Its
transforms are those of torchvision, on pictures of Pillow: `Resize` (bilinear), `ToTensor` and `Normalize`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.errors import ModelError
from signetscan.foreign.inputs import COLOURS, Normalisation
from signetscan.json_values import JsonError, JsonTable, is_number, parse_json
from signetscan.models.spec import LARGEST_STRIDE, is_whole
from signetscan.texts import short_repr

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.foreign.options import Pixels
    from signetscan.json_values import Json

VERSION = "1.0"
"""The version of the file's form that is read."""
MOST_BYTES = 1 << 20
"""Largest file that is read; real ones have a kilobyte."""
STEPS = {"Resize": 0, "ToTensor": 1, "Normalize": 2}
"""The transforms, in the only order that makes sense."""
LARGEST_PICTURE = 2048
"""Largest side to which patches are resized, pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchConfig:
    """What a config.json says."""

    class_names: tuple[str, ...]
    """Names of the classes in the order of labels."""
    side: int
    """Side of a patch, pixels."""
    mpp: float
    """Size of these pixels, µm/px."""
    resized: int | None
    """Side to which a patch is resized, pixels; None if it is not."""
    pixels: Pixels | Normalisation
    """What the network takes for a pixel."""


def read_config(path: Path) -> PatchConfig:
    """Read a config.json.

    Raises:
        ModelError: it cannot be read, is of another version, or says what cannot be; the message names the value.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            message = "it is far too long"
            raise JsonError(message)
        return _config(JsonTable.of(parse_json(path.read_bytes())))
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror or error}"
        raise ModelError(message, options=("config",)) from error
    except JsonError as error:
        message = f"{path}: not a config.json of the WSInfer zoo that can be followed: {error}"
        raise ModelError(message, options=("config",)) from error


def _config(table: JsonTable) -> PatchConfig:
    """What a table says.

    Raises:
        JsonError: a value is missing or cannot be.
    """
    version = table.text("spec_version")
    if version != VERSION:
        message = f"spec_version is {short_repr(version)}, and only {VERSION} is known"
        raise JsonError(message)
    names, side, mpp = table.texts("class_names"), table.whole("patch_size_pixels"), table.number("spacing_um_px")
    if len(names) != table.whole("num_classes"):
        message = f"num_classes is {table.whole('num_classes')}, but class_names has {len(names)}"
        raise JsonError(message)
    if not 1 <= side <= LARGEST_STRIDE:
        message = f"patch_size_pixels must be from 1 to {LARGEST_STRIDE}, not {side}"
        raise JsonError(message)
    if not 0 < mpp <= 100:
        message = f"spacing_um_px must be above 0 and up to 100, not {mpp:g}"
        raise JsonError(message)
    steps = {step.text("name"): step.table_or_none("arguments") or JsonTable({}) for step in _steps(table)}
    resized = _resized(steps["Resize"]) if "Resize" in steps else side
    return PatchConfig(
        class_names=names,
        side=side,
        mpp=mpp,
        resized=None if resized == side else resized,
        pixels=_normalisation(steps["Normalize"]) if "Normalize" in steps else "0-1",
    )


def _steps(table: JsonTable) -> list[JsonTable]:
    """The transforms.

    Raises:
        JsonError: there is one that is not known, or they are in another order.
    """
    steps = [JsonTable.of(value, "transform") for value in table.array("transform")]
    names = [step.text("name") for step in steps]
    unknown = [name for name in names if name not in STEPS]
    if unknown:
        message = f"transform has {short_repr(unknown[0])}, and only {', '.join(STEPS)} are known"
        raise JsonError(message)
    order = [STEPS[name] for name in names]
    if order != sorted(set(order)) or "ToTensor" not in names:
        message = f"transform must be {', '.join(STEPS)} in this order, of which ToTensor alone is needed"
        raise JsonError(message)
    return steps


def _resized(arguments: JsonTable) -> int:
    """The side that Resize gives to square pictures."""
    further = set(arguments.values) - {"size", "antialias"}
    if further or arguments.values.get("antialias") is False:
        message = f"Resize has the arguments {', '.join(sorted(arguments.values))}; only a size can be followed"
        raise JsonError(message)
    size = arguments.values.get("size")
    sides = size if isinstance(size, list) else [size]
    side = sides[0] if sides else None
    if (
        len(sides) > 2
        or any(other != side for other in sides)
        or not is_whole(side)
        or not 1 <= side <= LARGEST_PICTURE
    ):
        message = f"Resize must be to a square of up to {LARGEST_PICTURE} px, not {short_repr(size)}"
        raise JsonError(message)
    return side


def _normalisation(arguments: JsonTable) -> Normalisation:
    """What Normalize does."""
    mean, deviation = _three(arguments, "mean"), _three(arguments, "std")
    if min(deviation) <= 0:
        message = "std of Normalize must be above 0"
        raise JsonError(message)
    return Normalisation(mean=mean, deviation=deviation)


def _three(arguments: JsonTable, key: str) -> tuple[float, float, float]:
    values: list[Json] = arguments.array(key)
    match values:
        case [red, green, blue] if is_number(red) and is_number(green) and is_number(blue):
            return float(red), float(green), float(blue)
    message = f"{key} of Normalize must be {COLOURS} numbers"
    raise JsonError(message)
