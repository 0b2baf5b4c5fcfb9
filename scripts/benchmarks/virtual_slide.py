"""Write a slide of any size that takes almost no disk: a tiled TIFF whose tiles are the same few JPEGs again and again.

    python scripts/benchmarks/virtual_slide.py OUT.svs --source SLIDE [--side 100000] [--tissue 0.3]

The slide looks like Aperio's, with levels 1, 4 and 16 times smaller, 0.25 um a pixel. Its tissue is a round piece in
the middle, made of one square of the source over and over; the rest is glass.
"""

from __future__ import annotations

import argparse
import io
import math
import struct
from pathlib import Path

import numpy as np
from PIL import Image

from signetscan.slides import Slide, open_slide

TILE = 256
SQUARE = 4096
"""Side of the square that tissue repeats: one tile of the smallest level."""
SHRINKS = (1, 4, 16)
GLASS = (243, 243, 244)
MPP = 0.25
SHORT, LONG, LONG8 = 3, 4, 16
"""TIFF's types of numbers, the last being BigTIFF's."""


def tissue_square(slide: Slide) -> Image.Image:
    """A square from the middle of a slide, mirrored where the slide is smaller."""
    width, height = slide.dimensions
    side_x, side_y = min(SQUARE, width), min(SQUARE, height)
    pixels = slide.read_region(((width - side_x) // 2, (height - side_y) // 2), 0, (side_x, side_y))
    return Image.fromarray(np.pad(pixels, ((0, SQUARE - side_y), (0, SQUARE - side_x), (0, 0)), mode="symmetric"))


def jpeg(picture: Image.Image) -> bytes:
    """A tile, complete with its tables."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=80)
    return file.getvalue()


def tiles_of(square: Image.Image, shrink: int) -> list[list[bytes]]:
    """The square's tiles at one level, in rows."""
    side = SQUARE // shrink
    level = square.reduce(shrink) if shrink > 1 else square
    return [[jpeg(level.crop((x, y, x + TILE, y + TILE))) for x in range(0, side, TILE)] for y in range(0, side, TILE)]


def is_tissue(squares: int, share: float) -> np.ndarray:
    """Which squares of the plane are tissue: those nearest to the middle, as many as the share asks for."""
    middle = (np.arange(squares) - (squares - 1) / 2) ** 2
    distance = middle[:, None] + middle[None]
    chosen = np.zeros(squares * squares, np.bool_)
    chosen[np.argsort(distance.ravel(), kind="stable")[: round(share * squares * squares)]] = True
    return chosen.reshape(squares, squares)


def write_virtual_slide(path: Path, source: Slide, side: int, share: float) -> None:
    """Write the slide.

    Args:
        path: the file.
        source: what the tissue looks like; 0.25 um a pixel.
        side: width and height, pixels.
        share: share of the plane that is tissue, 0 to 1.
    """
    square = tissue_square(source)
    tissue = is_tissue(math.ceil(side / SQUARE), share)
    with path.open("wb") as file:
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0))
        glass = stored(file, jpeg(Image.new("RGB", (TILE, TILE), GLASS)))
        link = 8
        for shrink in SHRINKS:
            places = [[stored(file, tile) for tile in row] for row in tiles_of(square, shrink)]
            across = math.ceil(side / shrink / TILE)
            rows, columns = np.indices((across, across)).reshape(2, -1)
            grain = len(places)
            table = np.array(places)[rows % grain, columns % grain]  # (tiles, 2): offset and length
            table[~tissue[rows // grain, columns // grain]] = glass
            link = write_directory(file, link, math.ceil(side / shrink), table)


def stored(file: io.BufferedWriter, data: bytes) -> tuple[int, int]:
    """Where data was put, and its length."""
    place = file.tell()
    file.write(data)
    return place, len(data)


def write_directory(file: io.BufferedWriter, link: int, side: int, table: np.ndarray) -> int:
    """One level's directory; `link` is where its own place belongs, and the next one's is given back."""
    offsets, _ = stored(file, table[:, 0].astype("<u8").tobytes())
    counts, _ = stored(file, table[:, 1].astype("<u4").tobytes())
    text = f"Aperio Image Library v12.0.0\r\n{side}x{side} [0,0 {side}x{side}] ({TILE}x{TILE}) JPEG/RGB Q=80"
    described = f"{text}|AppMag = 40|MPP = {MPP}\0".encode()
    description, _ = stored(file, described)
    bits = struct.unpack("<Q", struct.pack("<HHHH", 8, 8, 8, 0))[0]
    entries = [
        (254, LONG, 1, 0),
        (256, LONG, 1, side),
        (257, LONG, 1, side),
        (258, SHORT, 3, bits),
        (259, SHORT, 1, 7),  # JPEG
        (262, SHORT, 1, 6),  # YCbCr
        (270, 2, len(described), description),
        (277, SHORT, 1, 3),
        (284, SHORT, 1, 1),
        (322, SHORT, 1, TILE),
        (323, SHORT, 1, TILE),
        (324, LONG8, len(table), offsets),
        (325, LONG, len(table), counts),
        (530, SHORT, 2, 2 | 2 << 16),  # colour at half the resolution
    ]
    start, _ = stored(file, struct.pack("<Q", len(entries)))
    file.writelines(struct.pack("<HHQQ", *entry) for entry in entries)
    next_link, _ = stored(file, struct.pack("<Q", 0))
    file.seek(link)
    file.write(struct.pack("<Q", start))
    file.seek(0, io.SEEK_END)
    return next_link


def main() -> None:
    """Write one slide."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--source", type=Path, required=True, help="slide that the tissue is taken from")
    parser.add_argument("--side", type=int, default=100_000, help="width and height, pixels")
    parser.add_argument("--tissue", type=float, default=0.3, help="share of the plane that is tissue, 0 to 1")
    arguments = parser.parse_args()
    with open_slide(arguments.source) as source:
        write_virtual_slide(arguments.out, source, arguments.side, arguments.tissue)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
