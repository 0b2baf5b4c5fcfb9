"""Class maps and heat maps of regions as OME-TIFF, read back by tifffile, OpenSlide and Pillow."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import openslide
import pytest
import tifffile
from defusedxml import ElementTree
from PIL import Image
from scanned_slides import CONTROLS, HOSTILE
from segmented_slides import COLOURS, MPP, NAMES, PIXEL, segmented

from signetscan.errors import OutputError, ResultError
from signetscan.formats.pyramid import TILE, heat_colours
from signetscan.formats.region_writers import REGION_WRITERS
from signetscan.formats.result_files import REGION_SUFFIXES
from signetscan.formats.tissue_maps import map_tiles, write_class_map, write_probability_map
from signetscan.scan.class_map import NOT_SCANNED, UNREAD, empty_map
from signetscan.slides import open_slide

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from xml.etree.ElementTree import Element

    from numpy.typing import NDArray

    from signetscan.formats.segmented_slide import SegmentedSlide

    Write = Callable[[Path, SegmentedSlide], None]

BOTH: list[tuple[Write, str]] = [(write_class_map, "classes"), (write_probability_map, "scored")]


def levels_of(path: Path) -> list[NDArray[np.uint8]]:
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        (series,) = file.series
        return [level.asarray() for level in series.levels]


def ome_of(path: Path) -> Element:
    with tifffile.TiffFile(path) as file:
        return ElementTree.fromstring(file.ome_metadata or "")


def values_of(slide: SegmentedSlide, which: str) -> NDArray[np.uint8]:
    values: NDArray[np.uint8] = getattr(slide.class_map, which)
    return values


@pytest.mark.parametrize(("write", "which"), BOTH)
@pytest.mark.parametrize("size", [(1, 1), (3, 700), (700, 1), (1500, 2001)])
def test_the_largest_level_is_the_map_itself(tmp_path: Path, write: Write, which: str, size: tuple[int, int]) -> None:
    slide, path = segmented(*size), tmp_path / "a.ome.tif"
    write(path, slide)
    levels, wanted = levels_of(path), values_of(slide, which)
    np.testing.assert_array_equal(levels[0], wanted)
    for large, small in pairwise(levels):
        assert small.shape == (large.shape[0] // 2, large.shape[1] // 2)
    assert max(levels[-1].shape) <= 512 or min(levels[-1].shape) == 1
    read = np.full(size, 77, np.uint8)
    for top, left, tile in map_tiles(path, size):
        read[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    np.testing.assert_array_equal(read, wanted)


def test_smaller_levels_blend_probabilities_and_never_classes(tmp_path: Path) -> None:
    slide = segmented(1101, 1500)
    write_class_map(tmp_path / "classes.tif", slide)
    write_probability_map(tmp_path / "scored.tif", slide)
    for large, small in pairwise(levels_of(tmp_path / "classes.tif")):
        np.testing.assert_array_equal(small, large[: 2 * small.shape[0] : 2, : 2 * small.shape[1] : 2])
    for large, small in pairwise(levels_of(tmp_path / "scored.tif")):
        for row, column in [(0, 0), (100, 33), (small.shape[0] - 1, small.shape[1] - 1)]:
            four = large[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert abs(int(small[row, column]) - four.mean()) <= 0.5


def test_every_viewer_shows_the_colours_of_the_classes(tmp_path: Path) -> None:
    slide, path = segmented(600, 700), tmp_path / "a.classmap.ome.tif"
    write_class_map(path, slide)
    colour = {NOT_SCANNED: (255, 255, 255), UNREAD: (0, 0, 0)} | dict(enumerate(COLOURS, 1))
    wanted = np.array([colour.get(value, (9, 9, 9)) for value in range(256)], np.uint8)[slide.class_map.classes]
    with openslide.OpenSlide(path) as opened:
        assert opened.dimensions == (700, 600)
        seen = np.asarray(opened.read_region((0, 0), 0, opened.dimensions).convert("RGB"))
        sizes = [float(opened.properties[f"openslide.mpp-{axis}"]) for axis in "xy"]
    np.testing.assert_array_equal(seen, wanted)
    assert sizes == pytest.approx([PIXEL[0] * MPP.x, PIXEL[1] * MPP.y])
    with Image.open(path) as picture:
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), wanted)
    with open_slide(path) as ours:
        assert ours.mpp is not None
        assert (ours.mpp.x, ours.mpp.y) == pytest.approx((PIXEL[0] * MPP.x, PIXEL[1] * MPP.y))


def test_heat_maps_have_the_colours_of_those_of_detections(tmp_path: Path) -> None:
    slide, path = segmented(600, 700), tmp_path / "a.heatmap.ome.tif"
    write_probability_map(path, slide)
    with Image.open(path) as picture:
        seen = np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(seen, heat_colours()[slide.class_map.scored])


def test_the_metadata_say_how_large_pixels_are_and_what_values_mean(tmp_path: Path) -> None:
    slide = segmented()
    write_class_map(tmp_path / "a.ome.tif", slide)
    write_probability_map(tmp_path / "b.ome.tif", slide)
    for name in ("a", "b"):
        pixels = ome_of(tmp_path / f"{name}.ome.tif").find("{*}Image/{*}Pixels")
        assert pixels is not None
        assert float(pixels.get("PhysicalSizeX", "")) == PIXEL[0] * MPP.x
        assert float(pixels.get("PhysicalSizeY", "")) == PIXEL[1] * MPP.y
        assert pixels.get("PhysicalSizeXUnit") == "\u00b5m"
    ome = ome_of(tmp_path / "a.ome.tif")
    meanings = {key.get("K"): key.text for key in ome.iterfind(".//{*}MapAnnotation/{*}Value/{*}M")}
    assert meanings == {"0": "not scanned", "1": NAMES[0], "2": NAMES[1], "3": NAMES[2], "255": "could not be read"}
    channel, about = ome.find(".//{*}Channel"), ome.find(".//{*}Image/{*}Description")
    assert channel is not None
    assert about is not None
    assert channel.get("Name") == ", ".join(f"{value} {name}" for value, name in meanings.items())
    assert "Model test learnt from: glands" in (about.text or "")
    probability = ome_of(tmp_path / "b.ome.tif").find(".//{*}Channel")
    assert probability is not None
    assert probability.get("Name") == f"Probability of {NAMES[1]} + {NAMES[2]}, times 255"


def test_hostile_names_of_classes_are_text(tmp_path: Path) -> None:
    names = tuple(HOSTILE + CONTROLS)
    slide = segmented(class_names=names, class_colours=((1, 2, 3),) * len(names), learnt_from="</OME>\0")
    for write, _ in BOTH:
        write(tmp_path / "a", slide)
        assert ome_of(tmp_path / "a").find("{*}Image") is not None
    write_class_map(tmp_path / "a", slide)
    shown = [key.text for key in ome_of(tmp_path / "a").iterfind(".//{*}MapAnnotation/{*}Value/{*}M")][1:-1]
    for name, said in zip(names, shown, strict=True):
        assert said == name or not name.isprintable()
        assert said


@pytest.mark.parametrize(("write", "which"), BOTH)
def test_the_same_slide_gives_the_same_bytes_and_nothing_beside_them(tmp_path: Path, write: Write, which: str) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, segmented(1100, 1100))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2
    assert values_of(segmented(), which).any()


def test_a_map_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_class_map(tmp_path / "nowhere" / "a", segmented())
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_map_of_the_run_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    write_class_map(path, segmented(700, 600))
    cut = path.read_bytes()[:3000]
    tifffile.imwrite(tmp_path / "grey.tif", np.zeros((700, 600), np.uint8), photometric="minisblack")
    (tmp_path / "cut.tif").write_bytes(cut)
    (tmp_path / "text.tif").write_text("no TIFF")
    for other in (path, tmp_path / "grey.tif", tmp_path / "cut.tif", tmp_path / "text.tif", tmp_path / "gone.tif"):
        size = (600, 700) if other is path else (700, 600)
        with pytest.raises(ResultError, match="segment the slide again"):
            list(map_tiles(other, size))


@pytest.mark.slow
@pytest.mark.parametrize(("write", "which"), BOTH)
def test_memory_does_not_grow_with_the_map(tmp_path: Path, write: Write, which: str) -> None:
    """What numpy and Python hold is counted, and the map, which is on disk, is not."""
    size = (9000, 12_000)
    on_disk = empty_map(size, pixel=PIXEL, pixel_um=(1.0, 1.0), folder=tmp_path)
    on_disk.classes[::7], on_disk.scored[::7] = 2, 99
    slide = segmented(10, 10, class_map=on_disk)
    tracemalloc.start()
    try:
        write(tmp_path / "a", slide)
        written = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        rows = sum(tile.any(axis=1).sum() for _, _, tile in map_tiles(tmp_path / "a", size))
        read = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows == len(range(0, size[0], 7)) * -(-size[1] // TILE)
    assert max(written, read) < 64 << 20 < values_of(slide, which).nbytes


def test_a_damaged_map_is_read_or_refused_and_nothing_else(tmp_path: Path) -> None:
    path, rng = tmp_path / "a.ome.tif", np.random.default_rng(0)
    write_class_map(path, segmented(300, 300))
    whole = path.read_bytes()
    outcomes = set()
    for _ in range(150):
        damaged = bytearray(whole)
        for first, last in [(0, len(whole)), (0, 16), (len(whole) - 3000, len(whole))]:
            for place in rng.integers(first, last, rng.integers(0, 4)).tolist():
                damaged[place] = int(rng.integers(256))
        path.write_bytes(damaged)
        try:
            outcomes.add(len(list(map_tiles(path, (300, 300)))))
        except ResultError:
            outcomes.add(0)
    assert outcomes == {0, 4}


def test_every_format_of_regions_has_a_writer_and_a_file_of_its_own() -> None:
    assert REGION_WRITERS.keys() == REGION_SUFFIXES.keys()
    assert len(set(REGION_SUFFIXES.values())) == len(REGION_SUFFIXES)
