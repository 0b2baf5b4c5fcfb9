"""Real fields to learn from and to judge on: NuInsSeg's, split by blocks, and EBHI-Seg's, by cases (both CC BY 4.0).

    python scripts/experiments/real_tissue.py fields NUINSSEG OUT
    python scripts/experiments/real_tissue.py colon EBHI-SEG OUT
    python scripts/experiments/real_tissue.py nuclei NUINSSEG OUT
    python scripts/experiments/real_tissue.py glands EBHI-SEG OUT
    python scripts/experiments/real_tissue.py without-glands NUINSSEG OUT

Neighbouring numbers come from one slide, so whole blocks of 35 numbers are kept back, and the four fields at each side
of such a block are left out. `fields` writes links into `train`, `develop` (to choose by) and `judge` (to judge once),
and into `train-hard` and so on those of them that hold the hardest look-alikes: goblet cells, mucous glands, fat.
`colon` writes fields of normal colon, polyps and adenomas, many with crypts full of goblet cells, three times as large.
`nuclei` copies the same parts with a box for each nucleus, as images with VOC-like XML; those that touch are cut apart.
`glands` copies the images and masks of EBHI-Seg into `train` and `judge`, whole cases and as many of each grade in one.
`without-glands` adds fields of NuInsSeg that show none, reduced to their pixels, with empty masks; those of `develop`
and `judge` go to `judge-without-glands`, apart from the others, whose figures they would change.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

from signetscan.annotations import boxes_xml
from signetscan.dataset import split_by_slide
from signetscan.dataset.masks.images import Mask
from signetscan.dataset.masks.reading import read_masked_dataset

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 35
"""Numbers in a block."""
KEPT_BACK = range(2, 100, 4)
"""Blocks that train nothing; they go to `develop` and `judge` in turn."""
BORDER = 4
"""Fields left out at each side of a block that is kept back."""
HARD = (range(257, 296), range(309, 312), range(473, 513))
"""Numbers of the fields of mucosa, of a mucous gland, and of fat, by eye."""
COLON_GRADES = ("normal", "polyp", "serrated-adenoma")
"""Folders of EBHI-Seg with crypts that are no cancer's."""
COLON_ZOOM = 3
"""Magnification of EBHI-Seg's fields, so that their goblet cells are as large as signet ring cells at 0.25 µm/px."""
COLON_PARTS = ("train", "train", "train", "develop", "judge")
"""Parts that cases of EBHI-Seg go to in turn."""
FIELDS_OF_A_CASE = 2
"""Most fields that one case gives to training."""
LEAST_AREA = 60
"""Area, pixels, below which a piece of a mask is no nucleus."""
GRADES = ("benign=normal,polyp", "low=low-grade-in,serrated-adenoma", "high=high-grade-in", "cancer=adenocarcinoma")
"""Classes by which cases are divided, each by its rarest one."""
JUDGED, SEED = 1 / 6, 1
"""Part of the images that judge, and the seed that chooses them; training draws its own held-out cases by another."""
GLANDLESS = (
    *(range(1, 59), range(121, 201), range(294, 304), range(386, 398), range(401, 406)),
    *(range(451, 551), range(626, 666)),
)
"""Numbers of the fields of muscle, nerve, brain, bone marrow, lymphoid tissue, connective tissue, fat, and squamous
epithelium, by eye."""
GLANDS_ZOOM = 4
"""Factor by which fields of NuInsSeg are reduced, so that their pixels are as large as EBHI-Seg's."""
APART = 8
"""Least distance between the middles of nuclei that are cut apart, pixels."""


def part_of(number: int) -> str | None:
    """The part that a field belongs to, None if it is left out."""
    block = (number - 1) // BLOCK
    if block in KEPT_BACK:
        return "judge" if KEPT_BACK.index(block) % 2 else "develop"
    near = ((number - 1 + shift) // BLOCK for shift in (-BORDER, BORDER))
    return None if any(block in KEPT_BACK for block in near) else "train"


def boxes_of(mask: Path) -> NDArray[np.float64]:
    """(N, 4), a box for each nucleus of a binary mask, pixels."""
    inside = np.asarray(Image.open(mask).convert("L")) > 127
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(inside), 1.5)
    peaks = peak_local_max(depth, min_distance=APART, labels=ndimage.label(inside)[0], exclude_border=False)
    markers = np.zeros(inside.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels = watershed(-depth, markers, mask=inside)
    areas = np.bincount(labels.ravel())
    boxes = [
        (columns.start, rows.start, columns.stop, rows.stop)
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1)
        if areas[number] >= LEAST_AREA
    ]
    return np.array(boxes, np.float64).reshape(-1, 4)


