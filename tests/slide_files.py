"""Slides written for the tests of decoding, in all the ways that tiles are stored, and ways to break them."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from signetscan.slides.openslide_slide import OpenSlideSlide

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

APERIO: dict[str, Any] = {"description": "Aperio test\r\n|AppMag = 40|MPP = 0.25", "metadata": None}
TILE = 64
WIDTH, HEIGHT = 212, 156
"""Of most test slides: no whole number of tiles, but halves and quarters of it are whole."""

KINDS: dict[str, dict[str, Any]] = {
    "jpeg-420": {"compression": "jpeg", "subsampling": (2, 2)},
    "jpeg-422": {"compression": "jpeg", "subsampling": (2, 1)},
    "jpeg-444": {"compression": "jpeg", "subsampling": (1, 1)},
    "jpeg-rgb": {"compression": "jpeg", "compressionargs": {"outcolorspace": "rgb"}},
    "jpeg-grey": {"compression": "jpeg", "photometric": "minisblack"},
    "jpeg-aperio": {"compression": "jpeg", "subsampling": (2, 2), **APERIO},
    "jpeg2000-aperio": {"compression": 33005, **APERIO},
    "jpeg2000-lossy-aperio": {"compression": 33005, "compressionargs": {"level": 35, "reversible": False}, **APERIO},
    "none": {},
    "none-big": {"byteorder": ">", "bigtiff": True},
    "lzw": {"compression": "lzw"},
    "lzw-differences": {"compression": "lzw", "predictor": True},
    "lzw-grey": {"compression": "lzw", "photometric": "minisblack"},
    "deflate": {"compression": "deflate"},
    "deflate-differences": {"compression": "deflate", "predictor": True},
    "deflate-white-is-0": {"compression": "deflate", "photometric": "miniswhite"},
}
"""How tiles may be stored that are read without OpenSlide; options of tifffile."""


def texture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth blotches of colour with a little noise, (height, width, 3): no two tiles are alike."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    noisy = smooth.astype(np.int16) + rng.integers(-9, 10, smooth.shape)
    clipped: NDArray[np.uint8] = np.clip(noisy, 0, 255).astype(np.uint8)
    return clipped


def write(path: Path, image: NDArray[np.uint8], levels: int = 1, *, tile: int = TILE, **options: Any) -> Path:  # noqa: ANN401
    """A tiled TIFF with a pyramid, each level half as wide and high as the one before."""
    options = {"photometric": "rgb", **options}
    grey = options["photometric"].startswith("minis")
    head = {key: options.pop(key) for key in ("byteorder", "bigtiff") if key in options}
    with tifffile.TiffWriter(path, **head) as file:
        for level in range(levels):
            pixels = np.ascontiguousarray(
                image[:: 2**level, :: 2**level, 1] if grey else image[:: 2**level, :: 2**level]
            )
            file.write(pixels, tile=(tile, tile), subfiletype=int(level > 0), **options)
    return path


def write_stored(path: Path, tiles: list[bytes], width: int, height: int, *, tile: int = TILE, **options: Any) -> Path:  # noqa: ANN401
    """A tiled TIFF of tiles that are compressed already."""
    options = {"photometric": "ycbcr", "compression": "jpeg", "subsampling": (2, 2), **options}
    tifffile.imwrite(path, iter(tiles), shape=(height, width, 3), dtype=np.uint8, tile=(tile, tile), **options)
    return path


def tiles_of(image: NDArray[np.uint8], tile: int = TILE) -> Iterator[NDArray[np.uint8]]:
    """The image's tiles; those at the far edges are filled up."""
    for top in range(0, image.shape[0], tile):
        for left in range(0, image.shape[1], tile):
            piece = image[top : top + tile, left : left + tile]
            yield np.pad(piece, ((0, tile - piece.shape[0]), (0, tile - piece.shape[1]), (0, 0)), "edge")


