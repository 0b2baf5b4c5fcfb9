"""Write the files of one segmented slide."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from signetscan.formats.class_areas import ClassArea, write_class_areas
from signetscan.formats.regions import write_regions
from signetscan.formats.result_files import RECORD_SUFFIX, SUFFIXES, add_suffix
from signetscan.results.record_parts import RegionsRecord, ResultFile
from signetscan.results.run_record import record_of_scan, write_run_record
from signetscan.results.writing import remove_results
from signetscan.scan.fields import Field, find_fields
from signetscan.scan.regions import regions_of
from signetscan.slides import qupath_origin
from signetscan.slides.fingerprint import UNKNOWN, FileIdentity
from signetscan.slides.protocol import known_mpp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from signetscan.models.segmentation_spec import SegmentationSpec
    from signetscan.models.segmenter import Segmenter
    from signetscan.results.run_record import RunRecord
    from signetscan.scan.segment import SegmentationResult
    from signetscan.slides import Slide

SCORE_DECIMALS = 4
"""Slide scores are rounded to 0.0001."""


def write_segmentation(
    target: Path,
    slide: Slide,
    segmenter: Segmenter,
    result: SegmentationResult,
    *,
    key: str = "",
    crop_to_bounds: bool = True,
    identity: FileIdentity = UNKNOWN,
) -> RunRecord:
    """Write NAME.geojson, the regions, NAME.csv, the areas, and, last, NAME.run.json, which vouches for both.

    Args:
        target: path of the files without their suffixes, in an existing folder.
        slide: the slide.
        segmenter: the model that was used.
        result: the result of the scan.
        key: the key of the run, from `run_key`.
        crop_to_bounds: whether GeoJSON coordinates count from the slide's bounds, to which QuPath crops by default,
            or from the corner of level 0. It matters only for slides that declare bounds.
        identity: what tells the slide's files from others, for later runs; unknown by default.

    Returns:
        The run record.

    Raises:
        OutputError: a file cannot be written.
    """
    remove_results(target)
    spec, origin = segmenter.spec, qupath_origin(slide, crop_to_bounds=crop_to_bounds)
    paths = {name: add_suffix(target, SUFFIXES[name]) for name in ("geojson", "csv")}
    labels = [label for label in range(len(spec.class_names)) if label != spec.background]
    counts = write_regions(
        paths["geojson"],
        regions_of(result.class_map, labels, result.options, slide.dimensions),
        spec.class_names,
        spec.class_colours,
        source=f"{slide.fingerprint}:{segmenter.sha256}",
        mpp=known_mpp(slide),
        origin=origin,
        about={"model": spec.name, "model_sha256": segmenter.sha256, "learnt_from": spec.training_data},
    )
    regions = regions_record(result, spec, counts)
    write_class_areas(paths["csv"], regions.classes)
    record = replace(
        record_of_scan(slide, segmenter, result, name=target.name, key=key, origin=origin, identity=identity),
        files={name: ResultFile.of(path) for name, path in paths.items()},
        regions=regions,
    )
    write_run_record(add_suffix(target, RECORD_SUFFIX), record)
    return record


def regions_record(result: SegmentationResult, spec: SegmentationSpec, counts: Mapping[int, int]) -> RegionsRecord:
    """What a run record says of a slide's regions; arguments as for `class_areas`."""
    score = result.slide_score
    return RegionsRecord(
        slide_score=None if score is None else round(score, SCORE_DECIMALS),
        classes=class_areas(result, spec, counts),
        background=spec.class_names[spec.background],
        scored=tuple(spec.class_names[label] for label in spec.slide_score.classes),
        top_share=spec.slide_score.top_share,
        fields=tuple(
            Field(x=round(field.x, 2), y=round(field.y, 2), probability=round(field.probability, SCORE_DECIMALS))
            for field in find_fields(result.class_map)
        ),
    )


def class_areas(result: SegmentationResult, spec: SegmentationSpec, counts: Mapping[int, int]) -> tuple[ClassArea, ...]:
    """The area of each class on a slide's map.

    Args:
        result: the result of the scan.
        spec: the model's contract.
        counts: the number of regions of each label that has any.
    """
    pixels = [result.tally.of_class(label) for label in range(len(spec.class_names))]
    total = max(sum(pixels), 1)
    return tuple(
        ClassArea(
            name=name,
            mm2=round(pixels[label] * result.class_map.pixel_mm2, 6),
            share=round(pixels[label] / total, 6),
            regions=counts.get(label, 0),
            colour=spec.class_colours[label],
        )
        for label, name in enumerate(spec.class_names)
    )
