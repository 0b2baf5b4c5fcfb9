from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import openslide
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from signetscan.annotations import read_boxes_xml
from signetscan.dataset import read_dataset, read_pixels
from signetscan.errors import AnnotationError, OptionError, OutputError, SlideError
from signetscan.simulate.camera import Camera
from signetscan.simulate.canvas import HAEM, Canvas
from signetscan.simulate.field import render_field, visible_boxes
from signetscan.simulate.image_set import ImageSetTotals, write_image_set
from signetscan.simulate.options import ImageSetOptions, SlideOptions
from signetscan.simulate.real import read_background
from signetscan.simulate.signet import draw_signet_cell, random_signet_cell
from signetscan.simulate.slide_file import SlideTotals, write_slide
from signetscan.simulate.stain import Stain, make_stain, random_stain
from signetscan.slides import open_slide
from signetscan.stains import EOSIN, HAEMATOXYLIN

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PLAIN_CAMERA = Camera(blur=0, defocus=0, fringe=0, banding=0, noise=0, jpeg_quality=90)
"""Shows the light as it is."""


def plain_stain() -> Stain:
    return make_stain(HAEMATOXYLIN, EOSIN, haematoxylin=1.2, eosin=1.0, glass=np.full(3, 245.0))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# ---- cells and their boxes ------------------------------------------------------------------------------------------


def test_visible_boxes_of_a_map_drawn_by_hand() -> None:
    owner = np.zeros((12, 24), np.int32)
    owner[2:6, 3:8] = 1  # whole, but for a foreign pixel
    owner[3, 4] = 7
    owner[8:10, 10:20] = 3  # the lower half of 40 pixels shows
    owner[0, 10:17] = 4  # 7 of 20 pixels, below 0.4
    owner[0, 20:24] = 5  # 8 of 20 pixels, in two places
    owner[11, 20:24] = 5
    owner[5:8, 20:23] = 7  # only the corner at the upper left, 5 of 15 pixels, is left of cell 6
    owner[5, 20:23] = owner[5:8, 20] = 6
    areas = {1: 20, 2: 30, 3: 40, 4: 20, 5: 20, 6: 15, 7: 4}
    assert visible_boxes(owner, areas).tolist() == [
        [3, 2, 8, 6],
        [10, 8, 20, 10],
        [20, 0, 24, 12],
        [4, 3, 23, 8],
    ], "cell 2 is hidden whole, and too little shows of 4 and 6"
    assert visible_boxes(owner, {}).shape == (0, 4)
    assert visible_boxes(np.zeros_like(owner), {1: 20}).shape == (0, 4)


def test_the_box_of_a_cell_is_where_its_stain_is() -> None:
    """Cells of the sizes that real ones have, each drawn on a black sheet, on which all that it covers is paler."""
    sides = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        canvas = Canvas(rng, np.full((3, 200, 200), 6.0, np.float32))
        area = draw_signet_cell(canvas, random_signet_cell(rng, *rng.uniform(90, 110, 2)), 1)
        (box,) = visible_boxes(canvas.owner, {1: area})
        rows, columns = np.nonzero(canvas.amounts[HAEM] < 3.5)
        drawn = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        np.testing.assert_allclose(box, drawn, atol=1)
        sides.append(box[2:] - box[:2])
    mean = np.mean(sides, axis=1)
    assert ((mean >= 37) & (mean <= 92)).mean() > 0.98, "whole cells of 37 to 92 px, says the reference"
    assert np.min(sides) >= 30
    assert np.max(sides) <= 105
    assert 45 < np.median(sides) < 70


