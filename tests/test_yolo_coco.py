"""Data sets in the layouts of YOLO and COCO, and the parts that a data set's makers chose."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

from signetscan.annotations import boxes_xml
from signetscan.annotations import coco as coco_module
from signetscan.annotations.coco import read_coco
from signetscan.annotations.yolo import read_labels, read_settings
from signetscan.dataset import AnnotatedImage, hold_out, read_dataset
from signetscan.dataset.images import Part
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from signetscan.dataset import Dataset


def add_image(path: Path, *, exif: int = 1) -> Path:
    """An image of 200 x 100 px, another one for each path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(list(str(path).encode())).integers(0, 256, (100, 200, 3), np.uint8)
    tags = Image.Exif()
    tags[274] = exif
    Image.fromarray(pixels).save(path, exif=tags)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def boxes_of(dataset: Dataset) -> dict[str, list[list[float]]]:
    return {image.path.name: np.round(image.boxes, 6).tolist() for image in dataset.images}


def said_of(lines: Sequence[str], words: str) -> str:
    (line,) = [line for line in lines if words in line]
    return line


# ---- YOLO -----------------------------------------------------------------------------------------------------------

LABEL, LABEL_BOX = "0 0.5 0.5 0.1 0.2\n", [90, 40, 110, 60]


def yolo(root: Path, labels: dict[str, str | None], *, folder: str = "") -> Path:
    """Images by name with their labels; None for no file."""
    for name, text in labels.items():
        add_image(root / "images" / folder / f"{name}.png")
        if text is not None:
            write(root / "labels" / folder / f"{name}.txt", text)
    return root


def test_a_yolo_tree_is_read(tmp_path: Path) -> None:
    polygon = "1 0.1 0.1 0.3 0.1 0.2 0.4\n"
    yolo(tmp_path, {"a": LABEL + polygon, "empty": "", "nobody": None})
    write(tmp_path / "data.yaml", "path: /elsewhere\nnc: 2\nnames: [ring, 'other, cell']  # two\n")
    dataset = read_dataset(tmp_path, classes=["Ring", "other, cell"])
    assert dataset.class_names == ("ring", "other, cell")
    assert boxes_of(dataset) == {"a.png": [LABEL_BOX, [20, 10, 60, 40]], "empty.png": []}
    assert [image.normal for image in dataset.images] == [False, True]
    assert "1, namely images/nobody.png" in said_of(dataset.warnings, "without an annotation file")


@pytest.mark.parametrize("place", ["classes.txt", "labels/classes.txt", "obj.names"])
def test_names_may_have_a_file_of_their_own(tmp_path: Path, place: str) -> None:
    yolo(tmp_path, {"a": LABEL})
    write(tmp_path / place, "signet ring\nother\n")
    assert read_dataset(tmp_path).class_names == ("signet ring",)


def test_labels_beside_images_without_names_are_read_and_said(tmp_path: Path) -> None:
    add_image(tmp_path / "a.png")
    write(tmp_path / "a.txt", LABEL)
    dataset = read_dataset(tmp_path)
    assert (dataset.class_names, boxes_of(dataset)) == (("class 0",), {"a.png": [LABEL_BOX]})
    assert "class 0" in said_of(dataset.warnings, "called by their numbers")


def test_the_yaml_alone_names_the_data(tmp_path: Path) -> None:
    yolo(tmp_path, {"a": LABEL})
    path = write(tmp_path / "my.yaml", "names: {0: ring}\n")
    assert boxes_of(read_dataset(path)) == {"a.png": [LABEL_BOX]}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 100 50 20 20", "outside 0 to 1"),
        ("0 0.5 0.5 1.2 0.1", "outside 0 to 1"),
        ("0 -0.2 0.5 0.1 0.1", "outside 0 to 1"),
        ("0 0.5 0.5 0.1", "no labels"),
        ("0 0,5 0,5 0,1 0,1", "no labels"),
        ("0 nan 0.5 0.1 0.1", "outside 0 to 1"),
        ("-1 0.5 0.5 0.1 0.1", "no labels"),
        ("0.5 0.5 0.5 0.1 0.1", "no labels"),
        ("ring 0.5 0.5 0.1 0.1", "no labels"),
        ("0 0.5 0.5 0.1 0.1 0.9", "no labels"),
    ],
)
def test_lines_that_cannot_be_are_counted(tmp_path: Path, line: str, reason: str) -> None:
    yolo(tmp_path, {"a": f"{LABEL}{line}\n", "b": f"{line}\n"})
    dataset = read_dataset(tmp_path)
    assert boxes_of(dataset) == {"a.png": [LABEL_BOX], "b.png": []}
    assert not any(image.normal for image in dataset.images)  # b was annotated, if badly
    assert ": 2, namely labels/a.txt, labels/b.txt" in said_of(dataset.warnings, reason)


