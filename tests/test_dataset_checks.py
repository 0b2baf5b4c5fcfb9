"""What does not fit together in a data set: sizes, turned images, what is there twice, and folders below."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from signetscan.annotations import boxes_xml
from signetscan.boxes import iou_matrix
from signetscan.dataset import read_dataset, read_image, read_pixels
from signetscan.dataset.twice import SAME_CELL_IOU, first_of_each
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Box = tuple[float, float, float, float]
CELL: Box = (10, 10, 40, 40)


def add(
    folder: Path,
    name: str,
    boxes: Sequence[Box] = (),
    *,
    said: tuple[int, int] = (100, 80),
    orientation: int = 1,
    content: str = "",
) -> Path:
    """Write an image of 100 x 80 px as it is stored, and an XML that says another size or the same."""
    folder.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[274] = orientation
    pixels = np.random.default_rng(list((content or f"{folder.name}{name}").encode()))
    path = folder / name
    Image.fromarray(pixels.integers(0, 256, (80, 100, 3), np.uint8)).save(path, exif=exif)
    xml = boxes_xml(name, said, np.array(boxes).reshape(-1, 4), ["cell"] * len(boxes))
    (folder / f"{path.stem}.xml").write_bytes(xml)
    return path


def said_of(dataset_warnings: Sequence[str], words: str) -> str:
    (line,) = [line for line in dataset_warnings if words in line]
    return line


# ---- another size ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [(200, 160), (50, 40), (80, 100), (101, 80)])
def test_boxes_of_an_image_of_another_size_are_not_learnt(tmp_path: Path, said: tuple[int, int]) -> None:
    add(tmp_path, "good.png", [CELL])
    add(tmp_path, "bad.png", [CELL], said=said)
    dataset = read_dataset(tmp_path)
    assert [image.path.name for image in dataset.images] == ["good.png"]
    line = said_of(dataset.warnings, "another size")
    assert "bad.png" in line
    assert f"{said[0]} x {said[1]} px" in line
    assert "100 x 80 px" in line


def test_where_no_image_fits_the_error_says_why(tmp_path: Path) -> None:
    add(tmp_path, "bad.png", [CELL], said=(200, 160))
    with pytest.raises(AnnotationError, match=r"nothing to learn.*another size.*200 x 160 px"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("said", [(0, 0), (0, 80)])
def test_a_size_that_a_tool_did_not_know_is_no_size(tmp_path: Path, said: tuple[int, int]) -> None:
    add(tmp_path, "a.png", [CELL], said=said)
    assert len(read_dataset(tmp_path).images) == 1


def test_a_normal_image_needs_no_size(tmp_path: Path) -> None:
    add(tmp_path, "a.png", [CELL])
    add(tmp_path, "n.png", said=(200, 160))
    assert [image.normal for image in read_dataset(tmp_path).images] == [False, True]


def test_digestpath_is_checked_too(tmp_path: Path) -> None:
    add(tmp_path / "sig-train-pos", "a.jpeg", [CELL])
    add(tmp_path / "sig-train-pos", "b.jpeg", [CELL], said=(200, 160))
    dataset = read_dataset(tmp_path)
    assert [image.path.name for image in dataset.images] == ["a.jpeg"]
    assert "b.jpeg" in said_of(dataset.warnings, "another size")


def test_an_image_is_not_both_positive_and_normal(tmp_path: Path) -> None:
    add(tmp_path / "sig-train-pos", "a.jpeg", [CELL])
    add(tmp_path / "sig-train-neg", "a.jpeg")
    with pytest.raises(AnnotationError, match="a is in both sig-train-pos and sig-train-neg"):
        read_dataset(tmp_path)


# ---- EXIF orientation -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_the_size_tells_how_a_turned_image_was_seen(tmp_path: Path, suffix: str, orientation: int) -> None:
    stored = add(tmp_path, f"stored{suffix}", [CELL], orientation=orientation)
    seen = add(tmp_path, f"upright{suffix}", [CELL], said=(80, 100), orientation=orientation)
    images = {image.path: image for image in read_dataset(tmp_path).images}
    assert (images[stored].width, images[stored].height) == (100, 80)
    assert (images[seen].width, images[seen].height) == (80, 100)
    np.testing.assert_array_equal(read_pixels(images[stored]), read_image(stored))
    with Image.open(seen) as image:
        np.testing.assert_array_equal(read_pixels(images[seen]), np.asarray(ImageOps.exif_transpose(image)))


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_a_turned_image_whose_size_tells_nothing_is_left_out(tmp_path: Path, orientation: int) -> None:
    add(tmp_path, "good.jpg", [CELL])
    add(tmp_path, "turned.jpg", [CELL], orientation=orientation)
    dataset = read_dataset(tmp_path)
    assert [image.path.name for image in dataset.images] == ["good.jpg"]
    assert "turned.jpg" in said_of(dataset.warnings, "EXIF orientation")


def test_without_a_size_a_turned_image_is_left_out_unless_it_is_normal(tmp_path: Path) -> None:
    add(tmp_path, "good.jpg", [CELL])
    add(tmp_path, "turned.jpg", [CELL], said=(0, 0), orientation=6)
    add(tmp_path, "normal.jpg", said=(0, 0), orientation=6)
    dataset = read_dataset(tmp_path)
    assert [image.path.name for image in dataset.images] == ["good.jpg", "normal.jpg"]
    assert "turned.jpg" in said_of(dataset.warnings, "EXIF orientation")
    for image in dataset.images:
        assert read_pixels(image).shape[:2] == (image.height, image.width)


@pytest.mark.parametrize(("said", "is_kept"), [((80, 100), True), ((100, 80), False)])
def test_a_turned_tiff_is_read_upright(tmp_path: Path, said: tuple[int, int], is_kept: bool) -> None:
    add(tmp_path, "good.png", [CELL])
    add(tmp_path, "turned.tif", [CELL], said=said, orientation=6)
    images = read_dataset(tmp_path).images
    assert [image.path.name for image in images] == ["good.png", *(["turned.tif"] if is_kept else [])]
    assert read_pixels(images[-1]).shape[:2] == (images[-1].height, images[-1].width)


# ---- twice ----------------------------------------------------------------------------------------------------------


def test_a_cell_that_was_boxed_twice_counts_once(tmp_path: Path) -> None:
    nearly, beside = (11.0, 10.0, 42.0, 41.0), (30.0, 10.0, 60.0, 40.0)
    add(tmp_path, "a.png", [CELL, beside, CELL, nearly])
    dataset = read_dataset(tmp_path)
    assert dataset.images[0].boxes.tolist() == [list(CELL), list(beside)]
    assert "another box already (IoU above 0.7): 2, namely a.xml (2)" in said_of(dataset.warnings, "another box")


def test_a_cell_of_two_classes_is_said(tmp_path: Path) -> None:
    path = add(tmp_path, "a.png")
    boxes = np.array([CELL, CELL])
    path.with_suffix(".xml").write_bytes(boxes_xml("a.png", (100, 80), boxes, ["ring", "other"]))
    dataset = read_dataset(tmp_path, classes=["ring", "other"])
    assert len(dataset.images[0].boxes) == 2
    assert "a.xml" in said_of(dataset.warnings, "boxes of several classes")
    assert not any("classes, of" in line for line in read_dataset(tmp_path, classes=["ring"]).warnings)


def slow_first_of_each(boxes: np.ndarray, labels: np.ndarray) -> list[bool]:
    kept: list[int] = []
    for index, box in enumerate(boxes):
        rivals = [other for other in kept if labels[other] == labels[index]]
        if iou_matrix(box[None], boxes[rivals]).max(initial=0) <= SAME_CELL_IOU:
            kept.append(index)
    return [index in kept for index in range(len(boxes))]


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(4, 20), st.integers(4, 20), st.integers(0, 1)),
        max_size=30,
    )
)
def test_the_first_box_of_each_cell_stays(rows: list[tuple[int, int, int, int, int]]) -> None:
    table = np.array(rows, np.int64).reshape(-1, 5)
    boxes = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1).astype(np.float64)
    assert first_of_each(boxes, table[:, 4]).tolist() == slow_first_of_each(boxes, table[:, 4])


def test_an_image_under_two_names_is_taken_once_with_the_boxes_of_both(tmp_path: Path) -> None:
    add(tmp_path, "a.png", [CELL], content="same")
    add(tmp_path, "b.png", [CELL, (50, 10, 80, 40)], content="same")
    add(tmp_path, "c.png", [CELL])
    dataset = read_dataset(tmp_path)
    assert [(image.path.name, len(image.boxes)) for image in dataset.images] == [("a.png", 2), ("c.png", 1)]
    assert "1, namely b.png (a.png)" in said_of(dataset.warnings, "twice under two names")


def test_a_copy_that_is_declared_normal_does_not_undo_boxes(tmp_path: Path) -> None:
    add(tmp_path, "a.png", content="same")
    add(tmp_path, "b.png", [CELL], content="same")
    (image,) = read_dataset(tmp_path).images
    assert (image.normal, len(image.boxes)) == (False, 1)


# ---- folders below --------------------------------------------------------------------------------------------------


def test_images_of_one_name_in_folders_below_are_read_each_with_its_boxes(tmp_path: Path) -> None:
    add(tmp_path / "s0", "tile.png", [CELL])
    add(tmp_path / "s1" / "deep", "tile.png", [(20, 20, 50, 50)])
    add(tmp_path, "tile.png")
    add(tmp_path / ".hidden", "tile.png", [CELL])
    dataset = read_dataset(tmp_path)
    assert [(image.slide, image.boxes.tolist(), image.normal) for image in dataset.images] == [
        ("s0/tile", [list(CELL)], False),
        ("s1/deep/tile", [[20, 20, 50, 50]], False),
        ("tile", [], True),
    ]


@pytest.mark.parametrize(("images", "files"), [("images", "annotations"), ("img/a", "xml/a"), ("x/JPEGImages", "x")])
def test_folders_that_say_the_kind_mirror_each_other(tmp_path: Path, images: str, files: str) -> None:
    path = add(tmp_path / images, "1.png", [CELL])
    (tmp_path / files).mkdir(parents=True, exist_ok=True)
    path.with_suffix(".xml").rename(tmp_path / files / "1.xml")
    (image,) = read_dataset(tmp_path).images
    assert (image.path, image.boxes.tolist()) == (path, [list(CELL)])


def test_two_images_of_one_name_for_a_file_are_refused(tmp_path: Path) -> None:
    add(tmp_path / "images", "1.png", [CELL])
    add(tmp_path / "imgs", "1.png", [CELL])
    with pytest.raises(AnnotationError, match=r"1\.xml: has the same name as images/1\.xml"):
        read_dataset(tmp_path)


def test_files_of_another_kind_are_said(tmp_path: Path) -> None:
    add(tmp_path, "a.png", [CELL])
    (tmp_path / "boxes.csv").write_text("image,x\n")
    (tmp_path / "project.json").write_text("{}")
    (tmp_path / "README.txt").write_text("hello")
    (tmp_path / "a.txt").write_text("patient was seen on Monday")
    line = said_of(read_dataset(tmp_path).warnings, "do not belong to images with .xml")
    assert line.endswith("3, namely a.txt, boxes.csv, project.json")


def test_without_a_known_kind_the_files_are_named(tmp_path: Path) -> None:
    path = add(tmp_path, "a.png")
    path.with_suffix(".xml").unlink()
    (tmp_path / "boxes.csv").write_text("image,x\n")
    with pytest.raises(AnnotationError, match=r"no image or slide with annotations among its files \(boxes\.csv\)"):
        read_dataset(tmp_path)
