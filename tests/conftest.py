"""What several test files need."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings
from scipy import ndimage

from signetscan.detections import Detections
from signetscan.models.placement import Placement
from signetscan.models.runtime import CPU_PROVIDER
from signetscan.testing.specs import make_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import onnx
    from numpy.typing import NDArray
    from playwright.sync_api import Browser
    from slide_files import Pair
    from torch import nn

    from signetscan.dataset import Dataset
    from signetscan.dataset.masks.images import MaskedDataset

ROOT = Path(__file__).parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"

settings.register_profile("default", deadline=None)
settings.load_profile("default")

# Tests run beside each other, and what a tiny network learns should not depend on the number of cores: sums in torch
# are split over threads. It reads this when it is imported, which conftest.py does not do.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that starts the tests in the background lets them ignore Ctrl-C, and so would every process they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def user_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder of the user that tests may write to; programs that they start inherit it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Fills a folder by its name, once for all workers of pytest-xdist; nobody may write to it afterwards."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        folder, part = base / name, base / f"{name}.part"
        with FileLock(base / f"{name}.lock"):
            if not folder.exists():
                shutil.rmtree(part, ignore_errors=True)  # of a worker that failed to fill it
                part.mkdir()
                fill(part)
                part.rename(folder)
        return folder

    return make


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
    from signetscan.testing.browser import chromium, chromium_path

    if chromium_path() is None:
        pytest.skip("no Chromium here (apt-get install chromium)")
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def ready_workers() -> Iterator[None]:
    """Batches of this process start their workers at little cost; for tests of what comes of a batch."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        yield
        return
    from ready_workers import ReadyContext, start_server

    start_server()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("signetscan.batch.workers.process_context", ReadyContext)
        yield


@pytest.fixture(scope="session")
def small_slide(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A simulated slide of four pieces of tissue, with its truth beside it; copy it, and write nothing beside it."""

    def simulate(folder: Path) -> None:
        from signetscan.simulate.options import SlideOptions
        from signetscan.simulate.slide_file import write_slide

        write_slide(folder / "a.svs", SlideOptions(width=1024, height=1024, region=400, seed=5))

    return made_once("small-slide", simulate) / "a.svs"


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
def toy_folder(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    from toy_images import write_toys

    return made_once("toy", write_toys)


@pytest.fixture(scope="session")
def toy_set(toy_folder: Path) -> Dataset:
    from signetscan.dataset import read_dataset

    return read_dataset(toy_folder)


@pytest.fixture(scope="session")
def trained(toy_set: Dataset, made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """The folder of a finished run; not to be written to."""
    from toy_images import TINY

    from signetscan.training.engine import train

    return made_once("run", lambda out: train(toy_set, TINY, out, device="cpu"))


@pytest.fixture(scope="session")
def tissue_folder(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    from toy_tissue import write_toy_tissue

    return made_once("tissue", write_toy_tissue)


@pytest.fixture(scope="session")
def tissue_set(tissue_folder: Path) -> MaskedDataset:
    from signetscan.dataset.masks.reading import read_masked_dataset

    return read_masked_dataset(tissue_folder)


@pytest.fixture(scope="session")
def tissue_run(tissue_set: MaskedDataset, made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """The folder of a finished run for segmentation; not to be written to."""
    from toy_tissue import TINY_SEGMENTATION

    from signetscan.training.segmentation.engine import train_on_masks

    return made_once("tissue-run", lambda out: train_on_masks(tissue_set, TINY_SEGMENTATION, out, device="cpu"))


@pytest.fixture(scope="module")
def known_graphs(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Iterator[None]:
    """An export takes the graph of a network that was exported before from there, which saves 12 s of torch's time.

    For files whose tests are of what happens to the graph.
    """
    import onnx

    from signetscan.training.graph import DETECTION, GraphForm, make_graph

    def known_graph(network: nn.Module, stride: int, form: GraphForm = DETECTION) -> onnx.ModelProto:
        digest = sha256(f"{stride} {network} {form.outputs}".encode())
        for name, value in network.state_dict().items():
            digest.update(f"{name} {value.dtype}".encode() + value.numpy().tobytes())
        made = made_once(
            f"graph-{digest.hexdigest()}",
            lambda folder: onnx.save(make_graph(network, stride, form), folder / "graph.onnx"),
        )
        return onnx.load(made / "graph.onnx")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("signetscan.training.export.make_graph", known_graph)
        patch.setattr("signetscan.training.segmentation.export.make_graph", known_graph)
        yield


class BlobDetector:
    """Finds dark squares on white by their moments, to a small part of a pixel.

    A square of side s has variance s * s / 12 along each axis, so centre and side follow from its darkness alone,
    however its edges were resampled.
    """

    runs_on = Placement(name=CPU_PROVIDER, on_gpu=False)
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


@pytest.fixture
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home and a working folder of one's own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / ".config"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
