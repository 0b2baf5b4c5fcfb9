"""From files of predictions and of truth to images that can be judged.

Frames: XML and CSV count from the corner of level 0; GeoJSON counts from the bounds that some slides declare, because
QuPath does. `signetscan detect` remarks where those lie in NAME.run.json, and what it remarks is added to GeoJSON here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations import Annotations, Meaning, Region, Unclassified, interpret, read_annotations
from signetscan.annotations.marks import in_any
from signetscan.boxes import centres
from signetscan.dataset import MPP, slide_of
from signetscan.dataset.qupath import remark_marks
from signetscan.dataset.remarks import Remarks
from signetscan.detections import Detections
from signetscan.errors import AnnotationError
from signetscan.evaluation.classes import chosen_objects
from signetscan.evaluation.matching import ImageResult
from signetscan.evaluation.options import TruthOptions
from signetscan.evaluation.pairing import Pair, find_pairs, record_path
from signetscan.results.run_record import read_run_record
from signetscan.suffixes import ANNOTATION_SUFFIXES, suffix_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.annotations import MarkedObjects


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultSet:
    """Images to judge, read from files."""

    results: tuple[ImageResult, ...]
    """One entry an image, or a region of a slide."""
    class_name: str
    """The class that was chosen; empty if every object was taken."""
    notes: tuple[str, ...]
    """What was left out, missing or taken for granted; one line for each kind, with counts and names."""


def read_results(predictions: Path, truth: Path, options: TruthOptions | None = None) -> ResultSet:
    """Read predictions and truth, and pair them.

    What a person rejected is no cell; what lies in an ignored area of the truth counts neither as a cell nor as a
    false positive (`signetscan.annotations.marks`).

    Args:
        predictions: a file (GeoJSON, CSV or XML), or a folder of them.
        truth: the same, or a folder in the layout of DigestPath 2019. Files are paired by name without suffix.
        options: how. The class is by default the only one there is.

    Returns:
        The images: a slide with regions gives one for each region, other files give one each. A file without any
        cell is of a normal image. Where predictions are missing nothing was found.

    Raises:
        AnnotationError: a file cannot be used, or the two do not fit together; the message says which and why.
    """
    options = options or TruthOptions()
    remarks = Remarks()
    pairs = find_pairs(predictions, truth, remarks, full_truth=options.full_truth)
    read = [read_pair(pair, remarks, truth_in_level0=options.truth_origin == "level0") for pair in pairs.found]
    for pair, (_, marked) in zip(pairs.found, read, strict=True):
        remark_marks(marked, pair.truth_name, remarks)
    predicted, cells, chosen = chosen_objects(
        [marked.cells for marked, _ in read], [marked.cells for _, marked in read], options.class_name, pairs, remarks
    )
    results: list[ImageResult] = []
    for pair, of_pair, true, (_, marked) in zip(pairs.found, predicted, cells, read, strict=True):
        detections = Detections.empty()
        if pair.predictions is not None:
            detections = detections_of(pair.predictions, of_pair, remarks)
            detections = outside_of(marked.ignored, detections, pair.predictions.name, remarks)
        boxes = true.boxes[with_area(pair.truth_name, true, remarks)]
        normal = pair.normal if pairs.is_digestpath else not len(true)
        results += images_of_pair(pair, detections, boxes, marked.regions, remarks, normal=normal)
    return ResultSet(results=tuple(results), class_name=chosen, notes=remarks.lines())


def outside_of(ignored: Sequence[Region], detections: Detections, file: str, remarks: Remarks) -> Detections:
    """The detections whose centre lies in no ignored area: nobody can say whether the others are right."""
    inside = in_any(ignored, centres(detections.boxes))
    remarks.add("Predictions left out, in ignored areas", file, int(inside.sum()))
    return detections.select(~inside)


def images_of(
    detections: Detections, cells: NDArray[np.float64], regions: Sequence[Region], *, slide: str
) -> list[ImageResult]:
    """Each region of a slide as an image of its own: it holds the boxes whose centre lies in it.

    Args:
        detections: of the whole slide, in the frame of the regions.
        cells: (N, 4), the slide's cells in the same frame.
        regions: the parts that were looked through.
        slide: name of the slide.

    Raises:
        AnnotationError: a region that is declared normal holds a cell.
    """
    results = []
    for number, region in enumerate(regions, start=1):
        inside = region.holds(centres(cells))
        if region.normal and inside.any():
            x, y = region.box[:2]
            message = f"the normal region at ({x:g}, {y:g}) px holds {int(inside.sum())} cells; correct its class"
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
    """The images of a pair: its regions, or where it has none the whole, which may be a normal image.

    Raises:
        AnnotationError: a region that is declared normal holds a cell.
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


