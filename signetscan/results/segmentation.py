"""Write the files of one segmented slide."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from signetscan.formats.class_areas import ClassArea
from signetscan.formats.region_writers import write_region_files
from signetscan.formats.regions import outlines_of, write_outlines
from signetscan.formats.result_files import (
    RECORD_SUFFIX,
    REGION_SUFFIXES,
    REPORT_SUFFIX,
    USUAL_REGION_FORMATS,
    add_suffix,
)
from signetscan.formats.segmented_slide import segmented_slide
from signetscan.results.record_parts import MapRecord, RegionsRecord, ResultFile
from signetscan.results.run_record import record_of_scan, write_run_record
from signetscan.results.writing import remove_each
from signetscan.scan.fields import Field, find_fields
from signetscan.slides.fingerprint import UNKNOWN, FileIdentity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from signetscan.formats.segmented_slide import SegmentedSlide
    from signetscan.models.segmentation_spec import SegmentationSpec
    from signetscan.models.segmenter import Segmenter
    from signetscan.results.run_record import RunRecord
    from signetscan.scan.segment import SegmentationResult
    from signetscan.slides import Slide
    from signetscan.slides.addresses import SlidePlace

SCORE_DECIMALS = 4
"""Slide scores are rounded to 0.0001."""


def write_segmentation(  # noqa: PLR0913 - the last four are for batches
    target: Path,
    slide: Slide,
    segmenter: Segmenter,
    result: SegmentationResult,
    *,
    key: str = "",
    crop_to_bounds: bool = True,
    formats: Sequence[str] = USUAL_REGION_FORMATS,
    slide_path: SlidePlace | None = None,
    identity: FileIdentity = UNKNOWN,
) -> RunRecord:
    """Write NAME.geojson, the regions, NAME.csv, the areas, or other formats and, last, NAME.run.json.

    Args:
        target: path of the files without their suffixes, in an existing folder.
        slide: the slide.
        segmenter: the model that was used.
        result: the result of the scan.
        key: the key of the run, from `run_key`.
        crop_to_bounds: whether GeoJSON coordinates count from the slide's bounds, to which QuPath crops by default,
            or from the corner of level 0. It matters only for slides that declare bounds.
        formats: names from `formats.result_files.REGION_SUFFIXES`.
        slide_path: the slide's file or address, to which DICOM segmentations refer.
        identity: what tells the slide's files from others, for later runs; unknown by default.

    Returns:
        The run record, which vouches for the other files.

    Raises:
        OutputError: a file cannot be written.
    """
    remove_each(target, (RECORD_SUFFIX, REPORT_SUFFIX, *REGION_SUFFIXES.values()))
    segmented = segmented_slide(target.name, slide, segmenter, result, path=slide_path, crop_to_bounds=crop_to_bounds)
    outlines = {"geojson": add_suffix(target, REGION_SUFFIXES["geojson"])} if "geojson" in formats else {}
    counts = write_outlines(outlines["geojson"], segmented) if outlines else _count(segmented)
    regions = regions_record(result, segmenter.spec, counts)
    others = [name for name in formats if name not in outlines]
    written, unfit = write_region_files(target, others, replace(segmented, areas=regions.classes))
    record = replace(
        record_of_scan(slide, segmenter, result, name=target.name, key=key, origin=segmented.origin, identity=identity),
        files={name: ResultFile.of(path) for name, path in (outlines | written).items()},
        unfit=unfit,
        regions=regions,
    )
    write_run_record(add_suffix(target, RECORD_SUFFIX), record)
    return record


def _count(segmented: SegmentedSlide) -> dict[int, int]:
    """The number of regions of each label that has any."""
    counts: Counter[int] = Counter()
    for some in outlines_of(segmented):
        counts.update(some.labels.tolist())
    return dict(counts)


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
        map=MapRecord.of(result.class_map),
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
