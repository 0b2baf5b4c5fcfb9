"""Images with masks: the layouts, what is refused, and large JPEGs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import imagecodecs
import numpy as np
import pytest
from conftest import SHARED_DATA
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from signetscan.dataset import hold_out
from signetscan.dataset.masks.images import Mask, MaskedImage
from signetscan.dataset.masks.pixels import PixelStore, decode_into, read_picture
from signetscan.dataset.masks.reading import has_masks, read_masked_dataset
from signetscan.errors import AnnotationError, OptionError, OutputError, TrainingError
from signetscan.training.segmentation.cautions import cautions_of, check_masked_split, masked_split_cautions
from signetscan.training.segmentation.options import SegmentationOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.training.segmentation.checkpoint import SegmentationCheckpoint

NAMES = (
    "2018_83220_1-1_2019-02-20 18_33_11-lv1-62292-40863-3519-3237",
    "2018_83220_1-1_2019-02-20 18_33_11-lv1-1-2-300-200",
    "D201900001_2019-05-21 10_00_00-lv1-5-6-300-200",
)


@pytest.fixture(scope="module")
def with_mask(tmp_path_factory: pytest.TempPathFactory) -> MaskedImage:
    """An image whose mask has the label 3; only the mask is there."""
    path = save(tmp_path_factory.mktemp("mask") / "mask.png", outline())
    return MaskedImage(path=path, width=96, height=64, mask=Mask(path=path, label=3, shows=(3,)), slide="s")


def picture(seed: int, width: int = 96, height: int = 64) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def outline(width: int = 96, height: int = 64, value: int = 255) -> NDArray[np.uint8]:
    """A disc in the left half."""
    rows, columns = np.indices((height, width))
    return np.where(np.hypot(rows - height / 2, columns - width / 4) < height / 4, value, 0).astype(np.uint8)


def save(path: Path, pixels: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=75)
    return path


def write_tissue(root: Path) -> Path:
    """Two images with lesions, of one slide, and one without, in DigestPath's layout."""
    for number, name in enumerate(NAMES[:2]):
        save(root / "tissue-train-pos-v1" / f"{name}.jpg", picture(number))
        save(root / "tissue-train-pos-v1" / f"{name}_mask.jpg", outline())
    save(root / "tissue-train-neg" / f"{NAMES[2]}.jpg", picture(9))
    return root


def write_grades(root: Path) -> Path:
    """Two folders of classes with three images each, of which one has no mask."""
    for grade, case in (("low-grade", 1), ("polyp", 2)):
        for number in range(3):
            name = f"GTxc201{case}{number // 2}-1-400-00{number}"
            save(root / grade / "images" / f"{name}.jpg", picture(10 * case + number))
            if number or grade == "polyp":
                save(root / grade / "masks" / f"{name}.png", outline(value=1 if grade == "polyp" else 255))
    return root


def all_labels(store: PixelStore, image: MaskedImage) -> NDArray[np.uint8]:
    return store.labels(image, 0, 0, (image.width, image.height))


def test_digestpath_tissue_is_read_by_slide_with_its_ringing_masks(tmp_path: Path) -> None:
    dataset = read_masked_dataset(write_tissue(tmp_path / "Colonoscopy_tissue_segment_dataset").parent)
    assert dataset.class_names == ("background", "lesion")
    assert dataset.mpp == 0.5
    assert [image.normal for image in dataset.images] == [False, False, True]
    assert [image.slide for image in dataset.images] == ["2018_83220_1-1", "2018_83220_1-1", "D201900001"]
    mask = read_picture(
        tmp_path / "Colonoscopy_tissue_segment_dataset/tissue-train-pos-v1" / f"{NAMES[0]}_mask.jpg", "mask"
    )
    assert len(np.unique(mask)) > 2, "the mask must ring, or this tests nothing"
    store = PixelStore(tmp_path, 1 << 20)
    assert ((all_labels(store, dataset.images[0]) == 1) != (outline() == 255)).sum() <= 4  # JPEG moves the edge a bit
    assert not all_labels(store, dataset.images[2]).any()


