"""The effects of microscope and scanner on the light: focus, colour fringes, banding, noise, JPEG."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage

from signetscan.simulate.noise import smooth_noise, step

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """Settings of a scanner. Lengths are in pixels, light on a scale of 0 to 255."""

    blur: float
    """Standard deviation of the blur in focus."""
    defocus: float
    """Standard deviation of the blur out of focus."""
    fringe: float
    """Shift of red against blue."""
    banding: float
    """Height of the horizontal bands."""
    noise: float
    """Standard deviation of the sensor's noise."""
    jpeg_quality: int
    """Quality of the JPEG, 1 to 100."""


def random_camera(rng: np.random.Generator) -> Camera:
    """A scanner with random settings."""
    blur = float(rng.uniform(0.55, 1.1))
    return Camera(
        blur=blur,
        defocus=blur + float(rng.uniform(0.2, 1.6)),
        fringe=float(rng.uniform(0, 0.7)),
        banding=float(rng.uniform(0, 1.5)),
        noise=float(rng.uniform(1.0, 3.0)),
        jpeg_quality=int(rng.integers(72, 93)),
    )


def second_camera(rng: np.random.Generator) -> Camera:
    """A scanner for real images, which have been through one already: with hardly any blur and noise."""
    return Camera(
        blur=0.4,
        defocus=0.4 + float(rng.uniform(0.0, 1.2)),
        fringe=0.0,
        banding=0.0,
        noise=float(rng.uniform(0.3, 1.2)),
        jpeg_quality=int(rng.integers(72, 93)),
    )


def photograph(rng: np.random.Generator, light: NDArray[np.float32], camera: Camera) -> NDArray[np.uint8]:
    """Light (H, W, 3) as an image, uint8 of the same shape, not yet compressed."""
    height, width = light.shape[:2]
    unfocused = step(smooth_noise(rng, (height, width), 500) - rng.uniform(0.2, 1.8), 1.2)[..., None]
    sharp = ndimage.gaussian_filter(light, (camera.blur, camera.blur, 0))
    soft = ndimage.gaussian_filter(light, (camera.defocus, camera.defocus, 0))
    picture = sharp + unfocused * (soft - sharp)
    for channel, shift in ((0, camera.fringe), (2, -camera.fringe)):
        picture[..., channel] = ndimage.shift(picture[..., channel], (0, shift), order=1, mode="nearest")
    bands = ndimage.gaussian_filter1d(rng.normal(0, 3, height), 4) * camera.banding
    picture += bands[:, None, None].astype(np.float32)
    picture += camera.noise * rng.standard_normal(picture.shape, np.float32)
    return np.asarray(np.clip(picture + 0.5, 0, 255), np.uint8)


def compress(picture: NDArray[np.uint8], quality: int) -> bytes:
    """An image as the content of a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
