"""Outlines of regions: exact before they are simplified, valid and without gaps after it, whatever the bands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from signetscan.models.placement import Placement
from signetscan.scan import regions as regions_module
from signetscan.scan.class_map import ClassMap
from signetscan.scan.options import ResolvedSegmentOptions, SegmentOptions
from signetscan.scan.regions import TissueRegions, regions_of
from signetscan.testing.specs import make_segmentation_spec

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIXEL = (8.0, 8.0)


class Described:
    """What options need to know of a model."""

    sha256 = ""
    runs_on = Placement(name="CPU", on_gpu=False)
    spec = make_segmentation_spec()

    def segment(self, tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
        raise NotImplementedError


def options(*, min_area: float = 0, min_hole: float = 0, simplify: float = 0) -> ResolvedSegmentOptions:
    return SegmentOptions(min_area=min_area, min_hole=min_hole, simplify=simplify).resolve(Described())


def map_of(classes: NDArray[np.uint8], scored: NDArray[np.uint8] | None = None) -> ClassMap:
    return ClassMap(
        classes=classes,
        scored=np.zeros_like(classes) if scored is None else scored,
        pixel=PIXEL,
        pixel_um=(1.0, 1.0),
    )


def outlined(
    class_map: ClassMap,
    how: ResolvedSegmentOptions,
    *,
    band: int = 512,
    most_lines: int = 1_000_000,
    size: tuple[int, int] | None = None,
) -> TissueRegions:
    """All regions of the classes 1 and 2 of a map, that is of the values 2 and 3."""
    rows, columns = class_map.classes.shape
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions_module, "BAND", band)
        patch.setattr(regions_module, "MOST_LINES", most_lines)
        size = size or (columns * 8, rows * 8)
        parts = list(regions_of(class_map, [1, 2], how, size))
    none = TissueRegions(
        polygons=np.zeros(0, object), labels=np.zeros(0, int), areas_px=np.zeros(0), probabilities=np.zeros(0)
    )
    parts = parts or [none]
    return TissueRegions(
        polygons=np.concatenate([part.polygons for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        areas_px=np.concatenate([part.areas_px for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
    )


def drawn_back(found: TissueRegions, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The map that regions make, by asking for the centre of each pixel; 0 where there is none."""
    rows, columns = shape
    y, x = (np.indices((rows, columns)) + 0.5) * 8
    points = shapely.points(x.ravel(), y.ravel())
    back = np.zeros(rows * columns, np.uint8)
    for polygon, label in zip(found.polygons, found.labels, strict=True):
        inside = shapely.contains(polygon, points)
        assert not back[inside].any(), "regions overlap"
        back[inside] = label + 1
    return back.reshape(rows, columns)


def pieces_of(classes: NDArray[np.uint8]) -> list[tuple[int, int, NDArray[np.bool_]]]:
    """Value, pixels and mask of each piece of the values 2 and 3."""
    found = []
    for value in (2, 3):
        labels, count = ndimage.label(classes == value)
        found += [(value, int((labels == index).sum()), labels == index) for index in range(1, count + 1)]
    return found


maps = arrays(np.uint8, st.tuples(st.integers(1, 14), st.integers(1, 12)), elements=st.sampled_from([0, 1, 2, 3, 255]))


@settings(max_examples=50)
@given(maps, st.integers(1, 6))
def test_outlines_are_those_of_the_pixels_whatever_the_bands(classes: NDArray[np.uint8], band: int) -> None:
    scored = (classes.astype(int) * 40 % 256).astype(np.uint8)
    found = outlined(map_of(classes, scored), options(), band=band)
    assert shapely.is_valid(found.polygons).all()
    np.testing.assert_array_equal(
        drawn_back(found, classes.shape), np.where((classes > 1) & (classes < 255), classes, 0)
    )
    expected = sorted((value - 1, pixels * 64.0) for value, pixels, _ in pieces_of(classes))
    assert sorted(zip(found.labels.tolist(), found.areas_px.tolist(), strict=True)) == expected
    means = {1: 80 / 255, 2: 120 / 255}
    assert found.probabilities == pytest.approx([means[label] for label in found.labels.tolist()])


@settings(max_examples=50)
@given(maps, st.integers(1, 6), st.floats(0.3, 4))
def test_simplified_outlines_do_not_overlap_and_those_that_touched_still_do(
    classes: NDArray[np.uint8], band: int, simplify: float
) -> None:
    exact, found = (outlined(map_of(classes), options(simplify=how), band=band) for how in (0, simplify))
    assert shapely.is_valid(found.polygons).all()
    assert (shapely.area(found.polygons) > 0).all()
    together = shapely.area(shapely.union_all(found.polygons))
    assert together == pytest.approx(shapely.area(found.polygons).sum(), abs=1e-6)
    # Regions that share an edge share one still: nothing opens between them.
    assert edges_between(found) == edges_between(exact)
    whole = outlined(map_of(classes), options(simplify=simplify), band=100)
    assert texts_of(found) == texts_of(whole)


def edges_between(found: TissueRegions) -> list[tuple[int, int]]:
    """The labels of all pairs of regions that share more than a point."""
    pairs = shapely.STRtree(found.polygons).query(found.polygons, predicate="intersects").T.tolist()
    shared = [
        (one, other)
        for one, other in pairs
        if one < other and shapely.length(shapely.intersection(found.polygons[one], found.polygons[other])) > 0
    ]
    labels = found.labels.tolist()
    return sorted((min(labels[one], labels[other]), max(labels[one], labels[other])) for one, other in shared)


