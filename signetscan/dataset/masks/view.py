"""An image with its mask at the pixel size of a model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from signetscan.slides import ArraySlide, SlideAtMpp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.dataset.masks.images import MaskedImage
    from signetscan.dataset.masks.pixels import PixelStore


class MaskedView:
    """An image and its labels in view pixels, which are `scale` pixels of the image wide and start at its corner.

    Pixels are resampled by the same code as in a scan, so that a model sees in a scan what it saw in training. A view
    pixel has the label of the pixel at its centre.

    Args:
        store: gives the image's pixels.
        image: the image.
        scale: side of a view pixel, pixels of the image.
    """

    def __init__(self, store: PixelStore, image: MaskedImage, scale: float = 1.0) -> None:
        self.image = image
        self._store, self._scale = store, scale
        self.width, self.height = math.ceil(image.width / scale), math.ceil(image.height / scale)
        """Width and height, view pixels; the last one may be partly outside the image."""

    def pixels(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """A window, (height, width, 3), RGB; white outside the image.

        Raises:
            AnnotationError: the image cannot be decoded.
            OutputError: the file of a large image cannot be written.
        """
        return SlideAtMpp(self.as_slide(1.0), 1.0, slack=0).read(x, y, width, height)

    def as_slide(self, mpp: float) -> ArraySlide:
        """The image as a slide, whose view pixels are `mpp` µm wide.

        Raises:
            AnnotationError: the image cannot be decoded.
            OutputError: the file of a large image cannot be written.
        """
        return ArraySlide([self.image_pixels()], mpp=mpp / self._scale, name=self.image.name)

    def image_pixels(self) -> NDArray[np.uint8]:
        """All pixels of the image, at its own size, (image height, image width, 3), read-only.

        Raises:
            AnnotationError: the image cannot be decoded.
            OutputError: the file of a large image cannot be written.
        """
        return self._store.image(self.image)

    def image_labels(self, top: int, rows: int) -> NDArray[np.uint8]:
        """The labels of some rows of the image, (rows, image width), at the image's own pixels.

        Raises:
            AnnotationError: the mask cannot be decoded.
            OutputError: the file of a large mask cannot be written.
        """
        return self._store.labels(self.image, 0, top, (self.image.width, rows))

    def labels(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """The labels of a window, (height, width); background outside the image.

        Raises:
            AnnotationError: the mask cannot be decoded.
            OutputError: the file of a large mask cannot be written.
        """
        columns, rows = (
            np.floor((start + np.arange(length) + 0.5) * self._scale).astype(np.int64)
            for start, length in ((x, width), (y, height))
        )
        left, top = int(columns[0]), int(rows[0])
        found = self._store.labels(self.image, left, top, (int(columns[-1]) - left + 1, int(rows[-1]) - top + 1))
        return found[np.ix_(rows - top, columns - left)]
