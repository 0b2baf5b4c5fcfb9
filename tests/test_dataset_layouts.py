"""Data sets that are not DigestPath's: images or slides with annotation files beside them."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from conftest import _blobs
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from signetscan.annotations import boxes_xml
from signetscan.dataset import Place, read_dataset, read_image, read_pixels, resample
from signetscan.dataset import slides as slides_module
from signetscan.errors import AnnotationError, SlideError
from signetscan.simulate.options import SlideOptions
from signetscan.simulate.slide_file import write_slide
from signetscan.slides import ArraySlide, Bounds, SlideAtMpp, open_slide

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from signetscan.dataset import Dataset

Box = tuple[float, float, float, float]

SIZE_REMARK = "The images' pixels are assumed to be 0.25 µm wide; give their mpp if they are not"


def add_image(folder: Path, name: str, *, size: tuple[int, int] = (100, 80)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    width, height = size
    # Another image for each name: one that is given twice is taken once.
    pixels = np.random.default_rng([width, *name.encode()]).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(folder / name)
    return folder / name


def add_xml(folder: Path, stem: str, objects: Sequence[tuple[str, Box]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    boxes, names = np.array([box for _, box in objects]).reshape(-1, 4), [name for name, _ in objects]
    (folder / f"{stem}.xml").write_bytes(boxes_xml(f"{stem}.png", (100, 80), boxes, names))


def feature(box: Box, name: str | None, kind: str = "detection") -> dict[str, Any]:
    x0, y0, x1, y1 = box
    ring = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
    properties: dict[str, Any] = {"objectType": kind}
    if name is not None:
        properties["classification"] = {"name": name, "color": [1, 2, 3]}
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": properties}


def add_geojson(folder: Path, name: str, features: Sequence[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return folder / name


def summary(dataset: Dataset) -> list[tuple[str, list[list[float]], list[int], bool]]:
    return [(image.path.name, image.boxes.tolist(), image.labels.tolist(), image.normal) for image in dataset.images]


# ---- images with VOC-like XML ---------------------------------------------------------------------------------------


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Three images: cells of two classes, a normal one, and one of the other class only."""
    folder = tmp_path / "my cells"
    for name in ("a b.png", "c.JPG", "d.jpeg"):
        add_image(folder, name)
    ring, other = "Signet ring", "lymphocyte"
    add_xml(folder, "a b", [(ring, (10, 10, 40, 40)), (other, (50, 10, 70, 30)), ("signet RING", (60, 40, 90, 70))])
    add_xml(folder, "c", [])
    add_xml(folder, "d", [(other, (10, 10, 30, 30))])
    return folder


def test_a_folder_of_voc_is_read(voc: Path) -> None:
    dataset = read_dataset(voc, classes=["signet ring"])
    assert (dataset.layout, dataset.class_names, dataset.mpp) == ("images with VOC-like XML", ("Signet ring",), 0.25)
    assert summary(dataset) == [
        ("a b.png", [[10, 10, 40, 40], [60, 40, 90, 70]], [0, 0], False),
        ("c.JPG", [], [], True),
        ("d.jpeg", [], [], False),
    ]
    assert [image.slide for image in dataset.images] == ["a b", "c", "d"]
    assert dataset.warnings == (
        "Images whose annotation file has no object, taken for normal ones: 1, namely c.JPG",
        "Objects of other classes left out: 2, namely lymphocyte (2)",
        "Without a box and not declared normal: nothing is learnt from them: 1, namely d.jpeg",
        SIZE_REMARK,
        "Images whose names do not tell the slide, each taken for a slide of its own: 3",
    )


