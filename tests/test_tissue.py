from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage import morphology

from signetscan.scan.overview import read_overview
from signetscan.scan.survey import survey_slide
from signetscan.scan.tissue import find_tissue, glass_colour, tissue_mask, without_small
from signetscan.slides import ArraySlide, open_slide
from signetscan.slides.concerns import ConcernKind

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

GLASS = (244, 243, 245)


def glass(rows: int = 200, columns: int = 300) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).normal(0, 1.5, (rows, columns, 3))
    return np.clip(np.array(GLASS) + noise, 0, 255).astype(np.uint8)


def test_blank_glass_is_not_tissue() -> None:
    assert not tissue_mask(glass(), pixel_um2=64).any()
    assert not tissue_mask(np.full((50, 50, 3), 255, np.uint8), pixel_um2=64).any()


def test_pale_mucin_and_its_blank_middle_are_tissue() -> None:
    """A washed-out mucin lake, 7% darker than glass at its rim and not at all inside."""
    image = glass()
    rows, columns = np.indices(image.shape[:2])
    distance = np.hypot(rows - 100, columns - 150)
    image[(distance < 30) & (distance > 26)] = [round(value * 0.93) for value in GLASS]
    mask = tissue_mask(image, pixel_um2=64)
    assert mask[distance < 30].all()
    assert not mask[distance > 60].any()


def test_dust_is_dropped_by_area_in_um2() -> None:
    image = glass()
    image[50:54, 50:54] = 120
    assert not tissue_mask(image, pixel_um2=64, min_area_um2=16 * 64 + 1).any()
    assert tissue_mask(image, pixel_um2=64, min_area_um2=15 * 64)[50:54, 50:54].all()


def test_glass_of_a_tinted_slide_and_of_one_without_glass() -> None:
    assert np.abs(glass_colour(glass()) - np.array(GLASS)).max() <= 2
    assert glass_colour(np.full((40, 40, 3), 120, np.uint8)).tolist() == [245, 245, 245]
    # Unscanned parts are exact white; they must not pass for the glass of a tinted slide.
    half = glass()
    half[:150] = 255
    assert np.abs(glass_colour(half) - np.array(GLASS)).max() <= 2


