"""Reading of predictions and truth from files, as images that can be evaluated.

Frames: XML and CSV count from the corner of level 0; GeoJSON counts from the bounds that some slides declare, as in
QuPath. `signetscan detect` records those bounds in NAME.run.json, and they are added to GeoJSON coordinates here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations import Annotations, Meaning, Region, Unclassified, interpret
from signetscan.annotations.marked_slide import check_marked_slide
from signetscan.annotations.objects import in_any, make_annotations, rectangle_ring
from signetscan.boxes import centres
from signetscan.dataset import MPP, slide_of
from signetscan.dataset.parsed import OTHERS_ONLY
from signetscan.dataset.qupath import remark_marks
from signetscan.dataset.remarks import Remarks, remark_reading
from signetscan.dataset.twice import first_of_each
from signetscan.detections import Detections
from signetscan.errors import AnnotationError
from signetscan.evaluation.classes import chosen_objects
from signetscan.evaluation.ignored import off_ignored, split_off
from signetscan.evaluation.matching import ImageResult
from signetscan.evaluation.options import TruthOptions
from signetscan.evaluation.pairing import Pair, find_pairs, record_path
from signetscan.evaluation.people import as_truth, outside_of
from signetscan.results.part_files import read_whole
from signetscan.results.run_record import read_run_record
from signetscan.suffixes import ANNOTATION_SUFFIXES, ANY_GEOJSON_SUFFIXES, suffix_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.annotations import MarkedObjects
    from signetscan.dataset.parsed import ImageObjects


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultSet:
    """Images to evaluate, read from files."""

    results: tuple[ImageResult, ...]
    """One entry for each image or region of a slide."""
    class_name: str
    """The class that was chosen; empty if every object counts."""
    notes: tuple[str, ...]
    """What was left out, missing or assumed; one line for each kind, with counts and names."""
    model_threshold: float | None = None
    """The score threshold of the model by the run records beside the predictions; None if they do not tell one."""


def read_results(predictions: Path, truth: Path, options: TruthOptions | None = None) -> ResultSet:
    """Read predictions and truth, and pair them.

    Rejected objects are no cells; objects in an ignored area of the truth count neither as cells nor as false positives
    (`signetscan.annotations.marks`).

    Args:
        predictions: a file (GeoJSON, CSV or XML), or a folder of them.
        truth: the same, or a folder in the layout of DigestPath 2019, YOLO or COCO, or a COCO file. Files are paired by
            name without suffix.
        options: class and frame of the truth. The class is by default the only one there is.

    Returns:
        The images: one for each region of a slide that has regions, and one for each other file. A file without any
        cell is of a normal image. An image without predictions has no detections.

    Raises:
        AnnotationError: a file cannot be used, or the two do not fit together; the message says which and why.
    """
    options = options or TruthOptions()
    remarks = Remarks()
    pairs = find_pairs(predictions, truth, remarks, full_truth=options.full_truth)
    read = [read_pair(pair, remarks, truth_in_level0=options.truth_origin == "level0") for pair in pairs.pairs]
    for pair, (predicted_marks, marked) in zip(pairs.pairs, read, strict=True):
        _remark_size(pair, predicted_marks.annotations.image_size, marked.annotations.image_size, remarks)
        remark_marks(marked, pair.truth_name, remarks)
    true, all_ignored = split_off([marked.cells for _, marked in read], options.ignore_classes, pairs.truth)
    all_predicted, all_cells, chosen = chosen_objects(
        [marked.cells for marked, _ in read], true, options.class_name, pairs, remarks
    )
    results: list[ImageResult] = []
    of_pairs = zip(pairs.pairs, all_predicted, all_cells, all_ignored, read, strict=True)
    for pair, predicted, cells, ignored, (_, marked) in of_pairs:
        detections = Detections.empty()
        if pair.predictions is not None:
            detections = detections_of(pair.predictions, predicted, remarks)
            detections = outside_of(marked, detections, pair.predictions.name, remarks)
        boxes = cells.boxes[with_area(pair.truth_name, cells, remarks)]
        first = first_of_each(boxes)
        remarks.add("Cells of the truth that were boxed twice, counted once", pair.truth_name, int((~first).sum()))
        file = "" if pair.predictions is None else pair.predictions.name
        detections = off_ignored(detections, ignored, boxes[first], file, remarks)
        # What is ignored may be a cell, so an image with it is not known to be normal.
        normal = not len(ignored) and _is_normal(pair, marked, cells, is_digestpath=pairs.is_digestpath)
        remarks.add(OTHERS_ONLY, pair.stem, int(normal and not pairs.is_digestpath and bool(len(marked.cells))))
        results += images_of_pair(pair, detections, boxes[first], marked.regions, remarks, normal=normal)
    return ResultSet(
        results=tuple(results),
        class_name=chosen,
        notes=remarks.lines(),
        model_threshold=_model_threshold([pair.predictions for pair in pairs.pairs if pair.predictions is not None]),
    )


def _model_threshold(predictions: Sequence[Path]) -> float | None:
    """The score threshold of the model that made all predictions; None if a run record is missing or they differ."""
    records = [record_path(path) for path in predictions]
    if not all(record.exists() for record in records):
        return None
    thresholds = {read_run_record(record).model.threshold for record in records}
    return thresholds.pop() if len(thresholds) == 1 else None


def _remark_size(pair: Pair, predicted: tuple[int, int] | None, true: tuple[int, int] | None, remarks: Remarks) -> None:
    """Remark on truth that was drawn on an image of another size, in pixels, than the predictions are of."""
    if true is not None and pair.predictions is not None and record_path(pair.predictions).exists():
        predicted = read_run_record(record_path(pair.predictions)).slide.dimensions
    if true is None or predicted is None or true == predicted:
        return
    kind = "Truth drawn on an image of another size than the predictions', so that no figure of it can be relied on"
    remarks.add(kind, f"{pair.stem} ({true[0]} x {true[1]} px, {predicted[0]} x {predicted[1]} px)")


def _is_normal(pair: Pair, marked: MarkedObjects, cells: Annotations, *, is_digestpath: bool) -> bool:
    """Whether an image has no cell. The folder decides in DigestPath's layout."""
    if is_digestpath:
        return pair.normal
    # Even a point without an area shows that there are cells, and so does an annotation that cannot be used.
    is_annotated = pair.objects is None or pair.normal or bool(pair.objects.names)
    return is_annotated and not len(cells) and not marked.count(Meaning.UNDECIDED)