def test_class_folders_give_their_class_and_cases_stay_together(tmp_path: Path) -> None:
    dataset = read_masked_dataset(write_grades(tmp_path), mpp=1.0)
    assert dataset.class_names == ("background", "low-grade", "polyp")
    assert "Left out, without a mask: 1, namely low-grade/images/GTxc20110-1-400-000.jpg" in dataset.warnings[0]
    assert {image.slide for image in dataset.images} == {"GTXC20110", "GTXC20111", "GTXC20120", "GTXC20121"}
    store = PixelStore(tmp_path, 1 << 20)
    for image in dataset.images:
        label = dataset.class_names.index(image.path.parent.parent.name)
        np.testing.assert_array_equal(all_labels(store, image), np.where(outline() > 0, label, 0))


def test_folders_are_joined_to_a_class_and_others_left_out(tmp_path: Path) -> None:
    write_grades(tmp_path)
    joined = read_masked_dataset(tmp_path, classes=["gland = polyp, LOW-GRADE"])
    assert joined.class_names == ("background", "gland")
    assert len(joined.images) == 5
    assert {image.shows for image in joined.images} == {(1,)}
    alone = read_masked_dataset(tmp_path, classes=["polyp"])
    assert len(alone.images) == 3
    assert any("no class: 3, namely low-grade (3)" in line for line in alone.warnings)


def test_values_of_masks_are_labels_in_the_order_of_the_names(tmp_path: Path) -> None:
    for number in range(2):
        save(tmp_path / "images" / f"{number}.png", picture(number))
        save(tmp_path / "masks" / f"{number}.png", outline(value=number + 1))
    save(tmp_path / "images" / "empty.png", picture(5))
    save(tmp_path / "masks" / "empty_mask.png", outline(value=0))
    dataset = read_masked_dataset(tmp_path, classes=["a", "b"])
    store = PixelStore(tmp_path, 1 << 20)
    assert [int(all_labels(store, image).max()) for image in dataset.images] == [1, 2, 0]
    assert dataset.images[2].normal
    assert any(line.startswith("Images whose mask is empty") for line in dataset.warnings)
    with pytest.raises(AnnotationError, match="has the value 2, but the name of 1 class is given"):
        read_masked_dataset(tmp_path, classes=["a"])
    with pytest.raises(AnnotationError, match="name the classes"):
        read_masked_dataset(tmp_path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda root: save(root / "polyp/masks/GTxc20120-1-400-000.png", outline(50, 50)),
            "a mask of 50 x 50 px for an",
        ),
        (lambda root: [path.unlink() for path in (root / "polyp/masks").iterdir()], "no mask has the name of an image"),
        (lambda root: save(root / "polyp/masks/GTxc20120-1-400-000.png", picture(1)), "a mask with colours"),
        (lambda root: save(root / "polyp/masks/GTxc20120-1-400-000.png", picture(1)[..., 0]), "is one class, polyp"),
        (lambda root: (root / "polyp/masks/GTxc20120-1-400-000.png").write_bytes(b"no"), "not a readable image"),
    ],
)
def test_bad_masks_are_refused_in_words(tmp_path: Path, spoil: object, message: str) -> None:
    write_grades(tmp_path)
    spoil(tmp_path)  # type: ignore[operator]
    with pytest.raises(AnnotationError, match=message):
        read_masked_dataset(tmp_path)


def test_tissue_without_a_mask_is_refused(tmp_path: Path) -> None:
    write_tissue(tmp_path)
    (tmp_path / "tissue-train-pos-v1" / f"{NAMES[1]}_mask.jpg").unlink()
    with pytest.raises(AnnotationError, match="1 of 2 images have no mask"):
        read_masked_dataset(tmp_path)
    with pytest.raises(AnnotationError, match="leave its name out"):
        read_masked_dataset(tmp_path, classes=["lesion"])