@pytest.mark.parametrize("seed", [2, 3, 13])
def test_cells_change_the_picture_at_their_boxes_and_nowhere_else(seed: int) -> None:
    """The same field without its cells differs only where cells are (and the nuclei that lie over some of them)."""
    with_cells, without = (
        render_field(
            np.random.default_rng(seed), (500, 480), stain=plain_stain(), camera=PLAIN_CAMERA, with_cells=with_cells
        )
        for with_cells in (True, False)
    )
    assert with_cells.image.shape == without.image.shape == (480, 500, 3)
    assert len(without.boxes) == 0
    assert len(with_cells.boxes) >= 5
    changed = np.abs(with_cells.image.astype(int) - without.image).max(axis=2) > 8
    grey = with_cells.image.mean(axis=2)
    boxed = np.zeros_like(changed)
    paler_inside = []
    for x0, y0, x1, y1 in with_cells.boxes.astype(int):
        assert 0 <= x0 < x1 <= 500
        assert 0 <= y0 < y1 <= 480
        boxed[y0:y1, x0:x1] = True
        assert changed[y0:y1, x0:x1].mean() > 0.5, "an ellipse fills 0.79 of its box"
        rows, columns = np.indices((y1 - y0, x1 - x0)) + 0.5
        radius = np.hypot(rows / (y1 - y0) * 2 - 1, columns / (x1 - x0) * 2 - 1)
        cell = grey[y0:y1, x0:x1]
        paler_inside.append(cell[radius < 0.55].mean() - cell[(radius > 0.8) & (radius < 1)].mean())
    assert (changed & boxed).sum() > 0.93 * changed.sum()
    assert np.mean(paler_inside) > 30, "the vacuole is paler than the rim with its crescent"


@pytest.mark.parametrize("seed", [6, 8])
def test_cells_end_where_the_tissue_ends(seed: int) -> None:
    tissue = np.zeros((480, 500), np.float32)
    tissue[:, :250] = 1
    field = render_field(
        np.random.default_rng(seed),
        (500, 480),
        stain=plain_stain(),
        camera=PLAIN_CAMERA,
        with_cells=True,
        tissue=tissue,
    )
    assert field.boxes[:, 2].max() == 250, "one is cut there"
    assert field.image[:, 250:].min() == 245, "bare glass"


# ---- colour ---------------------------------------------------------------------------------------------------------


@given(
    image=arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3))),
    seed=st.integers(0, 2**32),
)
def test_a_real_image_goes_to_stains_and_back(image: NDArray[np.uint8], seed: int) -> None:
    stain = random_stain(np.random.default_rng(seed))
    amounts = stain.to_amounts(image)
    assert amounts.shape == (3, *image.shape[:2])
    np.testing.assert_allclose(stain.to_rgb(amounts), image, atol=1.1)


@given(seed=st.integers(0, 2**32), dye=st.integers(0, 1))
def test_no_stain_shows_the_glass_and_more_stain_is_darker(seed: int, dye: int) -> None:
    stain = random_stain(np.random.default_rng(seed))
    amounts = np.zeros((3, 1, 50), np.float32)
    amounts[dye] = np.linspace(0, 3, 50)
    (row,) = stain.to_rgb(amounts)
    np.testing.assert_allclose(row[0], stain.glass)
    assert (np.diff(row, axis=0) < 0).all()


# ---- sets of images -------------------------------------------------------------------------------------------------


class ImageSet(NamedTuple):
    root: Path
    options: ImageSetOptions
    totals: ImageSetTotals