def images_of(
    detections: Detections, cells: NDArray[np.float64], regions: Sequence[Region], *, slide: str
) -> list[ImageResult]:
    """Each region of a slide as an image, with the boxes whose centre lies in it.

    Args:
        detections: detections of the whole slide, in the frame of the regions.
        cells: (N, 4), the slide's cells in the same frame.
        regions: the annotated parts of the slide.
        slide: name of the slide.

    Raises:
        AnnotationError: there is a cell in a normal region.
    """
    results = []
    for number, region in enumerate(regions, start=1):
        inside = region.holds(centres(cells))
        if region.normal and inside.any():
            x, y = region.box[:2]
            message = f"the normal region at ({x:g}, {y:g}) px has cells in it: {int(inside.sum())}; correct its class"
            raise AnnotationError(message)
        results.append(
            ImageResult(
                detections=detections.select(region.holds(centres(detections.boxes))),
                truth=cells[inside],
                normal=region.normal,
                name=f"{slide}, region {number}",
                slide=slide,
            )
        )
    return results


def images_of_pair(
    pair: Pair,
    detections: Detections,
    cells: NDArray[np.float64],
    regions: Sequence[Region],
    remarks: Remarks,
    *,
    normal: bool,
) -> list[ImageResult]:
    """The images of a pair: its regions, or if it has none the whole, which may be a normal image.

    Raises:
        AnnotationError: there is a cell in a normal region.
    """
    slide = slide_of(pair.stem)
    if not regions:
        return [ImageResult(detections=detections, truth=cells, normal=normal, name=pair.stem, slide=slide)]
    predictions = "" if pair.predictions is None else pair.predictions.name
    for what, boxes, file in (
        ("Predictions", detections.boxes, predictions),
        ("Cells of the truth", cells, pair.truth_name),
    ):
        outside = ~in_any(regions, centres(boxes))
        remarks.add(f"{what} left out, outside all regions", file, int(outside.sum()))
    try:
        return images_of(detections, cells, regions, slide=slide)
    except AnnotationError as error:
        message = f"{pair.truth}: {error}"
        raise AnnotationError(message) from error