def texts_of(found: TissueRegions) -> list[str]:
    return sorted(map(str, shapely.to_wkt(shapely.normalize(found.polygons))))


@settings(max_examples=50)
@given(maps, st.integers(0, 6), st.integers(0, 6))
def test_small_regions_go_and_small_holes_are_filled(classes: NDArray[np.uint8], least: int, hole: int) -> None:
    found = outlined(map_of(classes), options(min_area=least, min_hole=hole), band=5)
    kept = [piece for piece in pieces_of(classes) if piece[1] >= least]
    assert sorted(found.labels.tolist()) == sorted(value - 1 for value, _, _ in kept)
    expected = np.zeros_like(classes)
    for value, _, mask in kept:
        expected[mask] = value
    occupied = expected > 0
    for value, _, mask in kept:
        labels, count = ndimage.label(~np.pad(mask, 1))
        for index in range(1, count + 1):
            gap = (labels == index)[1:-1, 1:-1]
            is_hole = labels[0, 0] != index
            if is_hole and gap.sum() < hole and not occupied[gap].any():
                expected[gap] = value
    np.testing.assert_array_equal(drawn_back(found, classes.shape), expected)


@settings(max_examples=50)
@given(maps, st.integers(1, 4), st.integers(0, 30), st.sampled_from([0, 0.7, 1.5]))
def test_regions_that_are_cut_cover_the_same_and_do_not_overlap(
    classes: NDArray[np.uint8], band: int, most_lines: int, simplify: float
) -> None:
    found = outlined(map_of(classes), options(simplify=simplify), band=band, most_lines=most_lines)
    assert shapely.is_valid(found.polygons).all()
    together = shapely.area(shapely.union_all(found.polygons))
    assert together == pytest.approx(shapely.area(found.polygons).sum(), abs=1e-6)
    if simplify == 0:
        expected = np.where((classes > 1) & (classes < 255), classes, 0)
        np.testing.assert_array_equal(drawn_back(found, classes.shape), expected)
    assert len(found) >= len(pieces_of(classes))


def smooth_map(rows: int, columns: int, *, seed: int = 0, detail: float = 6) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    fields = ndimage.gaussian_filter(rng.normal(size=(3, rows, columns)), (0, detail, detail))
    classes = fields.argmax(axis=0) + 1
    classes[ndimage.gaussian_filter(rng.normal(size=(rows, columns)), 2 * detail) > 0.02 / detail] = 0
    smooth: NDArray[np.uint8] = classes.astype(np.uint8)
    return smooth


@pytest.mark.parametrize(("detail", "simplify"), [(12, 1), (3, 1), (12, 2)])
def test_areas_stay_within_a_thousandth_and_nothing_is_left_between_classes(detail: float, simplify: float) -> None:
    classes = smooth_map(600, 700, detail=detail)
    exact, found = (outlined(map_of(classes), options(simplify=how), band=128) for how in (0, simplify))
    for label in (1, 2):
        pixels = np.count_nonzero(classes == label + 1) * 64
        assert exact.areas_px[exact.labels == label].sum() == pixels
        assert found.areas_px[found.labels == label].sum() == pytest.approx(pixels, rel=1e-3)
    assert shapely.is_valid(found.polygons).all()
    assert shapely.coverage_is_valid(found.polygons)
    assert shapely.get_num_coordinates(found.polygons).sum() < 0.7 * shapely.get_num_coordinates(exact.polygons).sum()


def test_small_regions_and_holes_stay_as_they_are_in_the_middle_of_others_or_between_them() -> None:
    classes = np.zeros((30, 40), np.uint8)
    classes[2:28, 2:38] = 2
    classes[2:28, 20:30] = 3
    classes[20:22, 10:13] = 3
    classes[10:12, 20:22] = 2  # a bay, not a ring
    classes[2:4, 30:33] = 3  # between a region and the edge
    classes[2:4, 29] = 2
    classes[15, 5] = 0
    exact, found = (outlined(map_of(classes), options(simplify=how)) for how in (0, 1))
    rings, kept = (
        [ring for ring in map(shapely.Polygon, shapely.get_rings(each.polygons)) if ring.area < 10 * 64]
        for each in (exact, found)
    )
    assert len(rings) == len(kept) >= 3
    assert all(any(ring.equals(other) for other in kept) for ring in rings)


def test_an_outline_that_touches_itself_at_a_corner_becomes_a_ring_and_a_hole() -> None:
    classes = np.zeros((4, 4), np.uint8)
    classes[:3, :3] = 2
    classes[0, 0] = classes[1, 1] = 0  # the outside and the hole touch at a corner
    (polygon,) = outlined(map_of(classes), options()).polygons
    assert polygon.is_valid
    assert polygon.area == 7 * 64
    assert [shapely.Polygon(hole).area for hole in polygon.interiors] == [64]


def test_regions_end_where_the_slide_ends() -> None:
    classes = np.full((5, 4), 2, np.uint8)
    found = outlined(map_of(classes), options(), size=(29, 38))
    assert found.polygons[0].equals(shapely.box(0, 0, 29, 38))


def test_corners_off_the_grid_make_valid_outlines_too() -> None:
    classes = smooth_map(200, 200, detail=2)
    odd = ClassMap(classes=classes, scored=classes, pixel=(0.0173, 0.0191), pixel_um=(1.0, 1.0))
    (found,) = regions_of(odd, [1, 2], options(simplify=1), (10, 10))
    assert shapely.is_valid(found.polygons).all()


def test_a_map_without_a_region_gives_none() -> None:
    assert list(regions_of(map_of(np.ones((30, 20), np.uint8)), [1, 2], options(), (160, 240))) == []
