"""Cells composed into real tissue: against tissue made here, of which every nucleus is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from signetscan.errors import AnnotationError
from signetscan.simulate.camera import Camera
from signetscan.simulate.canvas import HAEM
from signetscan.simulate.composed import _compose_cell, compose_cells, random_family
from signetscan.simulate.crypts import columns_of
from signetscan.simulate.decoys import PER_MEGAPIXEL, scatter_decoys
from signetscan.simulate.field import compose_field, visible_boxes
from signetscan.simulate.image_set import load_backgrounds
from signetscan.simulate.mucin import Mucin, MucinKind, fill_with_mucin
from signetscan.simulate.noise import step
from signetscan.simulate.real_canvas import RealCanvas
from signetscan.simulate.stain import make_stain
from signetscan.simulate.swelling import REACH, Vacuole, swell
from signetscan.stains import EOSIN, HAEMATOXYLIN

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.simulate.decoys import Decoy

NUCLEI = [(60, 60), (150, 70), (240, 60), (70, 160), (160, 150), (250, 160), (60, 250), (150, 240), (245, 250)]
"""Middles (x, y) of the nuclei of `tissue`."""
RADIUS = 14
GLASS = 285
"""Row at which the glass begins."""


def tissue(seed: int = 0, nuclei: list[tuple[int, int]] = NUCLEI) -> RealCanvas:
    """Pink tissue of 300 x 300 px with round nuclei of a radius of 14 px, and a strip of glass below."""
    rng = np.random.default_rng(seed)
    amounts = np.zeros((3, 300, 300), np.float32)
    amounts[0], amounts[1] = 0.1, 0.5
    amounts[:, GLASS:] = 0
    amounts[:2] += rng.normal(0, 0.01, (2, 300, 300))
    rows, columns = np.indices((300, 300))
    for x, y in nuclei:
        amounts[HAEM] += np.clip(RADIUS + 0.5 - np.hypot(columns + 0.5 - x, rows + 0.5 - y), 0, 1)
    return RealCanvas(rng, amounts)


def test_the_nuclei_of_an_image_are_found_where_they_are() -> None:
    nuclei = tissue().nuclei
    assert len(nuclei.radii) == len(NUCLEI)
    distance = np.linalg.norm(nuclei.centres[:, None] - np.array(NUCLEI), axis=2)
    assert distance.min(axis=0).max() < 1
    np.testing.assert_allclose(nuclei.radii, RADIUS, rtol=0.1)


def test_two_nuclei_that_touch_are_two() -> None:
    assert len(tissue(nuclei=[(100, 100), (125, 100)]).nuclei.radii) == 2


def test_tissue_without_nuclei_has_none() -> None:
    assert len(tissue(nuclei=[]).nuclei.radii) == 0


@pytest.mark.parametrize(("away", "radius"), [(14, 18), (20, 25), (17, 22)])
def test_what_is_pressed_aside_keeps_its_area_and_becomes_a_crescent(away: int, radius: int) -> None:
    canvas = tissue()
    number = int(canvas.nuclei.labels[150, 160])
    before = np.count_nonzero(canvas.nuclei.labels == number)
    swell(canvas, Vacuole(x=160 + away, y=150, radius=radius, wobble=0.0))
    inside = canvas.nuclei.labels == number
    rows, columns = np.nonzero(inside)
    assert np.hypot(columns + 0.5 - 160 - away, rows + 0.5 - 150).min() > radius - 1.5, "the vacuole itself is free"
    assert abs(int(inside.sum()) - before) < 0.2 * before
    assert np.ptp(rows) > 1.1 * np.ptp(columns), "it lies beside the vacuole, and is longer along it than it is thick"


def test_the_pressure_ends_where_it_is_said_to() -> None:
    canvas = tissue()
    before = canvas.amounts.copy()
    swell(canvas, Vacuole(x=160, y=150, radius=25, wobble=0.0))
    rows, columns = np.indices((300, 300)) + 0.5
    outside = np.hypot(columns - 160, rows - 150) > REACH * 25
    np.testing.assert_allclose(canvas.amounts[:, outside], before[:, outside], atol=1e-5)
    assert np.abs(canvas.amounts - before)[:, ~outside].max() > 0.5


@pytest.mark.parametrize("seed", range(6))
def test_the_box_holds_the_vacuole_and_the_nucleus(seed: int) -> None:
    """A single cell in tissue with one nucleus: all that is not pink any more is the cell."""
    canvas = tissue(seed, nuclei=[(150, 150)])
    family = replace(random_family(canvas.rng), mucin=np.eye(5)[0], rim=0.0, hidden=0.0, size=1.2)
    areas = compose_cells(canvas, family)
    assert list(areas) == [1]
    (box,) = visible_boxes(canvas.owner, areas)
    changed = (canvas.amounts[HAEM] > 0.6) | (canvas.amounts[1] < 0.3)
    rows, columns = np.nonzero(changed[:GLASS])
    seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    np.testing.assert_allclose(box, seen, atol=5)


def test_cells_of_a_field_lie_at_its_nuclei_and_do_not_open_inside_each_other() -> None:
    canvas = tissue(3)
    boxes = visible_boxes(canvas.owner, compose_cells(canvas, replace(random_family(canvas.rng), size=0.8)))
    assert len(boxes) >= 2
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert np.linalg.norm(middles[:, None] - np.array(NUCLEI), axis=2).min(axis=1).max() < 50
    apart = np.linalg.norm(middles[:, None] - middles, axis=2) + 1e9 * np.eye(len(middles))
    assert apart.min() > 20


def test_where_there_is_no_room_no_cell_swells() -> None:
    canvas = tissue()
    before = canvas.amounts.copy()
    canvas.tissue[:] = False
    assert compose_cells(canvas) == {}
    np.testing.assert_array_equal(canvas.amounts, before)


def test_cells_in_a_crowd_of_nuclei_keep_apart_and_on_the_image() -> None:
    crowd = [(x, y) for x in range(10, 300, 34) for y in range(10, GLASS - 10, 34)]
    for seed in range(3):
        canvas = tissue(seed, crowd)
        family = replace(random_family(canvas.rng), size=1.3)
        areas = compose_cells(canvas, family)
        assert sorted(areas) == list(range(1, len(areas) + 1)), "each has a number of its own"
        assert min(areas.values()) > 0
        middles = [np.argwhere(canvas.owner == identity).mean(axis=0) for identity in areas if identity in canvas.owner]
        apart = [np.hypot(*(a - b)) for number, a in enumerate(middles) for b in middles[:number]]
        assert min(apart, default=99.0) > 15


@pytest.mark.parametrize("nuclei", [NUCLEI, []], ids=["nuclei elsewhere", "no nuclei"])
def test_a_cell_away_from_all_nuclei_gets_a_copy_of_one_where_there_are_any(nuclei: list[tuple[int, int]]) -> None:
    canvas = tissue(1, nuclei)
    family = replace(random_family(canvas.rng), mucin=np.eye(5)[0], rim=0.0, hidden=1.0)
    vacuole = Vacuole(x=105, y=112, radius=20, wobble=0.0)
    rows, columns = np.indices((300, 300))
    around = np.hypot(columns + 0.5 - vacuole.x, rows + 0.5 - vacuole.y) < 1.5 * vacuole.radius
    assert canvas.amounts[HAEM][around].max() < 0.5, "no nucleus lies here"
    assert _compose_cell(canvas, vacuole, family, 1) >= int(np.pi * 20**2)
    assert (canvas.owner == 1).any()
    assert (canvas.amounts[HAEM][around].max() > 0.7) == bool(nuclei)


def test_a_cell_beside_the_image_is_none() -> None:
    canvas = tissue()
    before = canvas.amounts.copy()
    vacuole = Vacuole(x=-900, y=-900, radius=20, wobble=0.0)
    assert _compose_cell(canvas, vacuole, random_family(canvas.rng), 1) == 0
    np.testing.assert_array_equal(canvas.amounts, before)
    assert not canvas.owner.any()


def plain() -> Camera:
    return Camera(blur=0, defocus=0, fringe=0, banding=0, noise=0, jpeg_quality=90)


def test_the_same_seed_composes_the_same_field() -> None:
    stain = make_stain(HAEMATOXYLIN, EOSIN, haematoxylin=1.0, eosin=1.0, glass=np.full(3, 245.0))
    one, two, without = (
        compose_field(tissue(5), stain=stain, camera=plain(), with_cells=with_cells)
        for with_cells in (True, True, False)
    )
    assert (one.image == two.image).all()
    assert one.boxes.tolist() == two.boxes.tolist()
    assert (one.boxes[:, :2] >= 0).all()
    assert (one.boxes[:, 2:] <= 300).all()
    assert without.boxes.shape == (0, 4)


@pytest.mark.parametrize("kind", list(MucinKind))
def test_mucin_has_its_amounts_within_the_vacuole_only(kind: MucinKind) -> None:
    canvas = tissue()
    before = canvas.amounts.copy()
    window = canvas.window(110, 110, 40)
    assert window is not None
    depth = np.asarray(25 - np.hypot(window.dx, window.dy), np.float32)
    mucin = Mucin(kind=kind, haem=0.4, eosin=0.2, grain=0.5)
    fill_with_mucin(canvas, window, step(depth, 1.0), depth, mucin)
    inside = np.zeros((300, 300), np.bool_)
    inside[window.rows, window.columns] = depth > -0.5
    np.testing.assert_array_equal(canvas.amounts[:, ~inside], before[:, ~inside])
    inside[window.rows, window.columns] = depth > 2
    haem, eosin = canvas.amounts[:2, inside]
    assert 0.25 < haem.mean() < 0.7
    assert 0.1 < eosin.mean() < 0.35
    assert min(haem.min(), eosin.min()) >= 0


def test_nothing_is_painted_paler_than_a_field_without_glass_is() -> None:
    canvas = tissue()
    canvas.palest[:] = 0.1, 0.4, 0.0
    window = canvas.window(110, 110, 40)
    assert window is not None
    depth = np.asarray(25 - np.hypot(window.dx, window.dy), np.float32)
    clear = Mucin(kind=MucinKind.CLEAR, haem=0.0, eosin=0.0, grain=0.0)
    fill_with_mucin(canvas, window, step(depth, 1.0), depth, clear)
    assert canvas.amounts[1, window.rows, window.columns][depth > 1].min() > 0.3


@pytest.mark.parametrize("decoy", list(PER_MEGAPIXEL), ids=lambda decoy: decoy.__name__)
def test_a_decoy_changes_the_tissue_and_is_no_cell(decoy: Decoy) -> None:
    canvas = tissue()
    canvas.owner[140:160, 150:170] = 7
    before = canvas.amounts.copy()
    decoy(canvas, 160, 150, RADIUS)
    assert np.abs(canvas.amounts - before).max() > 0.05
    assert np.isfinite(canvas.amounts).all()
    assert set(np.unique(canvas.owner)) <= {0, 7}


@pytest.mark.parametrize("decoy", list(PER_MEGAPIXEL), ids=lambda decoy: decoy.__name__)
def test_beside_the_image_there_is_no_decoy(decoy: Decoy) -> None:
    canvas = tissue()
    before = canvas.amounts.copy()
    decoy(canvas, -5000, -5000, RADIUS)
    np.testing.assert_array_equal(canvas.amounts, before)


def test_fields_have_decoys_in_numbers_that_vary() -> None:
    changed = []
    for seed in range(8):
        canvas = tissue(seed)
        before = canvas.amounts.copy()
        scatter_decoys(canvas)
        changed.append(float((np.abs(canvas.amounts - before).max(axis=0) > 0.05).mean()))
    assert max(changed) > 0.05
    assert np.std(changed) > 0.01


@pytest.mark.parametrize(("length", "tilt"), [(0.0, 0.3), (120.0, 1.1)])
def test_the_cells_of_a_crypt_stand_side_by_side_and_face_its_lumen(length: float, tilt: float) -> None:
    columns = columns_of(100, 90, 60, length, tilt, 20)
    points = np.array([(column.x, column.y) for column in columns])
    gaps = np.linalg.norm(points - np.roll(points, -1, axis=0), axis=1)[:-1]
    assert gaps.min() > 18.5
    assert gaps.max() < 20.5
    axis = np.array([np.cos(tilt), np.sin(tilt)])
    for column, point in zip(columns, points, strict=True):
        ahead = point + 60 * np.array([np.cos(column.inward), np.sin(column.inward)]) - np.array([100, 90])
        along = np.clip(ahead @ axis, -length / 2, length / 2)
        assert np.linalg.norm(ahead - along * axis) < 1e-6, "60 px ahead lies the lumen's line"


def test_backgrounds_may_be_a_folder_of_images(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "notes.txt"):
        if name.endswith("txt"):
            (tmp_path / name).write_text("not an image")
        else:
            Image.fromarray(np.full((40, 50, 3), 90, np.uint8)).save(tmp_path / name)
    assert [image.shape for image in load_backgrounds((tmp_path,))] == [(40, 50, 3)] * 2
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(AnnotationError, match="no image in this folder"):
        load_backgrounds((empty,))
