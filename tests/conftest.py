"""What several test files need."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings
from scipy import ndimage

from signetscan.detections import Detections
from signetscan.models.runtime import CPU_PROVIDER
from signetscan.testing.specs import make_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from playwright.sync_api import Browser
    from slide_files import Pair

    from signetscan.dataset import Dataset

ROOT = Path(__file__).parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"

settings.register_profile("default", deadline=None)
settings.load_profile("default")


@pytest.fixture
def shared_slides() -> Path:
    """Real slides that are not part of the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real test slides (shared/data beside the project) are not here")
    return SHARED_DATA / "slides"


@pytest.fixture
def shared_nuclei() -> Path:
    """Real images with VOC-like XML that are not part of the project."""
    folder = SHARED_DATA / "nuclei"
    if not folder.is_dir():
        pytest.skip("the real images of nuclei (shared/data/nuclei beside the project) are not here")
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real browser without a window: Debian's Chromium."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium here (apt-get install chromium)")
    with sync_playwright() as playwright:
        # As root, which CI is, Chromium has no sandbox; all pages that it opens are the tests' own.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened() -> Iterator[Callable[[Path], Pair]]:
    """Opens pairs, and closes them at the end."""
    from slide_files import Pair

    pairs: list[Pair] = []

    def open_(path: Path) -> Pair:
        pairs.append(Pair(path))
        return pairs[-1]

    yield open_
    for pair in pairs:
        pair.close()


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from toy_images import write_toys

    root = tmp_path_factory.mktemp("toy")
    write_toys(root)
    return root


@pytest.fixture(scope="session")
def toy_set(toy_folder: Path) -> Dataset:
    from signetscan.dataset import read_dataset

    return read_dataset(toy_folder)


@pytest.fixture(scope="session")
def trained(toy_set: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run; not to be written to."""
    from toy_images import TINY

    from signetscan.training.engine import train

    out = tmp_path_factory.mktemp("run")
    train(toy_set, TINY, out, device="cpu")
    return out


class BlobDetector:
    """Finds dark squares on white by their moments, to a small part of a pixel.

    A square of side s has variance s * s / 12 along each axis, so centre and side follow from its darkness alone,
    however its edges were resampled.
    """

    provider = CPU_PROVIDER
    sha256 = "0" * 64

    def __init__(self, **changes: object) -> None:
        self.spec = make_spec(**changes)
        self.batches: list[int] = []
        self.pixels = 0

    def detect(self, tiles: NDArray[np.uint8], score_threshold: float) -> list[Detections]:  # noqa: ARG002 - protocol
        self.batches.append(len(tiles))
        self.pixels += tiles[..., 0].size
        return [_blobs(tile) for tile in tiles]


def _blobs(tile: NDArray[np.uint8]) -> Detections:
    darkness = 1 - tile.astype(np.float64).mean(axis=2) / 255
    labels, _ = ndimage.label(darkness > 0.02, structure=np.ones((3, 3)))
    boxes = []
    for index, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        weight = np.where(labels[rows, columns] == index, darkness[rows, columns], 0)
        y, height = _centre_and_side(weight.sum(axis=1), rows.start)
        x, width = _centre_and_side(weight.sum(axis=0), columns.start)
        boxes.append([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
    return Detections(
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        scores=np.full(len(boxes), 0.9, np.float32),
        labels=np.zeros(len(boxes), np.int64),
    )


def _centre_and_side(profile: NDArray[np.float64], start: int) -> tuple[float, float]:
    place = np.arange(len(profile)) + 0.5 + start
    centre = float((profile * place).sum() / profile.sum())
    return centre, float(np.sqrt(12 * (profile * (place - centre) ** 2).sum() / profile.sum()))