@pytest.fixture(scope="module")
def image_set(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    root = tmp_path_factory.mktemp("made") / "a set"
    options = ImageSetOptions(positives=5, negatives=6, size=480, seed=3, missing_rate=0.4)
    return ImageSet(root, options, write_image_set(root, options))


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers(tmp_path: Path) -> None:
    options = ImageSetOptions(positives=2, negatives=1, size=256, missing_rate=0.5)
    told: list[tuple[int, int]] = []
    totals = [
        write_image_set(tmp_path / "1", options, on_progress=lambda done, total: told.append((done, total))),
        write_image_set(tmp_path / "2", options, workers=2),
        write_image_set(tmp_path / "other", replace(options, seed=1)),
    ]
    assert told == [(1, 3), (2, 3), (3, 3)]
    one, two, other = (contents(tmp_path / name) for name in ("1", "2", "other"))
    assert len(one) == 2 * 3 + 1 + 1
    assert two == one
    assert totals[0] == totals[1]
    assert not set(one.values()) & set(other.values())


def test_the_layout_is_that_of_digestpath(image_set: ImageSet) -> None:
    root = image_set.root
    assert sorted(path.name for path in root.iterdir()) == ["dataset.json", "sig-train-neg", "sig-train-pos", "truth"]
    positive, negative, truth = (
        sorted(path.name for path in (root / name).iterdir()) for name in ("sig-train-pos", "sig-train-neg", "truth")
    )
    images = [name for name in positive if name.endswith(".jpeg")]
    assert len(images) == 5
    assert truth == [name.replace(".jpeg", ".xml") for name in images]
    assert positive == sorted(images + truth)
    assert len(negative) == 6
    assert all(name.endswith(".jpeg") for name in negative)
    for name in images + negative:
        found = re.fullmatch(r"(.+_)?\d{4}-\d\d-\d\d \d\d_\d\d_\d\d-lv0-\d+-\d+-(\d+)-(\d+)\.jpeg", name)
        assert found is not None, name
        folder = "sig-train-pos" if name in images else "sig-train-neg"
        with Image.open(root / folder / name) as image:
            assert (image.width, image.height) == (int(found[2]), int(found[3]))


def test_the_set_is_read_as_it_was_meant(image_set: ImageSet) -> None:
    dataset = read_dataset(image_set.root, full_truth=True)
    (remark,) = dataset.warnings
    assert remark.startswith("Images of 6 sizes"), "no box is too thin or outside"
    annotated, whole = read_dataset(image_set.root).images, dataset.images
    assert [image.normal for image in annotated] == [False] * 5 + [True] * 6
    assert asdict(image_set.totals) == {
        "positives": 5,
        "negatives": 6,
        "cells": sum(len(image.boxes) for image in whole),
        "boxes": sum(len(image.boxes) for image in annotated),
    }
    described = json.loads((image_set.root / "dataset.json").read_text())
    assert described["totals"] == asdict(image_set.totals)
    assert described["options"]["missing_rate"] == 0.4
    # Up to four images share a slide.
    assert sorted(Counter(image.slide for image in annotated if not image.normal).values()) == [1, 4]


def test_boxes_lie_in_the_image_and_have_sizes_of_cells(image_set: ImageSet) -> None:
    for image in read_dataset(image_set.root, full_truth=True).images[:5]:
        boxes = read_boxes_xml(image_set.root / "truth" / f"{image.path.stem}.xml").boxes
        np.testing.assert_array_equal(boxes, image.boxes)
        width, height = image.width, image.height
        assert (boxes >= 0).all()
        assert (boxes <= (width, height, width, height)).all()
        sides = boxes[:, 2:] - boxes[:, :2]
        cut = (boxes[:, :2] == 0) | (boxes[:, 2:] == (width, height))
        assert (sides <= 105).all()
        assert (sides >= 10).all()
        assert (sides[~cut.any(axis=1)] >= 20).all(), "smaller than any cell, even one half hidden"


def test_the_missing_rate_drops_its_share_of_boxes_and_nothing_else(image_set: ImageSet, tmp_path: Path) -> None:
    annotated, whole = read_dataset(image_set.root).images, read_dataset(image_set.root, full_truth=True).images
    for some, every in zip(annotated, whole, strict=True):
        assert len(some.boxes) == len(every.boxes) - round(0.4 * len(every.boxes))
        assert set(map(tuple, some.boxes.tolist())) <= set(map(tuple, every.boxes.tolist()))
    assert max(len(image.boxes) for image in whole) >= 5, "too few to say anything"
    none = replace(image_set.options, positives=2, negatives=0, missing_rate=1.0)
    assert write_image_set(tmp_path / "none", none).boxes == 0
    before, after = contents(image_set.root), contents(tmp_path / "none")
    for name, content in after.items():
        if name.endswith(".jpeg") or name.startswith("truth"):
            assert content == before[name]
    assert sum(name.endswith(".jpeg") for name in after) == 2


@pytest.mark.parametrize(
    "bad",
    [
        {"positives": -1},
        {"negatives": -1},
        {"size": 199},
        {"size": 8001},
        {"seed": -1},
        {"missing_rate": -0.1},
        {"missing_rate": 1.1},
        {"missing_rate": float("nan")},
    ],
)
def test_image_options_out_of_range_are_refused(bad: dict[str, Any]) -> None:
    (name,) = bad
    with pytest.raises(OptionError, match=name.replace("_", " ")):
        ImageSetOptions(**bad)


def test_a_folder_in_use_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "keep.txt").write_text("precious")
    with pytest.raises(OutputError, match=rf"^{re.escape(str(tmp_path))}: not empty"):
        write_image_set(tmp_path, ImageSetOptions(positives=1, negatives=1, size=200))
    assert contents(tmp_path) == {"keep.txt": b"precious"}
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(OutputError, match=r"keep\.txt"):
        write_image_set(tmp_path / "keep.txt", ImageSetOptions(positives=1, negatives=1, size=200))