def spans(path: Path) -> list[list[tuple[int, int]]]:
    """Where each tile is in the file and how long, by level in the file's order."""
    with tifffile.TiffFile(path) as file:
        pages = [page for page in file.pages if isinstance(page, tifffile.TiffPage)]
        return [list(zip(page.dataoffsets, page.databytecounts, strict=True)) for page in pages]


def set_tag(path: Path, page: int, name: str, value: object) -> None:
    """Write another value into a directory."""
    with tifffile.TiffFile(path, mode="r+") as file:
        chosen = file.pages[page]
        assert isinstance(chosen, tifffile.TiffPage)
        chosen.tags[name].overwrite(value)


def set_count(path: Path, page: int, tile: int, count: int) -> None:
    """Say that a stored tile is another number of bytes long."""
    counts = [length for _, length in spans(path)[page]]
    counts[tile] = count
    set_tag(path, page, "TileByteCounts", counts)


def overwrite(path: Path, at: int, data: bytes) -> None:
    """Write over a part of the file."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def jpeg(pixels: NDArray[np.uint8], **options: Any) -> bytes:  # noqa: ANN401
    """A JPEG by Pillow, such as a progressive one."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85, **options)
    return buffer.getvalue()


def abbreviated(whole: bytes) -> tuple[bytes, bytes]:
    """A JPEG without its tables, and the tables alone, as scanners store them."""
    tables, rest, at = b"", b"", 2
    while whole[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(whole[at + 2 : at + 4])
        if whole[at + 1] in {0xDB, 0xC4}:
            tables += whole[at:end]
        else:
            rest += whole[at:end]
        at = end
    return b"\xff\xd8" + rest + whole[at:], b"\xff\xd8" + tables + b"\xff\xd9"


def aperio_ycbcr(pixels: NDArray[np.uint8]) -> bytes:
    """A JPEG 2000 codestream as of compression 33003: YCbCr, chroma of half the width.

    No encoder at hand writes it, so three grey codestreams of one resolution, thus of one packet each, become one.
    """
    ycbcr = np.asarray(Image.fromarray(pixels).convert("YCbCr"))
    planes = (ycbcr[..., 0], ycbcr[:, ::2, 1], ycbcr[:, ::2, 2])
    streams = [
        imagecodecs.jpeg2k_encode(
            np.ascontiguousarray(plane), codecformat="j2k", resolutions=1, mct=False, reversible=True
        )
        for plane in planes
    ]
    packets = b"".join(stream[stream.index(b"\xff\x93") + 2 : stream.rindex(b"\xff\xd9")] for stream in streams)
    first = bytes(streams[0])
    size_end = 4 + int.from_bytes(first[4:6])
    header_end = first.index(b"\xff\x90")
    size = struct.pack(">HH", 38 + 9, 0) + first[8:40] + struct.pack(">H", 3) + bytes([7, 1, 1, 7, 2, 1, 7, 2, 1])
    part = struct.pack(">HHHIBB", 0xFF90, 10, 0, 14 + len(packets), 0, 1) + b"\xff\x93" + packets
    return first[:4] + size + first[size_end:header_end] + part + b"\xff\xd9"


class Pair:
    """A slide opened twice: with the direct reader and without."""

    def __init__(self, path: Path) -> None:
        self.slide = OpenSlideSlide(path)
        self.reference = OpenSlideSlide(path, direct=False)

    def direct(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """What is read without OpenSlide, None where it is asked."""
        assert self.slide._direct is not None
        return self.slide._direct.read(location, level, size)

    def differs(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> int:
        """The largest difference of the two."""
        pixels = self.slide.read_region(location, level, size)
        assert pixels.shape == (size[1], size[0], 3)
        assert pixels.dtype == np.uint8
        expected = self.reference.read_region(location, level, size)
        return int(np.abs(pixels.astype(np.int16) - expected).max())

    def close(self) -> None:
        self.slide.close()
        self.reference.close()
