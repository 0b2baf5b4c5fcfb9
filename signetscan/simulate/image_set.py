"""A training set of simulated images, in the layout of DigestPath 2019."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from signetscan import __version__
from signetscan.annotations import boxes_xml
from signetscan.atomic import make_folder, part_path
from signetscan.concurrency import cpu_count, process_map
from signetscan.dataset import CLASS_NAME, NEGATIVE_FOLDER, POSITIVE_FOLDER, TRUTH_FOLDER
from signetscan.dataset.file_pairs import files_in
from signetscan.errors import AnnotationError, OutputError
from signetscan.simulate.camera import compress, random_camera, second_camera
from signetscan.simulate.field import compose_field, render_field
from signetscan.simulate.noise import log_uniform
from signetscan.simulate.real import random_crop, read_background, real_canvas
from signetscan.simulate.stain import random_stain, vary
from signetscan.suffixes import PICTURE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.simulate.options import ImageSetOptions

FOLDERS = (POSITIVE_FOLDER, NEGATIVE_FOLDER, TRUTH_FOLDER)
RECORD = "dataset.json"
UNFINISHED = ".unfinished"
"""Where a data set grows until it is whole, because a part of one looks like a whole one."""
NAMELESS = 0.15
"""Fraction of normal slides whose images have no slide id in their names, as in DigestPath."""
REAL_FRACTION = 0.8
"""Fraction of images composed of real tissue, if there is any."""
SMALLEST, LARGEST = 0.7, 1.8
"""Least and most size of a drawn slide's cells over the usual."""
AS_IT_IS = 0.35
"""Fraction of normal images of real tissue without look-alikes that the simulator has made."""
MAX_EXTRA = 80
"""Most pixels by which sides of positive images exceed the given size: in DigestPath they differ too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCount:
    """Numbers of cells in one image."""

    cells: int
    """Signet ring cells in it."""
    boxes: int
    """Cells with a box in the XML."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSetTotals:
    """Numbers of images and cells in a training set."""

    positives: int
    """Images with signet ring cells."""
    negatives: int
    """Images without signet ring cells."""
    cells: int
    """Signet ring cells."""
    boxes: int
    """Cells with a box in the XML."""