# ---- real backgrounds -----------------------------------------------------------------------------------------------


def test_a_real_picture_serves_as_background_for_some_of_the_images(tmp_path: Path) -> None:
    """A green one, a colour that the dyes do not have, and smaller than the images."""
    noise = np.random.default_rng(0).integers(-10, 11, (48, 64, 1))
    path = tmp_path / "some moss.png"
    Image.fromarray((np.array([90, 170, 90]) + noise).astype(np.uint8)).save(path)
    options = ImageSetOptions(positives=4, negatives=8, size=200, backgrounds=(path,))
    totals = write_image_set(tmp_path / "out", options)
    assert totals.cells > 0
    images = read_dataset(tmp_path / "out").images
    medians = [np.median(read_pixels(image).reshape(-1, 3), axis=0) for image in images]
    green = [bool(median[1] > median[0] and median[1] > median[2]) for median in medians]
    assert 3 <= sum(green) <= 11
    assert any(len(image.boxes) for image, is_green in zip(images, green, strict=True) if is_green)
    described = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert described["options"]["backgrounds"] == ["some moss.png"], "a name, not a place on this machine"


def broken_png(path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (200, 200, 3), np.uint8)).save(path)
    content = path.read_bytes()
    last = content.rindex(b"IDAT")
    path.write_bytes(content[:last] + b"\1\2\3\4" + content[last + 4 :])


@pytest.mark.parametrize("kind", ["text", "empty", "folder", "missing", "cut short", "broken chunk"])
def test_a_bad_background_is_named_before_anything_is_drawn(tmp_path: Path, kind: str) -> None:
    bad = tmp_path / "a bad one.png"
    Image.fromarray(np.full((300, 300, 3), 128, np.uint8)).save(bad)
    if kind == "broken chunk":
        broken_png(bad)
    elif kind == "cut short":
        bad.write_bytes(bad.read_bytes()[:-300])
    elif kind in {"text", "empty"}:
        bad.write_text("hello" if kind == "text" else "")
    else:
        bad.unlink()
        if kind == "folder":
            bad.mkdir()
    out = tmp_path / "out"
    with pytest.raises(AnnotationError, match=rf"^{re.escape(str(bad))}: "):
        write_image_set(out, ImageSetOptions(positives=1, negatives=1, size=200, backgrounds=(bad,)))
    assert list(out.iterdir()) == [], "so that the next try finds an empty folder"


