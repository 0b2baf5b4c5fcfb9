"""Running a model on the tiles of a slide, whatever its task: reading ahead, batches, and what is damaged."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from signetscan.boxes import area
from signetscan.concurrency import batched, ordered_map
from signetscan.errors import DeviceError, SlideError
from signetscan.plurals import counted
from signetscan.scan.damage import Damage, read_tile

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from signetscan.boxes import Box
    from signetscan.models.placement import Placement
    from signetscan.scan.damage import TilePixels
    from signetscan.scan.options import ResolvedReadingOptions
    from signetscan.scan.plan import ScanPlan
    from signetscan.scan.roi import Roi
    from signetscan.scan.tiling import Tile
    from signetscan.slides import SlideAtMpp
    from signetscan.slides.concerns import Concern

    Progress = Callable[[int, int], None]

Found = TypeVar("Found")
"""What a model gives for a tile."""

RUNS_ON_CPU = 1
"""One run of the network uses all cores."""
RUNS_ON_GPU = 2
"""While the network works on one batch, the next is copied to the GPU."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScanResult:
    """How a scan of a slide went, whatever it looked for."""

    options: ResolvedReadingOptions
    """The options in force."""
    tiles: int
    """Tiles that would cover the whole slide."""
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

    def counts(self, names: Sequence[str]) -> dict[str, int]:  # noqa: ARG002 - a scan that detects has some
        """Number of detections of each class, by its name; empty where none were looked for."""
        return {}


def damage_of(view: SlideAtMpp, plan: ScanPlan) -> Damage:
    """A record of unread area for a scan, still empty."""
    return Damage(held_tissue=partial(_held_tissue, plan, view))


def run_on_tiles(
    run: Callable[[NDArray[np.uint8]], Sequence[Found]],
    view: SlideAtMpp,
    tiles: Sequence[Tile],
    options: ResolvedReadingOptions,
    *,
    runs_on: Placement,
    damage: Damage,
    on_progress: Progress | None = None,
) -> Generator[tuple[Tile, Found]]:
    """Read tiles and run a model on them; yields each tile, in their order, with what the model gives for it.

    Three stages run at once: read threads decode the next tiles, the network works on a batch, and the consumer looks
    at the tiles before it.

    Args:
        run: runs the model on a batch, uint8 (B, H, W, 3); gives something for each of the B tiles.
        view: the slide at the model's mpp.
        tiles: the tiles.
        options: how they are read.
        runs_on: what the model runs on.
        damage: gets the unread area.
        on_progress: called with (tiles done, tiles to scan) after each batch.

    Raises:
        DeviceError: memory does not suffice for a single tile.
    """
    # While the network works on a batch, all threads are busy and the next batch waits, complete.
    ahead = options.read_threads + options.batch_size
    pixels = ordered_map(partial(read_tile, view), tiles, workers=options.read_threads, ahead=ahead)
    batches = batched(_pixels_of(pixels, damage), options.batch_size, kind=np.shape)
    runs = RUNS_ON_GPU if runs_on.on_gpu else RUNS_ON_CPU
    results = ordered_map(partial(_run, run), batches, workers=runs, ahead=runs + 1)
    done = 0
    with closing(pixels), closing(results):  # so that threads end if an error ends the loop
        for batch in results:
            for found in batch:
                yield tiles[done], found
                done += 1
            if on_progress is not None:
                on_progress(done, len(tiles))


def _run(run: Callable[[NDArray[np.uint8]], Sequence[Found]], batch: list[NDArray[np.uint8]]) -> Sequence[Found]:
    """Run the model on a batch; if memory runs out, on its halves, which gives the same."""
    tiles = np.stack(batch) if len(batch) > 1 else batch[0][None]
    try:
        return run(tiles)
    except MemoryError as error:
        if len(batch) == 1:
            message = f"{error}: try smaller tiles, or a machine with more memory"
            raise DeviceError(message, options=("tile_size",)) from error
    half = len(batch) // 2
    return [*_run(run, batch[:half]), *_run(run, batch[half:])]


def _pixels_of(tiles: Iterable[TilePixels], damage: Damage) -> Iterator[NDArray[np.uint8]]:
    """Yield the pixels of each tile, and record its unread parts."""
    for tile in tiles:
        damage.add(tile)
        yield tile.pixels


def _held_tissue(plan: ScanPlan, view: SlideAtMpp, gap: Box) -> bool:
    """Whether a gap, view pixels, must have shown tissue; yes if it is not known where tissue is."""
    x0, y0, x1, y1 = view.to_level0(np.array([gap]))[0].tolist()
    return plan.tissue is None or plan.tissue.lies_within(x0, y0, x1, y1)


def check_damage(view: SlideAtMpp, damage: Damage, tiles: Sequence[Tile], options: ResolvedReadingOptions) -> None:
    """Refuse a slide if more of it is unread than the options allow.

    Raises:
        SlideError: it is.
    """
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


def unread_boxes(view: SlideAtMpp, damage: Damage) -> tuple[Box, ...]:
    """The unread area as boxes in level-0 pixels."""
    return tuple(tuple(edges) for edges in view.to_level0(np.array(damage.areas).reshape(-1, 4)).tolist())


def unread_mm2(view: SlideAtMpp, damage: Damage) -> float:
    """The unread area, mm²."""
    return damage.area * view.pixel_um[0] * view.pixel_um[1] / 1e6
