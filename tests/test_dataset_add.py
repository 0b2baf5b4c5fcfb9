"""Corrected slides become training images: what lies where, and what is left out."""

from __future__ import annotations

import gzip
import json
import os
import re
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from signetscan.boxes import iou_matrix
from signetscan.cli.main import cli
from signetscan.dataset import add_slide as add_module
from signetscan.dataset import image_writing, read_dataset, read_image, slide_of, slide_parts
from signetscan.dataset.add_slide import MAX_NAME_BYTES, Added, add_slide, safe_name
from signetscan.dataset.options import AddOptions
from signetscan.errors import AnnotationError, OptionError, OutputError
from signetscan.slides import Bounds, open_slide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.testing import Result
    from numpy.typing import NDArray

Box = tuple[float, float, float, float]

WIDTH, HEIGHT = 700, 500
CELL = "Signet ring cell"


def feature(
    box: Box, name: str | None = CELL, kind: str = "annotation", score: float | str | None = None
) -> dict[str, Any]:
    """An object as QuPath exports it."""
    x0, y0, x1, y1 = box
    ring = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
    properties: dict[str, Any] = {"objectType": kind}
    if name is not None:
        properties["classification"] = {"name": name, "color": [1, 2, 3]}
    if score is not None:
        properties["measurements"] = {"Score": score}
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": properties}


def write(path: Path, *features: dict[str, Any], bare: bool = False) -> Path:
    content = json.dumps(list(features) if bare else {"type": "FeatureCollection", "features": list(features)})
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content.encode()))
    else:
        path.write_text(content)
    return path


