from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from signetscan.dataset import AnnotatedImage, Place
from signetscan.training.augment import degrade, restain, turn
from signetscan.training.crops import ImageCache, Patch, cut_crop, list_patches, plan_epoch
from signetscan.training.options import TrainOptions, preset_options

SIDES = (500, 420)


def image_of(path: Path, boxes: list[list[float]], *, normal: bool = False) -> AnnotatedImage:
    return AnnotatedImage(
        path=path,
        width=SIDES[0],
        height=SIDES[1],
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        labels=np.arange(len(boxes)),
        normal=normal,
        slide=path.stem,
    )


@pytest.fixture
def drawn(tmp_path: Path) -> AnnotatedImage:
    """Black squares of different sides on white, at their boxes."""
    boxes = [[40, 60, 70, 90], [200, 100, 260, 160], [300, 300, 345, 345], [120, 250, 160, 290]]
    pixels = np.full((SIDES[1], SIDES[0], 3), 255, np.uint8)
    for x0, y0, x1, y1 in boxes:
        pixels[y0:y1, x0:x1] = 0
    path = tmp_path / "a b.png"
    Image.fromarray(pixels).save(path)
    return image_of(path, [[float(edge) for edge in box] for box in boxes])


def patch_at(x: int, y: int, side: int) -> Patch:
    return Patch(image=0, x=x, y=y, width=side, height=side)