def read_pair(pair: Pair, remarks: Remarks, *, truth_in_level0: bool) -> tuple[MarkedObjects, MarkedObjects]:
    """Predictions and truth of one image, both in level-0 pixels, with the meaning of each object."""
    nothing = Annotations(boxes=np.empty((0, 4)), names=(), scores=np.empty(0), kinds=())
    predicted, true = (nothing if path is None else read_annotations(path) for path in (pair.predictions, pair.truth))
    for path, read in ((pair.predictions, predicted), (pair.truth, true)):
        for reason, count in read.left_out.items():
            remarks.add(f"Left out, being {reason}", "" if path is None else path.name, count)
    origins, moved = _origins(pair), Counter[tuple[float, float]]()
    if origins[0] != (0.0, 0.0) and _is_geojson(pair.predictions):
        predicted = predicted.moved(*origins[0])
        moved[origins[0]] += 1
    if origins[1] != (0.0, 0.0) and _is_geojson(pair.truth) and not truth_in_level0:
        true = true.moved(*origins[1])
        moved[origins[1]] += 1
    for x, y in moved:
        remarks.add(
            "GeoJSON taken to count from the slide's bounds, as the run record says",
            f"{pair.stem} from x {x:g}, y {y:g} px",
        )
    return _interpreted(pair, predicted, true, remarks)


def _interpreted(
    pair: Pair, predicted: Annotations, true: Annotations, remarks: Remarks
) -> tuple[MarkedObjects, MarkedObjects]:
    pixel_um = pixel_um_of(pair)
    both = [_with_solid_regions(interpret(read, pixel_um, Unclassified.REGION_IF_AROUND)) for read in (predicted, true)]
    for path, marked in zip((pair.predictions, pair.truth), both, strict=True):
        names = np.array([bool(name) for name in marked.annotations.names], np.bool_)
        unnamed = int((~names & marked.having(Meaning.POSITIVE_REGION)).sum())
        what = "Annotations without a class around objects that have one, taken for regions"
        remarks.add(what, "" if path is None else path.name, unnamed)
    if pair.predictions is not None:
        remarks.add("Regions in predictions not used", pair.predictions.name, len(both[0].regions))
        rejected = both[0].count(Meaning.REJECTED) + both[0].count(Meaning.IGNORED)
        remarks.add("Predictions left out, being rejected or ignored", pair.predictions.name, rejected)
    return both[0], both[1]


def _with_solid_regions(marked: MarkedObjects) -> MarkedObjects:
    """Without the regions that are points or lines, in which nothing can lie."""
    solid = tuple(
        region for region in marked.regions if region.box[0] < region.box[2] and region.box[1] < region.box[3]
    )
    return replace(marked, regions=solid)


def pixel_um_of(pair: Pair) -> tuple[float, float]:
    """Width and height of a level-0 pixel by the run record of either side, µm; without one, DigestPath's."""
    for path in (pair.predictions, pair.truth):
        if path is not None and record_path(path).exists():
            mpp = read_run_record(record_path(path)).slide.mpp
            return mpp.x, mpp.y
    return MPP, MPP


def _origins(pair: Pair) -> list[tuple[float, float]]:
    """What GeoJSON of the predictions and of the truth counts from, level-0 pixels.

    A run has a record; a reviewer's annotations, which have none, are of what the other side's says.
    """
    files = [path for path in (pair.predictions, pair.truth) if path is not None and record_path(path).exists()]
    recorded = {path: recorded_origin(path) for path in files}
    usual = next(iter(recorded.values()), (0.0, 0.0))
    return [usual if path is None else recorded.get(path, usual) for path in (pair.predictions, pair.truth)]


def _is_geojson(path: Path | None) -> bool:
    return path is not None and "json" in suffix_of(path.name, ANNOTATION_SUFFIXES)


def recorded_origin(predictions: Path) -> tuple[float, float]:
    """Where GeoJSON has its origin, as NAME.run.json beside a file of predictions says, level-0 pixels; else 0, 0.

    Raises:
        ResultError: the record is there and is damaged.
    """
    path = record_path(predictions)
    if not path.exists():
        return 0.0, 0.0
    x, y = read_run_record(path).geojson_origin
    return float(x), float(y)


def with_area(name: str, read: Annotations, remarks: Remarks) -> NDArray[np.bool_]:
    """Which objects have an area: no IoU can be told of a point."""
    solid = np.asarray((read.boxes[:, 2:] > read.boxes[:, :2]).all(axis=1))
    remarks.add("Objects without an area left out, such as points", name, int((~solid).sum()))
    return solid


def detections_of(path: Path, read: Annotations, remarks: Remarks) -> Detections:
    """The objects of a file as detections of one class; those without a score have 1.

    Raises:
        AnnotationError: a score is out of range.
    """
    solid = with_area(path.name, read, remarks)
    scores = read.scores[solid]
    missing = np.isnan(scores)
    remarks.add("Predictions without a score, taken for 1", path.name, int(missing.sum()))
    scores = np.where(missing, 1.0, scores)
    wrong = scores[(scores < 0) | (scores > 1)]
    if len(wrong):
        message = f"{path}: a score of {wrong[0]:g}; scores must be from 0 to 1"
        raise AnnotationError(message)
    return Detections(boxes=read.boxes[solid], scores=scores.astype(np.float32), labels=np.zeros(len(scores), np.int64))