def make_slide(path: Path, seed: int = 0, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """A picture of noise, so that any shift by a pixel shows."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path, compress_level=0)
    return path


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_slide(tmp_path_factory.mktemp("a slide") / "biopsy.png")


def add(folder: Path, slide: Path, *corrected: Path, **options: Any) -> Added:  # noqa: ANN401
    return add_slide(folder, slide, corrected, AddOptions(**({"mpp": 0.25} | options)))


def place_of(path: Path) -> tuple[int, int, int, int]:
    """x, y, width and height on the slide, from the name of an image."""
    match = re.fullmatch(r".+-lv0-(\d+)-(\d+)-(\d+)-(\d+)\.png", path.name)
    assert match, path.name
    x, y, width, height = map(int, match.groups())
    return x, y, width, height


def images(folder: Path) -> dict[tuple[int, int, int, int], tuple[NDArray[np.float64], bool]]:
    """Boxes in slide pixels and whether the image is normal, by place, as training reads them."""
    found = {}
    features = [feature for path in folder.glob("*.geojson") for feature in json.loads(path.read_text())["features"]]
    assert len({uuid.UUID(feature["id"]) for feature in features}) == len(features)
    for image in read_dataset(folder).images:
        x, y, width, height = place_of(image.path)
        assert (image.width, image.height) == (width, height)
        found[x, y, width, height] = (image.boxes + (x, y, x, y), image.normal)
    return found


def note_of(added: Added, what: str) -> str:
    (line,) = [line for line in added.notes if what in line]
    return line


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---- where things lie -----------------------------------------------------------------------------------------------


@st.composite
def some_boxes(draw: st.DrawFn, most: int = 12) -> list[Box]:
    boxes = []
    for _ in range(draw(st.integers(0, most))):
        x, y = draw(st.floats(0, WIDTH - 8)), draw(st.floats(0, HEIGHT - 8))
        width, height = draw(st.floats(8, 90)), draw(st.floats(8, 90))
        boxes.append((round(x, 2), round(y, 2), round(x + width, 2), round(y + height, 2)))
    return boxes


def centre_in(box: Box, place: tuple[int, int, int, int]) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return place[0] <= x < place[0] + place[2] and place[1] <= y < place[1] + place[3]


def touches(box: Box, place: tuple[int, int, int, int]) -> bool:
    return box[0] < place[0] + place[2] and box[2] > place[0] and box[1] < place[1] + place[3] and box[3] > place[1]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(some_boxes(), some_boxes(6), some_boxes(4), st.integers(120, 800))
def test_windows_hold_each_cell_once_where_it_is(
    slide: Path, cells: list[Box], rejected: list[Box], unsure: list[Box], window: int
) -> None:
    """Without regions: an oracle box by box, and pixels that are the slide's own."""
    cells = [box for box in cells if box not in rejected]  # nothing is learnt where two people disagree
    on_slide = [box for box in cells if (box[0] + box[2]) / 2 < WIDTH and (box[1] + box[3]) / 2 < HEIGHT]
    if not on_slide:
        cells = [(20, 20, 60.5, 60.5)]
        on_slide = cells
        rejected = [box for box in rejected if box not in cells]
    pixels = read_image(slide)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        features = [feature(box) for box in cells]
        features += [feature(box, "Ignore*") for box in rejected]
        features += [feature(box, CELL, "detection", 0.7) for box in unsure]
        added = add(folder / "set", slide, write(folder / "c.geojson", *features), window=window)
        found = images(folder / "set")
        shown = {place_of(path): read_image(path) for path in (folder / "set").glob("*.png")}
    for place, image in shown.items():
        x, y, width, height = place
        np.testing.assert_array_equal(image, pixels[y : y + height, x : x + width])
        assert max(width, height) <= window
    held: list[Box] = []
    for place, (boxes, normal) in found.items():
        x, y, width, height = place
        own = [box for box in dict.fromkeys(on_slide) if centre_in(box, place)]
        expected = np.clip(np.array(own).reshape(-1, 4), (x, y) * 2, (x + width, y + height) * 2)
        solid = expected[(expected[:, 2:] - expected[:, :2]).min(axis=1, initial=99) >= 4]
        overlaps = iou_matrix(solid, solid) - np.eye(len(solid))
        assume(overlaps.max(initial=0) <= 0.65)  # who reads the images takes a cell boxed twice, nearly, for one
        np.testing.assert_allclose(np.sort(boxes, axis=0), np.sort(solid, axis=0), atol=0.0051)
        held += own
        assert not normal, "nobody said that a window was looked through"
    assert sorted(held) == sorted(dict.fromkeys(on_slide)), "each in one image, none lost"
    assert sum(added.cells.values()) == sum(len(boxes) for boxes, _ in found.values())
    assert (added.positives, added.normals) == (
        sum(not normal for _, normal in found.values()),
        sum(normal for _, normal in found.values()),
    )


def test_regions_are_the_images(slide: Path, tmp_path: Path) -> None:
    """Each of its class, cells by their centre; what lies outside is left out and said."""
    corrected = write(
        tmp_path / "c.geojson",
        feature((100, 50, 300, 250), "Positive region"),
        feature((400, 50, 600, 250), "normal REGION"),
        feature((400, 300, 650, 480), "Region*"),
        feature((110, 60, 150, 100)),
        feature((280, 200, 316, 240)),  # cut at the edge, centre inside
        feature((295, 120, 325, 150)),  # cut at the edge, centre outside
        feature((500, 350, 540, 390), "signet RING cell"),
        feature((10, 10, 40, 40)),
        feature((420, 80, 450, 110), "Ignore*"),
        feature((10, 400, 40, 440), "rejected"),
        bare=True,
    )
    added = add(tmp_path / "set", slide, corrected)
    found = images(tmp_path / "set")
    assert {place: (boxes.tolist(), normal) for place, (boxes, normal) in found.items()} == {
        (100, 50, 200, 200): ([[110, 60, 150, 100], [280, 200, 300, 240]], False),
        (400, 50, 200, 200): ([], True),
        (400, 300, 250, 180): ([[500, 350, 540, 390]], False),
    }
    assert (added.positives, added.normals, added.mpp, added.replaced) == (2, 1, 0.25, 0)
    assert note_of(added, "Cells left out, outside all regions").endswith(": 2")
    assert note_of(added, "Rejected objects left out, outside all regions").endswith(": 1")
    assert files(tmp_path / "set")[-1] == "dataset.json"
    assert not [name for name in files(tmp_path / "set") if name.startswith(".")]


@pytest.mark.slow
def test_a_large_region_is_cut_and_only_its_parts_with_cells_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = make_slide(tmp_path / "large.png", size=(4200, 2100))
    corrected = write(
        tmp_path / "c.geojson",
        feature((0, 0, 4200, 2100), "Positive region"),
        feature((10, 10, 50, 50)),
        feature((4100, 2000, 4140, 2040)),
    )
    added = add(tmp_path / "set", large, corrected)
    assert sorted(images(tmp_path / "set")) == [(0, 0, 1400, 1050), (2800, 1050, 1400, 1050)]
    assert note_of(added, "without a cell").endswith(": 4")
    monkeypatch.setattr(slide_parts, "MAX_IMAGES", 1)
    with pytest.raises(AnnotationError, match="give 2 images, more than 1"):
        add(tmp_path / "other", large, corrected)


def test_a_normal_region_with_a_cell_in_it_is_a_positive_one(slide: Path, tmp_path: Path) -> None:
    corrected = write(
        tmp_path / "c.geojson",
        feature((100, 50, 300, 250), "Normal region"),
        feature((110, 60, 150, 100)),
        feature((200, 60, 240, 100), CELL, "detection", 0.9),
    )
    added = add(tmp_path / "set", slide, corrected)
    place = (100, 50, 200, 200)
    boxes, normal = images(tmp_path / "set")[place]
    assert (boxes.tolist(), normal) == ([[110, 60, 150, 100]], False)
    assert note_of(added, "declared normal, but with cells").endswith(": 1")
    assert note_of(added, "that are no cells").endswith("1, namely Signet ring cell")


WINDOWS = (
    feature((320, 100, 365, 140)),  # its centre is in the first window, its edge in the second
    feature((500, 100, 540, 140), "Ignore*"),
    feature((100, 400, 140, 440), "Ignore*"),
    feature((200, 300, 240, 340), CELL, "detection", 0.4),
    feature((500, 400, 540, 440), "Ignore*", "detection", 0.8),
)
"""A cell that reaches into the window of a false positive, one beside what nobody looked at, and one alone."""


def test_a_rejected_window_is_normal_only_where_somebody_looked_at_all(slide: Path, tmp_path: Path) -> None:
    corrected = write(tmp_path / "c.geojson", *WINDOWS)
    added = add(tmp_path / "set", slide, corrected, window=350)
    assert [(place, normal) for place, (_, normal) in images(tmp_path / "set").items()] == [((0, 0, 350, 250), False)]
    assert note_of(added, "where nobody said that all was looked through").endswith(": 3")
    assert note_of(added, "nobody said that they are cells").endswith("1, namely Signet ring cell")


QUARTERS = tuple((x, y, x + 350, y + 250) for y in (0, 250) for x in (0, 350))


def test_a_reviewed_region_is_normal_where_all_was_rejected_and_nothing_is_open(slide: Path, tmp_path: Path) -> None:
    regions = [feature(quarter, "Reviewed region") for quarter in QUARTERS]
    corrected = write(tmp_path / "c.geojson", *WINDOWS, *regions)
    added = add(tmp_path / "set", slide, corrected)
    assert {place: normal for place, (_, normal) in images(tmp_path / "set").items()} == {
        (0, 0, 350, 250): False,
        (350, 250, 350, 250): True,
    }
    assert note_of(added, "parts that are not taken for normal").endswith(": 2")
    assert note_of(added, "nobody said that they are cells").endswith("1, namely Signet ring cell")
    added = add(tmp_path / "set", slide, corrected, rejected_windows=False)
    assert (added.positives, added.normals, added.replaced) == (1, 0, 2)
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [600, 300]}}
    point |= {"properties": feature(QUARTERS[0])["properties"]}
    added = add(tmp_path / "set", slide, write(tmp_path / "p.geojson", *WINDOWS, *regions, point))
    assert (added.positives, added.normals) == (1, 0), "a point says that there is a cell"


