from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from signetscan.annotations import boxes_xml
from signetscan.dataset import (
    AnnotatedImage,
    hold_out,
    image_size,
    k_folds,
    read_dataset,
    read_image,
    read_pixels,
    resample,
    slide_of,
    split_by_slide,
)
from signetscan.errors import AnnotationError, OptionError
from signetscan.slides import SlideAtMpp, open_slide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WITH_BOXES = "2018_64982_1-3_2019-02-25 21_57_36-lv0-33516-59515-2003-2010"
ALSO_WITH_BOXES = "D20190481111_2019-06-10 09_22_49-lv0-61840-23896-2000-2000"
NORMAL = "G1900703-2_2019-04-30 09_53_59-lv0-21164-5136-2060-2007"
NORMAL_WITHOUT_SLIDE = "2019-05-07 19_22_49-lv0-24640-5000-2000-2000"

Box = tuple[float, float, float, float]


def picture(width: int, height: int, name: str = "") -> NDArray[np.uint8]:
    """Noise that is another one for each name: an image given twice is taken once."""
    return np.random.default_rng([width, *name.encode()]).integers(0, 256, (height, width, 3), np.uint8)


def add_image(
    folder: Path,
    stem: str,
    boxes: Sequence[Box] | None,
    *,
    ending: str = ".jpeg",
    size: tuple[int, int] = (100, 80),
) -> Path:
    """Write an image and, unless `boxes` is None, its XML."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}{ending}"
    Image.fromarray(picture(*size, stem)).save(path)
    if boxes is not None:
        content = boxes_xml(path.name, size, np.array(boxes).reshape(-1, 4), ["Signet ring cell"] * len(boxes))
        (folder / f"{stem}.xml").write_bytes(content)
    return path


def digestpath(root: Path) -> Path:
    """A small DigestPath under the names that the real one has."""
    add_image(root / "sig-train-pos", WITH_BOXES, [(10, 20, 40, 60), (50, 5, 90, 45)])
    add_image(root / "sig-train-pos", ALSO_WITH_BOXES, [(0, 0, 30, 30)])
    add_image(root / "sig-train-neg", NORMAL, None)
    add_image(root / "sig-train-neg", NORMAL_WITHOUT_SLIDE, None)
    return root


# ---- reading --------------------------------------------------------------------------------------------------------


def test_the_layout_of_digestpath_is_read(tmp_path: Path) -> None:
    dataset = read_dataset(digestpath(tmp_path / "a folder"))
    assert (dataset.layout, dataset.class_names, dataset.mpp) == ("DigestPath 2019", ("Signet ring cell",), 0.25)
    assert dataset.warnings == ()
    images = dataset.images
    positive, negative = tmp_path / "a folder" / "sig-train-pos", tmp_path / "a folder" / "sig-train-neg"
    assert [(image.path, image.normal, image.slide) for image in images] == [
        (positive / f"{WITH_BOXES}.jpeg", False, "2018_64982_1-3"),
        (positive / f"{ALSO_WITH_BOXES}.jpeg", False, "D20190481111"),
        (negative / f"{NORMAL_WITHOUT_SLIDE}.jpeg", True, "2019-05-07 19_22_49"),
        (negative / f"{NORMAL}.jpeg", True, "G1900703-2"),
    ]
    assert [image.boxes.tolist() for image in images] == [
        [[10, 20, 40, 60], [50, 5, 90, 45]],
        [[0, 0, 30, 30]],
        [],
        [],
    ]
    for image in images:
        assert (image.width, image.height) == (100, 80)
        assert image.boxes.shape == (len(image.labels), 4)
        assert not image.labels.any()


@pytest.mark.parametrize(
    ("stem", "slide"),
    [
        (WITH_BOXES, "2018_64982_1-3"),
        (ALSO_WITH_BOXES, "D20190481111"),
        (NORMAL, "G1900703-2"),
        (NORMAL_WITHOUT_SLIDE, "2019-05-07 19_22_49"),
        ("a slide with spaces_2019-05-07 19_22_49-lv0-1-2-3-4", "a slide with spaces"),
        # A cut-out of a cut-out: the first part is still the slide.
        (f"x_{NORMAL_WITHOUT_SLIDE}_2019-05-08 00_00_00-lv0-0-0-9-9", f"x_{NORMAL_WITHOUT_SLIDE}"),
        ("my own name", "my own name"),
        (f"{NORMAL} (copy)", f"{NORMAL} (copy)"),
    ],
)
def test_the_slide_is_told_from_the_file_name(stem: str, slide: str) -> None:
    assert slide_of(stem) == slide


def test_the_folder_may_be_the_one_that_digestpath_is_packed_in(tmp_path: Path) -> None:
    digestpath(tmp_path / "Signet_ring_cell_dataset")
    packed, plain = read_dataset(tmp_path).images, read_dataset(tmp_path / "Signet_ring_cell_dataset").images
    assert [image.path for image in packed] == [image.path for image in plain]


def test_normal_images_are_optional_and_other_files_are_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "sig-train-pos"
    add_image(folder, "b", [], ending=".JPG")
    add_image(folder, "a", [(1, 2, 30, 40)], ending=".png")
    (folder / "Thumbs.db").write_text("x")
    (folder / "without an image.xml").write_text("x")
    dataset = read_dataset(tmp_path)
    images = dataset.images
    assert [(image.path.name, len(image.boxes)) for image in images] == [("a.png", 1), ("b.JPG", 0)]


def test_the_whole_truth_is_read_from_its_own_folder(tmp_path: Path) -> None:
    root = digestpath(tmp_path)
    add_image(root / "truth", WITH_BOXES, [(1, 2, 30, 40), (10, 20, 40, 60), (50, 5, 90, 45)])
    add_image(root / "truth", ALSO_WITH_BOXES, [])
    assert [len(image.boxes) for image in read_dataset(root).images] == [2, 1, 0, 0]
    assert [len(image.boxes) for image in read_dataset(root, full_truth=True).images] == [3, 0, 0, 0]
    (root / "truth" / f"{ALSO_WITH_BOXES}.xml").unlink()
    with pytest.raises(AnnotationError, match=rf"^{re.escape(str(root / 'truth'))}: 1 of 2 .*{ALSO_WITH_BOXES}\.jpeg"):
        read_dataset(root, full_truth=True)


def test_boxes_are_clipped_and_slips_of_the_hand_left_out_with_a_warning(tmp_path: Path) -> None:
    boxes: list[Box] = [
        (-10, -5, 30, 40),
        (90, 70, 130, 99),
        (60, 10, 101, 50),  # by one pixel, as of tools that count from 1
        (20, 20, 24, 60),  # as thin as may be
        (20, 20, 23, 60),  # thinner
        (97, 10, 140, 50),  # thinner inside
        (200, 10, 240, 50),  # outside
        (50, 50, 20, 70),  # the wrong way round
    ]
    add_image(tmp_path / "sig-train-pos", WITH_BOXES, boxes)
    add_image(tmp_path / "sig-train-pos", ALSO_WITH_BOXES, [(10, 10, 50, 50), (200, 10, 240, 50)])
    add_image(tmp_path / "sig-train-neg", NORMAL, None)
    dataset = read_dataset(tmp_path)
    assert dataset.images[0].boxes.tolist() == [[0, 0, 30, 40], [90, 70, 100, 80], [60, 10, 100, 50], [20, 20, 24, 60]]
    assert [len(image.labels) for image in dataset.images] == [4, 1, 0]
    left_out, cut = dataset.warnings
    assert left_out.startswith("Boxes left out, outside their image or thinner than 4 px in it: 5, namely ")
    assert f"{WITH_BOXES}.xml (4)" in left_out
    assert left_out.endswith(f"{ALSO_WITH_BOXES}.xml")
    assert cut == f"Boxes clipped at the edge of their image: 2, namely {WITH_BOXES}.xml (2)"


def test_what_looks_odd_is_said(tmp_path: Path) -> None:
    positive, negative = tmp_path / "sig-train-pos", tmp_path / "sig-train-neg"
    add_image(positive, WITH_BOXES, [(10, 20, 40, 60)], size=(90, 95))
    add_image(positive, ALSO_WITH_BOXES, [])
    add_image(tmp_path, "spare", [])
    (tmp_path / "spare.xml").rename(positive / "spare.xml")
    no_normals = read_dataset(tmp_path).warnings
    assert no_normals == (
        "Annotation files left out, without an image or slide: 1, namely spare.xml",
        f"Without a box and not declared normal: nothing is learnt from them: 1, namely {ALSO_WITH_BOXES}.jpeg",
        "No image is declared normal, so the loss can trust no negative",
        "Images of 2 sizes, px: 90 x 95, 100 x 80; all are assumed to have the same mpp",
    )
    add_image(negative, NORMAL, [])
    not_read, *_, sizes = read_dataset(tmp_path).warnings[1:]
    assert not_read == f"Annotation files in sig-train-neg not read: its images have no cell: 1, namely {NORMAL}.xml"
    assert sizes.startswith("Images of 2 sizes")
    assert len(read_dataset(tmp_path).warnings) == 4


def test_a_data_set_of_one_slide_is_told_so(tmp_path: Path) -> None:
    add_image(tmp_path / "sig-train-pos", WITH_BOXES, [(10, 20, 40, 60)])
    add_image(tmp_path / "sig-train-neg", WITH_BOXES.replace("33516", "1"), None)
    dataset = read_dataset(tmp_path)
    assert dataset.warnings == ("All images are of one slide (2018_64982_1-3), so none can be held out for validation",)
    with pytest.raises(AnnotationError, match=r"one slide \(2018_64982_1-3\).*hold out nothing"):
        hold_out(dataset.images, 0.2, None, 0)
    learn, held_out = hold_out(dataset.images, 0.0, None, 0)
    assert (learn, held_out) == (list(dataset.images), [])


def test_objects_of_digestpath_are_one_class_unless_classes_are_chosen(tmp_path: Path) -> None:
    root = digestpath(tmp_path)
    xml = root / "sig-train-pos" / f"{ALSO_WITH_BOXES}.xml"
    xml.write_text(xml.read_text().replace("Signet ring cell", "ring"))
    every = read_dataset(root)
    assert every.class_names == ("Signet ring cell",)
    assert [len(image.boxes) for image in every.images] == [2, 1, 0, 0]
    some = read_dataset(root, classes=["RING"])
    assert some.class_names == ("ring",)
    assert [len(image.boxes) for image in some.images] == [0, 1, 0, 0]
    assert [image.normal for image in some.images] == [False, False, True, True], "only boxes of this class are gone"
    assert some.warnings[0] == "Objects of other classes left out: 2, namely Signet ring cell (2)"


def test_the_size_of_a_pixel_is_the_images(tmp_path: Path) -> None:
    root = digestpath(tmp_path)
    assert read_dataset(root, mpp=0.5).mpp == 0.5
    for mpp in (0.0, -1.0, 11.0, float("nan")):
        with pytest.raises(OptionError, match="mpp"):
            read_dataset(root, mpp=mpp)


def test_images_can_be_seen_in_pixels_of_another_size(tmp_path: Path) -> None:
    root = digestpath(tmp_path)
    whole = read_dataset(root)
    for mpp in (0.5, 0.3, 0.2):
        seen = resample(whole, mpp)
        assert seen.mpp == mpp
        for image, before in zip(seen.images, whole.images, strict=True):
            np.testing.assert_allclose(image.boxes * mpp, before.boxes * 0.25)
            assert (image.boxes <= np.tile((image.width, image.height), 2)).all()
            pixels = read_pixels(image)
            assert pixels.shape == (image.height, image.width, 3)
            with open_slide(image.path, mpp=0.25) as slide:
                view = SlideAtMpp(slide, mpp)
                np.testing.assert_array_equal(pixels, view.read(0, 0, *view.dimensions), "as in detection")
    for mpp in (0.01, 20.0, float("nan")):
        with pytest.raises(OptionError, match="µm/px"):
            resample(whole, mpp)


# ---- what cannot be used --------------------------------------------------------------------------------------------


def test_a_folder_of_another_layout_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "sig-train-neg").mkdir()
    (tmp_path / "file").write_text("x")
    for folder, what in (
        (tmp_path, "has no image or slide"),
        (tmp_path / "missing", "no such"),
        (tmp_path / "file", "not"),
    ):
        with pytest.raises(AnnotationError, match=rf"^{re.escape(str(folder))}: {what}.*sig-train-pos"):
            read_dataset(folder)
    (tmp_path / "sig-train-pos").mkdir()
    (tmp_path / "sig-train-pos" / "a.xml").write_text("<a/>")
    with pytest.raises(AnnotationError, match=rf"^{re.escape(str(tmp_path / 'sig-train-pos'))}: no image"):
        read_dataset(tmp_path)


def test_positive_images_without_their_xml_are_counted_and_listed(tmp_path: Path) -> None:
    root = digestpath(tmp_path)
    (root / "sig-train-pos" / f"{ALSO_WITH_BOXES}.xml").unlink()
    for number in range(7):
        add_image(root / "sig-train-pos", f"E{number}", None)
    with pytest.raises(AnnotationError, match=r"8 of 9 images.*E3\.jpeg and 3 more.*sig-train-neg") as caught:
        read_dataset(root)
    assert f"{ALSO_WITH_BOXES}.jpeg" in str(caught.value)


@pytest.mark.parametrize("content", ["", "<annotation>", "boxes", "<a><object><bndbox/></object></a>"])
def test_an_xml_that_cannot_be_used_is_refused_by_name(tmp_path: Path, content: str) -> None:
    root = digestpath(tmp_path)
    xml = root / "sig-train-pos" / f"{ALSO_WITH_BOXES}.xml"
    xml.write_text(content)
    with pytest.raises(AnnotationError, match=rf"^{re.escape(str(xml))}: "):
        read_dataset(root)


def test_images_that_differ_in_their_ending_only_are_refused(tmp_path: Path) -> None:
    root = digestpath(tmp_path)
    add_image(root / "sig-train-pos", WITH_BOXES, [], ending=".png")
    with pytest.raises(AnnotationError, match=rf"{re.escape(WITH_BOXES)}\.png: has the same name"):
        read_dataset(root)


def test_a_class_without_a_box_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "sig-train-pos"
    add_image(folder, WITH_BOXES, [])
    with pytest.raises(AnnotationError, match="no object"):
        read_dataset(tmp_path)
    add_image(folder, ALSO_WITH_BOXES, [(200, 10, 240, 50)])
    with pytest.raises(AnnotationError, match=r"no usable box of the class Signet ring cell.*Boxes left out"):
        read_dataset(tmp_path)
    add_image(folder, ALSO_WITH_BOXES, [(10, 10, 50, 50)])
    with pytest.raises(AnnotationError, match=r"'lymphocyte'; its classes: Signet ring cell \(1\)"):
        read_dataset(tmp_path, classes=["Lymphocyte"])


def test_a_class_that_qupath_refuses_is_refused_before_training(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    add_image(folder, WITH_BOXES, [(10, 10, 50, 50)])
    path = folder / f"{WITH_BOXES}.xml"
    path.write_text(path.read_text().replace("</name>", ":x</name>"))
    with pytest.raises(AnnotationError, match=r"no model can be made.*:x' holds a colon.*another name"):
        read_dataset(folder)


@pytest.mark.parametrize("folder", ["sig-train-pos", "sig-train-neg"])
@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xd8\xff\xe0"])
def test_a_file_that_is_no_image_is_refused_by_name(tmp_path: Path, folder: str, content: bytes) -> None:
    root = digestpath(tmp_path)
    bad = add_image(root / folder, "zz bad", [])
    bad.write_bytes(content)
    with pytest.raises(AnnotationError, match=rf"^{re.escape(str(bad))}: "):
        read_dataset(root)


def test_an_image_cut_short_is_refused_when_its_pixels_are_read(tmp_path: Path) -> None:
    path = add_image(tmp_path, "a b", None)
    path.write_bytes(path.read_bytes()[:-2000])
    assert image_size(path) == (100, 80)
    with pytest.raises(AnnotationError, match=rf"^{re.escape(str(path))}: cannot be decoded"):
        read_image(path)


def test_a_png_with_a_broken_chunk_is_refused_by_name(tmp_path: Path) -> None:
    """Pillow says so with a SyntaxError, of all things."""
    path = tmp_path / "a.png"
    Image.fromarray(picture(200, 200)).save(path)
    content = path.read_bytes()
    last = content.rindex(b"IDAT")
    assert content.index(b"IDAT") < last
    path.write_bytes(content[:last] + b"\1\2\3\4" + content[last + 4 :])
    with pytest.raises(AnnotationError, match=rf"^{re.escape(str(path))}: cannot be decoded"):
        read_image(path)


def test_an_image_too_large_for_memory_is_refused_by_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = add_image(tmp_path, "a", None)
    monkeypatch.setattr("signetscan.dataset.images.MAX_PIXELS", 100 * 80)
    assert image_size(path) == (100, 80)
    monkeypatch.setattr("signetscan.dataset.images.MAX_PIXELS", 100 * 80 - 1)
    with pytest.raises(AnnotationError, match=r"a\.jpeg: 100 x 80 px is too large"):
        image_size(path)
    monkeypatch.undo()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)  # Pillow warns above this, and refuses above twice this
    assert image_size(path) == (100, 80)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    with pytest.raises(AnnotationError, match=r"a\.jpeg: "):
        image_size(path)


# ---- pixels ---------------------------------------------------------------------------------------------------------


def test_pixels_are_rgb_whatever_the_file_holds(tmp_path: Path) -> None:
    colour = picture(30, 20)
    grey = colour[..., 0]
    for name, stored, expected in (
        ("rgb.png", Image.fromarray(colour), colour),
        ("grey.png", Image.fromarray(grey), np.repeat(grey[..., None], 3, axis=2)),
        ("rgba.png", Image.fromarray(np.dstack([colour, np.full_like(grey, 255)])), colour),
        ("palette.png", Image.fromarray(grey // 64 * 64).quantize(4), np.repeat(grey[..., None] // 64 * 64, 3, axis=2)),
    ):
        stored.save(tmp_path / name)
        found = read_image(tmp_path / name)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected, err_msg=name)


def test_an_image_of_16_bits_is_refused_rather_than_cut_off(tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 30), 40_000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(AnnotationError, match=r"deep\.png: has more than 8 bits"):
        image_size(tmp_path / "deep.png")


def test_pixels_of_an_image_are_those_of_its_file(tmp_path: Path) -> None:
    (image, *_) = read_dataset(digestpath(tmp_path)).images
    np.testing.assert_array_equal(read_pixels(image), read_image(image.path))


# ---- splitting ------------------------------------------------------------------------------------------------------


def listed(kinds: Sequence[tuple[int, bool]]) -> list[AnnotatedImage]:
    """Images as (number of the slide, normal), without files."""
    return [
        AnnotatedImage(
            path=Path(f"{number}.jpeg"),
            width=100,
            height=80,
            boxes=np.empty((0, 4)),
            labels=np.empty(0, np.int64),
            normal=normal,
            slide=f"slide {slide}",
        )
        for number, (slide, normal) in enumerate(kinds)
    ]


IMAGES = st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=80).map(listed)
SEEDS = st.integers(0, 2**32)


@given(images=IMAGES, share=st.floats(0, 1), seed=SEEDS)
def test_a_split_loses_nothing_keeps_the_order_and_parts_no_slide(
    images: list[AnnotatedImage], share: float, seed: int
) -> None:
    rest, part = split_by_slide(images, share, seed)
    assert not {image.slide for image in rest} & {image.slide for image in part}
    numbers = [[int(image.path.stem) for image in images] for images in (rest, part)]
    assert sorted(numbers[0] + numbers[1]) == list(range(len(images)))
    assert numbers == [sorted(numbers[0]), sorted(numbers[1])]


@given(images=IMAGES, share=st.floats(0, 1), seed=SEEDS)
def test_a_split_takes_its_share_of_each_kind_to_within_one_slide(
    images: list[AnnotatedImage], share: float, seed: int
) -> None:
    _, part = split_by_slide(images, share, seed)
    taken = {image.slide for image in part}
    slides: dict[str, list[AnnotatedImage]] = defaultdict(list)
    for image in images:
        slides[image.slide].append(image)
    for normal in (True, False):
        sizes = {name: len(own) for name, own in slides.items() if all(image.normal for image in own) == normal}
        wanted = round(share * sum(sizes.values()))
        count = sum(size for name, size in sizes.items() if name in taken)
        assert count < wanted + max(sizes.values(), default=1)
        # One slide with cells is kept to learn from.
        assert count >= wanted or (not normal and len(sizes.keys() - taken) == 1)


@given(images=IMAGES, seed=SEEDS)
def test_a_split_depends_on_the_seed_and_not_on_the_order_of_the_images(
    images: list[AnnotatedImage], seed: int
) -> None:
    _, part = split_by_slide(images, 0.4, seed)
    _, again = split_by_slide(images, 0.4, seed)
    _, backwards = split_by_slide(images[::-1], 0.4, seed)
    assert again == part
    assert backwards == part[::-1]


def test_another_seed_gives_another_split() -> None:
    images = listed([(number // 3, number % 2 == 0) for number in range(90)])
    splits = {tuple(image.path.stem for image in split_by_slide(images, 0.3, seed)[1]) for seed in range(10)}
    assert len(splits) == 10


# ---- folds ----------------------------------------------------------------------------------------------------------


def slides_of(images: Sequence[AnnotatedImage]) -> set[str]:
    return {image.slide for image in images}


def positive_slides(images: Sequence[AnnotatedImage]) -> set[str]:
    return {image.slide for image in images if not image.normal}


@given(images=IMAGES, k=st.integers(2, 8), seed=SEEDS)
def test_folds_hold_out_each_image_once_and_part_no_slide(images: list[AnnotatedImage], k: int, seed: int) -> None:
    if len(positive_slides(images)) < k:
        with pytest.raises(AnnotationError, match=f"{k} folds need .* at least {k} slides"):
            k_folds(images, k, seed)
        return
    folds = k_folds(images, k, seed)
    assert len(folds) == k
    assert sorted(int(image.path.stem) for _, held_out in folds for image in held_out) == list(range(len(images)))
    for learn, held_out in folds:
        assert not slides_of(learn) & slides_of(held_out)
        numbers = [[int(image.path.stem) for image in part] for part in (learn, held_out)]
        assert sorted(numbers[0] + numbers[1]) == list(range(len(images)))
        assert numbers == [sorted(numbers[0]), sorted(numbers[1])]
        assert positive_slides(held_out), "each fold has cells to find"


@given(images=IMAGES, k=st.integers(2, 5), seed=SEEDS)
def test_folds_are_alike(images: list[AnnotatedImage], k: int, seed: int) -> None:
    """Each kind of slide is spread so that folds differ by no more than its largest slide."""
    if len(positive_slides(images)) < k:
        return
    folds = [held_out for _, held_out in k_folds(images, k, seed)]
    positive = positive_slides(images)
    for of_kind in (positive, slides_of(images) - positive):
        largest = max((sum(image.slide == slide for image in images) for slide in of_kind), default=0)
        counts = [sum(image.slide in of_kind for image in held_out) for held_out in folds]
        assert max(counts) - min(counts) <= largest


@given(images=IMAGES, seed=SEEDS)
def test_folds_depend_on_the_seed_and_not_on_the_order_of_the_images(images: list[AnnotatedImage], seed: int) -> None:
    if len(positive_slides(images)) < 3:
        return
    folds = k_folds(images, 3, seed)
    assert k_folds(images, 3, seed) == folds
    assert k_folds(images[::-1], 3, seed) == [(learn[::-1], held_out[::-1]) for learn, held_out in folds]
    assert hold_out(images, 0.2, (2, 3), seed) == folds[1]


def test_one_fold_is_no_fold() -> None:
    with pytest.raises(OptionError, match="2 folds"):
        k_folds(listed([(0, False), (1, False)]), 1, 0)
