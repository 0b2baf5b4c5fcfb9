"""Folders of results for tests of the workspace."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from conftest import BlobDetector
from served_viewer import SAMPLE, sample_cells

from signetscan.formats.class_areas import ClassArea
from signetscan.formats.result_files import RECORD_SUFFIX, REGIONS, add_suffix
from signetscan.results.failures import write_failure
from signetscan.results.record_parts import RegionsRecord, ResultFile
from signetscan.results.run_record import read_run_record, write_run_record
from signetscan.results.writing import write_results
from signetscan.scan.detect import SlideResult
from signetscan.scan.options import ScanOptions
from signetscan.slides import open_slide
from signetscan.slides.fingerprint import FileIdentity
from signetscan.slides.opening import content_now

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from signetscan.detections import Detections


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where results and slides are."""

    results: Path
    slides: Path


NAMES = ("a", "b", "ward/c")
"""The slides that have results. All are the sample slide; the first has the most detections."""


def make_folders(root: Path, names: Sequence[str] = NAMES, missing: Sequence[str] = ()) -> Folders:
    """Results of slides, and one that failed.

    Args:
        root: an empty folder.
        names: the slides, with "/" between folders.
        missing: those of them whose files are not among the slides.
    """
    folders = Folders(results=root / "results", slides=root / "slides")
    content = content_now(SAMPLE)
    for place, name in enumerate(names):
        found = sample_cells()
        write_result(folders.results / name, found.select(np.arange(len(found)) >= 3 * place), content=content)
        slide = folders.slides / f"{name}.svs"
        slide.parent.mkdir(parents=True, exist_ok=True)
        if name not in missing:
            shutil.copy(SAMPLE, slide)
    write_failure(folders.results, "bad", "/patients/bad.svs: not a slide", attempts=2)
    return folders


def write_result(target: Path, found: Detections, *, content: str = "", place: str = "somewhere") -> None:
    """The results of the sample slide, with these detections."""
    detector = BlobDetector()
    result = SlideResult(
        detections=found, options=ScanOptions().resolve(detector), tiles=1, tiles_scanned=1, tissue_mm2=0.5
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    with open_slide(SAMPLE) as slide:
        write_results(target, slide, detector, result, identity=FileIdentity(content=content, place=place))


def write_segmentation_of(target: Path, features: str, names: Sequence[str] = ("Tumour", "Stroma")) -> None:
    """Results of a segmentation beside those of detection.

    Args:
        target: path of the results of detection, without suffix.
        features: the GeoJSON file.
        names: the classes.
    """
    record = read_run_record(add_suffix(target, RECORD_SUFFIX))
    regions = target.with_name(f"{target.name}{REGIONS}")
    file = regions.with_name(f"{regions.name}.geojson")
    file.write_text(features)
    areas = tuple(ClassArea(name=name, mm2=0.2, share=0.4, regions=1) for name in names)
    changed = replace(
        record,
        files={"geojson": ResultFile.of(file)},
        regions=RegionsRecord(slide_score=0.75, classes=areas),
        detections={},
    )
    write_run_record(add_suffix(regions, RECORD_SUFFIX), changed)
