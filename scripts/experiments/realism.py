"""How real are simulated images, and how good is a model on cells composed into real tissue that trained nothing?

    python scripts/experiments/realism.py table FOLDER...
    python scripts/experiments/realism.py judge MODEL FIELDS [FIELDS-HARD] --seed 900
    python scripts/experiments/realism.py sweep MODEL FIELDS --seed 900

`table` prints what can be measured of any folder of images of 0.25 µm/px. `judge` composes cells into each field of a
folder (with its own seed), scans that and the field as it is, and prints recall by the size of cells and by mucin,
false positives per mm2 of the fields as they are, and how often tissue around composed cells is taken for a cell.
`sweep` does so with images that are blurred, stained, compressed or magnified otherwise than those of the training.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from signetscan.boxes import iou_matrix
from signetscan.detections import Detections
from signetscan.evaluation.assessment import Assessment, assess
from signetscan.evaluation.matching import ImageResult, match
from signetscan.evaluation.options import AssessOptions
from signetscan.models.detector import Detector, load_detector
from signetscan.models.store import find_model
from signetscan.scan.detect import detect_slide
from signetscan.scan.options import ScanOptions
from signetscan.simulate.camera import compress, second_camera
from signetscan.simulate.composed import Family, random_family
from signetscan.simulate.field import Field, compose_field
from signetscan.simulate.mucin import MucinKind
from signetscan.simulate.nuclei import find_nuclei
from signetscan.simulate.options import MPP
from signetscan.simulate.real import read_background, real_canvas, tissue_map
from signetscan.simulate.stain import vary
from signetscan.slides.array_slide import ArraySlide
from signetscan.stains import EOSIN, HAEMATOXYLIN, across
from signetscan.suffixes import PICTURE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Pixels = NDArray[np.uint8]
LOWEST = 0.02
"""Lowest score of the detections that curves are drawn from."""
TOGETHER = 16
"""Fields of 512 px that count as one normal image: about the 2000 x 2000 px of DigestPath's definition."""
SIZES = (45, 65)
"""Sides of boxes, pixels, between small, medium and large cells."""


