"""Scanning one slide: takes a slide and a detector, gives detections in level-0 pixels."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from signetscan.boxes import area
from signetscan.concurrency import batched, ordered_map
from signetscan.errors import DeviceError, SlideError
from signetscan.plurals import counted
from signetscan.scan.damage import Damage, read_tile
from signetscan.scan.merge import keep_owned, merge_tiles, suppress
from signetscan.scan.options import ScanOptions
from signetscan.scan.plan import plan_scan
from signetscan.slides import SlideAtMpp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from signetscan.boxes import Box
    from signetscan.detections import Detections
    from signetscan.models.detector import Detector
    from signetscan.scan.damage import TilePixels
    from signetscan.scan.options import ResolvedScanOptions
    from signetscan.scan.plan import ScanPlan
    from signetscan.scan.roi import Roi
    from signetscan.scan.tiling import Tile
    from signetscan.slides import Slide
    from signetscan.slides.concerns import Concern

    Progress = Callable[[int, int], None]

BOX_DECIMALS = 2
"""Boxes are rounded to 0.01 level-0 pixels, the grid on which QuPath keeps geometry."""
SCORE_DECIMALS = 4
"""Scores are rounded to 0.0001; no detector's score is more precise than that."""
MIN_SIDE = 0.01
"""A box thinner than this (level-0 pixels) after clipping to the slide is dropped: QuPath refuses empty shapes."""

RUNS_ON_CPU = 1
"""One run of the network uses all cores."""
RUNS_ON_GPU = 2
"""While the network works on one batch, the next is copied to the GPU."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SlideResult:
    """Detections of a slide, and how the scan went."""

    detections: Detections
    """Boxes in level-0 pixels, best first."""
    options: ResolvedScanOptions
    """The options in force."""
    tiles: int
    """Tiles in the grid."""
    tiles_scanned: int
    """Tiles that the model was run on; the others show no tissue."""
    tissue_mm2: float | None
    """Area of the tissue mask, within the region of interest if there is one, mm²; None where no mask was used."""
    roi: Roi | None = None
    """The region of interest to which the scan was kept."""
    unread: tuple[Box, ...] = ()
    """Areas that could not be read, or are missing in the file, and so were not scanned, level-0 pixels."""
    unread_mm2: float = 0.0
    """Their area, mm²."""
    concerns: tuple[Concern, ...] = ()
    """What is suspicious about the slide, or about the region of interest."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall-clock seconds of each stage."""


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
    plan = plan_scan(view, spec, resolved, roi)
    planned = time.perf_counter()
    damage = Damage(held_tissue=partial(_held_tissue, plan, view))
    parts = _scan_tiles(view, detector, resolved, plan.tiles, damage, on_progress)
    _check_damage(view, damage, plan.tiles, resolved)
    scanned = time.perf_counter()
    merged = merge_tiles(parts, resolved.nms_iou)
    detections = _in_level0(merged, view)
    if roi is not None:
        detections = detections.select(roi.holds(detections.boxes))
    ended = time.perf_counter()
    return SlideResult(
        detections=detections,
        options=resolved,
        tiles=plan.tiles_in_grid,
        tiles_scanned=len(plan.tiles),
        tissue_mm2=plan.tissue_mm2,
        roi=roi,
        unread=tuple(tuple(edges) for edges in view.to_level0(np.array(damage.areas).reshape(-1, 4)).tolist()),
        unread_mm2=damage.area * view.pixel_um[0] * view.pixel_um[1] / 1e6,
        concerns=plan.concerns,
        seconds={"tissue": planned - started, "scan": scanned - planned, "merge": ended - scanned},
    )


def _scan_tiles(
    view: SlideAtMpp,
    detector: Detector,
    options: ResolvedScanOptions,
    tiles: Sequence[Tile],
    damage: Damage,
    on_progress: Progress | None,
) -> list[Detections]:
    """Read the tiles, run the model on them, and suppress overlaps within each; the detections of each, view pixels.

    Three stages run at once: read threads decode the next tiles, the network works on a batch, and this thread
    suppresses overlaps in the tiles before it.
    """
    # While the network works on a batch, all threads are busy and the next batch waits, complete.
    ahead = options.read_threads + options.batch_size
    pixels = ordered_map(partial(read_tile, view), tiles, workers=options.read_threads, ahead=ahead)
    batches = batched(_pixels_of(pixels, damage), options.batch_size, kind=np.shape)
    runs = RUNS_ON_GPU if detector.runs_on.on_gpu else RUNS_ON_CPU
    results = ordered_map(partial(_run, detector, options), batches, workers=runs, ahead=runs + 1)
    parts: list[Detections] = []
    with closing(pixels), closing(results):  # so that threads end if an error ends the loop
        for candidates in results:
            for tile_candidates in candidates:
                parts.append(_in_view(tile_candidates, tiles[len(parts)], options.nms_iou))
            if on_progress is not None:
                on_progress(len(parts), len(tiles))
    return parts


def _run(detector: Detector, options: ResolvedScanOptions, batch: list[NDArray[np.uint8]]) -> list[Detections]:
    """Run the model on a batch; if memory runs out, on its halves, which gives the same detections."""
    tiles = np.stack(batch) if len(batch) > 1 else batch[0][None]
    try:
        return detector.detect(tiles, options.threshold)
    except MemoryError as error:
        if len(batch) == 1:
            message = f"{error}: try smaller tiles, or a machine with more memory"
            raise DeviceError(message, options=("tile_size",)) from error
    half = len(batch) // 2
    return _run(detector, options, batch[:half]) + _run(detector, options, batch[half:])


def _pixels_of(tiles: Iterable[TilePixels], damage: Damage) -> Iterator[NDArray[np.uint8]]:
    """Yield the pixels of each tile, and record its unread parts."""
    for tile in tiles:
        damage.add(tile)
        yield tile.pixels


def _held_tissue(plan: ScanPlan, view: SlideAtMpp, gap: Box) -> bool:
    """Whether a gap, view pixels, must have shown tissue; yes if it is not known where tissue is."""
    x0, y0, x1, y1 = view.to_level0(np.array([gap]))[0].tolist()
    return plan.tissue is None or plan.tissue.lies_within(x0, y0, x1, y1)


def _check_damage(view: SlideAtMpp, damage: Damage, tiles: Sequence[Tile], options: ResolvedScanOptions) -> None:
    """Refuse a slide if more of it is unread than the options allow."""
    scanned = float(area(np.array([tile.seen for tile in tiles]).reshape(-1, 4)).sum())
    if damage.area <= options.max_bad_area * scanned:
        return
    pieces = counted(len(damage.areas), "piece")
    x, y = view.to_level0(np.array([damage.areas[0]]))[0, :2]
    message = (
        f"{view.slide.name}: {damage.area / scanned:.2%} of the area to scan cannot be decoded ({pieces}, the first at "
        f"x {x:.0f}, y {y:.0f}: {damage.error}). Copy the file again, or allow for unread area"
    )
    raise SlideError(message, options=("max_bad_area",))


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
