"""The files of one scanned slide, written together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.outputs.geojson import write_geojson
from signetscan.outputs.run_record import run_record, write_record
from signetscan.outputs.table import write_csv
from signetscan.slides.mpp import known_mpp

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.detect import SlideResult
    from signetscan.inference import Detector
    from signetscan.slides import Slide


def result_paths(target: Path) -> dict[str, Path]:
    """Path of each file of a slide, by format: geojson, csv, record. `target` is theirs without the ending."""
    endings = {"geojson": "geojson", "csv": "csv", "record": "run.json"}
    return {kind: target.with_name(f"{target.name}.{ending}") for kind, ending in endings.items()}


def write_results(
    target: Path, slide: Slide, detector: Detector, result: SlideResult, *, key: str = "", crop_to_bounds: bool = True
) -> dict[str, Path]:
    """Write NAME.geojson, NAME.csv and, last, NAME.run.json, which says that the others are whole.

    Args:
        target: path of the files without their endings, in an existing folder.
        slide: the slide.
        detector: the model that was used.
        result: what it found.
        key: what `run_key` gave for this run.
        crop_to_bounds: whether GeoJSON coordinates count from the slide's bounds, as QuPath shows it by default,
            or from level 0. It makes a difference only for slides that declare bounds.

    Returns:
        Path of each file, by format: geojson, csv, record.

    Raises:
        OutputError: a file cannot be written.
    """
    paths = result_paths(target)
    bounds = slide.bounds
    origin = (bounds.x, bounds.y) if bounds is not None and crop_to_bounds else (0, 0)
    source = f"{slide.fingerprint}:{detector.sha256}"
    names = detector.spec.class_names
    paths["record"].unlink(missing_ok=True)  # from here to the end no record vouches for the other files
    write_geojson(paths["geojson"], result.detections, names, source=source, origin=origin)
    write_csv(paths["csv"], result.detections, names, source=source, mpp=known_mpp(slide))
    record = run_record(slide, detector, result, name=target.name, key=key, origin=origin, paths=paths)
    write_record(paths["record"], record)
    return paths