def test_masks_and_images_of_digestpath_that_do_not_belong_are_told(tmp_path: Path) -> None:
    write_tissue(tmp_path)
    save(tmp_path / "tissue-train-pos-v1" / "other_mask.jpg", outline())
    save(tmp_path / "tissue-train-neg" / f"{NAMES[2]}_mask.jpg", outline())
    dataset = read_masked_dataset(tmp_path)
    assert len(dataset.images) == 3
    assert any("other_mask.jpg" in warning for warning in dataset.warnings)
    assert any("its images have no lesion" in warning and "_mask.jpg" in warning for warning in dataset.warnings)
    save(tmp_path / "tissue-train-neg" / f"{NAMES[0]}.jpg", picture(0))
    with pytest.raises(AnnotationError, match="is in both"):
        read_masked_dataset(tmp_path)
    for path in (tmp_path / "tissue-train-pos-v1").iterdir():
        if "_mask" not in path.name:
            path.unlink()
    with pytest.raises(AnnotationError, match=r"no image .* with lesions"):
        read_masked_dataset(tmp_path)


def test_wrong_classes_folders_and_mpp_are_refused(tmp_path: Path) -> None:
    write_grades(tmp_path)
    with pytest.raises(AnnotationError, match="no folder 'x' to learn from; it has low-grade, polyp"):
        read_masked_dataset(tmp_path, classes=["x"])
    with pytest.raises(AnnotationError, match="polyp is given to two classes"):
        read_masked_dataset(tmp_path, classes=["a=polyp", "b=polyp"])
    with pytest.raises(OptionError, match="mpp must be above 0"):
        read_masked_dataset(tmp_path, mpp=0.0)
    assert has_masks(tmp_path)
    assert not has_masks(tmp_path / "polyp" / "images")
    with pytest.raises(AnnotationError, match="has no images with masks"):
        read_masked_dataset(tmp_path / "polyp" / "images")


def test_an_image_given_twice_is_taken_once_and_its_slides_for_one(tmp_path: Path) -> None:
    write_grades(tmp_path)
    for kind, ending in (("images", "jpg"), ("masks", "png")):
        source = tmp_path / "polyp" / kind / f"GTxc20120-1-400-000.{ending}"
        (tmp_path / "polyp" / kind / f"GTxc9999-1-400-000.{ending}").write_bytes(source.read_bytes())
        save(tmp_path / "polyp" / kind / f"GTxc9999-1-400-001.{ending}", picture(77) if kind == "images" else outline())
    dataset = read_masked_dataset(tmp_path, classes=["polyp"])
    assert len(dataset.images) == 4
    assert dataset.images[-1].slide == "GTXC20120"


def test_the_split_is_by_slide(tmp_path: Path) -> None:
    dataset = read_masked_dataset(write_grades(tmp_path))
    learn, held_out = hold_out(dataset.images, 0.4, None, 0)
    assert learn
    assert held_out
    assert not {image.slide for image in learn} & {image.slide for image in held_out}


def case(number: int, *shows: int) -> MaskedImage:
    """An image of a case, without files, that shows some classes."""
    mask = Mask(path=Path("m"), label=None, shows=shows) if shows else None
    return MaskedImage(path=Path("i"), width=9, height=9, mask=mask, slide=f"case {number}")


@pytest.mark.parametrize(
    ("learn", "held_out", "problem"),
    [
        ([case(0)], [case(1, 1), case(2, 2)], "no training image has a mask"),
        ([case(0, 1)], [case(1, 2)], "no training image shows the class high"),
        ([case(0, 1, 2)], [case(1)], "no held-out image has a mask"),
    ],
)
def test_a_split_that_leaves_nothing_to_learn_or_choose_by_is_refused(
    learn: list[MaskedImage], held_out: list[MaskedImage], problem: str
) -> None:
    with pytest.raises(TrainingError, match=problem):
        check_masked_split(learn, held_out, ["background", "low", "high"], SegmentationOptions(validation_split=0.2))


