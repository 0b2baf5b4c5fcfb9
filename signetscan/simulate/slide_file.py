"""A simulated whole-slide image: pieces of tissue on glass, in a pyramidal TIFF that OpenSlide opens."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import geojson
import numpy as np
import tifffile
from PIL import Image

from signetscan.annotations import NORMAL_REGION, POSITIVE_REGION
from signetscan.atomic import atomic_text, make_folder, part_path
from signetscan.dataset import CLASS_NAME
from signetscan.errors import OptionError
from signetscan.formats.annotations import classification, give_ids, rectangle
from signetscan.formats.colours import REGION_COLOURS, colour_of
from signetscan.simulate.camera import random_camera
from signetscan.simulate.field import render_field
from signetscan.simulate.noise import smooth_noise, step
from signetscan.simulate.options import MARGIN
from signetscan.simulate.stain import random_stain
from signetscan.suffixes import SIMULATED_SLIDE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from signetscan.simulate.field import Field
    from signetscan.simulate.options import SlideOptions

TILE = 256
"""Side of a stored tile, pixels."""
SHRINK = 4
"""Downsample from one level to the next, as in Aperio's slides."""
SMALLEST_LEVEL = 512
"""Least longest side of a level after the first, pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideTotals:
    """Numbers of regions and cells on a slide."""

    positive_regions: int
    """Pieces of tissue with signet ring cells."""
    normal_regions: int
    """Pieces of tissue without signet ring cells."""
    cells: int
    """Signet ring cells."""


def write_slide(
    path: Path, options: SlideOptions, *, on_progress: Callable[[int, int], None] | None = None
) -> SlideTotals:
    """Write a slide, and its ground truth beside it as `NAME.truth.geojson` (level-0 pixels).

    A random half of the pieces has signet ring cells. The truth has a box for each cell, and for each piece a rectangle
    of a positive or normal region, so that FROC can be computed by DigestPath's definition.

    Args:
        path: the slide's file, `.svs`, `.tif` or `.tiff`; its folder is created if needed.
        options: what to draw.
        on_progress: called with (pieces done, pieces in all).

    Raises:
        OptionError: the file has another suffix.
        OutputError: a file cannot be written.
    """
    if path.suffix.lower() not in SIMULATED_SLIDE_SUFFIXES:
        message = f"{path}: the suffix must be one of {', '.join(SIMULATED_SLIDE_SUFFIXES)}"
        raise OptionError(message)
    make_folder(path.parent)
    rng = np.random.default_rng([options.seed, 2])
    stain, camera = random_stain(rng), random_camera(rng)
    count = options.columns * options.rows
    positive = rng.permutation(count) < (count + 1) // 2
    features: list[geojson.Feature] = []
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        levels = _levels(Path(scratch), options)
        _fill(levels[0], np.clip(stain.glass + 0.5, 0, 255).astype(np.uint8))
        for index in range(count):
            piece_rng = np.random.default_rng([options.seed, 3, index])
            tissue = _piece_outline(piece_rng, options.region)
            field = render_field(
                piece_rng,
                (options.region, options.region),
                stain=stain,
                camera=camera,
                with_cells=bool(positive[index]),
                tissue=tissue,
            )
            edges = _piece_edges(options, index)
            _paste(levels[0], field, edges)
            features += _truth(field, edges, options.scale, positive=bool(positive[index]))
            if on_progress is not None:
                on_progress(index + 1, count)
        _shrink(levels)
        with part_path(path) as part:
            _write_pyramid(part, levels, options)
    give_ids(features, path.stem)
    with atomic_text(path.with_name(f"{path.stem}.truth.geojson")) as file:
        geojson.dump(geojson.FeatureCollection(features), file, separators=(",", ":"))
    cells = sum(feature["properties"]["objectType"] == "detection" for feature in features)
    return SlideTotals(positive_regions=int(positive.sum()), normal_regions=int((~positive).sum()), cells=cells)


def _levels(folder: Path, options: SlideOptions) -> list[NDArray[np.uint8]]:
    """The pixels of each level, in files, so that a large slide does not fill the memory."""
    levels: list[NDArray[np.uint8]] = []
    width, height = options.width, options.height
    while not levels or max(width, height) >= SMALLEST_LEVEL:
        levels.append(np.memmap(folder / f"{len(levels)}.raw", np.uint8, "w+", shape=(height, width, 3)))
        width, height = max(width // SHRINK, 1), max(height // SHRINK, 1)
    return levels


def _fill(level: NDArray[np.uint8], colour: NDArray[np.uint8]) -> None:
    for top in range(0, level.shape[0], TILE):
        level[top : top + TILE] = colour


def _piece_outline(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    """The fraction of tissue at each pixel of a piece, (side, side): a ragged, rounded patch."""
    rows, columns = (np.indices((side, side), np.float32) + 0.5) / (side / 2) - 1
    distance = (rows**4 + columns**4) ** 0.25
    ragged = 0.05 * smooth_noise(rng, (side, side), side / 5) + 0.02 * smooth_noise(rng, (side, side), 30)
    return step((0.9 + ragged - distance) * np.float32(side / 2), 3.0)


def _piece_edges(options: SlideOptions, index: int) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of a piece, level-0 pixels."""
    row, column = divmod(index, options.columns)
    pitch = options.region + MARGIN
    drawn_edges = (
        MARGIN + column * pitch,
        MARGIN + row * pitch,
        MARGIN + column * pitch + options.region,
        MARGIN + row * pitch + options.region,
    )
    x0, y0, x1, y1 = (round(edge * options.scale) for edge in drawn_edges)
    return x0, y0, x1, y1


