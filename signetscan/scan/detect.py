"""Scanning one slide: takes a slide and a detector, gives detections in level-0 pixels."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from signetscan.scan.measure import measure_cells
from signetscan.scan.merge import keep_owned, merge_tiles, suppress
from signetscan.scan.options import ScanOptions
from signetscan.scan.pipeline import ScanResult, check_damage, damage_of, run_on_tiles, unread_boxes, unread_mm2
from signetscan.scan.plan import plan_scan
from signetscan.slides import SlideAtMpp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signetscan.detections import Detections
    from signetscan.models.detector import Detector
    from signetscan.scan.options import ResolvedScanOptions
    from signetscan.scan.pipeline import Progress
    from signetscan.scan.roi import Roi
    from signetscan.scan.tiling import Tile
    from signetscan.slides import Slide

BOX_DECIMALS = 2
"""Boxes are rounded to 0.01 level-0 pixels, the grid on which QuPath keeps geometry."""
SCORE_DECIMALS = 4
"""Scores are rounded to 0.0001; no detector's score is more precise than that."""
MIN_SIDE = 0.01
"""A box thinner than this (level-0 pixels) after clipping to the slide is dropped: QuPath refuses empty shapes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SlideResult(ScanResult):
    """Detections of a slide, and how the scan went."""

    detections: Detections
    """Boxes in level-0 pixels, best first."""
    options: ResolvedScanOptions
    """The options in force."""

    def counts(self, names: Sequence[str]) -> dict[str, int]:
        """Number of detections of each class, by its name."""
        found = np.bincount(self.detections.labels, minlength=len(names)).tolist()
        return dict(zip(names, found, strict=True))


def detect_slide(
    slide: Slide,
    detector: Detector,
    options: ScanOptions | None = None,
    *,
    roi: Roi | None = None,
    on_progress: Progress | None = None,
) -> SlideResult:
    """Find the objects of a slide.

    The result depends on the slide, the model and the options, not on batch size, number of threads or timing.

    Args:
        slide: the slide; its mpp must be known.
        detector: the model.
        options: how to scan.
        roi: keep to this region of interest: only objects whose centre is inside it are detected. Outside it only the
            overview is read, and the margin that tiles need to show the surroundings of a cell.
        on_progress: called with (tiles done, tiles to scan) after each batch.

    Raises:
        MppError: the slide's pixel size is unknown, or does not fit the model.
        SlideError: pixels cannot be decoded.
        ModelError: the model breaks its contract.
        OptionError: tile size and overlap do not make a grid.
    """
    started = time.perf_counter()
    spec = detector.spec
    resolved = (options or ScanOptions()).resolve(detector)
    view = SlideAtMpp(slide, spec.mpp)
    plan = plan_scan(view, resolved.cut(spec), resolved, roi)
    planned = time.perf_counter()
    damage = damage_of(view, plan)
    found = run_on_tiles(
        lambda tiles: detector.detect(tiles, resolved.threshold),
        view,
        plan.tiles,
        resolved,
        runs_on=detector.runs_on,
        damage=damage,
        on_progress=on_progress,
    )
    with closing(found):
        parts = [_in_view(candidates, tile, resolved.nms_iou) for tile, candidates in found]
    check_damage(view, damage, plan.tiles, resolved)
    scanned = time.perf_counter()
    merged = merge_tiles(parts, resolved.nms_iou)
    detections = _in_level0(merged, view)
    if roi is not None:
        detections = detections.select(roi.holds(detections.boxes))
    ended = time.perf_counter()
    seconds = {"tissue": planned - started, "scan": scanned - planned, "merge": ended - scanned}
    if resolved.measure:
        measured = measure_cells(view, detections, read_threads=resolved.read_threads)
        detections = replace(detections, measured=measured)
        seconds["measure"] = time.perf_counter() - ended
    return SlideResult(
        detections=detections,
        options=resolved,
        tiles=plan.tiles_in_grid,
        tiles_scanned=len(plan.tiles),
        tissue_mm2=plan.tissue_mm2,
        roi=roi,
        unread=unread_boxes(view, damage),
        unread_mm2=unread_mm2(view, damage),
        concerns=plan.concerns,
        seconds=seconds,
    )


def _in_view(candidates: Detections, tile: Tile, nms_iou: float) -> Detections:
    """The detections (view pixels) in the part that a tile owns, from its candidates (tile pixels)."""
    # Round scores before ranking by them: their last bits differ between runtimes and must not decide what is kept.
    rounded = replace(candidates, scores=candidates.scores.round(SCORE_DECIMALS))
    kept = suppress(rounded, nms_iou)
    in_view = kept.with_boxes(kept.boxes + np.array([tile.x, tile.y, tile.x, tile.y], np.float64))
    return keep_owned(in_view, tile)


def _in_level0(detections: Detections, view: SlideAtMpp) -> Detections:
    """Detections in level-0 pixels, clipped to the slide, rounded as result files have them."""
    width, height = view.slide.dimensions
    boxes = view.to_level0(detections.boxes)
    boxes = np.clip(boxes, 0, np.array([width, height, width, height])).round(BOX_DECIMALS)
    solid = np.flatnonzero((boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= MIN_SIDE)
    return detections.with_boxes(boxes).select(solid)
