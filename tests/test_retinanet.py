from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from signetscan.models.detector import load_detector
from signetscan.testing.specs import make_spec
from signetscan.training.anchors import MAX_LOG_RATIO, assign, encode
from signetscan.training.crops import TrainingCrop
from signetscan.training.export import export_model
from signetscan.training.losses import Source, make_loss
from signetscan.training.objective import batch_losses, make_batch, stack
from signetscan.training.options import Architecture, LossOptions
from signetscan.training.retinanet import Inference, RetinaNet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


SLIM = Architecture(width=8, fpn_channels=8, head_depth=1)


def network(architecture: Architecture = SLIM, seed: int = 0) -> RetinaNet:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = RetinaNet(architecture)
        for parameter in made.parameters():  # so that no branch is silent
            parameter.data += 0.05 * torch.randn_like(parameter)
    return made.eval()


def test_outputs_fit_their_anchors() -> None:
    made = network(Architecture(classes=3, width=8, fpn_channels=8, head_depth=1))
    logits, offsets, anchors = made(torch.zeros(2, 128, 256, 3, dtype=torch.uint8))
    places = sum((128 // stride) * (256 // stride) for stride in (8, 16, 32, 64, 128))
    assert logits.shape == (2, 9 * places, 3)
    assert offsets.shape == (2, 9 * places, 4)
    assert anchors.shape == (9 * places, 4)


def pyramid(levels: int) -> tuple[RetinaNet, NDArray[np.uint8]]:
    """A network with so many maps, and a tile of 3 x 5 times its stride."""
    architecture = Architecture(width=8, fpn_channels=8, head_depth=1, fpn_levels=levels)
    made, side = network(architecture), 3 * architecture.stride
    made.regress.last.weight.data /= 10  # boxes of a cell's size, not a tile's, whose rounding is a tile's too
    return made, np.random.default_rng(0).integers(0, 256, (side, 5 * architecture.stride, 3), np.uint8)


def places_of(levels: int, width: int, height: int) -> int:
    return sum((height // stride) * (width // stride) for stride in (8, 16, 32, 64, 128)[:levels])


@pytest.mark.parametrize("levels", [2, 3, 4, 5])
def test_a_pyramid_may_have_fewer_maps(levels: int) -> None:
    made, tile = pyramid(levels)
    height, width = tile.shape[:2]
    assert made.architecture.stride == (32, 32, 64, 128)[levels - 2]
    with torch.inference_mode():
        logits, _, anchors = made(torch.zeros(1, height, 128, 3, dtype=torch.uint8))
        boxes, _, _ = Inference(made)(torch.from_numpy(tile[None]))
    assert logits.shape[1] == len(anchors) == 9 * places_of(levels, 128, height)
    assert boxes.shape[1] == places_of(levels, width, height) // 4


@pytest.mark.slow
@pytest.mark.parametrize("levels", [3, 4])
def test_fewer_maps_are_exported_as_they_are(levels: int, tmp_path: Path) -> None:
    """Exports of two maps are in test_backbones.py, of five in test_training.py; each takes ten seconds."""
    made, tile = pyramid(levels)
    spec, path = make_spec(tile_size=1024, stride=made.architecture.stride, tile_overlap=256), tmp_path / "m.onnx"
    assert export_model(made, spec, path, tiles=[tile]).box_px < 0.01
    (found,) = load_detector(path, device="cpu").detect(tile[None], 0.0)
    assert len(found) == places_of(levels, tile.shape[1], tile.shape[0]) // 4


def test_an_untrained_network_gives_every_anchor_the_prior() -> None:
    torch.manual_seed(0)
    logits, _, _ = RetinaNet(SLIM).eval()(torch.randint(0, 256, (1, 128, 128, 3), dtype=torch.uint8))
    assert abs(torch.sigmoid(logits) - 0.01).max() < 0.005


def test_what_moves_by_the_stride_moves_in_the_output() -> None:
    """An anchor answers for its place: the same picture further right gives the same logits further right."""
    made = network()
    rng = np.random.default_rng(0)
    rows, columns = 640, 896
    pixels = torch.full((1, rows, columns, 3), 200, dtype=torch.uint8)
    pixels[0, 290:350, 320:380] = torch.from_numpy(rng.integers(0, 256, (60, 60, 3), np.uint8))
    moved = torch.roll(pixels, 128, dims=2)
    with torch.inference_mode():
        one, other = (made(tiles)[0][0] for tiles in (pixels, moved))
    one, other = (
        logits[: 9 * (rows // 8) * (columns // 8)].reshape(rows // 8, columns // 8, 9) for logits in (one, other)
    )
    # P3, 280 px and more from every border in both: what lies nearer feels the padding of the deepest layers.
    here, there = one[35:45, 35:60], other[35:45, 51:76]
    torch.testing.assert_close(here, there, atol=1e-4, rtol=1e-4)
    assert here.std() > 0.01
    assert not torch.allclose(here, other[35:45, 35:60], atol=1e-2)


def test_inference_gives_the_best_candidates_in_order() -> None:
    made = network(Architecture(classes=2, width=8, fpn_channels=8, head_depth=1))
    tiles = torch.randint(0, 256, (2, 128, 256, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        logits, offsets, anchors = made(tiles)
        boxes, scores, labels = Inference(made)(tiles)
    count = logits.shape[1] // 9 // 4
    assert boxes.shape == (2, count, 4)
    for index in range(2):
        flat = torch.sigmoid(logits[index]).flatten()
        of_place = flat.reshape(-1, 18).amax(dim=1)
        torch.testing.assert_close(scores[index], of_place.sort(descending=True).values[:count])
        for place in range(0, count, 7):
            anchor, label = divmod(int((flat - scores[index, place]).abs().argmin()), 2)
            assert int(labels[index, place]) == label
            middle = (anchors[anchor, :2] + anchors[anchor, 2:]) / 2
            size = anchors[anchor, 2:] - anchors[anchor, :2]
            centre = middle + offsets[index, anchor, :2] * size
            half = size * torch.exp(offsets[index, anchor, 2:].clamp(max=MAX_LOG_RATIO)) / 2
            torch.testing.assert_close(boxes[index, place], torch.cat([centre - half, centre + half]))


class Spy(torch.nn.Module):
    """A loss that keeps what it is given."""

    def forward(self, logits: torch.Tensor, targets: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
        self.targets, self.sources = targets, sources
        return logits.sum()


def crop(boxes: list[list[float]], *, normal: bool) -> TrainingCrop:
    return TrainingCrop(
        pixels=np.zeros((128, 128, 3), np.uint8),
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        labels=np.zeros(len(boxes), np.int64),
        normal=normal,
        name="a",
    )


def test_every_anchor_knows_where_its_label_comes_from() -> None:
    crops = [crop([[20, 20, 70, 70]], normal=False), crop([], normal=False), crop([], normal=True)]
    made, spy = network(), Spy()
    logits, offsets, found = made(stack(crops, 128))
    batch_losses(spy, logits, offsets, found, make_batch(crops, 128))
    positives = spy.targets == 1
    assert positives.sum() >= 4
    assert (spy.sources[positives] == Source.POSITIVE).all()
    assert ((spy.sources == Source.POSITIVE) == positives).all()
    anchors = logits.shape[1]
    assert (spy.sources == Source.NORMAL).sum() == anchors, "all of the normal image, and nothing else"
    assert (spy.sources == Source.NOISY).sum() > anchors, "the rest of both images with cells, boxed or not"
    assert (spy.sources == Source.IGNORED).any(), "anchors between positive and negative are left out"


def test_perfect_offsets_cost_nothing_and_wrong_ones_something() -> None:
    crops = [crop([[20, 20, 70, 70], [60, 60, 110, 115]], normal=False)]
    with torch.inference_mode():
        logits, offsets, anchors = network()(stack(crops, 128))
    boxes = torch.from_numpy(crops[0].boxes).float()
    assigned = assign(anchors, boxes)
    perfect = torch.zeros_like(offsets)
    perfect[0, assigned.positive] = encode(boxes[assigned.matched[assigned.positive]], anchors[assigned.positive])
    loss, batch = make_loss(LossOptions()), make_batch(crops, 128)
    assert float(batch_losses(loss, logits, perfect, anchors, batch)[1]) == 0
    assert float(batch_losses(loss, logits, perfect + 1, anchors, batch)[1]) > 1
    assert float(batch_losses(loss, logits, offsets, anchors, make_batch([crop([], normal=True)], 128))[1]) == 0


def test_crops_are_filled_up_with_white() -> None:
    made = TrainingCrop(
        pixels=np.zeros((200, 200, 3), np.uint8),
        boxes=np.empty((0, 4)),
        labels=np.empty(0, np.int64),
        normal=True,
        name="a",
    )
    batch = stack([made], 128)
    assert batch.shape == (1, 256, 256, 3)
    assert int(batch[0, :200, :200].max()) == 0
    assert int(batch[0, 200:].min()) == int(batch[0, :, 200:].min()) == 255