def _paste(level: NDArray[np.uint8], field: Field, edges: tuple[int, int, int, int]) -> None:
    x0, y0, x1, y1 = edges
    picture = Image.fromarray(field.image).resize((x1 - x0, y1 - y0), Image.Resampling.BICUBIC)
    level[y0:y1, x0:x1] = np.asarray(picture)


def _truth(
    field: Field, edges: tuple[int, int, int, int], scale: float, *, positive: bool
) -> Iterator[geojson.Feature]:
    region = POSITIVE_REGION if positive else NORMAL_REGION
    yield rectangle("annotation", edges, classification(region, REGION_COLOURS[region]))
    x, y = edges[:2]
    for box in field.boxes * scale + np.array([x, y, x, y]):
        yield rectangle("detection", box.tolist(), classification(CLASS_NAME, colour_of(0)))


def _shrink(levels: list[NDArray[np.uint8]]) -> None:
    """Fill each level with averages of the one before, band by band."""
    for large, small in pairwise(levels):
        height, width = small.shape[:2]
        for top in range(0, height, TILE):
            rows = min(TILE, height - top)
            band = large[top * SHRINK : (top + rows) * SHRINK, : width * SHRINK].astype(np.float32)
            average = band.reshape(rows, SHRINK, width, SHRINK, 3).mean(axis=(1, 3))
            small[top : top + rows] = (average + 0.5).astype(np.uint8)


def _write_pyramid(path: Path, levels: list[NDArray[np.uint8]], options: SlideOptions) -> None:
    height, width = levels[0].shape[:2]
    first = f"{width}x{height} [0,0 {width}x{height}] ({TILE}x{TILE}) JPEG/YCC Q={options.jpeg_quality}"
    magnification = f"AppMag = {10 / options.mpp:.4g}"
    with tifffile.TiffWriter(path, bigtiff=width * height > 10**9) as file:
        for number, level in enumerate(levels):
            size = "" if number == 0 else f" -> {level.shape[1]}x{level.shape[0]}"
            file.write(
                _tiles(level),
                shape=level.shape,
                dtype=np.uint8,
                photometric="rgb",  # of the tiles here; with subsampling, tifffile stores YCbCr
                tile=(TILE, TILE),
                compression="jpeg",
                compressionargs={"level": options.jpeg_quality},
                subsampling=(2, 2),
                description=f"Aperio simulated by signetscan\r\n{first}{size}|{magnification}|MPP = {options.mpp:.6g}",
                metadata=None,
                software=False,
                subfiletype=0 if number == 0 else 1,
            )


def _tiles(level: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Tiles row by row; those at the right and lower edge are padded with their last pixels."""
    for top in range(0, level.shape[0], TILE):
        for left in range(0, level.shape[1], TILE):
            tile = np.asarray(level[top : top + TILE, left : left + TILE])
            yield np.pad(tile, ((0, TILE - tile.shape[0]), (0, TILE - tile.shape[1]), (0, 0)), "edge")
