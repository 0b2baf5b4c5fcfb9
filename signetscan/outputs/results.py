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


def write_results(
    folder: Path, slide: Slide, detector: Detector, result: SlideResult, *, crop_to_bounds: bool = True
) -> dict[str, Path]:
    """Write NAME.geojson, NAME.csv and, last, NAME.run.json into a folder.

    Args:
        folder: an existing folder.
        slide: the slide, which gives the name.
        detector: the model that was used.
        result: what it found.
        crop_to_bounds: whether GeoJSON coordinates count from the slide's bounds, as QuPath shows it by default,
            or from level 0. It makes a difference only for slides that declare bounds.

    Returns:
        Path of each file, by format: geojson, csv, record.

    Raises:
        OutputError: a file cannot be written.
    """
    paths = {
        "geojson": folder / f"{slide.name}.geojson",
        "csv": folder / f"{slide.name}.csv",
        "record": folder / f"{slide.name}.run.json",
    }
    bounds = slide.bounds
    origin = (bounds.x, bounds.y) if bounds is not None and crop_to_bounds else (0, 0)
    source = f"{slide.fingerprint}:{detector.sha256}"
    names = detector.spec.class_names
    write_geojson(paths["geojson"], result.detections, names, source=source, origin=origin)
    write_csv(paths["csv"], result.detections, names, source=source, mpp=known_mpp(slide))
    files = {kind: path.name for kind, path in paths.items()}
    write_record(paths["record"], run_record(slide, detector, result, origin=origin, files=files))
    return paths
