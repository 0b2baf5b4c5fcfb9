"""Heat maps: the numbers add up, and viewers see where they belong."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import openslide
import pytest
import tifffile
from defusedxml import ElementTree
from hypothesis import given
from hypothesis import strategies as st
from scanned_slides import CONTROLS, HOSTILE, many, scanned

from signetscan.errors import UnfitError
from signetscan.formats.heatmap import DARKEST, PIXEL_UM, SPREAD_UM, density, map_shape, write_heatmap
from signetscan.slides import Mpp, open_slide

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.formats.scanned_slide import ScannedSlide


def pixel_mm2(slide: ScannedSlide) -> float:
    height, width = map_shape(slide)
    return slide.dimensions[0] * slide.mpp.x * slide.dimensions[1] * slide.mpp.y / (width * height) / 1e6


@given(
    st.tuples(st.integers(1, 30_000), st.integers(1, 30_000)),
    st.tuples(st.floats(0.1, 2), st.floats(0.1, 2)),
    st.integers(0, 40),
    st.integers(0, 99),
)
def test_densities_add_up_to_the_count(
    dimensions: tuple[int, int], mpp: tuple[float, float], count: int, seed: int
) -> None:
    """Wherever cells lie, at the edge too."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(-20, np.array(dimensions) + 20, (count, 2))
    boxes = np.concatenate([low, low + 30], axis=1).tolist()
    labels = rng.integers(0, 2, count).tolist()
    names = ("a", "b")
    slide = scanned(boxes, [0.1] * count, labels, dimensions=dimensions, mpp=Mpp(*mpp), class_names=names)
    for label in (0, 1):
        total = float(density(slide, label, map_shape(slide)).sum(dtype=np.float64)) * pixel_mm2(slide)
        assert total == pytest.approx(labels.count(label), rel=1e-4, abs=1e-6)


def test_a_cell_is_spread_as_the_gaussian_says() -> None:
    slide = scanned([(19_990, 9_990, 20_054, 10_054)], [0.5], [0], dimensions=(40_000, 20_000))
    found = density(slide, 0, map_shape(slide))
    centre = (np.array([20_022.0, 10_022.0]) * 0.25 / PIXEL_UM).astype(int)
    assert np.unravel_index(found.argmax(), found.shape) == (centre[1], centre[0])
    assert found.max() == pytest.approx(1e6 / (2 * np.pi * SPREAD_UM**2), rel=0.02)
    aside = found[centre[1], centre[0] + round(SPREAD_UM / PIXEL_UM)]
    assert aside == pytest.approx(found.max() * np.exp(-0.5), rel=0.02)


def test_the_map_is_as_large_as_the_slide_and_lies_over_it(tmp_path: Path) -> None:
    slide = many(5000, mpp=Mpp(0.2527, 0.2611))
    path = tmp_path / "a.heatmap.ome.tif"
    write_heatmap(path, slide)
    extent = [side * mpp for side, mpp in zip(slide.dimensions, (0.2527, 0.2611), strict=True)]
    with openslide.OpenSlide(path) as opened:
        sizes = [float(opened.properties[f"openslide.mpp-{axis}"]) for axis in "xy"]
        for pixels, size, um in zip(opened.dimensions, sizes, extent, strict=True):
            assert size == pytest.approx(PIXEL_UM, rel=0.01)
            assert pixels * size == pytest.approx(um, rel=1e-6)
        seen = np.asarray(opened.read_region((0, 0), 0, opened.dimensions).convert("RGB"))
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        (series,) = file.series
        shapes = [level.shape for level in series.levels]
        np.testing.assert_array_equal(series.asarray(), seen)
        about = ElementTree.fromstring(file.ome_metadata or "").find("{*}Image/{*}Pixels")
        assert about is not None
    for side, axis, um in zip(shapes[0][1::-1], "XY", extent, strict=True):
        assert float(about.get(f"PhysicalSize{axis}", "")) * side == pytest.approx(um, rel=1e-9)
        assert about.get(f"PhysicalSize{axis}Unit") == "\u00b5m"
    assert len(shapes) == 3
    for large, small in pairwise(shapes):
        assert small[:2] == (large[0] // 2, large[1] // 2)
    assert max(shapes[-1]) <= 512
    with open_slide(path) as ours:
        assert ours.mpp is not None
        assert ours.dimensions[0] * ours.mpp.x == pytest.approx(extent[0], rel=1e-6)


def colours_of(path: Path) -> NDArray[np.uint8]:
    with tifffile.TiffFile(path) as file:
        pixels: NDArray[np.uint8] = file.series[0].asarray()
    return pixels


def test_more_is_darker_and_none_is_white(tmp_path: Path) -> None:
    """A pile of cells at the left, one in the middle, none at the right."""
    pile = [(4000 - 20, 4000 - 20, 4000 + 20, 4000 + 20)] * 2000
    boxes = [*pile, (20_000, 3980, 20_040, 4020)]
    slide = scanned(boxes, [0.5] * 2001, [0] * 2001, dimensions=(40_000, 8000))
    write_heatmap(tmp_path / "a.tif", slide)
    image = colours_of(tmp_path / "a.tif")
    row = image[image.shape[0] // 2]
    assert row[62].tolist() == [70, 0, 60]
    assert row[-1].tolist() == [255, 255, 255]
    lone = row[312].astype(int)
    assert 40 < 255 - lone[2] < 120, "pale, yet to be seen"
    assert lone[0] > 245
    grey = image.astype(float) @ (0.299, 0.587, 0.114)
    ordered = density(slide, 0, map_shape(slide)).clip(0, DARKEST).ravel()[np.newaxis].argsort()[0]
    assert (np.diff(grey.ravel()[ordered]) <= 1).all(), "darker the more there are"


def test_each_class_has_an_image_with_its_name(tmp_path: Path) -> None:
    names = tuple(HOSTILE + CONTROLS)
    box = (4000, 4000, 4040, 4040)
    slide = scanned([box], [0.5], [2], class_names=names, dimensions=(9000, 8000))
    write_heatmap(tmp_path / "a.tif", slide)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        shown = [image.get("Name") for image in ElementTree.fromstring(file.ome_metadata or "").iterfind("{*}Image")]
        assert len(file.series) == len(names)
        assert [series.asarray().min() < 255 for series in file.series] == [label == 2 for label in range(len(names))]
    for name, said in zip(names, shown, strict=True):
        assert said == name or not name.isprintable()
        assert said


def test_the_same_slide_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_heatmap(tmp_path / name, many(100))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_slide_of_absurd_size_is_unfit(tmp_path: Path) -> None:
    with pytest.raises(UnfitError, match="too large"):
        write_heatmap(tmp_path / "a", scanned(dimensions=(10**12, 10**12)))
    assert list(tmp_path.iterdir()) == []


def test_a_tiny_slide_has_a_map_too(tmp_path: Path) -> None:
    write_heatmap(tmp_path / "a", scanned([(0, 0, 1, 1)], [0.5], [0], dimensions=(1, 3)))
    assert colours_of(tmp_path / "a").shape == (1, 1, 3)