def test_a_background_too_large_is_refused_and_a_large_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.png"
    Image.fromarray(np.full((50, 60, 3), 128, np.uint8)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)  # Pillow warns above this, and refuses above twice this
    assert read_background(path).shape == (50, 60, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(AnnotationError, match=r"large\.png"):
        read_background(path)
    monkeypatch.undo()
    monkeypatch.setattr("signetscan.simulate.real.MAX_PIXELS", 50 * 60 - 1)
    with pytest.raises(AnnotationError, match=r"large\.png: too large"):
        read_background(path)


def test_a_slide_as_background_is_brought_to_the_right_size(tmp_path: Path, made: MadeSlide) -> None:
    assert read_background(made.path).shape == (made.options.height, made.options.width, 3)
    tifffile.imwrite(tmp_path / "mute.tif", np.full((60, 50, 3), 128, np.uint8), photometric="rgb", tile=(64, 64))
    with pytest.raises(SlideError, match=r"mute.*how large its pixels are"):
        read_background(tmp_path / "mute.tif")
    tifffile.imwrite(
        tmp_path / "coarse.tif",
        np.full((60, 50, 3), 128, np.uint8),
        photometric="rgb",
        resolution=(20000, 20000),
        resolutionunit="CENTIMETER",
    )
    assert read_background(tmp_path / "coarse.tif").shape == (120, 100, 3)


# ---- slides ---------------------------------------------------------------------------------------------------------


class MadeSlide(NamedTuple):
    path: Path
    options: SlideOptions
    totals: SlideTotals


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeSlide:
    path = tmp_path_factory.mktemp("slides") / "not there yet" / "a slide.svs"
    options = SlideOptions(width=2100, height=520, region=380, seed=4)
    return MadeSlide(path, options, write_slide(path, options))


def truth_of(path: Path) -> dict[str, NDArray[np.float64]]:
    """Boxes (N, 4) of each class in a slide's truth."""
    features = json.loads(path.with_name(f"{path.stem}.truth.geojson").read_text())["features"]
    ids = [uuid.UUID(feature["id"]) for feature in features]
    assert len(set(ids)) == len(ids)
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in ("cells", "positive", "normal")}
    kinds = {
        ("detection", "Signet ring cell"): "cells",
        ("annotation", "Positive region"): "positive",
        ("annotation", "Normal region"): "normal",
    }
    for feature in features:
        (ring,) = feature["geometry"]["coordinates"]
        low, high = np.min(ring, axis=0), np.max(ring, axis=0)
        rectangle = [[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]], [low[0], low[1]]]
        assert ring == rectangle
        kind = (feature["properties"]["objectType"], feature["properties"]["classification"]["name"])
        found[kinds[kind]].append(np.concatenate([low, high]))
    return {name: np.array(boxes, np.float64).reshape(-1, 4) for name, boxes in found.items()}