def test_a_reviewed_part_in_which_nobody_marked_anything_is_left_out(slide: Path, tmp_path: Path) -> None:
    """A slide that was looked through is mostly glass: it must not become thousands of images."""
    whole = feature((0, 0, WIDTH, HEIGHT), "Reviewed region")
    with pytest.raises(AnnotationError, match="in which nobody marked anything: 1"):
        add(tmp_path / "set", slide, write(tmp_path / "c.geojson", whole))


@pytest.mark.parametrize(
    ("drawn", "options"),
    [
        ({"type": "Point", "coordinates": [200, 150]}, {}),
        ({"type": "Polygon", "coordinates": [[[120, 60], [290, 60], [290, 240], [120, 240], [120, 60]]]}, {"mpp": 1.0}),
        (
            {"type": "Polygon", "coordinates": [[[120, 60], [160, 60], [160, 90], [120, 90], [120, 60]]]},
            {"classes": (CELL,)},
        ),
    ],
)
def test_a_normal_region_in_which_somebody_drew_what_may_be_a_cell_teaches_nothing(
    slide: Path, tmp_path: Path, drawn: dict[str, Any], options: dict[str, Any]
) -> None:
    """A point, a cluster of cells, and a cell of a class that is not learnt."""
    name = "Other cell" if options.get("classes") else CELL
    odd = {"type": "Feature", "geometry": drawn, "properties": feature(QUARTERS[0], name)["properties"]}
    corrected = write(
        tmp_path / "c.geojson", feature((600, 400, 640, 440)), feature((100, 50, 300, 250), "Normal region"), odd
    )
    added = add(tmp_path / "set", slide, corrected, **options)
    assert (added.positives, added.normals) == (1, 0)
    assert note_of(added, "drew in them what may be a cell").endswith(": 1")