def test_a_box_over_the_edge_is_clipped_and_said(tmp_path: Path) -> None:
    yolo(tmp_path, {"a": "0 0.02 0.5 0.1 0.2\n"})
    dataset = read_dataset(tmp_path)
    assert boxes_of(dataset) == {"a.png": [[0, 40, 14, 60]]}
    assert said_of(dataset.warnings, "clipped at the edge")


def test_labels_of_a_turned_image_are_left_out(tmp_path: Path) -> None:
    yolo(tmp_path, {"a": LABEL})
    add_image(tmp_path / "images" / "turned.jpg", exif=6)
    write(tmp_path / "labels" / "turned.txt", LABEL)
    dataset = read_dataset(tmp_path)
    assert list(boxes_of(dataset)) == ["a.png"]
    assert "images/turned.jpg" in said_of(dataset.warnings, "EXIF")


def test_key_points_are_refused(tmp_path: Path) -> None:
    yolo(tmp_path, {"a": "0 0.5 0.5 0.1 0.2 0.5 0.5\n"})
    write(tmp_path / "data.yaml", "names: [ring]\nkpt_shape: [1, 2]\n")
    with pytest.raises(AnnotationError, match="key points"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names:\n  0: ring\n  2: 'other cell'\n", {0: "ring", 2: "other cell"}),
        ("names:\n- ring\n- other\nnc: 2\n", {0: "ring", 1: "other"}),
        ('names: ["a", b]\ntrain: x\n', {0: "a", 1: "b"}),
        ("# names\nnames: {1: b, 0: a}\n", {1: "b", 0: "a"}),
        ("nc: 2\n", {}),
    ],
)
def test_names_of_a_yaml(tmp_path: Path, text: str, names: dict[int, str]) -> None:
    assert read_settings(write(tmp_path / "data.yaml", text)).names == names


@pytest.mark.parametrize("text", ["names: [a,\n  b]\n", "names: &x\n  0: a\n", "names:\n  first: a\n", "names: a\n"])
def test_names_that_are_not_understood_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(AnnotationError, match="not understood"):
        read_settings(write(tmp_path / "data.yaml", text))