@click.group()
def main() -> None:
    """Split NuInsSeg."""


@main.command()
@click.argument("nuinsseg", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def fields(nuinsseg: Path, out: Path) -> None:
    """Write folders of links to the fields into OUT."""
    for path in sorted((nuinsseg / "images").glob("*.jpg")):
        number = int(path.stem)
        part = part_of(number)
        if part is None:
            continue
        hard = any(number in numbers for numbers in HARD)
        for name in [part, f"{part}-hard"] if hard else [part]:
            (out / name).mkdir(parents=True, exist_ok=True)
            (out / name / path.name).symlink_to(path.resolve())
    for folder in sorted(out.iterdir()):
        click.echo(f"{folder}: {len(list(folder.iterdir()))} fields")


@main.command()
@click.argument("ebhi", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def colon(ebhi: Path, out: Path) -> None:
    """Write folders of magnified fields of colon into OUT, whole cases in one of them."""
    cases: dict[tuple[str, str], list[Path]] = {}
    for grade in COLON_GRADES:
        for path in sorted((ebhi / grade / "images").glob("*.jpg")):
            cases.setdefault((path.name.partition("-")[0], grade), []).append(path)
    names = sorted({case for case, _ in cases})
    for (case, grade), paths in cases.items():
        part = COLON_PARTS[names.index(case) % len(COLON_PARTS)]
        folder = out / f"{part}-{'normal' if grade == 'normal' else 'growth'}"
        folder.mkdir(parents=True, exist_ok=True)
        for path in paths[:FIELDS_OF_A_CASE] if part == "train" else paths:
            with Image.open(path) as image:
                sides = (image.width * COLON_ZOOM, image.height * COLON_ZOOM)
                image.convert("RGB").resize(sides, Image.Resampling.LANCZOS).save(folder / f"{path.stem}.png")
    for folder in sorted(out.iterdir()):
        click.echo(f"{folder}: {len(list(folder.iterdir()))} fields")


@main.command()
@click.argument("nuinsseg", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def nuclei(nuinsseg: Path, out: Path) -> None:
    """Write folders of fields with the boxes of their nuclei into OUT."""
    count: dict[str, int] = {}
    for path in sorted((nuinsseg / "images").glob("*.jpg")):
        part = part_of(int(path.stem))
        if part is None:
            continue
        folder = out / part
        folder.mkdir(parents=True, exist_ok=True)
        boxes = boxes_of(nuinsseg / "masks" / f"{path.stem}.png")
        shutil.copyfile(path, folder / path.name)
        with Image.open(path) as image:
            size = image.size
        xml = boxes_xml(path.name, size, boxes, ["Nucleus"] * len(boxes))
        (folder / f"{path.stem}.xml").write_bytes(xml)
        count[part] = count.get(part, 0) + len(boxes)
    for part, boxes_in in count.items():
        click.echo(f"{out / part}: {boxes_in} nuclei")


@main.command()
@click.argument("ebhi", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def glands(ebhi: Path, out: Path) -> None:
    """Write images and masks, in a folder for each grade, into OUT: cases to learn from, and cases to judge by."""
    dataset = read_masked_dataset(ebhi, classes=GRADES, mpp=1.0)
    for part, images in zip(("train", "judge"), split_by_slide(dataset.images, JUDGED, SEED), strict=True):
        for image in images:
            masks = [image.mask.path] if isinstance(image.mask, Mask) else []
            for path in (image.path, *masks):
                target = out / part / path.relative_to(ebhi)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        cases = len({image.slide for image in images})
        click.echo(f"{out / part}: {len(images)} images of {cases} cases")


@main.command("without-glands")
@click.argument("nuinsseg", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def without_glands(nuinsseg: Path, out: Path) -> None:
    """Add reduced fields without glands, and their empty masks, to the folders that `glands` wrote."""
    for path in sorted((nuinsseg / "images").glob("*.jpg")):
        number = int(path.stem)
        part = part_of(number)
        if part is None or not any(number in numbers for numbers in GLANDLESS):
            continue
        folder = out / ("train/no-glands" if part == "train" else "judge-without-glands/no-glands")
        with Image.open(path) as image:
            size = (image.width // GLANDS_ZOOM, image.height // GLANDS_ZOOM)
            pictures = {"images": image.convert("RGB").resize(size, Image.Resampling.LANCZOS)}
        pictures["masks"] = Image.new("L", size)
        for name, picture in pictures.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            picture.save(folder / name / f"{path.stem}.png")
    for folder in sorted(out.glob("*/no-glands")):
        click.echo(f"{folder}: {len(list((folder / 'images').iterdir()))} fields")


if __name__ == "__main__":
    main()
