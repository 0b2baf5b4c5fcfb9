"""Slides on which people outlined tissue in QuPath: labels against shapely, what is refused, and a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely
from click.testing import CliRunner
from shapely.geometry import MultiPolygon, Polygon, box
from slide_files import texture, write
from toy_tissue import TINY_SEGMENTATION, toy_tissue

from signetscan.annotations import Region
from signetscan.annotations.marks import interpret_tissue
from signetscan.cli.main import cli
from signetscan.dataset.masks.images import IGNORED, DrawnMask
from signetscan.dataset.masks.pixels import PixelStore
from signetscan.dataset.masks.reading import read_masked_dataset
from signetscan.dataset.masks.view import MaskedView
from signetscan.errors import AnnotationError, OptionError
from signetscan.slides import SlideAtMpp, open_slide
from signetscan.training.losses import Source
from signetscan.training.segmentation.checkpoint import load_segmentation_checkpoint
from signetscan.training.segmentation.crops import cut_crop, list_patches
from signetscan.training.segmentation.engine import masked_digest

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from signetscan.dataset.masks.images import MaskedImage

MPP = 0.5
TAGS: dict[str, Any] = {"resolution": (1e4 / MPP,) * 2, "resolutionunit": "CENTIMETER"}
TUMOUR = Polygon([(150, 130), (560, 160), (600, 520), (120, 470)], [[(250, 250), (350, 260), (300, 380)]])
NECROSIS = box(420.3, 300.2, 560, 450)
STROMA = MultiPolygon([box(20, 20, 90, 100), Polygon([(700, 30), (790, 60), (720, 240)])])
IGNORE = Polygon([(500, 100), (700, 200), (540, 260)])


def drawn(*areas: tuple[BaseGeometry, str | None], kind: str = "annotation") -> list[dict[str, Any]]:
    """Objects as QuPath writes them."""
    return [
        {
            "type": "Feature",
            "geometry": shapely.geometry.mapping(area),
            "properties": {"objectType": kind} | ({} if name is None else {"classification": {"name": name}}),
        }
        for area, name in areas
    ]


def add(folder: Path, name: str, features: list[dict[str, Any]], size: tuple[int, int] = (800, 640)) -> None:
    """A slide of 0.5 µm/px with its annotations."""
    pixels = texture(size[1], size[0], seed=ord(name))
    write(folder / f"{name}.tif", pixels, levels=2, **TAGS)
    (folder / f"{name}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def labels_of(image: MaskedImage, folder: Path) -> NDArray[np.uint8]:
    with PixelStore(folder, 1 << 26) as store:
        return store.labels(image, 0, 0, (image.width, image.height))


def expected(image: MaskedImage, layers: list[tuple[int, BaseGeometry]], factor: float = 1) -> NDArray[np.uint8]:
    """The label of each pixel's centre by shapely, later layers over earlier ones."""
    assert image.place is not None
    x, y = np.meshgrid(np.arange(image.width) + 0.5 + image.place.x, np.arange(image.height) + 0.5 + image.place.y)
    labels = np.zeros(x.shape, np.uint8)
    for label, area in layers:
        labels[shapely.contains_xy(area, x * factor, y * factor)] = label
    return labels


def test_pixels_have_the_label_of_the_smallest_outline_around_them(tmp_path: Path) -> None:
    """With holes, several pieces, overlaps, an ignored area, and a region that is no rectangle; at two sizes."""
    around = Polygon([(0, 0), (795, 10), (760, 630), (10, 600)])
    marks = drawn(
        (NECROSIS, "Necrosis"), (TUMOUR, "tumor"), (STROMA, "Stroma"), (IGNORE, "Ignore*"), (around, "Region*")
    )
    add(tmp_path, "a", [*marks, *drawn((box(9, 9, 99, 99), "tumor"), kind="detection")])
    dataset = read_masked_dataset(tmp_path, mpp=MPP)
    (line,) = (line for line in dataset.warnings if line.startswith("Left out"))
    assert "a.geojson" in line, "a model's detection is no outline"
    for factor in (1, 2):
        dataset = read_masked_dataset(tmp_path, mpp=MPP * factor)
        assert dataset.class_names == ("background", "Necrosis", "Stroma", "tumor")
        (image,) = dataset.images
        assert (image.shows, image.normal, image.slide) == ((1, 2, 3), False, "a")
        outside = box(-1, -1, 801, 641) - around
        layers = [(3, TUMOUR), (1, NECROSIS), (2, STROMA), (IGNORED, IGNORE), (IGNORED, outside)]
        found = labels_of(image, tmp_path)
        assert set(np.unique(found)) == {0, 1, 2, 3, IGNORED}
        # shapely counts a centre on an edge as outside.
        assert (found != expected(image, layers, factor)).mean() < 1e-4
        with PixelStore(tmp_path, 1 << 26) as store, open_slide(tmp_path / "a.tif") as slide:
            np.testing.assert_array_equal(
                store.image(image), SlideAtMpp(slide, dataset.mpp).read(0, 0, image.width, image.height)
            )