def test_what_held_out_images_lack_is_said() -> None:
    names, options = ["background", "low", "high"], SegmentationOptions(validation_split=0.2)
    (alone,) = masked_split_cautions([case(0, 1, 2)], [], names, options)
    assert alone.startswith("No image is held out")
    cautions = masked_split_cautions([case(0, 1, 2), case(3)], [case(1, 1)], names, options)
    assert any("1 slide held out" in caution for caution in cautions)
    assert any("No held-out image shows the class high" in caution for caution in cautions)


@given(seed=st.integers(0, 10**6))
def test_each_class_is_learnt_and_held_out(seed: int) -> None:
    """Of 50 cases 3 show a rare class, two of them beside the frequent one; 5 show nothing."""
    images = [case(number, 1) for number in range(42)]
    images += [case(number, 2) for number in range(42, 45)] + [case(42, 1), case(43, 1)]
    images += [case(number) for number in range(45, 50)]
    for learn, held_out in [hold_out(images, 0.3, None, seed), *(hold_out(images, 0, (i, 3), seed) for i in (1, 2, 3))]:
        assert not {image.slide for image in learn} & {image.slide for image in held_out}
        for side in (learn, held_out):
            assert {label for image in side for label in image.shows} == {1, 2}
            assert any(image.normal for image in side)
    alone = [case(0, 1), case(1, 1), case(2, 1), case(3, 2)]
    assert [image.shows for image in hold_out(alone, 0.9, None, seed)[0]] == [(1,), (2,)], "one of each is learnt from"


@given(x=st.integers(-200, 300), y=st.integers(-200, 300), width=st.integers(1, 150), height=st.integers(1, 150))
def test_windows_are_those_of_the_whole_mask(with_mask: MaskedImage, x: int, y: int, width: int, height: int) -> None:
    padded = np.zeros((1000, 1000), np.uint8)
    padded[300:364, 300:396] = np.where(outline() > 127, 3, 0)
    found = PixelStore(with_mask.path.parent, 1 << 20).labels(with_mask, x, y, (width, height))
    np.testing.assert_array_equal(found, padded[300 + y : 300 + y + height, 300 + x : 300 + x + width])


def test_a_large_jpeg_is_decoded_into_a_file_that_goes_away(tmp_path: Path) -> None:
    write_tissue(tmp_path / "data")
    dataset = read_masked_dataset(tmp_path / "data")
    small, large = PixelStore(tmp_path, 1 << 20), PixelStore(tmp_path, 1 << 20, large=100)
    for image in dataset.images:
        pixels = large.image(image)
        assert isinstance(pixels, np.memmap)
        assert int(np.abs(pixels.astype(int) - small.image(image)).max()) <= 2  # two builds of one JPEG library
        np.testing.assert_array_equal(all_labels(large, image), all_labels(small, image))
    assert len(list(tmp_path.glob(".decoded.*/*.raw"))) == 5
    large.close()
    assert not list(tmp_path.glob(".decoded.*"))


def test_a_large_jpeg_that_was_cut_off_or_finds_no_room_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = imagecodecs.jpeg8_encode(picture(0, 400, 300))
    path = tmp_path / "a.jpg"
    path.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(AnnotationError, match="its end is missing"):
        decode_into(path, "image", (300, 400, 3), tmp_path / "raw")
    path.write_bytes(data)
    with pytest.raises(AnnotationError, match="has changed since"):
        decode_into(path, "image", (300, 401, 3), tmp_path / "raw")
    image = MaskedImage(path=path, width=400, height=300, mask=None, slide="s")
    monkeypatch.setattr("signetscan.dataset.masks.pixels.free_bytes", lambda _: 1000)
    with pytest.raises(OutputError, match=r"needs 0\.0 GB on this disk"):
        PixelStore(tmp_path, 1 << 20, large=100).image(image)


