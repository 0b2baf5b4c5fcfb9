"""Checks whether this machine can run signetscan, by using each part once."""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from signetscan.atomic import free_bytes
from signetscan.errors import SignetscanError
from signetscan.models.detector import load_detector
from signetscan.models.runtime import (
    BOTH_RUNTIMES,
    CUDA_PROVIDER,
    TENSORRT_PROVIDER,
    available_providers,
    runtime_versions,
)
from signetscan.models.store import DEFAULT_MODEL, find_model
from signetscan.slides import open_slide

if TYPE_CHECKING:
    from collections.abc import Iterator

    from signetscan.models.runtime import Device

State = Literal["ok", "absent", "broken"]
"""Works; is absent but not needed; must be repaired."""

DEFAULT_OUT = Path("signetscan-results")
"""Folder that results go to unless another is named."""
SIDE = 512
"""Side of the images on which parts are tested, pixels."""
LOW_DISK_GB = 5.0
"""Less free space than this is a problem, because a full disk stops a run."""
CODECS = ("JPEG", "JPEG2K", "LZW")
"""Compressions that imagecodecs decodes in place of OpenSlide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The state of one part of the installation."""

    part: str
    """Its name."""
    state: State
    """Whether the part works."""
    detail: str
    """What the check showed, and what to do if it failed."""


def check_machine(model: str = DEFAULT_MODEL, out: Path = DEFAULT_OUT) -> Iterator[Finding]:
    """Check all parts, one after another.

    Args:
        model: name of a shipped model, or path of a model file, to run.
        out: folder for results; it need not exist.

    Yields:
        The state of each part.

    Raises:
        ModelError: there is no such model.
    """
    path = find_model(model)
    yield Finding(part="python", state="ok", detail=f"{platform.python_version()} on {platform.platform(terse=True)}")
    yield _slides()
    yield _codecs()
    yield from _runtime(path)
    yield _gpu()
    yield _disk(out)


def _slides() -> Finding:
    """Write a tiled TIFF and read it with OpenSlide."""
    import openslide  # noqa: PLC0415 - its absence is a finding
    import tifffile  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="signetscan-") as folder:
        path = Path(folder) / "test.tif"
        picture = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        tifffile.imwrite(path, picture, photometric="rgb", tile=(256, 256))
        try:
            with open_slide(path, mpp=0.25) as slide:
                same = np.array_equal(slide.read_region((0, 0), 0, (SIDE, SIDE)), picture)
        except SignetscanError as error:
            return Finding(part="slides", state="broken", detail=str(error))
    version = openslide.__library_version__
    if not same:
        return Finding(
            part="slides", state="broken", detail=f"OpenSlide {version} reads other pixels than were written"
        )
    return Finding(
        part="slides", state="ok", detail=f"OpenSlide {version}: SVS, NDPI, MRXS, SCN, BIF, DICOM, TIFF and more"
    )


def _codecs() -> Finding:
    import imagecodecs  # noqa: PLC0415

    missing = [name for name in CODECS if not getattr(imagecodecs, name).available]
    if missing:
        detail = f"imagecodecs {imagecodecs.__version__} lacks {', '.join(missing)}; such slides are read more slowly"
        return Finding(part="decoders", state="absent", detail=detail)
    return Finding(part="decoders", state="ok", detail=f"imagecodecs {imagecodecs.__version__}: {', '.join(CODECS)}")


def _runtime(model: Path) -> Iterator[Finding]:
    """Run the model on each device that the installed runtime supports."""
    versions = runtime_versions()
    detail = ", ".join(f"{name} {version}" for name, version in versions.items()) or "not installed"
    if len(versions) > 1:
        yield Finding(part="runtime", state="broken", detail=BOTH_RUNTIMES)
    else:
        yield Finding(part="runtime", state="ok" if versions else "broken", detail=detail)
    try:
        providers = available_providers()
        yield Finding(part="model on cpu", state="ok", detail=_run(model, "cpu"))
    except SignetscanError as error:
        yield Finding(part="model on cpu", state="broken", detail=str(error))
        return
    devices: tuple[tuple[Device, str], ...] = (("cuda", CUDA_PROVIDER), ("tensorrt", TENSORRT_PROVIDER))
    for device, provider in devices:
        if provider not in providers:
            continue
        try:
            yield Finding(part=f"model on {device}", state="ok", detail=_run(model, device))
        except SignetscanError as error:
            # TensorRT is optional, but a GPU build of the runtime that cannot use the GPU is a mistake.
            state: State = "broken" if device == "cuda" else "absent"
            yield Finding(part=f"model on {device}", state=state, detail=str(error))


def _run(model: Path, device: Device) -> str:
    detector = load_detector(model, device=device)
    noise = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    (candidates,) = detector.detect(noise, 0.0)
    return (
        f"{detector.spec.name} ran on {detector.runs_on.name} and gave {len(candidates)} candidates on noise; "
        f"what it learnt from: {detector.spec.learnt_from}"
    )


def _gpu() -> Finding:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Finding(part="gpu", state="absent", detail="no NVIDIA driver on this machine (nvidia-smi is missing)")
    query = "--query-gpu=name,driver_version,memory.total"
    process = subprocess.run([tool, query, "--format=csv,noheader"], capture_output=True, text=True, check=False)  # noqa: S603
    if process.returncode != 0:
        output = (process.stdout + process.stderr).strip()
        return Finding(part="gpu", state="absent", detail=f"nvidia-smi: {output[:200]}")
    return Finding(part="gpu", state="ok", detail="; ".join(process.stdout.strip().splitlines()))


def _disk(out: Path) -> Finding:
    free = free_bytes(out) / 1e9
    state: State = "ok" if free >= LOW_DISK_GB else "broken"
    return Finding(part="disk", state=state, detail=f"{free:.0f} GB free for results in {out}")