def test_images_of_other_classes_are_normal_only_if_that_is_said(voc: Path) -> None:
    dataset = read_dataset(voc, classes=["signet ring"], others_are_normal=True)
    assert [image.normal for image in dataset.images] == [False, True, True]
    assert "Images with objects of other classes only, taken for normal ones: 1, namely d.jpeg" in dataset.warnings
    assert not any("not declared normal" in line for line in dataset.warnings)
    add_xml(voc, "d", [("lymphocyte", (10, 10, 30, 30)), ("", (40, 40, 60, 60))])
    assert not read_dataset(voc, classes=["signet ring"], others_are_normal=True).images[2].normal, "it may be a cell"
    add_xml(voc, "d", [("lymphocyte", (10, 10, 30, 30)), ("Signet Ring", (500, 40, 530, 60))])
    unusable = read_dataset(voc, classes=["signet ring"], others_are_normal=True).images[2]
    assert (len(unusable.boxes), unusable.normal) == (0, False), "a cell was boxed, if badly"


def test_several_classes_have_labels_in_the_order_asked_for(voc: Path) -> None:
    dataset = read_dataset(voc, classes=["Lymphocyte", "Signet Ring", "lymphocyte"], mpp=0.5)
    assert (dataset.class_names, dataset.mpp) == (("lymphocyte", "Signet ring"), 0.5)
    assert [image.labels.tolist() for image in dataset.images] == [[1, 0, 1], [], [0]]
    assert SIZE_REMARK not in dataset.warnings


def test_one_of_several_classes_must_be_chosen(voc: Path) -> None:
    with pytest.raises(AnnotationError, match=r"2 classes: lymphocyte \(2\), Signet ring \(2\); choose one or several"):
        read_dataset(voc)
    with pytest.raises(AnnotationError, match=r"'mitosis'; its classes: lymphocyte \(2\), Signet ring \(2\)"):
        read_dataset(voc, classes=["Signet ring", "Mitosis"])


def test_the_only_class_needs_no_choice_and_nameless_objects_are_counted(tmp_path: Path) -> None:
    add_image(tmp_path, "a.png")
    add_xml(tmp_path, "a", [("nucleus", (10, 10, 40, 40)), ("", (50, 10, 70, 30))])
    dataset = read_dataset(tmp_path)
    assert dataset.class_names == ("nucleus",)
    assert "Objects without a class left out: 1, namely a.xml" in dataset.warnings
    add_xml(tmp_path, "a", [("", (50, 10, 70, 30))])
    with pytest.raises(AnnotationError, match=r"its objects \(1\) have no class"):
        read_dataset(tmp_path)


def test_images_and_xml_that_are_alone_are_counted(voc: Path) -> None:
    for name in ("x.png", "y.png"):
        add_image(voc, name)
    add_xml(voc, "z", [])
    (voc / "._a b.png").write_text("a Mac's")
    dataset = read_dataset(voc, classes=["signet ring"])
    assert len(dataset.images) == 3
    assert {
        "Annotation files left out, without an image or slide: 1, namely z.xml",
        "Left out, without an annotation file: 2, namely x.png, y.png",
    } <= set(dataset.warnings)


def test_pascals_own_folders_are_read(tmp_path: Path) -> None:
    add_image(tmp_path / "JPEGImages", "a.jpg")
    add_xml(tmp_path / "Annotations", "a", [("cell", (10, 10, 40, 40))])
    assert summary(read_dataset(tmp_path)) == [("a.jpg", [[10, 10, 40, 40]], [0], False)]


def test_bad_files_of_voc_are_refused_by_name(voc: Path) -> None:
    (voc / "c.xml").write_text("<annotation><object>")
    with pytest.raises(AnnotationError, match=rf"^{re.escape(str(voc / 'c.xml'))}: not well-formed"):
        read_dataset(voc)
    add_xml(voc, "c", [])
    (voc / "d.jpeg").write_text("no image")
    with pytest.raises(AnnotationError, match=rf"^{re.escape(str(voc / 'd.jpeg'))}: not a readable image"):
        read_dataset(voc)


def test_only_simulated_sets_have_the_full_truth(voc: Path) -> None:
    with pytest.raises(AnnotationError, match="full truth"):
        read_dataset(voc, classes=["signet ring"], full_truth=True)