def test_only_what_is_inside_the_outline_of_a_normal_region_is_normal(slide: Path, tmp_path: Path) -> None:
    """The rectangle around an L holds a quarter of which nobody spoke, and a detection in it is not rejected."""
    corner = feature((100, 50, 500, 450), "Normal region")
    corner["geometry"]["coordinates"] = [
        [[100, 50], [500, 50], [500, 250], [300, 250], [300, 450], [100, 450], [100, 50]]
    ]
    open_ = feature((400, 350, 440, 390), CELL, "detection", 0.8)
    for kind in ("Normal region", "Normal"):
        corner["properties"]["classification"]["name"] = kind
        added = add(tmp_path / "set", slide, write(tmp_path / "c.geojson", corner, open_, feature((9, 9, 49, 49))))
        places = [place for place, (_, normal) in images(tmp_path / "set").items() if normal]
        assert not any(x + width > 300 and y + height > 250 for x, y, width, height in places)
        area = sum(width * height for _, _, width, height in places)
        assert 0.85 < area / (400 * 400 * 0.75) <= 1, "and hardly any of it is lost"
        assert note_of(added, "only rectangles inside them count").endswith(": 1")
        assert note_of(added, "nobody said that they are cells").endswith("1, namely Signet ring cell")


# ---- what is a cell -------------------------------------------------------------------------------------------------

SCORED = feature((100, 100, 140, 140), CELL, "detection", 0.9)
OTHER = feature((200, 200, 240, 240), CELL, "detection", 0.8)
DRAWN = feature((300, 300, 340, 340))


@pytest.mark.parametrize(
    ("features", "detections", "cells"),
    [
        ([SCORED, OTHER], None, 0),  # as the model wrote it: nobody looked
        ([SCORED, OTHER, DRAWN], None, 1),
        ([SCORED, OTHER, DRAWN], True, 3),
        ([SCORED, OTHER, DRAWN], False, 1),
        ([SCORED, OTHER, DRAWN, feature((90, 90, 350, 350), "Positive region")], None, 3),
        ([SCORED, OTHER, DRAWN, feature((150, 150, 350, 350), "ROI")], None, 2),
        ([SCORED, OTHER, feature((90, 90, 160, 160), "Normal region")], None, 0),
        ([SCORED, OTHER, feature((90, 90, 160, 160), "Normal region")], True, 1),
        ([SCORED, OTHER, feature((101, 101, 141, 141), "Ignore*")], True, 1),  # drawn over a false alarm
        ([SCORED, OTHER, feature((101, 101, 141, 141), "ignore: mucin")], True, 1),
        ([SCORED, OTHER, feature((100, 100, 140, 140), "Rejected", "detection", 0.9)], True, 1),
        ([SCORED, feature((110, 110, 170, 170), "Ignore*", "annotation", 0.4), OTHER], True, 2),  # a cell's second box
        ([SCORED, feature((110, 110, 170, 170), "Ignore*", "detection"), OTHER], True, 2),  # without its score
        ([SCORED, feature((102, 100, 142, 140))], True, 1),  # a better box for the same cell
        ([SCORED, DRAWN, DRAWN], True, 2),
        ([feature((100, 100, 140, 140), CELL, "cell", 0.9), DRAWN], None, 1),  # QuPath's own detection of cells
        ([feature((100, 100, 140, 140), CELL, "detection"), DRAWN], None, 1),  # exported without measurements
        ([feature((100, 100, 140, 140), CELL, "detection", float("nan")), DRAWN], None, 1),
        ([feature((100, 100, 140, 140), CELL, "detection", float("inf")), DRAWN], None, 1),
        ([feature((100, 100, 140, 140), CELL, "detection", "-Infinity"), DRAWN], None, 1),
        ([feature((100, 100, 140, 140), CELL, "annotation", 0.9), DRAWN], None, 2),  # confirmed, whatever it measures
        ([SCORED, OTHER, feature((90, 90, 350, 350), "Reviewed region"), DRAWN], None, 1),
        ([SCORED, OTHER, feature((90, 90, 500, 450), None), DRAWN], None, 1),  # a region, but of what?
        ([DRAWN, feature((300, 300, 340, 340), "Ignore*"), feature((9, 9, 49, 49))], None, 1),  # two people disagree
    ],
)
def test_which_detections_are_cells(
    slide: Path, tmp_path: Path, features: Sequence[dict[str, Any]], detections: bool | None, cells: int
) -> None:
    corrected = write(tmp_path / "c.geojson", *features)
    if not cells:
        features = [*features, feature((640, 440, 680, 480))]  # or there would be nothing to learn from
        corrected = write(tmp_path / "c.geojson", *features)
        cells = 1
    added = add(tmp_path / "set", slide, corrected, detections=detections)
    assert added.cells == {CELL: cells}
    assert sum(len(boxes) for boxes, _ in images(tmp_path / "set").values()) == cells


