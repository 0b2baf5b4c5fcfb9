"""The record of a run: what was done to which slide with what, written last, beside the results."""

from __future__ import annotations

import json
import platform
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

from signetscan import __version__
from signetscan.outputs.atomic import atomic_text

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.detect import SlideResult
    from signetscan.inference import Detector
    from signetscan.slides import Slide

SCHEMA = 1
"""Version of the record's layout."""

LIBRARIES = (
    "imagecodecs",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "openslide-bin",
    "openslide-python",
    "scikit-image",
    "tifffile",
)


def run_record(
    slide: Slide, detector: Detector, result: SlideResult, *, origin: tuple[int, int], files: dict[str, str]
) -> dict[str, Any]:
    """The record of one slide.

    Args:
        slide: the slide.
        detector: the model.
        result: what the scan gave.
        origin: the point taken as (0, 0) in the GeoJSON file, level-0 pixels.
        files: name of each result file, by format.
    """
    mpp, bounds = slide.mpp, slide.bounds
    names = detector.spec.class_names
    counts = Counter(names[label] for label in result.detections.labels.tolist())
    return {
        "schema": SCHEMA,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"signetscan": __version__, "python": platform.python_version(), **_library_versions()},
        "slide": {
            "name": slide.name,
            "format": slide.format_name,
            "decoder": slide.decoder,
            "fingerprint": slide.fingerprint,
            "width_px": slide.dimensions[0],
            "height_px": slide.dimensions[1],
            "mpp": None if mpp is None else {"x": mpp.x, "y": mpp.y, "source": mpp.source},
            "bounds": None if bounds is None else asdict(bounds),
        },
        "model": {
            "name": detector.spec.name,
            "sha256": detector.sha256,
            "precision": detector.spec.precision,
            "mpp": detector.spec.mpp,
            "classes": list(names),
            "intended_use": detector.spec.intended_use,
        },
        "provider": detector.provider,
        "options": asdict(result.options),
        "geojson_origin_px": list(origin),
        "tiles": {"grid": result.tiles, "scanned": result.tiles_scanned},
        "tissue_mm2": None if result.tissue_mm2 is None else round(result.tissue_mm2, 4),
        "detections": {name: counts[name] for name in names},
        "seconds": {stage: round(seconds, 3) for stage, seconds in result.seconds.items()},
        "files": files,
    }


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a record as JSON.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_text(path) as file:
        json.dump(record, file, indent=2, allow_nan=False)
        file.write("\n")


def _library_versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
