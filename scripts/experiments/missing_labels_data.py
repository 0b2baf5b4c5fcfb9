"""The data sets of `missing_labels.py`.

The first two are worked on at pixels twice as coarse (simulated: 0.5 um) or as fine (nuclei) as they are, so that cells
are about 30 to 40 px wide, as those of NuInsSeg are, and a run takes a few minutes on one core. The training sets are
small, so that each box is seen a hundred times or so (about fifty in the paper's recipe): only then does a network
learn by heart that a cell without a box is none.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from real_tissue import boxes_of, part_of

from signetscan.annotations import boxes_xml
from signetscan.concurrency import cpu_count
from signetscan.dataset import Dataset, read_dataset
from signetscan.simulate.image_set import write_image_set
from signetscan.simulate.options import ImageSetOptions
from signetscan.testing.missing_labels.boxes import empty_windows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from signetscan.dataset import AnnotatedImage


SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
NUCLEI = SHARED / "nuclei"
"""107 stained tissue images of 320 x 256 px with the boxes of their nuclei (Data Science Bowl 2018, CC0)."""
EMPTY_SIDE = 64
"""Side of the nucleus-free windows of `NUCLEI` that stand for normal images, pixels."""
TEST_SHARE = 0.3
"""Share of the nucleus images to test on; another random share for each seed."""


NUINSSEG = SHARED / "nuinsseg"
"""665 H&E fields of 512 px at 40x with masks of their nuclei (Mahbod et al. 2024, CC BY 4.0)."""
FIELDS = 60
"""Fields of `NUINSSEG` to learn from; others for each seed."""
EMPTY_FIELD_SIDE = 128
"""Side of the nucleus-free windows of `NUINSSEG` that stand for normal images, pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSets:
    """Images with all their boxes."""

    learn: Dataset
    """Images to learn from."""
    test: Dataset
    """Images to judge on."""
    choose: Dataset | None = None
    """Images to choose a threshold on, if there are any."""


def image_sets(work: Path, data: str, seed: int) -> ImageSets:
    """The images of a seed."""
    return DATA[data](work, seed)


LEARN = ImageSetOptions(seed=1000, positives=96, negatives=192, size=460, images_per_slide=1)
TEST = ImageSetOptions(seed=202, positives=48, negatives=64, size=1000, images_per_slide=1)
"""Simulated images at 0.25 um a pixel, each of a slide of its own, with its own stain and scanner: with few stains, a
run would be judged by what it makes of those that it never saw, more than by its loss."""


def simulated(work: Path, seed: int) -> ImageSets:
    """Simulated images: others to learn from for each seed, so that the spread over seeds has theirs in it."""
    learn = replace(LEARN, seed=LEARN.seed + seed)
    folder = work / "simulated"
    return ImageSets(learn=draw(folder / f"learn-{seed}", learn), test=draw(folder / "test", TEST))


def draw(folder: Path, options: ImageSetOptions) -> Dataset:
    """Draw images, once, and halve them."""
    if not folder.exists():
        drawn = folder.with_name(folder.name + ".full")
        shutil.rmtree(drawn, ignore_errors=True)
        write_image_set(drawn, options, workers=cpu_count())
        rescale(read_dataset(drawn).images, 0.5, folder)
        shutil.rmtree(drawn)
    return read_dataset(folder, mpp=0.5)


def nuclei(work: Path, seed: int) -> ImageSets:
    """Real tissue with real nuclei, split anew for each seed; nucleus-free windows stand for normal images."""
    folder = work / "nuclei"
    if not folder.exists():
        part = work / "nuclei.part"
        shutil.rmtree(part, ignore_errors=True)
        rescale(read_dataset(NUCLEI).images, 2.0, part)
        write_windows(read_dataset(part).images, 2 * EMPTY_SIDE, part)
        part.rename(folder)
    whole = read_dataset(folder)
    stems = sorted(image.path.stem for image in whole.images if not image.normal)
    tested = set(np.random.default_rng([seed, 5]).permutation(stems)[: round(TEST_SHARE * len(stems))].tolist())
    train = [image for image in whole.images if image.path.stem.partition("@")[0] not in tested]
    test = [image for image in whole.images if image.path.stem.partition("@")[0] in tested]
    return ImageSets(learn=replace(whole, images=tuple(train)), test=replace(whole, images=tuple(test)))


def nuinsseg(work: Path, seed: int) -> ImageSets:
    """Real H&E with real nuclei, split by blocks of neighbouring fields; nucleus-free windows are the normal images."""
    folder = work / "nuinsseg"
    if not folder.exists():
        part = work / "nuinsseg.part"
        shutil.rmtree(part, ignore_errors=True)
        for path in sorted((NUINSSEG / "images").glob("*.jpg")):
            name = part_of(int(path.stem))
            if name is not None:
                with Image.open(path) as picture:
                    boxes = boxes_of(NUINSSEG / "masks" / f"{path.stem}.png")
                    write_example(part / name, path.stem, picture.convert("RGB"), boxes, normal=False)
        for name in ("train", "develop", "judge"):
            write_windows(read_dataset(part / name).images, EMPTY_FIELD_SIDE, part / name)
        part.rename(folder)
    train, choose, test = (read_dataset(folder / name) for name in ("train", "develop", "judge"))
    stems = sorted(image.path.stem for image in train.images if not image.normal)
    chosen = set(np.random.default_rng([seed, 6]).permutation(stems)[:FIELDS].tolist())
    images = tuple(image for image in train.images if image.path.stem.partition("@")[0] in chosen)
    return ImageSets(learn=replace(train, images=images), test=test, choose=choose)


DATA: dict[str, Callable[[Path, int], ImageSets]] = {"simulated": simulated, "nuclei": nuclei, "nuinsseg": nuinsseg}


def rescale(images: Sequence[AnnotatedImage], factor: float, out: Path) -> None:
    """Write images and boxes at another size, in the layout of DigestPath; the folder appears when it is whole."""
    part = out.with_name(out.name + ".tmp")
    shutil.rmtree(part, ignore_errors=True)
    for image in images:
        with Image.open(image.path) as opened:
            size = round(image.width * factor), round(image.height * factor)
            write_example(part, image.path.stem, opened.convert("RGB").resize(size), image.boxes * factor, image.normal)
    part.rename(out)


def write_example(folder: Path, stem: str, picture: Image.Image, boxes: NDArray[np.float64], normal: bool) -> None:
    """One image, and its boxes if it has cells."""
    sub = folder / ("sig-train-neg" if normal else "sig-train-pos")
    sub.mkdir(parents=True, exist_ok=True)
    picture.save(sub / f"{stem}.jpeg", quality=95)
    if not normal:
        inside = np.clip(np.round(boxes), 0, [*picture.size, *picture.size])
        inside = inside[(inside[:, 2:] - inside[:, :2]).min(axis=1) >= 4]
        (sub / f"{stem}.xml").write_bytes(boxes_xml(f"{stem}.jpeg", picture.size, inside, ["cell"] * len(inside)))


def write_windows(images: Sequence[AnnotatedImage], side: int, folder: Path) -> None:
    """Cut out square windows without any box, that do not overlap, as images without cells."""
    for image in images:
        with Image.open(image.path) as opened:
            for x, y in empty_windows(image, side):
                write_example(
                    folder,
                    f"{image.path.stem}@{x}-{y}",
                    opened.convert("RGB").crop((x, y, x + side, y + side)),
                    np.empty((0, 4)),
                    normal=True,
                )