def read_pair(
    pair: Pair, remarks: Remarks, *, truth_in_level0: bool, of_meaning: Remarks | None = None
) -> tuple[MarkedObjects, MarkedObjects]:
    """Predictions and truth of one image, both in level-0 pixels, with the meaning of each object.

    Args:
        pair: the files.
        remarks: collects what was left out and assumed in reading.
        truth_in_level0: whether GeoJSON of the truth counts from level 0.
        of_meaning: collects what is left out by its meaning; `remarks` by default.
    """
    _check_same_slide(pair)
    nothing = make_annotations([], [], [])
    predicted = nothing if pair.predictions is None else read_whole(pair.predictions)
    true = nothing if pair.truth is None else _true_objects(pair.truth, pair.objects)
    for path, parsed in ((pair.predictions, predicted), (pair.truth, true)):
        remark_reading(parsed, "" if path is None else path.name, remarks)
    predicted_origin, true_origin = _origins(pair)
    moved: list[tuple[float, float]] = []
    if predicted_origin != (0.0, 0.0) and _is_geojson(pair.predictions):
        predicted = predicted.moved(*predicted_origin)
        moved.append(predicted_origin)
    in_level0 = truth_in_level0 or pair.objects is not None
    if true_origin != (0.0, 0.0) and _is_geojson(pair.truth) and not in_level0:
        true = true.moved(*true_origin)
        moved.append(true_origin)
    for x, y in dict.fromkeys(moved):  # one remark, if both sides count from the same corner
        remarks.add(
            "GeoJSON read as counting from the slide's bounds, by the run record",
            f"{pair.stem} from x {x:g}, y {y:g} px",
        )
    return _interpreted(pair, predicted, true, remarks if of_meaning is None else of_meaning)


def _true_objects(file: Path, objects: ImageObjects | None) -> Annotations:
    """The objects of an image's truth; those that are known are not read again."""
    if objects is None:
        return read_whole(file)
    boxes, names = objects.boxes.tolist(), objects.names
    return replace(make_annotations(boxes, names, [np.nan] * len(names)), image_size=objects.drawn_on)


def _check_same_slide(pair: Pair) -> None:
    """Check that the two files of a pair are of one slide, by their run records and by what marks say.

    Raises:
        AnnotationError: they are not.
        ResultError: a run record is damaged.
    """
    files = [path for path in (pair.predictions, pair.truth) if path is not None]
    recorded = {path: record_path(path) for path in files if record_path(path).exists()}
    fingerprints = {path: read_run_record(record).slide.fingerprint for path, record in recorded.items()}
    if len(set(fingerprints.values())) > 1:
        message = (
            f"{pair.predictions} and {pair.truth} are of different slides, by their run records; compare results of "
            "the same slides"
        )
        raise AnnotationError(message)
    for path in files if fingerprints else ():
        if _is_geojson(path) and (path == pair.truth or path not in recorded):
            check_marked_slide(path, next(iter(fingerprints.values())))