def test_real_nuclei_are_read(shared_nuclei: Path) -> None:
    dataset = read_dataset(shared_nuclei, mpp=0.5)
    assert (dataset.layout, dataset.class_names) == ("images with VOC-like XML", ("nucleus",))
    files = list(shared_nuclei.glob("*.xml"))
    assert len(dataset.images) == len(files) == 107
    objects = sum(file.read_text().count("<object>") for file in files)
    left_out = re.match(r"Boxes left out, [^:]*: (\d+), ", dataset.warnings[0])
    assert left_out is not None
    assert sum(len(image.boxes) for image in dataset.images) == objects - int(left_out[1]) > 4400
    for image in dataset.images:
        assert read_pixels(image).shape == (image.height, image.width, 3)
        assert (image.boxes >= 0).all()
        assert (image.boxes <= (image.width, image.height) * 2).all()


# ---- images with QuPath's GeoJSON -----------------------------------------------------------------------------------


def test_images_with_geojson_are_read(tmp_path: Path) -> None:
    for name in ("a.png", "b.jpg", "c.tif", "d.png", "e.png"):
        add_image(tmp_path, name)
    cell: Box = (10.5, 10, 40, 40)
    add_geojson(tmp_path, "a.geojson", [feature(cell, "Ring", "annotation"), feature((50, 10, 80, 40), "ring", "cell")])
    add_geojson(tmp_path, "b.geojson", [feature((0, 0, 100, 80), "NORMAL", "annotation")])
    add_geojson(tmp_path, "c.geojson", [feature((0, 0, 100, 80), "Normal region", "annotation"), feature(cell, "Ring")])
    add_geojson(
        tmp_path,
        "d.geojson",
        [feature((0, 0, 100, 80), "Region*", "annotation"), feature(cell, None, "annotation"), feature(cell, None)],
    )
    dataset = read_dataset(tmp_path)
    assert (dataset.layout, dataset.class_names) == ("images with QuPath GeoJSON", ("Ring",))
    assert summary(dataset) == [
        ("a.png", [[10.5, 10, 40, 40], [50, 10, 80, 40]], [0, 0], False),
        ("b.jpg", [], [], True),
        ("c.tif", [[10.5, 10, 40, 40]], [0], False),
        ("d.png", [], [], False),
    ]
    np.testing.assert_array_equal(read_pixels(dataset.images[2]), read_image(tmp_path / "c.tif"))
    assert dataset.warnings[:-2] == (
        "Left out, without an annotation file: 1, namely e.png",
        "Objects without a class left out: 2, namely d.geojson (2)",
        "Declared normal, but with boxes of cells: taken as images with cells: 1, namely c.tif",
        "Without a box and not declared normal: nothing is learnt from them: 1, namely d.png",
    )


def test_a_detection_named_normal_is_a_class_and_no_region(tmp_path: Path) -> None:
    add_image(tmp_path, "a.png")
    add_geojson(tmp_path, "a.geojson", [feature((10, 10, 40, 40), "Normal"), feature((50, 10, 80, 40), "Ring")])
    dataset = read_dataset(tmp_path, classes=["Ring"])
    assert summary(dataset) == [("a.png", [[50, 10, 80, 40]], [0], False)]
    assert dataset.warnings[0] == "Objects of other classes left out: 1, namely Normal"


def test_points_and_lines_are_counted(tmp_path: Path) -> None:
    add_image(tmp_path, "a.png")
    point, line = feature((0, 0, 1, 1), "Ring", "annotation"), feature((0, 0, 1, 1), "Ring", "annotation")
    point["geometry"] = {"type": "Point", "coordinates": [20, 20]}
    line["geometry"] = {"type": "LineString", "coordinates": [[20, 20], [30, 30]]}
    add_geojson(tmp_path, "a.geojson", [point, line, feature((50, 10, 80, 40), "Ring")])
    dataset = read_dataset(tmp_path)
    assert [len(image.boxes) for image in dataset.images] == [1]
    assert dataset.warnings[:2] == (
        "Left out, being lines: 1, namely a.geojson",
        "Boxes left out, outside their image or thinner than 4 px in it: 1, namely a.geojson",
    )


