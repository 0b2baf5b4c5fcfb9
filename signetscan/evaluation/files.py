"""From files of predictions and of truth to images that can be judged.

Frames: XML and CSV count from the corner of level 0; GeoJSON counts from the bounds that some slides declare, because
QuPath does. `signetscan detect` notes where those lie in NAME.run.json, and what it notes is added to GeoJSON here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations import Annotations, Region, ending_of, read_annotations
from signetscan.boxes import centres
from signetscan.dataset import slide_of
from signetscan.dataset.notes import Notes
from signetscan.dataset.qupath import NORMAL_NAMES, POSITIVE_NAMES
from signetscan.detections import Detections
from signetscan.errors import AnnotationError
from signetscan.evaluation.classes import chosen_objects
from signetscan.evaluation.matching import ImageResult
from signetscan.evaluation.pairing import Pair, find_pairs, record_path
from signetscan.results.run_record import read_run_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultSet:
    """Images to judge, read from files."""

    results: tuple[ImageResult, ...]
    """One entry an image, or a region of a slide."""
    class_name: str
    """The class that was chosen; empty if every object was taken."""
    notes: tuple[str, ...]
    """What was left out, missing or taken for granted; one line for each kind, with counts and names."""


def read_results(
    predictions: Path,
    truth: Path,
    *,
    class_name: str | None = None,
    full_truth: bool = False,
    truth_in_level0: bool = False,
) -> ResultSet:
    """Read predictions and truth, and pair them.

    Args:
        predictions: a file (GeoJSON, CSV or XML), or a folder of them.
        truth: the same, or a folder in the layout of DigestPath 2019. Files are paired by name without ending.
        class_name: class of the objects that count, in any case; by default the only one there is.
        full_truth: whether to take a DigestPath folder's boxes from `truth/`, where the simulator keeps all of them.
        truth_in_level0: whether GeoJSON truth counts from level 0 rather than from the slide's bounds.

    Returns:
        The images: a slide with regions gives one for each region, other files give one each. A file without any
        object is of a normal image. Where predictions are missing nothing was found.

    Raises:
        AnnotationError: a file cannot be used, or the two do not fit together; the message says which and why.
    """
    notes = Notes()
    pairs = find_pairs(predictions, truth, notes, full_truth=full_truth)
    read = [read_pair(pair, notes, truth_in_level0=truth_in_level0) for pair in pairs.found]
    found, there, chosen = chosen_objects([one[0] for one in read], [one[1] for one in read], class_name, pairs, notes)
    results: list[ImageResult] = []
    for pair, predicted, true in zip(pairs.found, found, there, strict=True):
        detections = (
            Detections.empty() if pair.predictions is None else detections_of(pair.predictions, predicted, notes)
        )
        cells = true.boxes[with_area(pair.truth_name, true, notes)]
        normal = pair.normal if pairs.is_digestpath else not len(true)
        results += images_of_pair(pair, detections, cells, true.regions, notes, normal=normal)
    return ResultSet(results=tuple(results), class_name=chosen, notes=notes.lines())


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
    notes: Notes,
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
        outside = ~np.any([region.holds(centres(boxes)) for region in regions], axis=0)
        notes.add(f"{what} left out, outside all regions", file, int(outside.sum()))
    try:
        return images_of(detections, cells, regions, slide=slide)
    except AnnotationError as error:
        message = f"{pair.truth}: {error}"
        raise AnnotationError(message) from error


def read_pair(pair: Pair, notes: Notes, *, truth_in_level0: bool) -> tuple[Annotations, Annotations]:
    """Predictions and truth of one image, both in level-0 pixels."""
    nothing = Annotations(boxes=np.empty((0, 4)), names=(), scores=np.empty(0), kinds=())
    predicted, true = (
        nothing if path is None else _with_regions(path, read_annotations(path), notes)
        for path in (pair.predictions, pair.truth)
    )
    for path, read in ((pair.predictions, predicted), (pair.truth, true)):
        for reason, count in read.left_out.items():
            notes.add(f"Left out, being {reason}", "" if path is None else path.name, count)
    if pair.predictions is not None and predicted.regions:
        notes.add("Regions in predictions not used", pair.predictions.name, len(predicted.regions))
    origins, moved = _origins(pair), Counter[tuple[float, float]]()
    if origins[0] != (0.0, 0.0) and _is_geojson(pair.predictions):
        predicted = predicted.moved(*origins[0])
        moved[origins[0]] += 1
    if origins[1] != (0.0, 0.0) and _is_geojson(pair.truth) and not truth_in_level0:
        true = true.moved(*origins[1])
        moved[origins[1]] += 1
    for x, y in moved:
        notes.add(
            "GeoJSON taken to count from the slide's bounds, as the run record says",
            f"{pair.stem} from x {x:g}, y {y:g} px",
        )
    return predicted, true


def _with_regions(path: Path, read: Annotations, notes: Notes) -> Annotations:
    """A file's objects, with all annotations as regions that are regions in training data, of which the box counts.

    Those are of a few classes more than the reader takes, and those without a class around objects that have one.
    """
    known = POSITIVE_NAMES | NORMAL_NAMES
    names = [name.casefold() for name in read.names]
    inner = centres(read.boxes[np.array([name not in known | {""} for name in names], np.bool_)])
    regions, keep, unnamed = list(read.regions), np.ones(len(read), np.bool_), 0
    for index, (name, kind) in enumerate(zip(names, read.kinds, strict=True)):
        x0, y0, x1, y1 = read.boxes[index].tolist()
        if kind != "annotation" or name not in known | {""} or not (x0 < x1 and y0 < y1):
            continue
        region = Region(rings=(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]),), normal=name in NORMAL_NAMES)
        if name or region.holds(inner).any():
            regions.append(region)
            keep[index] = False
            unnamed += not name
    notes.add("Annotations without a class around objects that have one, taken for regions", path.name, unnamed)
    return replace(read.select(keep), regions=tuple(regions))


def _origins(pair: Pair) -> list[tuple[float, float]]:
    """What GeoJSON of the predictions and of the truth counts from, level-0 pixels.

    A run has a record; a reader's annotations, which have none, are of what the other side's says.
    """
    files = [path for path in (pair.predictions, pair.truth) if path is not None and record_path(path).exists()]
    recorded = {path: recorded_origin(path) for path in files}
    usual = next(iter(recorded.values()), (0.0, 0.0))
    return [usual if path is None else recorded.get(path, usual) for path in (pair.predictions, pair.truth)]


def _is_geojson(path: Path | None) -> bool:
    return path is not None and "json" in ending_of(path)


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


def with_area(name: str, read: Annotations, notes: Notes) -> NDArray[np.bool_]:
    """Which objects have an area: no IoU can be told of a point."""
    solid = np.asarray((read.boxes[:, 2:] > read.boxes[:, :2]).all(axis=1))
    notes.add("Objects without an area left out, such as points", name, int((~solid).sum()))
    return solid


def detections_of(path: Path, read: Annotations, notes: Notes) -> Detections:
    """The objects of a file as detections of one class; those without a score have 1.

    Raises:
        AnnotationError: a score is out of range.
    """
    solid = with_area(path.name, read, notes)
    scores = read.scores[solid]
    missing = np.isnan(scores)
    notes.add("Predictions without a score, taken for 1", path.name, int(missing.sum()))
    scores = np.where(missing, 1.0, scores)
    wrong = scores[(scores < 0) | (scores > 1)]
    if len(wrong):
        message = f"{path}: a score of {wrong[0]:g}; scores must be from 0 to 1"
        raise AnnotationError(message)
    return Detections(boxes=read.boxes[solid], scores=scores.astype(np.float32), labels=np.zeros(len(scores), np.int64))
