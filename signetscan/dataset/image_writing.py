"""Writing a slide's training images into a data set, so that a failure leaves the old ones wherever possible."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from signetscan.atomic import make_folder, part_path
from signetscan.dataset.image_names import slide_of
from signetscan.dataset.record import write_dataset_record
from signetscan.errors import OutputError
from signetscan.formats.annotations import write_annotations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from signetscan.dataset.record import DatasetRecord
    from signetscan.dataset.slide_parts import SlidePart
    from signetscan.slides import SlideAtMpp

    Progress = Callable[[int, int], None]

IMAGE_SUFFIX, ANNOTATION_SUFFIX = ".png", ".geojson"
STAGE = ".adding-"
"""Prefix of the hidden folders in which images are written before they are moved into the data set."""
COMPRESSION = 3
"""Compression level of the PNG files: a few percent larger than at the default of 6, and written twice as fast."""


def replace_images(
    folder: Path,
    record: DatasetRecord,
    stem: str,
    view: SlideAtMpp,
    chosen: Sequence[SlidePart],
    names: set[str],
    on_progress: Progress | None,
) -> int:
    """Replace a slide's images by new ones.

    Args:
        folder: the data set; created if needed.
        record: the record of the data set until all images are there.
        stem: prefix of the names of the new images.
        view: the slide, at the mpp of the data set.
        chosen: the parts of the slide that become images.
        names: names of the slide in the data set, now and before, whose images are replaced.
        on_progress: called with (images written, images to write).

    Returns:
        The number of images that were replaced.

    Raises:
        SlideError: the slide cannot be decoded; the data set does not change.
        OutputError: the folder cannot be written.
    """
    make_folder(folder)
    with _stage(folder) as stage:
        _write_parts(stage, stem, view, chosen, on_progress)
        # Before any image is there: a process that is killed from here on leaves a folder that is still a data set.
        write_dataset_record(folder, record)
        return _swap(folder, stage, names)


@contextmanager
def _stage(folder: Path) -> Iterator[Path]:
    """A hidden folder in the data set to write images in. Folders that killed processes left are removed."""
    try:
        for leftover in folder.glob(f"{STAGE}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        stage = Path(tempfile.mkdtemp(prefix=STAGE, dir=folder))
    except OSError as error:
        message = f"{folder}: cannot be written: {error.strerror}"
        raise OutputError(message) from error
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _write_parts(
    stage: Path, stem: str, view: SlideAtMpp, chosen: Sequence[SlidePart], on_progress: Progress | None
) -> None:
    for number, slide_part in enumerate(chosen, start=1):
        x0, y0, x1, y1 = slide_part.edges
        pixels = view.read(x0, y0, x1 - x0, y1 - y0)
        level0 = np.rint(np.array([x0, y0, x1 - x0, y1 - y0]) * np.tile(view.scale, 2)).astype(int).tolist()
        path = stage / f"{stem}-lv0-{'-'.join(map(str, level0))}{IMAGE_SUFFIX}"
        with part_path(path) as part:
            Image.fromarray(pixels).save(part, format="PNG", compress_level=COMPRESSION)
        size = (x1 - x0, y1 - y0)
        write_annotations(
            path.with_suffix(ANNOTATION_SUFFIX),
            size,
            slide_part.boxes,
            slide_part.names,
            normal=slide_part.normal,
            ignored=slide_part.ignored,
        )
        if on_progress is not None:
            on_progress(number, len(chosen))


def _swap(folder: Path, stage: Path, names: set[str]) -> int:
    """Replace a slide's old images by the new ones, and return the number of old ones.

    The old ones are removed first: a process that is killed in between leaves too few images, but none twice, and
    adding the slide again repairs that.
    """
    # An image without annotations is left out in training, annotations without an image are remarked on; so annotations
    # are removed before their image, and moved after it.
    suffixes = (ANNOTATION_SUFFIX, IMAGE_SUFFIX)
    try:
        old = [path for path in folder.iterdir() if path.suffix in suffixes and slide_of(path.stem) in names]
        for path in sorted(old, key=lambda path: suffixes.index(path.suffix)):
            path.unlink()
        for path in sorted(stage.iterdir(), key=lambda path: -suffixes.index(path.suffix)):
            path.replace(folder / path.name)
    except OSError as error:
        message = f"{folder}: cannot be written: {error.strerror or error}; add the slide again"
        raise OutputError(message) from error
    return sum(path.suffix == IMAGE_SUFFIX for path in old)