def dark_box(pixels: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The tight box of what is dark in and around a box."""
    x0, y0, x1, y1 = np.round(box).astype(int)
    left, top = max(x0 - 8, 0), max(y0 - 8, 0)
    rows, columns = np.nonzero(pixels[top : y1 + 8, left : x1 + 8].mean(axis=2) < 128)
    return np.array([columns.min() + left, rows.min() + top, columns.max() + left + 1, rows.max() + top + 1])


@pytest.mark.parametrize("seed", range(12))
def test_boxes_follow_their_cells(drawn: AnnotatedImage, seed: int) -> None:
    """Whatever is cut, scaled, mirrored and turned: the dark square is where the box says."""
    options = TrainOptions(patch=400, crop=256, max_scale=1.3)
    crop = cut_crop(np.random.default_rng(seed), ImageCache(), drawn, patch_at(20, 20, 380), options)
    assert crop.pixels.shape == (256, 256, 3)
    assert len(crop.boxes) == len(crop.labels) > 0
    assert not crop.normal
    assert crop.name == "a b.png"
    for box, label in zip(crop.boxes, crop.labels, strict=True):
        np.testing.assert_allclose(dark_box(crop.pixels, box), box, atol=1.1)
        side = drawn.boxes[label, 2] - drawn.boxes[label, 0]
        assert (box[2:] - box[:2] <= side * 1.31).all()


def test_turns_are_all_eight_and_exact() -> None:
    pixels = np.arange(3 * 16, dtype=np.uint8).reshape(4, 4, 3)
    box = np.array([[1.0, 0.0, 4.0, 2.0]])
    seen = set()
    for seed in range(60):
        turned, boxes = turn(np.random.default_rng(seed), pixels, box)
        seen.add(turned.tobytes())
        x0, y0, x1, y1 = boxes[0].astype(int)
        assert sorted(turned[y0:y1, x0:x1, 0].ravel()) == sorted(pixels[0:2, 1:4, 0].ravel())
    assert len(seen) == 8


def test_a_cell_cut_off_by_the_edge_is_no_longer_to_be_found(drawn: AnnotatedImage) -> None:
    options = TrainOptions(patch=128, crop=128)
    # Of the square at x 200 to 260 a crop of 128 px from 90 shows 18 px, one from 100 shows 28 of its 60 px.
    for x, expected in ((60, 0), (90, 0), (100, 1), (180, 1)):
        crop = cut_crop(np.random.default_rng(0), ImageCache(), drawn, patch_at(x, 60, 128), options)
        assert len(crop.boxes) == expected
        assert (crop.boxes >= 0).all()
        assert (crop.boxes <= 128).all()


def test_a_crop_beyond_a_small_image_is_white(drawn: AnnotatedImage) -> None:
    options = TrainOptions(patch=600, crop=600)
    crop = cut_crop(np.random.default_rng(0), ImageCache(), drawn, patch_at(0, 0, 600), options)
    assert (crop.pixels == 255).all(axis=2).sum() > 600 * 600 - SIDES[0] * SIDES[1]
    assert len(crop.boxes) == 4


@pytest.mark.parametrize(("crop", "patch"), [(128, 256), (256, 400), (450, 800)])
def test_every_cell_is_seen_about_as_often(drawn: AnnotatedImage, crop: int, patch: int) -> None:
    """Cells all over the image, in its corners too: how many of many crops show each."""
    edges = [np.arange(6, side - 26, 28.0) for side in SIDES]
    boxes = [[x, y, x + 20, y + 20] for y in edges[1] for x in edges[0]]
    image = replace(drawn, boxes=np.array(boxes), labels=np.arange(len(boxes)))
    options = TrainOptions(crop=crop, patch=patch, patch_step=100)
    patches, _ = list_patches([image], options)
    cache, seen, count = ImageCache(), np.zeros(len(boxes)), 600
    for number in range(count):
        chosen = patches[number % len(patches)]
        shown = cut_crop(np.random.default_rng(number), cache, image, chosen, options)
        assert shown.pixels.shape == (crop, crop, 3)
        seen[shown.labels] += 1
    rows = seen.reshape(len(edges[1]), len(edges[0])) / seen.mean()
    middle = rows[len(rows) // 2, rows.shape[1] // 2]
    assert rows.min() > 0.4
    assert rows.max() < 2
    assert min(rows[0, 0], rows[0, -1], rows[-1, 0], rows[-1, -1]) > 0.4 * middle


def test_crops_of_images_with_cells_show_one(drawn: AnnotatedImage) -> None:
    """Wherever the only cell is, and however many of a patch's crops would miss it."""
    image = replace(drawn, boxes=drawn.boxes[:1], labels=drawn.labels[:1])
    options = TrainOptions(patch=400, patch_step=100, crop=128)
    patches, _ = list_patches([image], options)
    crops = [
        cut_crop(np.random.default_rng(seed), ImageCache(), image, patch, options)
        for seed in range(3)
        for patch in patches
    ]
    assert np.mean([len(crop.boxes) for crop in crops]) > 0.9


def test_pieces_of_one_slide_are_kept_apart(tmp_path: Path) -> None:
    """The cache must not take one piece for another because they share a file."""
    pixels = np.random.default_rng(0).integers(0, 256, (256, 512, 3), np.uint8)
    path = tmp_path / "a.svs"
    tifffile.imwrite(
        path, pixels, tile=(256, 256), photometric="rgb", resolution=(40_000,) * 2, resolutionunit="CENTIMETER"
    )
    cache = ImageCache()
    whole = image_of(path, [])
    for _ in range(2):
        for x in (0, 100, 256):
            piece = replace(whole, width=200, height=150, place=Place(x, 50, 0.25))
            np.testing.assert_array_equal(cache.get(piece), pixels[50:200, x : x + 200])


def test_same_seed_same_crop(drawn: AnnotatedImage) -> None:
    options = preset_options("fast")
    crops = [
        cut_crop(np.random.default_rng([1, 2, 3]), ImageCache(), drawn, patch_at(0, 0, 500), options) for _ in range(2)
    ]
    np.testing.assert_array_equal(crops[0].pixels, crops[1].pixels)
    np.testing.assert_array_equal(crops[0].boxes, crops[1].boxes)


def test_patches_reach_evenly_over_every_edge_and_hold_boxes() -> None:
    images = [image_of(Path("a"), [[10, 10, 50, 50]]), image_of(Path("b"), [], normal=True), image_of(Path("c"), [])]
    options = TrainOptions(patch=200, patch_step=130, crop=128)
    positives, normals = list_patches(images, options)
    assert {patch.image for patch in positives} == {0}, "an image without a box has no patch to learn from"
    assert {(patch.x, patch.y) for patch in positives} == {(-96, -96)}
    # As many as if they all lay in the image: at 0, 130, 260 and 300 px, and at 0, 130 and 220 px.
    assert len(normals) == 4 * 3
    starts = {x for patch in normals for x in range(patch.x, patch.x + patch.width - 128)}
    assert starts == set(range(-96, SIDES[0] - 128 + 96)), "where crops start"


def test_batches_have_the_ratio_asked_for() -> None:
    positives = [patch_at(x, 0, 800) for x in range(21)]
    normals = [replace(patch_at(x, 0, 800), image=1) for x in range(5)]
    plan = plan_epoch(
        np.random.default_rng(0), [positives], normals, TrainOptions(batch_size=8, normals_per_positive=3)
    )
    assert [sum(patch.image == 0 for patch in batch) for batch in plan] == [2] * 11
    assert all(len(batch) == 8 for batch in plan)
    used = [patch.x for batch in plan for patch in batch if patch.image == 0]
    assert set(used) == set(range(21)), "every patch with cells is used"
    assert max(used.count(x) for x in range(21)) <= 2
    without = plan_epoch(np.random.default_rng(0), [positives], [], TrainOptions(batch_size=4, batches=3))
    assert [len(batch) for batch in without] == [4, 4, 4]


def test_each_batch_has_as_many_patches_of_every_group() -> None:
    """A class of 3 patches is seen as often as one of 40, in every batch, and none of its patches is forgotten."""
    groups = [[replace(patch_at(x, 0, 800), label=label) for x in range(size)] for label, size in ((1, 40), (2, 3))]
    options = TrainOptions(batch_size=6, normals_per_positive=1)
    normals = [replace(patch_at(0, 0, 800), image=1)]
    plan = plan_epoch(np.random.default_rng(5), groups, normals, options)
    assert len(plan) == -(-40 // 3), "as many as there are places; those of the second class are places of the first"
    for batch in plan:
        count = [sum(patch.label == label for patch in batch) for label in (1, 2, None)]
        assert count[2] == 3
        assert sorted(count[:2]) == [1, 2]
    labels = [patch.label for batch in plan for patch in batch]
    assert abs(labels.count(1) - labels.count(2)) <= 1
    assert {patch.x for batch in plan for patch in batch if patch.label == 2} == {0, 1, 2}
    assert plan == plan_epoch(np.random.default_rng(5), groups, normals, options)
    assert plan != plan_epoch(np.random.default_rng(6), groups, normals, options)


def test_no_part_of_an_epoch_shows_a_group_more_than_another() -> None:
    groups = [[Patch(image=group, x=x, y=0, width=9, height=9) for x in range(20)] for group in range(4)]
    plan = plan_epoch(np.random.default_rng(0), groups, [], TrainOptions(batch_size=7, batches=500))
    for part in (plan[:100], plan[-100:]):
        counts = np.bincount([patch.image for batch in part for patch in batch])
        assert abs(counts / 175 - 1).max() < 0.1, "7 patches of 4 groups: each has one or two in a batch"


def test_colours_change_and_shapes_stay() -> None:
    rng = np.random.default_rng(0)
    pixels = np.asarray(Image.effect_noise((64, 64), 60).convert("RGB"))
    assert np.abs(restain(rng, pixels, 0.0).astype(int) - pixels).max() <= 1, "no strength, no change"
    changes = [np.abs(restain(rng, pixels, 0.2).astype(int) - pixels).mean() for _ in range(10)]
    assert 2 < np.mean(changes) < 60
    for seed in range(10):
        out = degrade(np.random.default_rng(seed), pixels)
        assert out.shape == pixels.shape
        assert out.dtype == np.uint8