def _interpreted(
    pair: Pair, predicted: Annotations, true: Annotations, remarks: Remarks
) -> tuple[MarkedObjects, MarkedObjects]:
    pixel_um = pixel_um_of(pair)
    marked_predictions, marked_truth = (
        _with_solid_regions(interpret(annotations, pixel_um, Unclassified.REGION_IF_AROUND))
        for annotations in (predicted, true)
    )
    for path, marked in ((pair.predictions, marked_predictions), (pair.truth, marked_truth)):
        has_name = np.array([bool(name) for name in marked.annotations.names], np.bool_)
        unnamed = int((~has_name & marked.having(Meaning.POSITIVE_REGION)).sum())
        kind = "Annotations without a class around objects that have one, taken for regions"
        remarks.add(kind, "" if path is None else path.name, unnamed)
    if pair.predictions is not None:
        remarks.add("Regions in predictions not used", pair.predictions.name, len(marked_predictions.regions))
        rejected = marked_predictions.count(Meaning.REJECTED) + marked_predictions.count(Meaning.IGNORED)
        remarks.add("Predictions left out, being rejected or ignored", pair.predictions.name, rejected)
    if pair.objects is not None:
        areas = (Region(rings=(rectangle_ring(box),), normal=False) for box in pair.objects.ignored)
        marked_truth = replace(marked_truth, ignored=(*marked_truth.ignored, *areas))
    return marked_predictions, as_truth(marked_truth, pixel_um, pair.truth_name, remarks)


def _with_solid_regions(marked: MarkedObjects) -> MarkedObjects:
    """The same without regions that are points or lines, which cannot contain anything."""
    solid = tuple(
        region for region in marked.regions if region.box[0] < region.box[2] and region.box[1] < region.box[3]
    )
    return replace(marked, regions=solid)


def pixel_um_of(pair: Pair) -> tuple[float, float]:
    """Width and height of a level-0 pixel, µm, from the run record of either side; without one, DigestPath's."""
    for path in (pair.predictions, pair.truth):
        if path is not None and record_path(path).exists():
            mpp = read_run_record(record_path(path)).slide.mpp
            return mpp.x, mpp.y
    return MPP, MPP


def _origins(pair: Pair) -> list[tuple[float, float]]:
    """Origins of GeoJSON coordinates of the predictions and of the truth, level-0 pixels.

    A reviewer's annotations have no run record; they are of the same slide, so the other side's record counts.
    """
    files = [path for path in (pair.predictions, pair.truth) if path is not None and record_path(path).exists()]
    recorded = {path: recorded_origin(path) for path in files}
    default = next(iter(recorded.values()), (0.0, 0.0))
    return [default if path is None else recorded.get(path, default) for path in (pair.predictions, pair.truth)]


def _is_geojson(path: Path | None) -> bool:
    return path is not None and suffix_of(path.name, ANNOTATION_SUFFIXES) in ANY_GEOJSON_SUFFIXES


def recorded_origin(predictions: Path) -> tuple[float, float]:
    """Origin of GeoJSON coordinates by NAME.run.json beside a file of predictions, level-0 pixels; else 0, 0.

    Raises:
        ResultError: the run record is damaged.
    """
    path = record_path(predictions)
    if not path.exists():
        return 0.0, 0.0
    x, y = read_run_record(path).geojson_origin
    return float(x), float(y)


def with_area(name: str, annotations: Annotations, remarks: Remarks) -> NDArray[np.bool_]:
    """Which objects have an area; a point has no IoU."""
    solid = np.asarray((annotations.boxes[:, 2:] > annotations.boxes[:, :2]).all(axis=1))
    remarks.add("Objects without an area left out, such as points", name, int((~solid).sum()))
    return solid


def detections_of(path: Path, annotations: Annotations, remarks: Remarks) -> Detections:
    """The objects of a file as detections of one class; those without a score get 1.

    Raises:
        AnnotationError: a score is out of range.
    """
    solid = with_area(path.name, annotations, remarks)
    scores = annotations.scores[solid]
    missing = np.isnan(scores)
    remarks.add("Predictions without a score, taken for 1", path.name, int(missing.sum()))
    scores = np.where(missing, 1.0, scores)
    wrong = scores[(scores < 0) | (scores > 1)]
    if len(wrong):
        message = f"{path}: a score of {wrong[0]:g}; scores must be from 0 to 1"
        raise AnnotationError(message)
    return Detections(
        boxes=annotations.boxes[solid], scores=scores.astype(np.float32), labels=np.zeros(len(scores), np.int64)
    )
