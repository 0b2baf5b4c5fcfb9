"""The pixels of images with masks: small ones are kept in memory, large ones decoded once into a mapped file.

A training crop needs a window of an image, but a JPEG can only be decoded from its start: DigestPath's largest image,
438 megapixels, would take seconds and more than a gigabyte for each crop. So a large JPEG is decoded once, line by
line, into a file that is mapped into memory. Of such a file the system keeps in memory what is in use, and no more than
it has room for.
"""

from __future__ import annotations

import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import imagecodecs
import numpy as np

from signetscan.atomic import free_bytes
from signetscan.dataset.masks.drawn import draw_labels
from signetscan.dataset.masks.images import BACKGROUND, DrawnMask
from signetscan.errors import AnnotationError, OutputError
from signetscan.pixel_cache import PixelCache
from signetscan.slides import SlideAtMpp, open_slide
from signetscan.slides.codestreams import jpeg_frame
from signetscan.slides.image_files import UNREADABLE, is_deep, open_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray
    from PIL import Image

    from signetscan.dataset.images import Place
    from signetscan.dataset.masks.images import Mask, MaskedImage

    Pixels = NDArray[np.uint8]
    Kind = Literal["image", "mask"]
    Key = tuple[Path, Place | None, Kind]

LARGE = 50_000_000
"""Pixels from which a JPEG is decoded into a file: some 150 MB in memory."""
LARGEST_JPEG = 2_000_000_000
"""Most pixels of a JPEG: more than four times those of DigestPath's largest image."""
LARGEST_OTHER = 100_000_000
"""Most pixels of an image in another format, which is held in memory."""
END_OF_JPEG, END_BYTES = b"\xff\xd9", 4096
"""Marker at the end of a JPEG, and how far from the end of its file it may lie."""


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of an image or mask as it is stored, pixels, from its header.

    Raises:
        AnnotationError: it is not an image, is too large, or has more than 8 bits per channel.
    """
    with _opened(path) as image:
        return image.size


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An open image whose header has been checked.

    Raises:
        AnnotationError: it is not an image, is too large, or has more than 8 bits per channel.
    """
    try:
        image = open_image(path)
    except UNREADABLE as error:
        message = f"{path}: not a readable image: {error}"
        raise AnnotationError(message) from error
    with image:
        most = LARGEST_JPEG if image.format == "JPEG" else LARGEST_OTHER
        if image.width * image.height > most:
            size = f"{image.width} x {image.height} px"
            message = f"{path}: {size} is too large for a {image.format} to learn from; cut it into pieces"
            raise AnnotationError(message)
        if is_deep(image):
            message = f"{path}: has more than 8 bits per channel; save it with 8"
            raise AnnotationError(message)
        yield image


def read_picture(path: Path, kind: Kind) -> Pixels:
    """All pixels of an image, (H, W, 3) RGB, or of a mask, (H, W), whose values stay as they are.

    Raises:
        AnnotationError: it cannot be decoded, or a mask has colours.
    """
    with _opened(path) as picture:
        try:
            if kind == "image":
                return np.asarray(picture.convert("RGB"))
            # The values of a palette are labels; its colours are not.
            values = np.asarray(picture if picture.mode in ("L", "P") else picture.convert("L"))
            grey = picture.mode in ("1", "L", "P") or _is_grey(picture)
        except UNREADABLE as error:
            message = f"{path}: cannot be decoded: {error}; copy it again"
            raise AnnotationError(message) from error
    if not grey:
        message = f"{path}: a mask with colours; save it in one channel, whose values are numbers of classes"
        raise AnnotationError(message)
    return values


def _is_grey(picture: Image.Image) -> bool:
    """Whether all channels of a picture are the same, but for rounding."""
    channels = np.asarray(picture.convert("RGB")).astype(np.int16)
    return int(np.ptp(channels, axis=2).max(initial=0)) <= 2