def test_classes_are_joined_chosen_and_may_be_called_normal(tmp_path: Path) -> None:
    region = (box(0, 0, 800, 640), None)
    add(
        tmp_path,
        "a",
        drawn(region, (TUMOUR, "Tumor"), (NECROSIS, "Necrosis"), (STROMA, "Normal"), (IGNORE, "Rejected")),
    )
    joined = read_masked_dataset(tmp_path, classes=["bad = tumor, NECROSIS", "good=normal"], mpp=MPP)
    assert joined.class_names == ("background", "bad", "good")
    layers = [(1, TUMOUR), (1, NECROSIS), (2, STROMA)]
    assert (labels_of(joined.images[0], tmp_path) != expected(joined.images[0], layers)).mean() < 1e-4
    assert any(line.startswith("Rejected areas left out") for line in joined.warnings)
    # Not chosen, Normal is a region, and necrosis is a hole in the tumour.
    image, normal = read_masked_dataset(tmp_path, classes=["Tumor"], mpp=MPP).images
    assert (labels_of(image, tmp_path) != expected(image, [(1, TUMOUR), (0, NECROSIS)])).mean() < 1e-4
    assert (normal.normal, normal.shows) == (True, ()), "its box touches that of the tumour, but it does not"
    with pytest.raises(AnnotationError, match=r"no class 'gland' to learn from; it has Necrosis, Tumor"):
        read_masked_dataset(tmp_path, classes=["gland"], mpp=MPP)
    with pytest.raises(AnnotationError, match="the class Tumor is given to two classes"):
        read_masked_dataset(tmp_path, classes=["tumor", "b=Tumor"], mpp=MPP)