def test_classes(slide: Path, tmp_path: Path) -> None:
    """Names stay; what has none is of the only class; what is too large or has no area is no cell."""
    mixed = [
        feature((100, 100, 140, 140)),
        feature((200, 200, 240, 240), "Mitosis"),
        feature((300, 300, 340, 340), None),
    ]
    corrected = write(tmp_path / "c.geojson", *mixed)
    added = add(tmp_path / "set", slide, corrected)
    assert added.cells == {"Mitosis": 1, CELL: 1}
    assert note_of(added, "without a class left out").endswith("1, namely no class")
    assert sorted(read_dataset(tmp_path / "set", classes=["mitosis", CELL]).class_names) == ["Mitosis", CELL]
    added = add(tmp_path / "set", slide, corrected, classes=("MITOSIS",))
    assert added.cells == {"Mitosis": 2}
    assert note_of(added, "other classes").endswith("1, namely Signet ring cell")
    with pytest.raises(AnnotationError, match=r"no object of the class 'goblet'; .* Mitosis, Signet ring cell"):
        add(tmp_path / "set", slide, corrected, classes=("Goblet",))
    nameless = write(tmp_path / "n.geojson", feature((100, 100, 140, 140), None))
    assert add(tmp_path / "set", slide, nameless).cells == {CELL: 1}
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [9, 9]}, "properties": {}}
    odd = write(tmp_path / "o.geojson", point, feature((0, 0, 500, 450), "Tumor"), DRAWN)
    added = add(tmp_path / "set", slide, odd)
    assert added.cells == {CELL: 1}
    assert note_of(added, "larger than 100 µm").endswith("1, namely Tumor")
    assert note_of(added, "without an area").endswith("1, namely no class")


def test_a_large_annotation_without_a_class_is_a_region(slide: Path, tmp_path: Path) -> None:
    corrected = write(tmp_path / "c.geojson", feature((50, 50, 500, 450), None), DRAWN, SCORED)
    added = add(tmp_path / "set", slide, corrected)
    assert [(place, len(boxes)) for place, (boxes, _) in images(tmp_path / "set").items()] == [((50, 50, 450, 400), 1)]
    assert note_of(added, "taken for regions").endswith(": 1")
    assert note_of(added, "nobody said that they are cells").endswith("1, namely Signet ring cell")


def test_what_is_suspicious_about_the_slide_is_said_once(tmp_path: Path) -> None:
    """Also by what reads slides to train on."""
    pixels = np.full((600, 700, 3), 200, np.uint8)
    images = tmp_path / "images"
    images.mkdir()
    path = images / "s.svs"
    tifffile.imwrite(path, pixels, tile=(256, 256), photometric="rgb", resolution=(40000, 20000), resolutionunit=3)
    region = feature((50, 50, 500, 450), "Region*")
    corrected = write(images / "s.geojson", region, DRAWN)
    with open_slide(path) as slide:
        (concern,) = slide.concerns
    said = f"Slides in doubt, because {concern.message}: 1, namely s.svs"
    assert add_slide(tmp_path / "set", path, [corrected]).notes.count(said) == 1
    assert read_dataset(images, mpp=0.5).warnings.count(said) == 1


def test_several_files_of_a_slide_are_one(slide: Path, tmp_path: Path) -> None:
    """What the model wrote and what the reader exported: an object in both is one."""
    first = write(tmp_path / "raw.geojson", SCORED, OTHER)
    second = write(tmp_path / "read.geojson.gz", feature((100, 100, 140, 140), "Ignore*", "detection", 0.9), OTHER)
    assert add(tmp_path / "set", slide, first, second, detections=True).cells == {CELL: 1}


def test_a_file_that_says_nothing_of_a_detection_does_not_reject_it(slide: Path, tmp_path: Path) -> None:
    """As an earlier viewer saved it: two accepted, one rejected, and none of the others in the file."""
    corrected = write(
        tmp_path / "c.geojson",
        feature((10, 10, 50, 50), score=0.9),
        feature((80, 10, 120, 50), score=0.8),
        feature((600, 400, 640, 440), "Ignore*", score=0.7),
    )
    added = add(tmp_path / "set", slide, corrected, window=350)
    assert (added.positives, added.normals, added.cells) == (1, 0, {CELL: 2})
    assert note_of(added, "a person drew or confirmed them").endswith("2, namely Signet ring cell (2)")
    assert note_of(added, "where nobody said that all was looked through").endswith(": 1")


WRITTEN = Path(__file__).parents[2] / "shared" / "data" / "qupath-written"
SAMPLE = Path(__file__).parent / "data" / "sample.svs"