@pytest.mark.parametrize("levels", [1, 3])
def test_overview_is_the_average_of_the_slide(levels: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (640, 960, 3), np.uint8)
    pyramid = [image]
    while len(pyramid) < levels:
        last = pyramid[-1].astype(np.float32)
        pyramid.append(last.reshape(last.shape[0] // 2, 2, -1, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8))
    overview = read_overview(ArraySlide(pyramid, mpp=0.5), 16).pixels
    expected = image.reshape(40, 16, 60, 16, 3).mean(axis=(1, 3))
    assert np.abs(overview - expected).max() < 1.5, "rounding, once a level"


def test_the_mask_is_queried_by_rectangles_in_level0_pixels() -> None:
    image = np.full((1600, 1600, 3), 245, np.uint8)
    image[800:960, 320:480] = (180, 90, 150)
    mask = find_tissue(ArraySlide([image], mpp=0.5))
    assert mask.pixel == pytest.approx((16, 16))
    assert mask.touches(300, 790, 500, 990)
    assert mask.touches(470, 950, 1600, 1600)
    assert not mask.touches(800, 0, 1600, 1600)
    assert not mask.touches(-500, -500, 0, 0)
    assert mask.bounds(800, 0, 1600, 1600) is None
    assert mask.bounds(0, 0, 1600, 1600) == pytest.approx((200, 680, 600, 1080), abs=2 * 16)
    assert mask.bounds(400, 800, 410, 1600) == pytest.approx((400, 800, 410, 1080), abs=2 * 16), "never beyond"
    side, margin = 80, 60
    widened = side**2 + 4 * side * margin + np.pi * margin**2
    assert mask.area_mm2 == pytest.approx(widened / 1e6, rel=0.15)


@pytest.mark.parametrize("grey", [0, 3, 60, 128, 220, 254])
def test_a_uniform_fill_is_no_tissue(grey: int) -> None:
    """Software fills what was not scanned with black or grey: around a picture of half the width and height."""
    image = np.random.default_rng(0).normal(0, 3, (1536, 2048, 3)) + GLASS
    image[500:900, 700:1200] -= (40, 90, 60)
    image[0:300, 0:300] -= (17, 17, 16)  # pale tissue in the corner
    picture = image.clip(0, 255).astype(np.uint8)
    filled = np.full((3072, 4096, 3), grey, np.uint8)
    filled[: image.shape[0], : image.shape[1]] = picture
    expected, found = (find_tissue(ArraySlide([pixels], mpp=0.25)) for pixels in (picture, filled))
    part = found.mask[: expected.mask.shape[0], : expected.mask.shape[1]]
    assert (part | ~expected.mask).all(), "no tissue is lost"
    assert found.area_mm2 < 1.1 * expected.area_mm2


@pytest.mark.parametrize("grey", [0, 128])
def test_a_fill_within_tissue_is_a_concern(grey: int) -> None:
    image = np.random.default_rng(0).normal(0, 3, (1536, 2048, 3)) + GLASS
    image[300:1200, 500:1500] -= (40, 90, 60)
    image[700:1000, 800:1300] = grey
    image[1300:] = grey
    survey = survey_slide(ArraySlide([image.clip(0, 255).astype(np.uint8)], mpp=0.25), min_area_um2=1000)
    assert [concern.kind for concern in survey.concerns] == [ConcernKind.MISSING]
    assert survey.tissue.filled_mm2 == pytest.approx(300 * 500 / 16e6, rel=0.15)
    assert f"{survey.tissue.filled_mm2:.4f} mm² within tissue" in survey.concerns[0].message


def test_what_is_uniform_from_afar_alone_is_tissue() -> None:
    """Pale tissue whose noise is averaged out on the overview, and black tissue with noise, such as ink."""
    image = np.random.default_rng(0).normal(0, 3, (1536, 2048, 3)) + GLASS
    image[400:1200, 300:900] -= 24
    image[400:1200, 1100:1700] = 12 + np.random.default_rng(1).normal(0, 3, (800, 600, 3))
    tissue = find_tissue(ArraySlide([image.clip(0, 255).astype(np.uint8)], mpp=0.25))
    assert tissue.core[13:37, 10:28].all()
    assert tissue.core[13:37, 35:53].all()


def test_a_slide_of_a_single_grey_is_scanned() -> None:
    assert find_tissue(ArraySlide([np.full((800, 800, 3), 120, np.uint8)], mpp=0.5)).mask.all()


# ---- real H&E -------------------------------------------------------------------------------------------------------


def densities(slide_path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float64], float]:
    """An overview of the real slide, its optical density over glass, and the area of its pixels in µm²."""
    with open_slide(slide_path) as slide:
        overview = read_overview(slide, 16).pixels
        assert slide.mpp is not None
        pixel_um2 = (slide.mpp.x * 16) ** 2
    return overview, np.log((glass_colour(overview) + 1) / (overview + 1.0)), pixel_um2


def test_no_nucleus_of_the_real_slide_is_dropped(shared_slides: Path) -> None:
    path = shared_slides / "CMU-1-Small-Region.svs"
    overview, _, pixel_um2 = densities(path)
    with open_slide(path) as slide:
        full = slide.read_region((0, 0), 0, slide.dimensions)
    # Dark and blue: haematoxylin. Judged at full resolution, where the mask never looks.
    dark = (full[..., 0] < 130) & (full[..., 2] > full[..., 0])
    nuclei = ndimage.binary_opening(dark, iterations=3)
    rows, columns = (axis // 16 for axis in np.nonzero(nuclei))
    mask = tissue_mask(overview, pixel_um2=pixel_um2)
    inside = mask[np.minimum(rows, mask.shape[0] - 1), np.minimum(columns, mask.shape[1] - 1)]
    assert len(inside) > 50_000
    assert inside.mean() > 0.995, "what is left out is debris below the smallest piece"
    assert 0.3 < mask.mean() < 0.7, "and the blank half of the slide is skipped"


@pytest.mark.parametrize("strength", [0.5, 0.25, 0.15])
def test_real_tissue_stays_when_its_stain_is_washed_out(shared_slides: Path, strength: float) -> None:
    """Mucin takes little stain: the real slide with its optical density scaled down is that pale everywhere."""
    overview, density, pixel_um2 = densities(shared_slides / "CMU-1-Small-Region.svs")
    full = tissue_mask(overview, pixel_um2=pixel_um2)
    pale = ((glass_colour(overview) + 1) * np.exp(-strength * density) - 1).round().clip(0, 255).astype(np.uint8)
    tissue = density.max(axis=2) > 0.15
    kept = tissue_mask(pale, pixel_um2=pixel_um2)
    assert kept[tissue & full].mean() > 0.99


@given(seed=st.integers(0, 10**6), share=st.floats(0, 1), most=st.integers(0, 40), rows=st.integers(1, 30))
def test_small_pieces_are_those_of_scikit_image(seed: int, share: float, most: int, rows: int) -> None:
    mask = np.random.default_rng(seed).random((rows, 20)) < share
    np.testing.assert_array_equal(without_small(mask, most), morphology.remove_small_objects(mask, max_size=most))