def test_real_glands() -> None:
    root = SHARED_DATA / "ebhi-seg"
    if not root.is_dir():
        pytest.skip("EBHI-Seg (shared/data beside the project) is not here")
    dataset = read_masked_dataset(
        root,
        classes=[
            "benign=normal,polyp",
            "low grade=low-grade-in",
            "high grade=high-grade-in",
            "carcinoma=adenocarcinoma",
        ],
    )
    assert len({image.slide for image in dataset.images}) < 291  # GTxc and GTXC are one case
    assert len(dataset.images) in (1742, 1743)
    assert any("Left out, without a mask: 2" in line for line in dataset.warnings)


def test_images_of_which_no_pixels_can_be_had_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(np.zeros((64, 96), np.uint16)).save(tmp_path / "deep.png")
    whole = save(tmp_path / "whole.png", picture(1)).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("no image")
    for name, said in (
        ("deep", "more than 8 bits per channel"),
        ("cut", "cannot be decoded"),
        ("text", "not a readable"),
    ):
        with pytest.raises(AnnotationError, match=rf"{name}\.png: .*{said}"):
            read_picture(tmp_path / f"{name}.png", "image")
    monkeypatch.setattr("signetscan.dataset.masks.pixels.LARGEST_OTHER", 96 * 64 - 1)
    with pytest.raises(AnnotationError, match="96 x 64 px is too large for a PNG to learn from"):
        read_picture(tmp_path / "whole.png", "image")


def test_a_jpeg_that_cannot_be_decoded_into_a_file_is_told(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", picture(1))
    with pytest.raises(AnnotationError, match=r"gone\.jpg: cannot be decoded: .*copy it again"):
        decode_into(tmp_path / "gone.jpg", "image", (64, 96, 3), tmp_path / "raw")
    with pytest.raises(OutputError, match="raw: cannot be written: No such file"):
        decode_into(path, "image", (64, 96, 3), tmp_path / "none" / "raw")


def test_masks_without_an_image_are_told_and_jpeg_masks_are_of_one_class(tmp_path: Path) -> None:
    for number in range(2):
        save(tmp_path / "gland" / "images" / f"a{number}.jpg", picture(number))
        save(tmp_path / "gland" / "masks" / f"a{number}.jpg", outline())
    save(tmp_path / "gland" / "masks" / "b.png", outline())
    dataset = read_masked_dataset(tmp_path)
    assert any("gland/masks/b.png" in line for line in dataset.warnings)
    store = PixelStore(tmp_path, 1 << 20)
    found = all_labels(store, dataset.images[0])
    assert set(np.unique(found)) == {0, 1}, "a JPEG rings, and its labels do not"
    assert ((found == 1) != (outline() == 255)).mean() < 0.01


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, said in (("file", "not a folder"), ("gone", "no such folder")):
        with pytest.raises(AnnotationError, match=said):
            read_masked_dataset(tmp_path / name)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"history": ()}, ()),
        ({"held_out_slides": ()}, ("nothing tells how good it is, because no image was held out",)),
        ({"held_out": None}, ()),
        ({"dice": 0.0}, ("it found nothing of what is outlined in the held-out images",)),
        (
            {"auc": None},
            ("the AUC of its score is unknown: all held-out images show a scored class, or none does",),
        ),
        ({"held_out_slides": ("a", "b")}, ("its figures rest on 2 slides only",)),
        ({}, ()),
    ],
)
def test_what_a_user_should_know_of_how_a_model_was_chosen(changes: dict[str, object], said: tuple[str, ...]) -> None:
    figures = SimpleNamespace(
        dice=SimpleNamespace(value=changes.get("dice", 0.8)), auc=SimpleNamespace(value=changes.get("auc", 0.9))
    )
    facts = {"history": (1,), "held_out_slides": tuple(map(str, range(99))), "held_out": figures} | changes
    assert cautions_of(cast("SegmentationCheckpoint", SimpleNamespace(**facts))) == said