class PixelStore:
    """The pixels of images and masks. Safe to use from several threads; close it, to remove the files that it made.

    Args:
        folder: an existing folder for the files of large images.
        limit: most bytes of small images to keep in memory.
        large: pixels from which a JPEG is decoded into a file.
    """

    def __init__(self, folder: Path, limit: int, large: int = LARGE) -> None:
        self._cache: PixelCache[Key] = PixelCache(limit)
        self._large = large
        self._parent = folder
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._mapped: dict[tuple[Path, Kind], Pixels] = {}
        self._lock = threading.Lock()

    def image(self, image: MaskedImage) -> Pixels:
        """The pixels of an image, (height, width, 3), RGB, read-only; of a large one, a mapped file.

        Raises:
            AnnotationError: it cannot be decoded.
            SlideError: its slide cannot be read.
            OutputError: the file of a large one cannot be written.
        """
        place = image.place
        if place is not None:
            return self._cache.get((image.path, place, "image"), lambda: _read_part(image, place))
        return self._get(image.path, "image", image)

    def labels(self, image: MaskedImage, x: int, y: int, size: tuple[int, int]) -> Pixels:
        """The labels of a window of an image, (height, width); background outside the image, `IGNORED` where unknown.

        Args:
            image: the image.
            x: left edge of the window, pixels of the image; may be negative.
            y: top edge.
            size: width and height of the window.

        Raises:
            AnnotationError: the mask cannot be decoded.
            OutputError: the file of a large one cannot be written.
        """
        width, height = size
        window = np.full((height, width), BACKGROUND, np.uint8)
        mask = image.mask
        if mask is None:
            return window
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + width, image.width), min(y + height, image.height)
        if left < right and top < bottom:
            inside = np.s_[top:bottom, left:right]
            window[top - y : bottom - y, left - x : right - x] = (
                self._drawn(image, mask)[inside]
                if isinstance(mask, DrawnMask)
                else labels_of(mask, self._get(mask.path, "mask", image)[inside])
            )
        return window

    def _drawn(self, image: MaskedImage, mask: DrawnMask) -> Pixels:
        """The labels of all of an image on which people drew."""
        corner = (0, 0) if image.place is None else (image.place.x, image.place.y)
        size = (image.height, image.width)
        return self._cache.get((image.path, image.place, "mask"), lambda: draw_labels(mask, corner, size))

    def _get(self, path: Path, kind: Kind, image: MaskedImage) -> Pixels:
        if image.width * image.height < self._large or not _is_jpeg(path):
            return self._cache.get((path, None, kind), lambda: read_picture(path, kind))
        with self._lock:  # one at a time, so that the disk's free space is what it was when it was looked at
            if (path, kind) not in self._mapped:
                self._mapped[path, kind] = self._map(path, kind, image)
            return self._mapped[path, kind]

    def _map(self, path: Path, kind: Kind, image: MaskedImage) -> Pixels:
        """Decode a large JPEG into a mapped file."""
        shape = (image.height, image.width) if kind == "mask" else (image.height, image.width, 3)
        needed = int(np.prod(shape))
        if needed > free_bytes(self._parent):  # a disk that is full while a mapped file grows would end the process
            message = f"{self._parent}: {path.name} needs {needed / 1e9:.1f} GB on this disk once it is decoded"
            raise OutputError(message)
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(dir=self._parent, prefix=".decoded.")
        target = Path(self._folder.name) / f"{len(self._mapped)}.raw"
        decode_into(path, kind, shape, target)
        return np.memmap(target, np.uint8, "r", shape=shape)

    def close(self) -> None:
        """Remove the files that it made."""
        self._mapped.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> Self:
        """Use in a `with` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


def _read_part(image: MaskedImage, place: Place) -> Pixels:
    """The pixels of a part of a slide, and no others of it."""
    with open_slide(image.path) as slide:
        return SlideAtMpp(slide, place.mpp).read(place.x, place.y, image.width, image.height)


def labels_of(mask: Mask, values: Pixels) -> Pixels:
    """The labels of a mask's values, both (H, W)."""
    if mask.label is None:
        return values
    return np.where(values > mask.cut, np.uint8(mask.label), np.uint8(BACKGROUND))


def decode_into(path: Path, kind: Kind, shape: tuple[int, ...], target: Path) -> None:
    """Decode a JPEG line by line into a file of raw values.

    Args:
        path: the JPEG.
        kind: whether RGB or grey is wanted.
        shape: of the pixels, as the header says.
        target: the file.

    Raises:
        AnnotationError: it cannot be decoded, or its end is missing.
        OutputError: the file cannot be written.
    """
    try:
        data = path.read_bytes()
        frame = jpeg_frame(data)
    except (OSError, ValueError) as error:
        message = f"{path}: cannot be decoded: {error}; copy it again"
        raise AnnotationError(message) from error
    # The decoder fills the rest of a JPEG that was cut off with grey, and says nothing.
    if (frame.height, frame.width) != shape[:2] or END_OF_JPEG not in data[-END_BYTES:]:
        message = f"{path}: its end is missing, or it has changed since it was looked at; copy it again"
        raise AnnotationError(message)
    try:
        with target.open("wb") as file:
            file.truncate(int(np.prod(shape)))
        pixels = np.memmap(target, np.uint8, "r+", shape=shape)
    except OSError as error:
        message = f"{target}: cannot be written: {error.strerror}"
        raise OutputError(message) from error
    try:
        imagecodecs.jpeg8_decode(data, outcolorspace="GRAYSCALE" if kind == "mask" else "RGB", out=pixels)
    except (RuntimeError, ValueError) as error:
        message = f"{path}: cannot be decoded: {error}; copy it again"
        raise AnnotationError(message) from error


def _is_jpeg(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(3) == b"\xff\xd8\xff"
