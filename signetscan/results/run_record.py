"""The record of a run: what was done to which slide with what, written last, beside the results."""

from __future__ import annotations

import hashlib
import json
import platform
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

from signetscan import __version__
from signetscan.atomic import atomic_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from signetscan.models.detector import Detector
    from signetscan.scan.detect import DetectOptions, SlideResult
    from signetscan.scan.roi import Roi
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


WITHOUT_EFFECT = ("batch_size", "readers")
"""Options that change no result."""
MOST_BYTES = 1 << 24
"""A record is some kilobytes; each place that could not be read adds a line."""


def run_key(
    slide: Slide,
    size: int,
    detector: Detector,
    options: DetectOptions,
    *,
    crop_to_bounds: bool,
    roi: Roi | None = None,
) -> str:
    """A text that is the same for runs whose results are: of the same slide, model and options.

    Args:
        slide: the slide.
        size: bytes of its file. OpenSlide's fingerprint is of the overview alone.
        detector: the model.
        options: how it is scanned.
        crop_to_bounds: what GeoJSON counts from.
        roi: what it keeps to.
    """
    chosen = {name: value for name, value in asdict(options).items() if name not in WITHOUT_EFFECT}
    mpp = None if slide.mpp is None else (slide.mpp.x, slide.mpp.y)
    parts = [SCHEMA, slide.fingerprint, size, mpp, detector.sha256, chosen, crop_to_bounds]
    if roi is not None:
        parts.append(roi.digest)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def finished_record(path: Path, key: str) -> dict[str, Any] | None:
    """The record of a run that is done: it has the key, and the files that it names are there, as long as it says."""
    record = read_record(path)
    if record is None or record.get("key") != key:
        return None
    try:
        files = record["files"].values()
        whole = all(path.with_name(str(file["name"])).stat().st_size == file["bytes"] for file in files)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None  # a file is gone, or the record is of another version
    return record if whole else None


def read_record(path: Path) -> dict[str, Any] | None:
    """What a record says, or None where there is none that can be read."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        record = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def run_record(
    slide: Slide,
    detector: Detector,
    result: SlideResult,
    *,
    name: str,
    key: str,
    origin: tuple[int, int],
) -> dict[str, Any]:
    """The record of one slide, but for its `files`, which are added when they are written.

    Args:
        slide: the slide.
        detector: the model.
        result: what the scan gave.
        name: what the slide is called in results.
        key: what `run_key` gave.
        origin: the point taken as (0, 0) in the GeoJSON file, level-0 pixels.
    """
    mpp, bounds, roi = slide.mpp, slide.bounds, result.roi
    names = detector.spec.class_names
    counts = Counter(names[label] for label in result.detections.labels.tolist())
    return {
        "schema": SCHEMA,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"signetscan": __version__, "python": platform.python_version(), **_library_versions()},
        "key": key,
        "slide": {
            "name": name,
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
        "roi": None if roi is None else {"outlines": len(roi.regions), "digest": roi.digest},
        "geojson_origin_px": list(origin),
        "tiles": {"grid": result.tiles, "scanned": result.tiles_scanned},
        "unread_mm2": round(result.unread_mm2, 6),
        "unread_px": [[round(edge, 2) for edge in place] for place in result.unread],
        "tissue_mm2": None if result.tissue_mm2 is None else round(result.tissue_mm2, 4),
        "detections": {name: counts[name] for name in names},
        "seconds": {stage: round(seconds, 3) for stage, seconds in result.seconds.items()},
    }


def files_of(paths: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """What a record says of the result files, by format."""
    return {name: {"name": path.name, "bytes": path.stat().st_size} for name, path in paths.items()}


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