def test_two_kinds_in_one_folder_are_refused(tmp_path: Path) -> None:
    add_image(tmp_path, "a.png")
    add_image(tmp_path, "b.png")
    with pytest.raises(AnnotationError, match="no image or slide with annotations"):
        read_dataset(tmp_path)
    add_geojson(tmp_path, "a.geojson", [])
    add_xml(tmp_path, "b", [])
    with pytest.raises(AnnotationError, match=r"has both images with \.geojson and images with \.xml"):
        read_dataset(tmp_path)


def test_a_broken_geojson_is_refused_by_name(tmp_path: Path) -> None:
    add_image(tmp_path, "a.png")
    (tmp_path / "a.geojson").write_text("{")
    with pytest.raises(AnnotationError, match=rf"^{re.escape(str(tmp_path / 'a.geojson'))}: "):
        read_dataset(tmp_path)


# ---- slides with QuPath's GeoJSON -----------------------------------------------------------------------------------

SQUARES = [(100, 120, 140, 150), (300, 210, 352, 262), (420, 300, 450, 340), (700, 100, 740, 140), (610, 520, 650, 560)]
"""Dark squares on the white slide, level-0 pixels."""


def add_slide(folder: Path, name: str, *, mpp: float | None = 0.5, size: tuple[int, int] = (900, 700)) -> Path:
    """A slide with the squares."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0], 3), 255, np.uint8)
    for x0, y0, x1, y1 in SQUARES:
        pixels[y0:y1, x0:x1] = 0
    # Without a unit the resolution says nothing.
    resolution, unit = (1e4 / (mpp or 1),) * 2, "NONE" if mpp is None else "CENTIMETER"
    tifffile.imwrite(
        folder / name, pixels, tile=(256, 256), photometric="rgb", resolution=resolution, resolutionunit=unit
    )
    return folder / name


def cells() -> list[dict[str, Any]]:
    kinds = ("detection", "cell", "annotation", "detection", "detection")
    return [feature(box, "Ring", kind) for box, kind in zip(SQUARES, kinds, strict=True)]


@pytest.mark.parametrize("mpp", [0.25, 0.3, 0.5, 1.0])
def test_boxes_of_a_slide_lie_on_its_cells_at_any_mpp(tmp_path: Path, mpp: float) -> None:
    add_slide(tmp_path, "a slide.svs")
    regions = [feature((37, 41, 560, 433), "ROI", "annotation"), feature((560, 41, 880, 433), None, "annotation")]
    clean = feature((700, 450, 880, 690), "normal", "annotation")
    add_geojson(tmp_path, "a slide.geojson", [*regions, clean, *cells()])
    dataset = read_dataset(tmp_path, mpp=mpp)
    assert (dataset.layout, dataset.mpp, dataset.class_names) == ("slides with QuPath GeoJSON", mpp, ("Ring",))
    *positive, normal = dataset.images
    assert [len(image.boxes) for image in positive] == [3, 1]
    for image, (x0, y0, x1, y1) in zip(positive, [(37, 41, 560, 433), (560, 41, 880, 433)], strict=True):
        pixels = read_pixels(image)
        assert pixels.shape == (image.height, image.width, 3)
        assert (image.width, image.height) == pytest.approx(((x1 - x0) * 0.5 / mpp, (y1 - y0) * 0.5 / mpp), abs=1.01)
        seen = _blobs(pixels).boxes
        order, seen_order = image.boxes[:, 0].argsort(), seen[:, 0].argsort()
        np.testing.assert_allclose(seen[seen_order], image.boxes[order], atol=0.2)
        assert image.slide == "a slide"
    assert normal.normal
    assert (read_pixels(normal) == 255).all()
    assert dataset.warnings[0] == ("Objects left out, outside all annotated regions: 1, namely a slide.geojson")


@pytest.mark.slow
@pytest.mark.parametrize("mpp", [0.25, 0.5])
def test_a_simulated_slide_is_read_as_it_was_meant(tmp_path: Path, mpp: float) -> None:
    path = tmp_path / "simulated.svs"
    options = SlideOptions(width=1100, height=1100, region=400 if mpp == 0.25 else 800, mpp=mpp, seed=3)
    counts = write_slide(path, options)
    dataset = read_dataset(tmp_path)
    assert dataset.class_names == ("Signet ring cell",)
    assert sum(image.normal for image in dataset.images) == counts.normal_regions
    assert sum(not image.normal for image in dataset.images) == counts.positive_regions
    assert sum(len(image.boxes) for image in dataset.images) == counts.cells > 0
    truth = json.loads((tmp_path / "simulated.truth.geojson").read_text())["features"]
    drawn = [
        (*map(float, one["geometry"]["coordinates"][0][0]), *map(float, one["geometry"]["coordinates"][0][2]))
        for one in truth
        if one["properties"]["objectType"] == "detection"
    ]
    scale = 0.25 / mpp
    found = []
    with open_slide(path) as slide:
        for image in dataset.images:
            assert image.place is not None
            pixels = read_pixels(image)
            if mpp == 0.25:
                whole = slide.read_region((image.place.x, image.place.y), 0, (image.width, image.height))
            else:
                whole = SlideAtMpp(slide, 0.25).read(image.place.x, image.place.y, image.width, image.height)
            np.testing.assert_array_equal(pixels, whole)
            found += ((image.boxes + (image.place.x, image.place.y) * 2) * scale).tolist()
    np.testing.assert_allclose(np.sort(found, axis=0), np.sort(drawn, axis=0), atol=0.51)
    for image, before in zip(resample(dataset, 0.5).images, dataset.images, strict=True):
        coarse, fine = (np.asarray(read_pixels(one), np.float64).mean(axis=(0, 1)) for one in (image, before))
        np.testing.assert_allclose(coarse, fine, atol=2, err_msg="the same place")
        np.testing.assert_allclose(image.boxes, before.boxes / 2)


@pytest.mark.slow
def test_a_real_slide_is_read_where_its_region_is(tmp_path: Path, shared_slides: Path) -> None:
    (tmp_path / "real.svs").symlink_to(shared_slides / "CMU-1-Small-Region.svs")
    region: Box = (300, 1000, 2220, 2967)
    add_geojson(
        tmp_path, "real.geojson", [feature(region, None, "annotation"), feature((400, 1200, 450, 1260), "Gland")]
    )
    with open_slide(tmp_path / "real.svs") as slide:
        assert slide.mpp is not None
        (image,) = read_dataset(tmp_path, mpp=slide.mpp.x).images
        np.testing.assert_array_equal(read_pixels(image), slide.read_region((300, 1000), 0, (1920, 1967)))
        np.testing.assert_allclose(image.boxes, [[100, 200, 150, 260]], atol=1e-6)
        for image in read_dataset(tmp_path).images:
            whole = SlideAtMpp(slide, 0.25).read(
                round(300 * slide.mpp.x * 4), round(1000 * slide.mpp.y * 4), 3832, 3926
            )
            assert image.place is not None
            x, y = image.place.x - round(300 * slide.mpp.x * 4), image.place.y - round(1000 * slide.mpp.y * 4)
            piece = whole[y : y + image.height, x : x + image.width].astype(int)
            assert piece.shape == (image.height, image.width, 3)
            difference = np.abs(read_pixels(image) - piece)
            assert difference.max() <= 3, "the filter's weights are rounded, by where a window starts"
            assert difference.mean() < 0.05


def test_a_large_region_becomes_pieces_that_share_out_its_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slides_module, "MAX_SIDE", 150)
    add_slide(tmp_path, "a.svs")
    add_geojson(tmp_path, "a.geojson", [feature((0, 0, 900, 700), "Positive region", "annotation"), *cells()])
    dataset = read_dataset(tmp_path, mpp=0.5)
    assert len(dataset.images) == 6 * 5
    covered = np.zeros((700, 900), np.int64)
    for image in dataset.images:
        assert max(image.width, image.height) <= 150
        assert isinstance(image.place, Place)
        covered[image.place.y :, image.place.x :][: image.height, : image.width] += 1
        assert (image.boxes >= 0).all()
        assert (image.boxes <= (image.width, image.height) * 2).all()
    assert (covered == 1).all()
    assert sum(len(image.boxes) for image in dataset.images) == len(SQUARES)
    assert len({image.name for image in dataset.images}) == 30
    assert not any("Without a box" in warning for warning in dataset.warnings), "the region as a whole has boxes"


@given(start=st.integers(-10, 10**6), length=st.integers(1, 10**5))
def test_pieces_are_as_few_and_as_equal_as_can_be(start: int, length: int) -> None:
    cuts = slides_module._cuts(start, start + length, slides_module.MAX_SIDE)
    sizes = np.diff(cuts)
    assert (cuts[0], cuts[-1]) == (start, start + length)
    assert len(sizes) == -(-length // 2048)
    assert sizes.max() <= 2048
    assert sizes.max() - sizes.min() <= 1


def test_a_normal_region_with_a_cell_in_it_is_no_normal_region(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slides_module, "MAX_SIDE", 150)
    add_slide(tmp_path, "a.svs")
    normal = feature((0, 0, 500, 400), "Normal", "annotation")
    other = feature((500, 400, 600, 500), "Normal region", "annotation")
    add_geojson(tmp_path, "a.geojson", [normal, other, *cells()])
    dataset = read_dataset(tmp_path, mpp=0.5)
    assert Counter(image.normal for image in dataset.images) == {False: 4 * 3, True: 1}
    assert (
        "Declared normal, but with boxes of cells: taken as images with cells: 1, namely a.geojson in 0 0 500 400"
        in (dataset.warnings)
    )


def test_regions_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    add_slide(tmp_path, "a.svs")
    round_one = feature((600, 450, 800, 650), "Normal region", "annotation")
    round_one["geometry"]["coordinates"] = [[[600, 550], [700, 450], [800, 550], [700, 650], [600, 550]]]
    features = [
        feature((-50, -50, 500, 400), None, "annotation"),
        feature((100, 100, 110, 300), None, "annotation"),
        feature((2000, 100, 2500, 300), "ROI", "annotation"),
        round_one,
        *cells()[:3],
        feature((200, 200, 230, 230), "Lymphocyte"),
    ]
    add_geojson(tmp_path, "a.geojson", features)
    dataset = read_dataset(tmp_path, classes=["ring"], mpp=0.5)
    first, second = dataset.images
    assert (first.width, first.height, first.place) == (500, 400, Place(0, 0, 0.5))
    assert second.normal
    assert second.place is not None
    corners = [(second.place.x + x * second.width, second.place.y + y * second.height) for x in (0, 1) for y in (0, 1)]
    assert all(abs(x - 700) + abs(y - 550) <= 100 for x, y in corners), "inside the outline"
    assert min(second.width, second.height) >= 64
    assert len(first.boxes) == 3
    assert dataset.warnings == (
        "Regions left out, outside their slide or thinner than 64 px in it: 2, namely a.geojson (2)",
        "Normal regions that are no rectangles: only rectangles inside them count: 1, namely a.geojson",
        "Objects of other classes left out: 1, namely Lymphocyte",
        "All images are of one slide (a), so none can be held out for validation",
    )


def test_files_that_are_alone_beside_slides_are_counted(tmp_path: Path) -> None:
    for name in ("a.svs", "b.svs", "c.svs"):
        add_slide(tmp_path, name)
    add_image(tmp_path, "thumbnail.png")
    region = feature((0, 0, 500, 400), "Region*", "annotation")
    add_geojson(tmp_path, "a.geojson", [region, *cells()])
    add_geojson(tmp_path, "b.geojson", cells())
    add_geojson(tmp_path, "d.geojson", [region])
    dataset = read_dataset(tmp_path)
    assert {image.slide for image in dataset.images} == {"a"}
    assert dataset.warnings == (
        "Images beside the slides left out: 1, namely thumbnail.png",
        "Annotation files left out, without an image or slide: 1, namely d.geojson",
        "Slides left out, without an annotated region: 1, namely b.svs",
        "Left out, without an annotation file: 1, namely c.svs",
        "Objects left out, outside all annotated regions: 7, namely a.geojson (2), b.geojson (5)",
        "No image is declared normal, so the loss can trust no negative",
        "All images are of one slide (a), so none can be held out for validation",
    )


def test_slides_without_any_region_are_refused_with_what_to_draw(tmp_path: Path) -> None:
    add_slide(tmp_path, "a.svs")
    add_geojson(tmp_path, "a.geojson", cells())
    with pytest.raises(AnnotationError, match=r"QuPath.*rectangle.*Normal.*NAME\.geojson"):
        read_dataset(tmp_path)


def test_two_truths_of_one_slide_are_refused(tmp_path: Path) -> None:
    add_slide(tmp_path, "a.svs")
    add_geojson(tmp_path, "a.geojson", cells())
    add_geojson(tmp_path, "a.truth.geojson", cells())
    with pytest.raises(AnnotationError, match=r"a\.truth\.geojson: has the same name as a\.geojson"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(("mpp", "what"), [(None, "has no mpp"), (1.5, "too coarse")])
def test_a_slide_of_unknown_or_coarse_pixels_is_refused(tmp_path: Path, mpp: float | None, what: str) -> None:
    path = add_slide(tmp_path, "a.svs", mpp=mpp)
    add_geojson(tmp_path, "a.geojson", [feature((0, 0, 500, 400), None, "annotation"), *cells()])
    with pytest.raises(AnnotationError, match=rf"^{re.escape(str(path))}: .*{what}"):
        read_dataset(tmp_path)


def test_a_broken_slide_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.svs").write_text("no slide")
    add_geojson(tmp_path, "a.geojson", [])
    with pytest.raises(SlideError, match=r"a\.svs"):
        read_dataset(tmp_path)


def test_coordinates_of_qupath_count_from_the_bounds_of_the_slide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = add_slide(tmp_path, "a.svs")
    bounded = ArraySlide([read_image_of(path)], mpp=0.5, bounds=Bounds(40, 30, 800, 600))
    monkeypatch.setattr(slides_module, "open_slide", lambda _path: bounded)
    moved = [
        feature((x0 - 40, y0 - 30, x1 - 40, y1 - 30), name, kind)
        for (x0, y0, x1, y1), name, kind in [((0, 0, 900, 700), "ROI", "annotation"), (SQUARES[0], "Ring", "cell")]
    ]
    add_geojson(tmp_path, "a.geojson", moved)
    (image,) = read_dataset(tmp_path, mpp=0.5).images
    assert image.boxes.tolist() == [list(SQUARES[0])]


def read_image_of(path: Path) -> np.ndarray:
    with open_slide(path) as slide:
        return slide.read_region((0, 0), 0, slide.dimensions)


def test_a_tiff_is_a_slide_if_it_is_a_pyramid_and_an_image_otherwise(tmp_path: Path) -> None:
    write_slide(tmp_path / "slides" / "a.tiff", SlideOptions(width=2100, height=600, region=400, seed=3))
    assert read_dataset(tmp_path / "slides").layout == "slides with QuPath GeoJSON"
    add_slide(tmp_path / "images", "a.tiff")
    add_geojson(tmp_path / "images", "a.geojson", cells())
    dataset = read_dataset(tmp_path / "images")
    assert (dataset.layout, len(dataset.images[0].boxes)) == ("images with QuPath GeoJSON", 5)
    assert _blobs(read_pixels(dataset.images[0])).boxes.shape == (5, 4)
    (tmp_path / "slides" / "a.tiff").rename(tmp_path / "images" / "b.tiff")
    assert "Slides beside the images left out: 1, namely b.tiff" in read_dataset(tmp_path / "images").warnings
    (tmp_path / "slides" / "a.truth.geojson").rename(tmp_path / "images" / "b.geojson")
    with pytest.raises(AnnotationError, match=r"has both slides with \.geojson and images with \.geojson"):
        read_dataset(tmp_path / "images")