def holds(outer: NDArray[np.float64], inner: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N, M), whether each of N boxes holds each of M whole."""
    low = (outer[:, None, :2] <= inner[None, :, :2]).all(axis=2)
    return np.asarray(low & (inner[None, :, 2:] <= outer[:, None, 2:]).all(axis=2))


def test_openslide_opens_the_slide_as_aperio(made: MadeSlide) -> None:
    with openslide.OpenSlide(made.path) as slide:
        assert slide.properties[openslide.PROPERTY_NAME_VENDOR] == "aperio"
        assert float(slide.properties[openslide.PROPERTY_NAME_MPP_X]) == 0.25
        assert float(slide.properties[openslide.PROPERTY_NAME_MPP_Y]) == 0.25
        assert slide.properties[openslide.PROPERTY_NAME_OBJECTIVE_POWER] == "40"
        assert slide.level_dimensions == ((2100, 520), (525, 130))
    with open_slide(made.path) as slide_:
        assert (slide_.name, slide_.format_name, slide_.dimensions) == ("a slide", "aperio", (2100, 520))
        assert slide_.level_dimensions == ((2100, 520), (525, 130))
        assert slide_.mpp is not None
        assert (slide_.mpp.x, slide_.mpp.y, slide_.mpp.source) == (0.25, 0.25, "slide properties")


def test_the_slide_has_the_colours_of_glass_and_stain(made: MadeSlide) -> None:
    with open_slide(made.path) as slide:
        pixels = slide.read_region((0, 0), 0, (2100, 520))
    np.testing.assert_array_equal(pixels, tifffile.imread(made.path, key=0))
    glass = pixels[:50].reshape(-1, 3).astype(int)
    assert glass.min() > 210
    assert np.ptp(glass.mean(axis=0)) < 20, "nearly grey"
    assert glass.std(axis=0).max() < 3, "bare"
    red, green, blue = np.moveaxis(pixels.astype(int), 2, 0)
    tissue = green < glass[:, 1].mean() - 40
    assert 0.2 < tissue.mean() < 0.9
    assert (red > green)[tissue].mean() > 0.9
    assert (blue > green)[tissue].mean() > 0.9


def test_level_1_is_the_average_of_level_0(made: MadeSlide) -> None:
    with open_slide(made.path) as slide:
        large = slide.read_region((0, 0), 0, (2100, 520)).astype(np.float64)
        small = slide.read_region((0, 0), 1, (525, 130)).astype(np.float64)
    average = large.reshape(130, 4, 525, 4, 3).mean(axis=(1, 3))
    assert np.abs((small - average).mean(axis=(0, 1))).max() < 0.5, "no shift of colour"
    small, average = small.mean(axis=2), average.mean(axis=2)
    error = np.abs(small - average).mean()
    assert error < 2.5, "JPEG's own"
    for shifted, moved in ((small[:, 1:], average[:, :-1]), (small[:, :-1], average[:, 1:]), (small[1:], average[:-1])):
        assert error < 0.6 * np.abs(shifted - moved).mean()


def test_the_truth_has_a_rectangle_a_region_and_a_detection_a_cell(made: MadeSlide) -> None:
    truth = truth_of(made.path)
    assert asdict(made.totals) == {
        "positive_regions": len(truth["positive"]),
        "normal_regions": len(truth["normal"]),
        "cells": len(truth["cells"]),
    }
    regions = np.concatenate([truth["positive"], truth["normal"]])
    assert sorted(regions.tolist()) == [[x, 60, x + 380, 440] for x in (60, 500, 940, 1380)]
    assert len(truth["positive"]) == 2
    assert len(truth["cells"]) >= 5
    assert (holds(truth["positive"], truth["cells"]).sum(axis=0) == 1).all()
    assert not holds(truth["normal"], truth["cells"]).any()
    with open_slide(made.path) as slide:
        pixels = slide.read_region((0, 0), 0, (2100, 520)).astype(int)
    for x0, y0, x1, y1 in truth["cells"].astype(int):
        assert pixels[y0:y1, x0:x1].std() > 10, "no bare glass"


def test_the_same_seed_gives_the_same_slide(tmp_path: Path) -> None:
    options = SlideOptions(width=600, height=560, region=200, seed=1)
    for name in ("a", "b"):
        write_slide(tmp_path / name / "s.svs", options)
    write_slide(tmp_path / "c" / "s.svs", replace(options, seed=2))
    first, again, other = (contents(tmp_path / name) for name in ("a", "b", "c"))
    assert sorted(first) == ["s.svs", "s.truth.geojson"], "nothing else is left"
    assert again == first
    assert other["s.svs"] != first["s.svs"]


def test_at_another_mpp_the_same_slide_is_scaled(made: MadeSlide, tmp_path: Path) -> None:
    half = replace(made.options, width=1050, height=260, mpp=0.5)
    assert write_slide(tmp_path / "half.svs", half) == made.totals
    whole, halved = truth_of(made.path), truth_of(tmp_path / "half.svs")
    for kind, boxes in whole.items():
        np.testing.assert_allclose(halved[kind], boxes / 2, atol=1)
    with openslide.OpenSlide(tmp_path / "half.svs") as slide:
        assert float(slide.properties[openslide.PROPERTY_NAME_MPP_X]) == 0.5
        assert slide.properties[openslide.PROPERTY_NAME_OBJECTIVE_POWER] == "20"
        small = np.asarray(slide.read_region((0, 0), 0, (1050, 260)).convert("RGB"))
    with openslide.OpenSlide(made.path) as slide:
        large = slide.read_region((0, 0), 0, (2100, 520)).convert("RGB")
    shrunk = np.asarray(large.resize((1050, 260), Image.Resampling.BOX))
    assert np.abs(shrunk.astype(int) - small).mean() < 4


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"width": 255}, "width"),
        ({"height": 200_001}, "height"),
        ({"mpp": 0.05}, "mpp"),
        ({"mpp": float("nan")}, "mpp"),
        ({"region": 199}, "region"),
        ({"seed": -1}, "seed"),
        ({"jpeg_quality": 0}, "jpeg quality"),
        ({"jpeg_quality": 101}, "jpeg quality"),
        ({"width": 1000, "region": 900}, "fit"),  # 60 px of glass on either side
    ],
)
def test_slide_options_out_of_range_are_refused(bad: dict[str, Any], reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        SlideOptions(**bad)


def test_a_place_that_cannot_hold_the_slide_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        write_slide(tmp_path / "file" / "s.svs", SlideOptions(width=400, height=400, region=200))
    (tmp_path / "s.svs").mkdir()
    with pytest.raises(OutputError, match=r"s\.svs"):
        write_slide(tmp_path / "s.svs", SlideOptions(width=400, height=400, region=200))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "s.svs"]