def test_a_large_region_is_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No window of the slide is larger than an image, and images cover the region once."""
    region, lesion = box(100, 50, 5000, 2900), box(400, 300, 1200, 900)
    add(tmp_path, "a", drawn((region, "ROI"), (lesion, "lesion")), size=(5120, 3000))
    dataset = read_masked_dataset(tmp_path, mpp=MPP)
    assert max(max(image.width, image.height) for image in dataset.images) <= 2048
    covered = np.zeros((3000, 5120), np.int64)
    for image in dataset.images:
        assert image.place is not None
        covered[image.place.y : image.place.y + image.height, image.place.x : image.place.x + image.width] += 1
    assert covered.sum() == covered[50:2900, 100:5000].sum() == 2850 * 4900
    assert covered.max() == 1
    assert len({image.slide for image in dataset.images}) == 1
    read: list[int] = []
    original = SlideAtMpp.read_window

    def watched(self: SlideAtMpp, x: int, y: int, width: int, height: int) -> object:
        read.append(width * height)
        return original(self, x, y, width, height)

    monkeypatch.setattr(SlideAtMpp, "read_window", watched)
    with PixelStore(tmp_path, 1 << 24) as store:
        views = [MaskedView(store, image) for image in dataset.images]
        groups, normals = list_patches(views, TINY_SEGMENTATION)
        assert not read, "pixels are read when they are needed"
        assert {patch.image for patch in groups[0]} == {0}
        assert {patch.image for patch in normals} == set(range(1, len(views))), "pieces that show nothing"
        for patch in (groups[0][0], normals[-1]):
            crop = cut_crop(np.random.default_rng(0), views[patch.image], patch, TINY_SEGMENTATION)
            background = crop.sources[(crop.labels == 0) & (crop.sources != Source.IGNORED)]
            assert set(background) <= {Source.NOISY}, "nobody declared it normal"
    assert read
    assert max(read) <= 2048 * 2048


def test_what_nobody_spoke_of_is_not_learnt_from(tmp_path: Path) -> None:
    triangle = Polygon([(0, 0), (790, 0), (0, 630)])
    add(tmp_path, "a", drawn((triangle, "Normal region"), (IGNORE, "Ignore*")))
    add(tmp_path, "b", drawn((box(0, 0, 700, 600), "Region*"), (TUMOUR, "tumor")))
    dataset = read_masked_dataset(tmp_path, mpp=MPP)
    normal, tumour = dataset.images
    assert isinstance(normal.mask, DrawnMask)
    assert (normal.normal, tumour.normal) == (True, False)
    with PixelStore(tmp_path, 1 << 26) as store:
        views = [MaskedView(store, image) for image in dataset.images]
        _, patches = list_patches(views, TINY_SEGMENTATION)
        sources: set[int] = set()
        for seed in range(10):
            crop = cut_crop(np.random.default_rng(seed), views[0], patches[seed % len(patches)], TINY_SEGMENTATION)
            sources |= set(crop.sources.ravel().tolist())
            assert not crop.labels.any()
    assert sources == {Source.NORMAL, Source.IGNORED}
    assert masked_digest([normal]) != masked_digest([tumour])
    assert masked_digest([normal]) == masked_digest(read_masked_dataset(tmp_path, mpp=MPP).images[:1])


def test_marks_of_tissue_mean_what_marks_of_cells_do() -> None:
    names = ["", "ROI", "Reviewed region", "Normal", "Ignore*", "Rejected", "Tumor", "gland: atypical", "Other"]
    areas = [Region(rings=(np.array([(0, 0), (index, 0), (0, 9)], np.float64),), normal=False) for index in range(9)]
    marked = interpret_tissue(areas, names)
    assert marked.names == ("Tumor", "gland: atypical", "Other")
    assert [region.normal for region in marked.regions] == [False, False, False, True]
    assert (len(marked.ignored), marked.rejected) == (1, 1)
    assert interpret_tissue(areas, names, ["NORMAL"]).names[0] == "Normal"


def test_slides_without_regions_or_outlines_are_refused(tmp_path: Path) -> None:
    add(tmp_path, "a", drawn((TUMOUR, "tumor")))
    with pytest.raises(AnnotationError, match=r"looked through.*QuPath.*NAME\.geojson"):
        read_masked_dataset(tmp_path, mpp=MPP)
    with pytest.raises(AnnotationError, match=r"too coarse for a data set at 0\.1"):
        read_masked_dataset(tmp_path, mpp=0.1)
    with pytest.raises(OptionError, match="mpp must be"):
        read_masked_dataset(tmp_path, mpp=99)
    add(tmp_path, "a", drawn((TUMOUR, None)))
    with pytest.raises(AnnotationError, match="nothing is outlined"):
        read_masked_dataset(tmp_path, mpp=MPP)


@pytest.mark.slow
def test_the_command_learns_from_slides(tmp_path: Path) -> None:
    """Without --task such a folder is for detection, as it always was."""
    rng = np.random.default_rng(0)
    for number in range(6):
        image, mask = toy_tissue(rng, lesions=number < 4)
        write(tmp_path / f"{number}.tif", image, levels=2, **TAGS)
        rows, columns = np.nonzero(mask)
        whole = (box(0, 0, image.shape[1], image.shape[0]), "Region*" if number < 4 else "Normal")
        lesion = shapely.convex_hull(shapely.MultiPoint(np.stack([columns, rows], axis=1))) if number < 4 else None
        features = drawn(whole, *([(lesion, "lesion")] if lesion is not None else []))
        (tmp_path / f"{number}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    sizes = ["--width", 8, "--decoder-channels", 8, "--crop", 128, "--batches", 2, "--epochs", 1, "--loss", "ce"]
    out = tmp_path / "run"
    arguments = ["train", tmp_path, "--task", "segmentation", "--mpp", MPP, "--out", out, "--device", "cpu", *sizes]
    ran = CliRunner().invoke(cli, [*map(str, arguments)])
    assert ran.exit_code == 0, ran.output
    assert "4 images with masks, and 2 images of background alone; lesion at 0.5 µm/px" in ran.output
    best = load_segmentation_checkpoint(out / "best.pt")
    assert best.class_names == ("background", "lesion")
    assert len(best.held_out_slides) == 1