@pytest.mark.parametrize(
    "name",
    ["corr_noregion.geojson", "corr_noregion_nomeas.geojson", "v0.8.0-snapshot/corr-noregion.geojson",
     "v0.8.0-snapshot/corr-noregion-nomeas.geojson"],
)  # fmt: skip
def test_what_qupath_exports_confirms_the_same_with_or_without_measurements(tmp_path: Path, name: str) -> None:
    """One cell drawn, one detection rejected, 89 left as they were."""
    if not (WRITTEN / name).exists():
        pytest.skip(f"needs {WRITTEN / name}, which QuPath wrote")
    added = add(tmp_path / "set", SAMPLE, WRITTEN / name, mpp=None)
    assert (added.cells, added.normals) == ({CELL: 1}, 0)
    assert note_of(added, "nobody said that they are cells").endswith("89, namely Signet ring cell (89)")


# ---- growing --------------------------------------------------------------------------------------------------------


def test_a_slide_added_again_is_replaced_and_others_stay(slide: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    second = make_slide(tmp_path / "other.png", seed=1)
    one = write(tmp_path / "one.geojson", feature((10, 10, 50, 50)), feature((600, 400, 640, 440)))
    add(folder, slide, one, window=350)
    add(folder, second, one)
    before = files(folder)
    assert len(before) == 2 * 2 + 2 + 1
    dataset = read_dataset(folder)
    assert {image.slide for image in dataset.images} == {"biopsy", "other"}
    assert not [line for line in dataset.warnings if "names" in line or "um wide" in line]
    os.utime(one, (10**9, 10**9))  # the name tells when corrections were made
    added = add(folder, slide, one)
    assert (added.positives, added.replaced) == (1, 2)
    assert "biopsy_2001-09-09 01_46_40-lv0-0-0-700-500.png" in files(folder)
    assert len(files(folder)) == 2 + 2 + 1
    assert add(folder, slide, one).replaced == 1
    assert add(folder, slide, one, name="by another name").replaced == 1
    assert {image.slide for image in read_dataset(folder).images} == {"by another name", "other"}
    record = json.loads((folder / "dataset.json").read_text())
    assert sorted(record["slides"]) == ["by another name", "other"]
    assert str(tmp_path) not in (folder / "dataset.json").read_text()
    with pytest.raises(OptionError, match="another slide already has the name other"):
        add(folder, slide, one, name="OTHER")


def test_what_a_killed_run_left_is_mended(slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the old images went and one new one came, or while new ones were made."""
    folder, corrected = tmp_path / "set", write(tmp_path / "c.geojson", DRAWN, feature((600, 10, 640, 50)))
    add(folder, slide, corrected, window=350)
    good = files(folder)
    os.utime(corrected, (10**9, 10**9))
    with monkeypatch.context() as patched:

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        patched.setattr(image_writing, "_write_parts", interrupted)
        with pytest.raises(KeyboardInterrupt):
            add(folder, slide, corrected, window=350)
        assert files(folder) == good, "nothing was touched"
    (folder / ".adding-killed").mkdir()
    (folder / ".adding-killed" / "half.png").write_bytes(b"x")
    with monkeypatch.context() as patched:
        moves: list[Path] = []
        real = Path.replace

        def stopped(self: Path, target: Path) -> Path:
            if self.suffix in {".png", ".geojson"} and self.parent.name.startswith(".adding"):
                if len(moves) == 1:
                    raise KeyboardInterrupt
                if target.parent == folder:
                    moves.append(self)
            return real(self, target)

        patched.setattr(Path, "replace", stopped)
        with pytest.raises(KeyboardInterrupt):
            add(folder, slide, corrected, window=350)
    assert len([name for name in files(folder) if name.endswith(".png")]) == 1
    add(folder, slide, corrected, window=350)
    assert len(files(folder)) == len(good)
    assert len(images(folder)) == 2


def test_nothing_is_changed_by_what_is_refused(slide: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    add(folder, slide, write(tmp_path / "c.geojson", DRAWN))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name, features in (("empty", []), ("rejected", [feature((1, 1, 30, 30), "Ignore*"), SCORED])):
        with pytest.raises(AnnotationError, match="nothing to learn from"):
            add(folder, slide, write(tmp_path / f"{name}.geojson", *features), detections=False, rejected_windows=False)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_slides_of_other_pixels_are_resampled(slide: Path, tmp_path: Path) -> None:
    """A slide of pixels half as wide is halved, and its boxes with it; the data set knows its mpp."""
    folder = tmp_path / "set"
    corrected = write(tmp_path / "c.geojson", feature((100, 100, 180, 160)))
    assert add(folder, slide, corrected, mpp=0.5).mpp == 0.5
    assert read_dataset(folder).mpp == 0.5
    assert read_dataset(folder, mpp=0.3).mpp == 0.3
    fine = make_slide(tmp_path / "fine.png", seed=3)
    added = add(folder, fine, corrected, mpp=0.25)
    assert added.mpp == 0.5
    (image,) = [image for image in read_dataset(folder).images if image.slide == "fine"]
    assert (image.width, image.height, image.boxes.tolist()) == (350, 250, [[50, 50, 90, 80]])
    assert image.path.name.endswith("-lv0-0-0-700-500.png")
    halved = read_image(fine).reshape(250, 2, 350, 2, 3).mean(axis=(1, 3))
    assert np.abs(read_image(image.path) - halved).max() <= 1
    with pytest.raises(OptionError, match=r"0.5 µm wide, not 0.25"):
        add(folder, fine, corrected, image_mpp=0.25)
    assert add(tmp_path / "own", fine, corrected, image_mpp=0.4).mpp == 0.4


def test_coordinates_count_from_the_bounds_unless_told_otherwise(
    slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_bounds(path: Path, *, mpp: float | None = None) -> Any:  # noqa: ANN401
        opened: Any = open_slide(path, mpp=mpp)
        opened.bounds = Bounds(100, 50, 500, 400)
        return opened

    monkeypatch.setattr(add_module, "open_slide", with_bounds)
    corrected = write(tmp_path / "c.geojson", feature((10, 20, 50, 60)), feature((0, 0, 200, 100), "Region*"))
    add(tmp_path / "set", slide, corrected)
    ((place, (boxes, _)),) = images(tmp_path / "set").items()
    assert (place, boxes.tolist()) == ((100, 50, 200, 100), [[110, 70, 150, 110]])
    add(tmp_path / "set", slide, corrected, bounds_crop=False)
    ((place, (boxes, _)),) = images(tmp_path / "set").items()
    assert (place, boxes.tolist()) == ((0, 0, 200, 100), [[10, 20, 50, 60]])


# ---- names ----------------------------------------------------------------------------------------------------------


@given(st.text(min_size=1, max_size=300))
def test_any_name_is_one_visible_part_of_a_path(text: str) -> None:
    try:
        name = safe_name(text)
    except OptionError:
        return
    stem = f"{name}_2019-02-25 21_57_36-lv0-1-2-3-4"
    assert not set(name) & set('/\\:*?"<>|\0\n')
    assert not name.startswith(".")
    assert 0 < len(name.encode()) <= MAX_NAME_BYTES
    assert Path(f"{stem}.png").name == f"{stem}.png"
    assert slide_of(stem) == name
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "name", ["../../escape", "a b/c", "Ünï ♥ 标本", "x" * 250, "..hidden", "S_2019-02-25 21_57_36-lv0-1-2-3-4", "a\nb"]
)
def test_hostile_names_stay_in_the_folder(slide: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in" / "set"
    added = add(folder, slide, write(tmp_path / "c.geojson", DRAWN), name=name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.geojson", "in"]
    (image,) = read_dataset(folder).images
    assert image.slide == added.name
    assert image.path.parent == folder
    assert add(folder, slide, write(tmp_path / "c.geojson", DRAWN), name=name).replaced == 1


def test_names_of_nothing_are_refused(slide: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot name a slide's images"):
        add(tmp_path / "set", slide, write(tmp_path / "c.geojson", DRAWN), name="//")


# ---- the command ----------------------------------------------------------------------------------------------------


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["dataset", "add", *map(str, arguments)])


def test_the_command_says_what_it_wrote_and_left_out(slide: Path, tmp_path: Path) -> None:
    corrected = write(tmp_path / "c.geojson", SCORED, DRAWN, feature((600, 400, 640, 440), "Ignore*"))
    words = (slide, corrected, "--out", tmp_path / "set", "--mpp", 0.25, "--window", 350)
    result = run(*words)
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        f"{tmp_path / 'set'}: added biopsy at 0.25 µm/px: 1 image with cells (Signet ring cell: 1)\n"
    )
    reason = "because nobody said that they are cells: 1, namely Signet ring cell."
    assert result.stderr.splitlines()[-3:] == [
        "Note: Annotations taken for cells, because a person drew or confirmed them: 1, namely Signet ring cell.",
        f"Note: Detections left out, {reason}",
        "Note: Rejected objects left out, where nobody said that all was looked through: 1.",
    ]
    again = run(*words, "--detections", "--json", "--quiet")
    shown = json.loads(again.stdout)
    assert (shown["cells"], shown["replaced"], shown["normals"]) == ({CELL: 2}, 1, 0)
    assert again.stderr == ""


FILES: dict[str, tuple[str, str]] = {
    "no json": ("c.geojson", "x"),
    "outside": ("c.geojson", json.dumps([feature((9000, 9000, 9040, 9040))])),
    "nothing": ("c.geojson", "[]"),
    "out is a file": ("set", "x"),
    "out is of others": ("set/holiday.jpg", "x"),
    "out is simulated": ("set/dataset.json", '{"signetscan": "1", "options": {}}'),
    "bad mpp": ("set/dataset.json", '{"signetscan": "1", "mpp": -1, "slides": {}}'),
}
"""A file to write over what is good, and its content."""


def broken(folder: Path, slide: Path, kind: str) -> tuple[Path, Path, Path]:
    """A slide, a file and a folder, one of which cannot be used."""
    good = write(folder / "c.geojson", DRAWN)
    if kind in FILES:
        path = folder / FILES[kind][0]
        path.parent.mkdir(exist_ok=True)
        path.write_text(FILES[kind][1])
    slides = {"slide": good, "no slide": folder / "no.svs"}
    corrected = folder / "no.geojson" if kind == "no file" else good
    return slides.get(kind, slide), corrected, folder / "set"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("slide", "not a slide"),
        ("no slide", "no such file"),
        ("no file", "cannot read the annotations"),
        ("no json", "c.geojson"),
        ("outside", "no object lies on biopsy.png of 700 x 500 px"),
        ("nothing", "nothing to learn from: they have no object"),
        ("out is a file", "a file, not a folder"),
        ("out is of others", "not empty, and not a data set of slides"),
        ("out is simulated", "not empty, and not a data set of slides"),
        ("bad mpp", "mpp must be above 0 and at most 10 µm, not -1"),
    ],
)
def test_what_cannot_be_used_ends_in_one_line(slide: Path, tmp_path: Path, kind: str, said: str) -> None:
    chosen, corrected, out = broken(tmp_path, slide, kind)
    before = files(out) if out.is_dir() else None
    result = run(chosen, corrected, "--out", out, "--mpp", 0.25)
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    assert said in last
    assert "Traceback" not in result.stderr
    assert (files(out) if out.is_dir() else None) == before


def test_without_mpp_it_says_so(slide: Path, tmp_path: Path) -> None:
    result = run(slide, write(tmp_path / "c.geojson", DRAWN), "--out", tmp_path / "set")
    assert result.exit_code == 1
    assert "--mpp" in result.stderr
    result = run(slide, tmp_path / "c.geojson", "--out", tmp_path / "set", "--mpp", 0.25, "--window", 9)
    assert result.exit_code == 2
    assert "'--window': 9 is not in the range 64<=x<=4000" in result.stderr


def test_a_folder_that_cannot_be_written_is_said(slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(OutputError, match="No space left"):
        add(tmp_path / "set", slide, write(tmp_path / "c.geojson", DRAWN))


def test_images_with_a_record_that_others_wrote_are_read_as_before(tmp_path: Path) -> None:
    """A file of the name dataset.json is no record unless it is one."""
    Image.fromarray(np.full((100, 120, 3), 200, np.uint8)).save(tmp_path / "a.png")
    write(tmp_path / "a.geojson", feature((10, 10, 50, 50)))
    for content in ("x", "[]", "{}", '{"mpp": 9}', '{"signetscan": "1", "totals": {}}', "[" * 10**5):
        (tmp_path / "dataset.json").write_text(content)
        assert read_dataset(tmp_path).mpp == 0.25


def test_a_tiff_that_says_its_mpp_needs_no_option(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (400, 300, 3), np.uint8)
    tifffile.imwrite(
        tmp_path / "s.tif", pixels, tile=(64, 64), resolution=(1e4 / 0.2525, 1e4 / 0.2525), resolutionunit="CENTIMETER"
    )
    added = add(tmp_path / "set", tmp_path / "s.tif", write(tmp_path / "c.geojson", feature((9, 9, 49, 49))), mpp=None)
    assert added.mpp == pytest.approx(0.2525, abs=1e-4)
    ((place, (boxes, _)),) = images(tmp_path / "set").items()
    assert (place, boxes.tolist()) == ((0, 0, 300, 400), [[9, 9, 49, 49]])
    np.testing.assert_array_equal(read_image(next((tmp_path / "set").glob("*.png"))), pixels)


def test_the_command_takes_classes_by_name(slide: Path, tmp_path: Path) -> None:
    corrected = write(
        tmp_path / "c.geojson", DRAWN, feature((300, 300, 340, 340), "Tumor"), feature((400, 300, 440, 340), "Fat")
    )
    words = (slide, corrected, "--out", tmp_path / "set", "--mpp", 0.25, "--json", "--class", CELL, "--class", "tumor")
    assert json.loads(run(*words).stdout)["cells"] == {CELL: 1, "Tumor": 1}
