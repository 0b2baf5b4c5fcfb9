"""Writing a slide's training images into a data set: all of them, or as good as none."""

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
"""Beginning of the names of folders in which images are made before they take their place."""
COMPRESSION = 3
"""Of the PNG files: a few percent larger than at the usual 6, and written twice as fast."""


def replace_images(
    folder: Path,
    record: DatasetRecord,
    stem: str,
    view: SlideAtMpp,
    chosen: Sequence[SlidePart],
    names: set[str],
    on_progress: Progress | None,
) -> int:
    """Write a slide's images, all or none, in the place of its old ones, and say how many those were.

    Args:
        folder: the data set; made if it is not there.
        record: what the data set says of itself as long as the images are not all in their place.
        stem: how the names of the new images begin.
        view: the slide, at the mpp of the data set.
        chosen: the images.
        names: what the slide is called in the data set, now and before: images of these names are replaced.
        on_progress: called with (images written, images to write).

    Raises:
        SlideError: the slide cannot be decoded; the data set stays as it was.
        OutputError: the folder cannot be written.
    """
    make_folder(folder)
    with _stage(folder) as stage:
        _write_parts(stage, stem, view, chosen, on_progress)
        write_dataset_record(folder, record)  # so that what a kill leaves from here on is known as a data set
        return _swap(folder, stage, names)


@contextmanager
def _stage(folder: Path) -> Iterator[Path]:
    """A hidden folder in the data set to make images in. What a killed process left of one is removed."""
    try:
        for left in folder.glob(f"{STAGE}*"):
            shutil.rmtree(left, ignore_errors=True)
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
    """Put new images in the place of a slide's old ones, and say how many those were.

    The old ones go first: what a kill leaves lacks images, but holds none twice, and adding the slide again mends it.
    """
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