@given(st.binary(max_size=300))
def test_no_bytes_break_the_parsers_of_yolo(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("bytes") / "x.txt"
    path.write_bytes(content)
    labels = read_labels(path)
    assert len(labels.boxes) == len(labels.classes)
    with suppress(AnnotationError):
        read_settings(path)


# ---- COCO -----------------------------------------------------------------------------------------------------------


def coco(images: Sequence[str], annotations: Sequence[dict[str, Any]], *, names: Sequence[str] = ("ring",)) -> str:
    entries = [{"id": number, "file_name": name, "width": 200, "height": 100} for number, name in enumerate(images)]
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    numbered = [{"id": number, "category_id": 1} | annotation for number, annotation in enumerate(annotations)]
    return json.dumps({"images": entries, "annotations": numbered, "categories": categories})


BOX, BOX_EDGES = [10, 20, 30, 40], [10, 20, 40, 60]


def test_a_coco_file_and_its_images_are_read(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "n.png", "unlisted.png"):
        add_image(tmp_path / "images" / name)
    polygon = {"image_id": 1, "segmentation": [[100, 10, 120, 10, 110, 50], [105, 30, 130, 30, 130, 40]]}
    crowd = {"image_id": 1, "bbox": [0, 0, 50, 50], "iscrowd": 1, "segmentation": {"counts": "x", "size": [1, 1]}}
    text = coco(["a.png", "b.png", "n.png", "gone.png"], [{"image_id": 0, "bbox": BOX}, polygon, crowd])
    write(tmp_path / "annotations" / "instances.json", text)
    for path in (tmp_path, tmp_path / "annotations" / "instances.json"):
        dataset = read_dataset(path)
        assert (dataset.layout, dataset.class_names) == ("images with COCO JSON", ("ring",))
        assert boxes_of(dataset) == {"a.png": [BOX_EDGES], "b.png": [[100, 10, 130, 50]], "n.png": []}
        assert [image.normal for image in dataset.images] == [False, False, True]
        assert dataset.images[1].ignored.tolist() == [[0, 0, 50, 50]]
        for words, name in (
            ("not here: 1", "gone.png"),
            ("without an annotation file", "images/unlisted.png"),
            ("taken for normal ones", "n.png"),
            ("iscrowd", "b.png"),
        ):
            assert name in said_of(dataset.warnings, words)


def test_it_has_the_boxes_of_coco_s_own_reader(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    annotations = [
        {"image_id": int(image), "bbox": [*rng.uniform(0, 100, 2).tolist(), *rng.uniform(5, 50, 2).tolist()]}
        for image in rng.integers(0, 3, 40)
    ]
    path = write(tmp_path / "x.json", coco(["a.png", "b.png", "c.png"], annotations))
    reader = COCO(str(path))
    for number, image in enumerate(read_coco(path).images):
        theirs = [entry["bbox"] for entry in reader.loadAnns(reader.getAnnIds(imgIds=[number]))]
        sizes = image.boxes[:, 2:] - image.boxes[:, :2]
        np.testing.assert_allclose(np.concatenate([image.boxes[:, :2], sizes], axis=1), np.reshape(theirs, (-1, 4)))


def test_annotations_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    add_image(tmp_path / "a.png")
    bad: list[dict[str, Any]] = [
        {"image_id": 7, "bbox": BOX},
        {"image_id": None, "bbox": BOX},
        {"image_id": 0, "bbox": [1, 2, 3]},
        {"image_id": 0, "bbox": [1, 2, "3", 4]},
        {"image_id": 0, "bbox": [1, 2, -3, 4]},
        {"image_id": 0, "bbox": [1, 2, 1e300, 4]},
        {"image_id": 0, "bbox": BOX, "category_id": 9},
        {"image_id": 0, "bbox": BOX, "category_id": [1]},
    ]
    write(tmp_path / "x.json", coco(["a.png"], [{"image_id": 0, "bbox": BOX}, *bad]))
    dataset = read_dataset(tmp_path)
    assert boxes_of(dataset) == {"a.png": [BOX_EDGES]}
    assert ": 4, namely x.json" in said_of(dataset.warnings, "without a bbox")
    assert ": 2, namely x.json" in said_of(dataset.warnings, "category that the file does not list")
    assert ": 1, namely x.json" in said_of(dataset.warnings, "images that the file does not list")
    assert ": 1, namely x.json" in said_of(dataset.warnings, "name no image")


def test_an_image_whose_only_annotation_is_unusable_is_not_normal(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        add_image(tmp_path / name)
    write(tmp_path / "x.json", coco(["a.png", "b.png"], [{"image_id": 0, "bbox": BOX}, {"image_id": 1}]))
    assert not any(image.normal for image in read_dataset(tmp_path).images)


def test_a_size_that_is_not_the_image_s_is_noticed(tmp_path: Path) -> None:
    add_image(tmp_path / "a.png")
    text = coco(["a.png"], [{"image_id": 0, "bbox": BOX}]).replace('"width": 200', '"width": 400')
    write(tmp_path / "x.json", text)
    with pytest.raises(AnnotationError, match="another size"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("file_name", ["../../secret/a.png", "/home/x/a.png", "C:\\data\\a.png", "./a.png"])
def test_paths_in_the_file_are_never_followed(tmp_path: Path, file_name: str) -> None:
    add_image(tmp_path / "secret" / "a.png")
    add_image(tmp_path / "data" / "sub" / "a.png")
    write(tmp_path / "data" / "x.json", coco([file_name], [{"image_id": 0, "bbox": BOX}]))
    (image,) = read_dataset(tmp_path / "data").images
    assert image.path == tmp_path / "data" / "sub" / "a.png"


def test_without_any_of_its_images_a_file_is_refused(tmp_path: Path) -> None:
    add_image(tmp_path / "other.png")
    write(tmp_path / "x.json", coco(["a.png"], [{"image_id": 0, "bbox": BOX}]))
    with pytest.raises(AnnotationError, match=r"none of the images of its COCO files is here, such as a\.png"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"images": 1, "annotations": [], "categories": []}',
        '{"images": [], "annotations": {}}',
        '{"images": [], "annotations": ' + "[" * 100_000,
    ],
)
def test_what_is_no_coco_file_is_refused_in_words(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "x.json", text)
    with pytest.raises(AnnotationError, match=r"^.*x\.json: not "):
        read_coco(path)


def test_a_file_too_large_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.json", coco(["a.png"], []))
    monkeypatch.setattr(coco_module, "MAX_COCO_BYTES", 10)
    with pytest.raises(AnnotationError, match="too large"):
        read_coco(path)


def test_two_kinds_in_one_folder_are_refused(tmp_path: Path) -> None:
    add_image(tmp_path / "a.png")
    write(tmp_path / "a.txt", LABEL)
    write(tmp_path / "x.json", coco(["a.png"], [{"image_id": 0, "bbox": BOX}]))
    with pytest.raises(AnnotationError, match=r"both images with \.txt \(YOLO\) and images with COCO \.json"):
        read_dataset(tmp_path)


# ---- parts ----------------------------------------------------------------------------------------------------------


def parts_of(dataset: Dataset) -> dict[str, Part | None]:
    return {image.path.stem: image.part for image in dataset.images}


def voc(root: Path, stems: Sequence[str]) -> Path:
    for stem in stems:
        add_image(root / "JPEGImages" / f"{stem}.jpg")
        (root / "Annotations").mkdir(exist_ok=True)
        content = boxes_xml(f"{stem}.jpg", (200, 100), np.array([BOX_EDGES]), ["ring"])
        (root / "Annotations" / f"{stem}.xml").write_bytes(content)
    return root


def test_pascal_s_lists_are_honoured(tmp_path: Path) -> None:
    voc(tmp_path, ["1", "2 b", "3", "4", "5"])
    lists = tmp_path / "ImageSets" / "Main"
    write(lists / "train.txt", "1  1\n2 b -1\n")
    write(lists / "val.txt", "3\n")
    write(lists / "test.txt", "4\n1\ngone\n")
    write(lists / "ring_train.txt", "5 1\n")
    write(tmp_path / "ImageSets" / "Layout" / "train.txt", "5\n")
    dataset = read_dataset(tmp_path)
    assert parts_of(dataset) == {"2 b": Part.TRAINING, "3": Part.VALIDATION}
    text = "\n".join(dataset.warnings)
    for words in (
        "Test images left out, by ImageSets/Main/test.txt, ImageSets/Main/train.txt, ImageSets/Main/val.txt: 2",
        "test.txt without an annotated image: 1, namely gone",
        "being in no list",
        "namely JPEGImages/5.jpg",
        "lists of several parts, left out of what is learnt from: 1, namely JPEGImages/1.jpg",
        "Images to learn from, by",
        "Images held out for validation, by",
    ):
        assert words in text
    learn, held_out = hold_out(dataset.images, 0.2, None, 0)
    assert ([image.slide for image in learn], [image.slide for image in held_out]) == (
        ["JPEGImages/2 b"],
        ["JPEGImages/3"],
    )


def test_without_a_list_for_validation_the_rest_is_split(tmp_path: Path) -> None:
    voc(tmp_path, [str(number) for number in range(6)])
    write(tmp_path / "ImageSets" / "Main" / "trainval.txt", "".join(f"{number}\n" for number in range(5)))
    write(tmp_path / "ImageSets" / "Main" / "test.txt", "5\n")
    dataset = read_dataset(tmp_path)
    assert parts_of(dataset) == {str(number): None for number in range(5)}
    learn, held_out = hold_out(dataset.images, 0.2, None, 0)
    assert (len(learn), len(held_out)) == (4, 1)


@pytest.mark.parametrize(
    "settings",
    [
        "train: images/train\nval: images/val\ntest: images/test\nnames: [ring]\n",
        "path: ../elsewhere\ntrain: ../images/train\nval: /content/x/images/val\ntest: [images/test]\nnames: [ring]\n",
        "names: [ring]\n",  # by the folders
    ],
)
def test_yolo_s_parts_are_honoured(tmp_path: Path, settings: str) -> None:
    for folder in ("train", "val", "test"):
        yolo(tmp_path, {f"{folder}1": LABEL}, folder=folder)
    write(tmp_path / "data.yaml", settings)
    assert parts_of(read_dataset(tmp_path)) == {"train1": Part.TRAINING, "val1": Part.VALIDATION}


def test_yolo_s_lists_are_honoured(tmp_path: Path) -> None:
    yolo(tmp_path, dict.fromkeys("abc", LABEL))
    write(tmp_path / "data.yaml", "train: lists/train.txt\nval: lists/val.txt\nnames: [ring]\n")
    write(tmp_path / "lists" / "train.txt", "./images/a.png\n")
    write(tmp_path / "lists" / "val.txt", "/content/images/b.png\n")
    dataset = read_dataset(tmp_path)
    assert parts_of(dataset) == {"a": Part.TRAINING, "b": Part.VALIDATION}
    assert "images/c.png" in said_of(dataset.warnings, "being in no list")


def test_coco_s_parts_are_honoured(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        add_image(tmp_path / f"{part}2017" / f"{part}.png")
        text = coco([f"{part}.png"], [{"image_id": 0, "bbox": BOX}])
        write(tmp_path / "annotations" / f"instances_{part}2017.json", text)
    assert parts_of(read_dataset(tmp_path)) == {"train": Part.TRAINING, "val": Part.VALIDATION}


def test_an_image_of_two_coco_files_is_not_learnt_from(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        add_image(tmp_path / "images" / name)
    write(
        tmp_path / "train.json", coco(["a.png", "b.png"], [{"image_id": 0, "bbox": BOX}, {"image_id": 1, "bbox": BOX}])
    )
    write(tmp_path / "val.json", coco(["a.png"], [{"image_id": 0, "bbox": BOX}]))
    dataset = read_dataset(tmp_path)
    assert parts_of(dataset) == {"a": Part.VALIDATION, "b": Part.TRAINING}
    assert boxes_of(dataset) == {"a.png": [BOX_EDGES], "b.png": [BOX_EDGES]}


def test_images_of_one_name_beside_their_coco_files(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        add_image(tmp_path / part / "a.png")
        write(tmp_path / part / "_annotations.coco.json", coco(["a.png"], [{"image_id": 0, "bbox": BOX}]))
    dataset = read_dataset(tmp_path)
    assert Counter(image.part for image in dataset.images) == {Part.TRAINING: 1, Part.VALIDATION: 1}


def test_where_all_images_are_for_the_test_the_error_says_so(tmp_path: Path) -> None:
    voc(tmp_path, ["1"])
    write(tmp_path / "ImageSets" / "Main" / "test.txt", "1\n")
    with pytest.raises(AnnotationError, match="no image is left to learn from; Test images left out"):
        read_dataset(tmp_path)


def test_a_slide_on_both_sides_is_said(tmp_path: Path) -> None:
    names = ["S1_2019-02-25 21_57_36-lv0-0-0-200-100", "S1_2019-02-25 21_57_36-lv0-9-0-200-100"]
    voc(tmp_path, names)
    for part, name in zip(("train", "val"), names, strict=True):
        write(tmp_path / "ImageSets" / "Main" / f"{part}.txt", f"{name}\n")
    assert "namely S1" in said_of(read_dataset(tmp_path).warnings, "both sides")


def test_folds_are_of_all_images_but_those_of_the_test(tmp_path: Path) -> None:
    voc(tmp_path, ["1", "2", "3"])
    for part, name in (("train", "1"), ("val", "2"), ("test", "3")):
        write(tmp_path / "ImageSets" / "Main" / f"{part}.txt", f"{name}\n")
    images: tuple[AnnotatedImage, ...] = read_dataset(tmp_path).images
    held_out = [hold_out(images, 0.2, (fold, 2), 0)[1] for fold in (1, 2)]
    assert sorted(image.path.stem for fold in held_out for image in fold) == ["1", "2"]
