"""Segmenting the tissue of one slide: takes a slide and a segmenter, gives a map of classes."""

from __future__ import annotations

import math
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.scan.class_map import FIRST_CLASS, NOT_SCANNED, UNREAD, empty_map, tally
from signetscan.scan.options import SegmentOptions
from signetscan.scan.pipeline import ScanResult, check_damage, damage_of, run_on_tiles, unread_boxes, unread_mm2
from signetscan.scan.plan import plan_scan
from signetscan.slides import SlideAtMpp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.boxes import Box
    from signetscan.models.segmentation_spec import SegmentationSpec
    from signetscan.models.segmenter import Segmenter
    from signetscan.scan.class_map import ClassMap, MapTally
    from signetscan.scan.damage import Damage
    from signetscan.scan.options import ResolvedSegmentOptions
    from signetscan.scan.pipeline import Progress
    from signetscan.scan.roi import Roi
    from signetscan.scan.tiling import Tile
    from signetscan.scan.tissue import TissueMask
    from signetscan.slides import Slide


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentationResult(ScanResult):
    """The classes of a slide's tissue, and how the scan went."""

    options: ResolvedSegmentOptions
    """The options in force."""
    class_map: ClassMap
    """The class of each place."""
    tally: MapTally
    """How many pixels of the map have which class."""
    slide_score: float | None
    """The slide's score, 0 to 1, as the model's `SlideScore` says; None if no tissue was scanned."""


def segment_slide(
    slide: Slide,
    segmenter: Segmenter,
    options: SegmentOptions | None = None,
    *,
    roi: Roi | None = None,
    folder: Path | None = None,
    on_progress: Progress | None = None,
) -> SegmentationResult:
    """Segment the tissue of a slide.

    Every place of the tissue gets a class from the one tile that owns it, and nothing is blended. So the result does
    not depend on batch size, number of threads or timing; nor on the size of the tiles, if the model's margin is as
    wide as what a place of its output depends on.

    Args:
        slide: the slide; its mpp must be known.
        segmenter: the model.
        options: how to scan.
        roi: keep to this region of interest.
        folder: where the files of the map are, which have no names; the system's folder for temporary files if None.
        on_progress: called with (tiles done, tiles to scan) after each batch.

    Raises:
        MppError: the slide's pixel size is unknown, or does not fit the model.
        SlideError: pixels cannot be decoded.
        ModelError: the model breaks its contract.
        OptionError: the tiles are too small for the model's margin.
        OutputError: there is no room for the map.
    """
    started = time.perf_counter()
    spec = segmenter.spec
    resolved = (options or SegmentOptions()).resolve(segmenter)
    view = SlideAtMpp(slide, spec.mpp)
    cut = resolved.cut(spec)
    plan = plan_scan(view, cut, resolved, roi)
    width, height = cut.plane(*view.dimensions)
    step = spec.output_stride
    class_map = empty_map(
        (height // step, width // step),
        pixel=(view.scale[0] * step, view.scale[1] * step),
        pixel_um=(view.pixel_um[0] * step, view.pixel_um[1] * step),
        folder=folder,
    )
    planned = time.perf_counter()
    damage = damage_of(view, plan)
    found = run_on_tiles(
        lambda tiles: list(segmenter.segment(tiles)),
        view,
        plan.tiles,
        resolved,
        runs_on=segmenter.runs_on,
        damage=damage,
        on_progress=on_progress,
    )
    with closing(found):
        for tile, probabilities in found:
            _enter(class_map, tile, probabilities, spec, plan.mask, roi)
    check_damage(view, damage, plan.tiles, resolved)
    _enter_damage(class_map, damage, step)
    scanned = time.perf_counter()
    counts = tally(class_map)
    return SegmentationResult(
        options=resolved,
        tiles=plan.tiles_in_grid,
        tiles_scanned=len(plan.tiles),
        tissue_mm2=plan.tissue_mm2,
        roi=roi,
        unread=unread_boxes(view, damage),
        unread_mm2=unread_mm2(view, damage),
        concerns=plan.concerns,
        seconds={"tissue": planned - started, "scan": scanned - planned},
        class_map=class_map,
        tally=counts,
        slide_score=counts.slide_score(spec.slide_score),
    )


def _enter(
    class_map: ClassMap,
    tile: Tile,
    probabilities: NDArray[np.uint8],
    spec: SegmentationSpec,
    mask: TissueMask | None,
    roi: Roi | None,
) -> None:
    """Enter the part of a tile that it owns and shows far enough from its edges, as far as it is to be scanned.

    Args:
        class_map: the map.
        tile: the tile.
        probabilities: times 255, (C, rows, columns) of the whole tile.
        spec: the model's contract.
        mask: what of the slide is to be scanned; None for all of it.
        roi: the region of interest.
    """
    step, margin = spec.output_stride, spec.margin
    kept = tile.clip(tile.x + margin, tile.y + margin, tile.width - 2 * margin, tile.height - 2 * margin)
    left, top, right, bottom = (int(edge) // step for edge in kept)
    if left >= right or top >= bottom:
        return
    rows = slice(top - tile.y // step, bottom - tile.y // step)
    columns = slice(left - tile.x // step, right - tile.x // step)
    part = probabilities[:, rows, columns]
    classes = (part.argmax(axis=0) + FIRST_CLASS).astype(np.uint8)
    scored = part[list(spec.slide_score.classes)].sum(axis=0, dtype=np.uint16).clip(max=255).astype(np.uint8)
    scanned = _scanned(class_map, (left, top, right, bottom), mask, roi)
    class_map.classes[top:bottom, left:right] = np.where(scanned, classes, NOT_SCANNED)
    class_map.scored[top:bottom, left:right] = np.where(scanned, scored, 0)


def _scanned(
    class_map: ClassMap, part: tuple[int, int, int, int], mask: TissueMask | None, roi: Roi | None
) -> NDArray[np.bool_]:
    """Which pixels of a part of the map, x0, y0, x1, y1, have their centre in tissue and in the region of interest."""
    left, top, right, bottom = part
    width, height = class_map.pixel
    scanned = np.ones((bottom - top, right - left), np.bool_)
    if mask is not None:
        scanned &= mask.at((np.arange(left, right) + 0.5) * width, (np.arange(top, bottom) + 0.5) * height)
    if roi is not None:
        scanned &= roi.covers((left * width, top * height), class_map.pixel, scanned.shape)
    return scanned


def _enter_damage(class_map: ClassMap, damage: Damage, step: int) -> None:
    """Enter what the file does not hold, which is glass, and what could not be read."""
    rows, columns = class_map.classes.shape
    class_map.stamp(_in_map(damage.blank, step, (rows, columns)), NOT_SCANNED)
    class_map.stamp(_in_map(damage.areas, step, (rows, columns)), UNREAD)


def _in_map(boxes: Sequence[Box], step: int, size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Boxes in view pixels as pixels of the map that they touch."""
    rows, columns = size
    for x0, y0, x1, y1 in boxes:
        yield (
            max(math.floor(x0 / step), 0),
            max(math.floor(y0 / step), 0),
            min(math.ceil(x1 / step), columns),
            min(math.ceil(y1 / step), rows),
        )