def pictures(folder: Path, most: int | None = None) -> list[Path]:
    """The images of a folder."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
    return found[:: max(1, len(found) // most)] if most else found


# ---- what can be measured of images ---------------------------------------------------------------------------------


def measures(image: Pixels) -> dict[str, float]:
    """Figures of one image, (H, W, 3); nan where it shows no tissue."""
    tissue = np.kron(tissue_map(image), np.ones((16, 16), np.bool_))[: image.shape[0], : image.shape[1]]
    if tissue.mean() < 0.2:
        return {}
    density = -np.log10((image.astype(np.float32) + 1) / 256)
    total = density.sum(axis=2)
    vectors = np.stack([HAEMATOXYLIN, EOSIN, across(HAEMATOXYLIN, EOSIN)])
    haem = (np.log(10) * density @ np.linalg.inv(vectors))[..., 0].astype(np.float32)
    nuclei = find_nuclei(haem)
    inside = nuclei.labels > 0
    low, high = image.min(axis=2)[tissue].astype(float), image.max(axis=2)[tissue].astype(float)
    grey = image.mean(axis=2)
    return {
        "optical density": float(np.median(total[tissue])),
        "saturation": float(np.median((high - low) / np.maximum(high, 1))),
        "nuclear share": float(inside[tissue].mean()),
        "nuclei per Mpx": len(nuclei.radii) / (image.shape[0] * image.shape[1] / 1e6),
        "nuclear density, red": float(np.median(density[..., 0][inside])) if inside.any() else np.nan,
        "variance of the Laplacian": float(ndimage.laplace(grey).var()),
        "power slope": _power_slope(grey),
    }


def _power_slope(grey: NDArray[np.float64]) -> float:
    """Slope of the logarithm of power over that of frequency, between periods of 64 and 16 px."""
    side = min(grey.shape)
    piece = grey[:side, :side] - grey[:side, :side].mean()
    window = np.hanning(side)
    power = np.abs(np.fft.fft2(piece * window[:, None] * window)) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    edges = np.geomspace(1 / 64, 1 / 16, 9)
    middle = np.sqrt(edges[:-1] * edges[1:])
    means = [power[(frequency >= a) & (frequency < b)].mean() for a, b in pairwise(edges)]
    return float(np.polyfit(np.log(middle), np.log(means), 1)[0])


@click.group()
def main() -> None:
    """Measure realism."""


@main.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--most", default=150, help="Most images of a folder.")
def table(folders: Sequence[Path], most: int) -> None:
    """Print the median of each measure over the images of each folder."""
    for folder in folders:
        rows = [measures(read_background(path)) for path in pictures(folder, most)]
        rows = [row for row in rows if row]
        figures = ", ".join(f"{name} {np.nanmedian([row[name] for row in rows]):.2f}" for name in rows[0])
        click.echo(f"{folder} ({len(rows)} images): {figures}")


# ---- a model on composed cells --------------------------------------------------------------------------------------


def composed(path: Path, seed: int, family: Family | None = None) -> Field:
    """A field with cells composed into it."""
    rng = np.random.default_rng([seed, *path.stem.encode()])
    canvas, stain = real_canvas(rng, read_background(path))
    return compose_field(canvas, stain=vary(rng, stain), camera=second_camera(rng), with_cells=True, family=family)


def scan(image: Pixels, detector: Detector, mpp: float = MPP) -> Detections:
    """Detections in an image, pixels of the image."""
    slide = ArraySlide([image], mpp=mpp)
    return detect_slide(slide, detector, ScanOptions(threshold=LOWEST, tissue_mask=False)).detections


def result_of(field: Field, detector: Detector, name: str, mpp: float = MPP) -> ImageResult:
    """Detections and truth of a composed field."""
    return ImageResult(
        detections=scan(field.image, detector, mpp), truth=field.boxes, normal=False, name=name, slide=block(name)
    )


def block(name: str) -> str:
    """The fields of one block are not independent."""
    return str((int(name) - 1) // 35) if name.isdigit() else name


def normal_images(found: Sequence[Detections]) -> list[ImageResult]:
    """Normal images of about 2000 x 2000 px, each of several fields."""
    images = []
    for start in range(0, len(found), TOGETHER):
        some = found[start : start + TOGETHER]
        shifted = [replace(one, boxes=one.boxes + 1000 * index) for index, one in enumerate(some)]
        images.append(
            ImageResult(
                detections=Detections.concatenate(shifted), truth=np.zeros((0, 4)), normal=True, slide=f"normal {start}"
            )
        )
    return images


def mm2(images: Sequence[Pixels]) -> float:
    """Area of images of 0.25 µm/px."""
    return float(sum(image.shape[0] * image.shape[1] for image in images)) * (MPP / 1000) ** 2


def recall_between(results: Sequence[ImageResult], threshold: float, low: float, high: float) -> tuple[int, int]:
    """Cells found, and cells, of those with a side from `low` to below `high` pixels."""
    found = total = 0
    for result in results:
        sides = (result.truth[:, 2:] - result.truth[:, :2]).mean(axis=1)
        wanted = (sides >= low) & (sides < high)
        detections = result.detections.select(result.detections.scores >= threshold)
        iou = iou_matrix(result.truth, detections.boxes)
        found += int((iou[wanted] >= 0.3).any(axis=1).sum()) if len(detections) else 0
        total += int(wanted.sum())
    return found, total


def around_cells(results: Sequence[ImageResult], threshold: float) -> int:
    """Detections in composed fields that touch no cell."""
    count = 0
    for result in results:
        detections = result.detections.select(result.detections.scores >= threshold)
        iou = iou_matrix(detections.boxes, result.truth)
        count += int((iou.max(axis=1, initial=0) == 0).sum())
    return count


@main.command()
@click.argument("model")
@click.argument("fields", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--seed", default=900, help="Seed of the cells.")
@click.option("--most", default=200, help="Most fields of a folder.")
@click.option("--threshold", type=float, help="Threshold.  [default: the model's]")
def judge(model: str, fields: Sequence[Path], seed: int, most: int, threshold: float | None) -> None:
    """Print how good MODEL is on cells composed into each of the FIELDS."""
    detector = load_detector(find_model(model))
    threshold = detector.spec.score_threshold if threshold is None else threshold
    for folder in fields:
        paths = pictures(folder, most)
        results = [result_of(composed(path, seed), detector, path.stem) for path in paths]
        plain = [read_background(path) for path in paths]
        found = [scan(image, detector) for image in plain]
        whole = assess([*results, *normal_images(found)], AssessOptions(threshold=threshold))
        click.echo(f"{folder}: {len(paths)} fields with {whole.cells} composed cells, and the same fields without")
        _print(whole)
        false = sum(int((one.scores >= threshold).sum()) for one in found)
        click.echo(f"  false positives in the fields as they are: {false}, {false / mm2(plain):.1f} per mm2")
        beside = around_cells(results, threshold)
        click.echo(f"  detections in composed fields that touch no cell: {beside}, {beside / mm2(plain):.1f} per mm2")
        for name, low, high in (("small", 0, SIZES[0]), ("medium", *SIZES), ("large", SIZES[1], np.inf)):
            right, total = recall_between(results, threshold, low, high)
            click.echo(f"  recall of {name} cells: {right / max(total, 1):.2f} of {total}")
        _by_mucin(paths[::4], seed, detector, threshold)


def _print(whole: Assessment) -> None:
    for name in ("froc", "recall", "precision", "f1", "best_f1", "best_f1_threshold", "ap50"):
        figure = whole.figures[name]
        click.echo(f"  {name} {figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})")


def _by_mucin(paths: Sequence[Path], seed: int, detector: Detector, threshold: float) -> None:
    for index, kind in enumerate(MucinKind):
        found = total = 0
        for path in paths:
            family = random_family(np.random.default_rng([seed, *path.stem.encode()]))
            field = composed(path, seed, replace(family, mucin=np.eye(len(MucinKind))[index]))
            detections = scan(field.image, detector)
            kept = detections.select(detections.scores >= threshold)
            found += int(match(kept, field.boxes).sum())
            total += len(field.boxes)
        click.echo(f"  recall of {kind.name.lower()} mucin: {found / max(total, 1):.2f} of {total}")


# ---- sweeps ---------------------------------------------------------------------------------------------------------


def restained(factor: float, image: Pixels) -> Pixels:
    """An image of so many times the optical density."""
    return np.asarray(255 * (image / 255) ** factor + 0.5, np.uint8)


def blurred(sigma: float, image: Pixels) -> Pixels:
    """An image out of focus; `sigma` in pixels."""
    return np.asarray(ndimage.gaussian_filter(image, (sigma, sigma, 0)), np.uint8)


def recompressed(quality: float, image: Pixels) -> Pixels:
    """An image that was stored as JPEG once more."""
    return np.asarray(Image.open(BytesIO(compress(image, int(quality)))))


SWEEPS: dict[str, tuple[Callable[[float, Pixels], Pixels], tuple[float, ...]]] = {
    "optical density x": (restained, (0.6, 0.8, 1.25, 1.6)),
    "blur, px": (blurred, (1, 2, 3)),
    "JPEG quality": (recompressed, (70, 50, 30)),
}
SCALES = (0.6, 0.8, 1.0, 1.25, 1.6)
"""Factors between the mpp that the model is told and the true one."""


@main.command()
@click.argument("model")
@click.argument("fields", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--seed", default=900, help="Seed of the cells.")
@click.option("--most", default=35, help="Most fields.")
def sweep(model: str, fields: Path, seed: int, most: int) -> None:
    """Print how MODEL does on composed cells in FIELDS when images differ from those that it learnt from."""
    detector = load_detector(find_model(model))
    paths = pictures(fields, most)
    with_cells, plain = [composed(path, seed) for path in paths], [read_background(path) for path in paths]

    def row(name: str, change: Callable[[Pixels], Pixels], scale: float = 1.0) -> None:
        threshold, mpp = detector.spec.score_threshold, MPP * scale
        results = [
            result_of(replace(field, image=change(field.image)), detector, path.stem, mpp)
            for path, field in zip(paths, with_cells, strict=True)
        ]
        figures = assess(results, AssessOptions(threshold=threshold)).figures
        false = sum(int((scan(change(image), detector, mpp).scores >= threshold).sum()) for image in plain)
        click.echo(
            f"{name}: recall {figures['recall'].value:.3f}, precision {figures['precision'].value:.3f}, AP50 "
            f"{figures['ap50'].value:.3f}; false positives in the fields as they are: {false / mm2(plain):.1f} per mm2"
        )

    for scale in SCALES:
        row(f"mpp told x {scale}", lambda image: image, scale)
    for name, (change, values) in SWEEPS.items():
        for value in values:
            row(f"{name} {value}", partial(change, value))


# ---- pictures -------------------------------------------------------------------------------------------------------


@main.command("pictures")
@click.argument("fields", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--seed", default=900, help="Seed of the cells.")
@click.option("--most", default=4, help="Number of fields.")
def side_by_side(fields: Path, out: Path, seed: int, most: int) -> None:
    """Draw fields as they are (left) and with composed cells (right) into the JPEG or PNG OUT."""
    rows = [
        np.concatenate([read_background(path), composed(path, seed).image], axis=1)
        for path in pictures(fields, most)[:most]
    ]
    Image.fromarray(np.concatenate(rows)).save(out, quality=85)


if __name__ == "__main__":
    main()