def write_image_set(
    out: Path,
    options: ImageSetOptions,
    *,
    workers: int | None = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> ImageSetTotals:
    """Write `sig-train-pos`, `sig-train-neg`, `truth` with all boxes, and `dataset.json` into a new or empty folder.

    Args:
        out: the folder.
        options: what to draw.
        workers: number of processes, None for one per core; the result does not depend on it.
        on_progress: called with (images done, images in all).

    Raises:
        OutputError: the folder is not empty or cannot be written.
        AnnotationError: a background image cannot be read.
        SlideError: a background slide cannot be read.
    """
    make_folder(out)
    if any(out.iterdir()):
        message = f"{out}: not empty; name a new folder, so that two data sets do not get mixed"
        raise OutputError(message)
    load_backgrounds(options.backgrounds)  # so that an unreadable one is an error before anything is written
    unfinished = out / UNFINISHED
    try:
        totals = _write_all(unfinished, options, workers or cpu_count(), on_progress)
        for name in (*FOLDERS, RECORD):
            (unfinished / name).rename(out / name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return totals


def _write_all(
    out: Path, options: ImageSetOptions, workers: int, on_progress: Callable[[int, int], None] | None
) -> ImageSetTotals:
    """Write everything that a training set holds into an empty folder."""
    for name in FOLDERS:
        make_folder(out / name)
    jobs = [(True, index) for index in range(options.positives)]
    jobs += [(False, index) for index in range(options.negatives)]
    counts: list[ImageCount] = []
    for count in process_map(partial(_write_image, out, options), jobs, workers=workers):
        counts.append(count)
        if on_progress is not None:
            on_progress(len(counts), len(jobs))
    totals = ImageSetTotals(
        positives=options.positives,
        negatives=options.negatives,
        cells=sum(count.cells for count in counts),
        boxes=sum(count.boxes for count in counts),
    )
    described = asdict(options) | {"backgrounds": [path.name for path in options.backgrounds]}
    description = {"signetscan": __version__, "options": described, "totals": asdict(totals)}
    _write(out / RECORD, (json.dumps(description, indent=2) + "\n").encode())
    return totals


@lru_cache(maxsize=1)
def load_backgrounds(paths: tuple[Path, ...]) -> tuple[NDArray[np.uint8], ...]:
    """The real images to compose in, read once in each process.

    Args:
        paths: images, slides, and folders of images.
    """
    files: list[Path] = []
    for path in paths:
        found = files_in(path, PICTURE_SUFFIXES) if path.is_dir() else [path]
        if not found:
            message = f"{path}: no image in this folder of backgrounds"
            raise AnnotationError(message)
        files += found
    return tuple(read_background(file) for file in files)


def _write_image(out: Path, options: ImageSetOptions, job: tuple[bool, int]) -> ImageCount:
    """Draw and write one image with its XML. All randomness comes from the seed and the image's number."""
    positive, index = job
    slide = index // options.images_per_slide
    slide_rng = np.random.default_rng([options.seed, int(positive), slide, 0])
    image_rng = np.random.default_rng([options.seed, int(positive), slide, 1 + index % options.images_per_slide])
    slide_stain, slide_camera = random_stain(slide_rng), random_camera(slide_rng)
    size = options.size + image_rng.integers(0, MAX_EXTRA, 2) if positive else np.full(2, options.size)
    shape = (int(size[0]), int(size[1]))
    stem = _stem(slide_rng, image_rng, slide, shape, nameless=not positive and slide_rng.random() < NAMELESS)
    backgrounds = load_backgrounds(options.backgrounds)
    if backgrounds and image_rng.random() < REAL_FRACTION:
        canvas, real_stain = real_canvas(image_rng, random_crop(image_rng, backgrounds, shape))
        stain, camera = vary(image_rng, real_stain), second_camera(image_rng)
        decoys = positive or image_rng.random() >= AS_IT_IS
        field = compose_field(canvas, stain=stain, camera=camera, with_cells=positive, with_decoys=decoys)
    else:
        camera = slide_camera
        cell_size = log_uniform(slide_rng, SMALLEST, LARGEST)
        field = render_field(
            image_rng, shape, stain=slide_stain, camera=camera, with_cells=positive, cell_size=cell_size
        )
    folder = out / (POSITIVE_FOLDER if positive else NEGATIVE_FOLDER)
    _write(folder / f"{stem}.jpeg", compress(field.image, camera.jpeg_quality))
    if not positive:
        return ImageCount(cells=0, boxes=0)
    kept = _keep(image_rng, len(field.boxes), options.missing_rate)
    _write_truth(folder / f"{stem}.xml", stem, shape, field.boxes[kept])
    _write_truth(out / TRUTH_FOLDER / f"{stem}.xml", stem, shape, field.boxes)
    return ImageCount(cells=len(field.boxes), boxes=len(kept))


def _keep(rng: np.random.Generator, count: int, missing_rate: float) -> NDArray[np.intp]:
    """Indices of the boxes that an image keeps."""
    return np.sort(rng.permutation(count)[round(count * missing_rate) :])


def _stem(
    slide_rng: np.random.Generator,
    image_rng: np.random.Generator,
    slide: int,
    size: tuple[int, int],
    *,
    nameless: bool,
) -> str:
    """A name like those of DigestPath: slide id, date and time, and the position on the slide."""
    day = f"{slide_rng.integers(2017, 2020)}-{slide_rng.integers(1, 13):02d}-{slide_rng.integers(1, 29):02d}"
    clock = "_".join(f"{image_rng.integers(0, high):02d}" for high in (24, 60, 60))
    identity = f"S{slide_rng.integers(10**6):06d}-{slide:04d}"
    x, y = image_rng.integers(1000, 80_000, 2)
    without_id = f"{day} {clock}-lv0-{x}-{y}-{size[0]}-{size[1]}"
    return without_id if nameless else f"{identity}_{without_id}"


def _write_truth(path: Path, stem: str, size: tuple[int, int], boxes: NDArray[np.float64]) -> None:
    _write(path, boxes_xml(f"{stem}.jpeg", size, boxes, [CLASS_NAME] * len(boxes)))


def _write(path: Path, content: bytes) -> None:
    with part_path(path) as part:
        part.write_bytes(content)
