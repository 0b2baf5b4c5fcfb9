"""Slides that do not look like H&E."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from signetscan.scan.look import colour_concerns, look_at
from signetscan.scan.overview import read_overview
from signetscan.scan.survey import survey_slide
from signetscan.slides import ArraySlide, open_slide
from signetscan.slides.concerns import ConcernKind
from signetscan.stains import EOSIN, HAEMATOXYLIN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

UM2 = 64.0
"""Area of a pixel of an overview of 8 µm."""
BROWN = np.array([0.27, 0.57, 0.78])
"""Optical densities of DAB in R, G, B, after Ruifrok and Johnston (2001)."""


def stained(*stains: NDArray[np.float64], glass: tuple[int, int, int] = (244, 243, 245), bare: float = 0.4) -> Picture:
    """An overview of tissue of two stains in changing amounts beside bare glass, of which there is a share."""
    rng = np.random.default_rng(0)
    amounts = rng.gamma(4, 0.06, (150, 200, len(stains)))
    amounts[:, : int(bare * 200)] = 0
    light = np.array(glass) * np.exp(-sum(amounts[..., [n]] * stain for n, stain in enumerate(stains)))
    return (light + rng.normal(0, 1, light.shape)).clip(0, 255).astype(np.uint8)


def said(pixels: Picture) -> str:
    """What is said of an overview's colours."""
    look = look_at(pixels.reshape(-1, 3), UM2)
    assert look is not None
    return " ".join(concern.message for concern in colour_concerns(look))


@pytest.mark.parametrize("bare", [0.0, 0.05, 0.4, 0.95])
@pytest.mark.parametrize("glass", [(244, 243, 245), (255, 255, 255), (215, 210, 228), (145, 144, 146), (240, 232, 214)])
@pytest.mark.parametrize(
    "stains", [(HAEMATOXYLIN, EOSIN), (HAEMATOXYLIN,), (EOSIN,), (0.2 * HAEMATOXYLIN, 0.3 * EOSIN)]
)
def test_stained_slides_raise_no_doubt(
    stains: tuple[NDArray[np.float64], ...], glass: tuple[int, int, int], bare: float
) -> None:
    assert said(stained(*stains, glass=glass, bare=bare)) == ""


def ycc_as_rgb(pixels: Picture) -> Picture:
    return np.asarray(Image.fromarray(pixels).convert("YCbCr"))


def rgb_as_ycc(pixels: Picture) -> Picture:
    size = pixels.shape[1], pixels.shape[0]
    return np.asarray(Image.frombuffer("YCbCr", size, pixels.tobytes(), "raw", "YCbCr", 0, 1).convert("RGB"))


def grey(pixels: Picture) -> Picture:
    return np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)


def sixteenth(pixels: Picture) -> Picture:
    return pixels // 16


FIRST = "its glass is coloured|neither pink"
CHANGES: dict[str, Callable[[Picture], Picture]] = {
    FIRST: ycc_as_rgb,
    "its glass is coloured|neither pink|": rgb_as_ycc,
    "it is dark|neither pink": np.invert,
    "its tissue is grey": grey,
    "it is dark": sixteenth,
    "neither pink nor violet": lambda pixels: pixels[..., [1, 0, 2]],
    "neither pink nor violet|": lambda pixels: pixels[..., [0, 2, 1]],
}


@pytest.mark.parametrize(
    # Luma in place of red, without glass to tell it by, is as much like a stain as some stains are.
    ("expected", "bare"),
    [(words, bare) for words in CHANGES for bare in (0.4, 0.0)[: 1 if words == FIRST else 2]],
)
def test_the_same_slide_with_other_colours_is_doubted(expected: str, bare: float) -> None:
    changed = CHANGES[expected](np.ascontiguousarray(stained(HAEMATOXYLIN, EOSIN, bare=bare)))
    assert any(words in said(changed) for words in expected.rstrip("|").split("|"))


def test_other_stains_and_fluorescence_are_doubted() -> None:
    assert "neither pink nor violet" in said(stained(0.4 * HAEMATOXYLIN, BROWN))
    night = np.random.default_rng(0).poisson(3, (150, 200, 3))
    for channels in ((2,), (1,), (0,), (0, 2)):
        cells = night.copy()
        cells[40:60, 50:90, channels] += 180
        assert "it is dark" in said(cells.clip(0, 255).astype(np.uint8))


def test_too_little_tissue_decides_nothing() -> None:
    pixels = stained(HAEMATOXYLIN, EOSIN, bare=1.0)
    pixels[10:20, 10:25] = (30, 30, 120)  # a dot of blue ink
    assert said(pixels) == ""
    pixels[10:40, 10:65] = (30, 30, 120)
    assert "neither pink nor violet" in said(pixels)
    assert look_at(np.zeros((0, 3), np.uint8), UM2) is None


@pytest.mark.parametrize("fill", [0, 128, 240, 255])
def test_a_fill_has_no_say(fill: int) -> None:
    small = stained(HAEMATOXYLIN, EOSIN)
    picture = np.repeat(np.repeat(small, 8, axis=0), 8, axis=1)
    picture = (picture + np.random.default_rng(1).integers(-3, 4, picture.shape)).clip(0, 255).astype(np.uint8)
    filled = np.full((2400, 3200, 3), fill, np.uint8)
    filled[: picture.shape[0], : picture.shape[1]] = picture
    assert survey_slide(ArraySlide([filled], mpp=1.0), min_area_um2=1000).concerns == ()


def test_the_slide_in_the_repository() -> None:
    with open_slide(ROOT / "tests" / "data" / "sample.svs") as slide:
        assert said(read_overview(slide, 16).pixels) == ""
        assert said(np.invert(read_overview(slide, 16).pixels))


@pytest.mark.parametrize(("name", "is_stained"), [("CMU-1-Small-Region.svs", True), ("test3-DAPI-2-387.ndpi", False)])
def test_real_slides(shared_slides: Path, name: str, *, is_stained: bool) -> None:
    with open_slide(shared_slides / name) as slide:
        kinds = {concern.kind for concern in survey_slide(slide, min_area_um2=1000).concerns}
    assert (ConcernKind.COLOURS not in kinds) == is_stained
