"""Class maps as DICOM Segmentations, read back by highdicom, and frame by frame by pydicom."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import highdicom
import numpy as np
import pydicom
import pytest
from scanned_slides import CONTROLS, HOSTILE
from segmented_slides import COLOURS, MPP, NAMES, PIXEL, segmented

from signetscan.errors import UnfitError
from signetscan.formats import dicom_segments
from signetscan.formats.dicom_segments import NEEDED_OF_PLACE, write_segments
from signetscan.scan.class_map import ClassMap
from signetscan.slides import Mpp, open_slide
from signetscan.testing.dicom_source import write_dicom_source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.formats.segmented_slide import SegmentedSlide

ROWS, COLUMNS = 700, 1100
"""More than a tile each way."""


def placed_source(path: Path, slide: SegmentedSlide, **changes: object) -> Path:
    return write_dicom_source(path, slide.dimensions, mpp=(MPP.x, MPP.y), **changes)


@pytest.fixture
def slide(tmp_path: Path) -> SegmentedSlide:
    slide = segmented(ROWS, COLUMNS)
    return segmented(ROWS, COLUMNS, path=placed_source(tmp_path / "slide.dcm", slide))


def wanted_of(slide: SegmentedSlide) -> NDArray[np.uint8]:
    """The number of the segment at each place: the background, glass and unread area have none."""
    classes = slide.class_map.classes
    return np.select([classes == 2, classes == 3], [1, 2], 0).astype(np.uint8)


def test_what_highdicom_reads_is_the_map(slide: SegmentedSlide, tmp_path: Path) -> None:
    write_segments(tmp_path / "a.seg.dcm", slide)
    made = highdicom.seg.segread(tmp_path / "a.seg.dcm")
    np.testing.assert_array_equal(made.get_total_pixel_matrix(combine_segments=True), wanted_of(slide))
    assert made.segmentation_type.value == "BINARY"
    descriptions = [made.get_segment_description(number) for number in made.segment_numbers]
    for description, label in zip(descriptions, (1, 2), strict=True):
        assert description.segment_label == NAMES[label]
        assert description.algorithm_type.value == "AUTOMATIC"
        assert description.algorithm_identification is not None
        assert description.algorithm_identification.name == "test"
        assert description.algorithm_identification.version == "0" * 64
        assert description.algorithm_identification.parameters == {"learnt from": "glands"}
        colour = highdicom.color.CIELabColor.from_rgb(*COLOURS[label])
        assert description.RecommendedDisplayCIELabValue == list(colour.value)


def test_what_pydicom_reads_frame_by_frame_is_the_map(slide: SegmentedSlide, tmp_path: Path) -> None:
    write_segments(tmp_path / "a.seg.dcm", slide)
    made = pydicom.dcmread(tmp_path / "a.seg.dcm")
    frames = made.pixel_array
    seen = np.zeros((2, made.TotalPixelMatrixRows + made.Rows, made.TotalPixelMatrixColumns + made.Columns), np.uint8)
    for frame, group in zip(frames, made.PerFrameFunctionalGroupsSequence, strict=True):
        segment = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber - 1
        place = group.PlanePositionSlideSequence[0]
        top, left = place.RowPositionInTotalImagePixelMatrix - 1, place.ColumnPositionInTotalImagePixelMatrix - 1
        seen[segment, top : top + made.Rows, left : left + made.Columns] += frame
        assert frame.any(), "empty tiles are left out"
    numbers = wanted_of(slide)
    np.testing.assert_array_equal(seen[:, :ROWS, :COLUMNS], [numbers == 1, numbers == 2])
    assert not seen[:, ROWS:].any()


def test_the_map_lies_over_the_slide(slide: SegmentedSlide, tmp_path: Path) -> None:
    """The corners of its pixels are where the same corners of the slide's pixels are, by highdicom's geometry."""
    write_segments(tmp_path / "a.seg.dcm", slide)
    assert isinstance(slide.path, Path)
    made, source = highdicom.seg.segread(tmp_path / "a.seg.dcm"), pydicom.dcmread(slide.path, stop_before_pixels=True)
    of_map, of_slide = (
        highdicom.spatial.ImageToReferenceTransformer.for_image(image, for_total_pixel_matrix=True)
        for image in (made, source)
    )
    corners = np.array([[0, 0], [3, 0], [0, 5], [COLUMNS, ROWS]], np.float64)
    np.testing.assert_allclose(of_map(corners), of_slide(corners * PIXEL), atol=1e-6)
    assert made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness == 0.003


def test_segments_belong_to_a_real_slide(shared_slides: Path, tmp_path: Path) -> None:
    path = shared_slides / "highdicom_sm_image.dcm"
    with open_slide(path) as opened:
        dimensions = opened.dimensions
        assert opened.mpp is not None
        mpp = Mpp(opened.mpp.x, opened.mpp.y)
    classes = (np.arange(7 * 13) % 4).reshape(7, 13).astype(np.uint8)
    class_map = ClassMap(classes=classes, scored=classes, pixel=(4.0, 8.0), pixel_um=(4 * mpp.x, 8 * mpp.y))
    slide = segmented(7, 13, path=path, dimensions=dimensions, mpp=mpp, class_map=class_map)
    write_segments(tmp_path / "a.seg.dcm", slide)
    source, made = pydicom.dcmread(path, stop_before_pixels=True), highdicom.seg.segread(tmp_path / "a.seg.dcm")
    for attribute in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName", "AccessionNumber"):
        assert made.get(attribute) == source.get(attribute, "")
    assert made.SeriesInstanceUID != source.SeriesInstanceUID
    references = made.ReferencedSeriesSequence[0]
    assert references.SeriesInstanceUID == source.SeriesInstanceUID
    assert [image.ReferencedSOPInstanceUID for image in references.ReferencedInstanceSequence] == [
        source.SOPInstanceUID
    ]
    np.testing.assert_array_equal(made.get_total_pixel_matrix(combine_segments=True), wanted_of(slide))


def test_what_lies_beyond_the_slide_is_cut_off(tmp_path: Path) -> None:
    """Maps end where the last pixels of a stride end, which may be several pixels beyond the slide."""
    slide = segmented(40, 30, dimensions=(int(27.5 * PIXEL[0]), int(33 * PIXEL[1])))
    slide = segmented(40, 30, dimensions=slide.dimensions, path=placed_source(tmp_path / "slide.dcm", slide))
    write_segments(tmp_path / "a.seg.dcm", slide)
    made = highdicom.seg.segread(tmp_path / "a.seg.dcm")
    np.testing.assert_array_equal(made.get_total_pixel_matrix(combine_segments=True), wanted_of(slide)[:33, :28])


def test_the_same_map_is_the_same_object(slide: SegmentedSlide, tmp_path: Path) -> None:
    def uids(slide: SegmentedSlide) -> tuple[str, str]:
        write_segments(tmp_path / "a.seg.dcm", slide)
        made = pydicom.dcmread(tmp_path / "a.seg.dcm")
        assert all(pydicom.uid.UID(uid).is_valid for uid in (made.SeriesInstanceUID, made.SOPInstanceUID))
        return made.SeriesInstanceUID, made.SOPInstanceUID

    first = uids(slide)
    assert uids(slide) == first
    slide.class_map.classes[-1, -1] = 3 if slide.class_map.classes[-1, -1] != 3 else 2
    other = uids(slide)
    assert other[0] == first[0], "another map is another object of the same series"
    assert other[1] != first[1]
    assert not set(uids(segmented(ROWS, COLUMNS, path=slide.path, model_sha256="1" * 64))) & {*first, *other}


def test_hostile_names_become_labels(tmp_path: Path) -> None:
    names = tuple(HOSTILE + CONTROLS)
    changes: dict[str, Any] = {"class_names": names, "class_colours": ((1, 2, 3),) * len(names), "model": "a\\b\n" * 40}
    slide = segmented(**changes)
    write_segments(tmp_path / "a", segmented(**changes, path=placed_source(tmp_path / "slide.dcm", slide)))
    made = pydicom.dcmread(tmp_path / "a")
    for name, segment in zip(names[1:], made.SegmentSequence, strict=True):
        assert len(segment.SegmentLabel) <= 64
        assert segment.SegmentLabel.isprintable()
        assert segment.SegmentLabel == name.replace("\\", "\ufffd") or len(name) > 64 or not name.isprintable()


@pytest.mark.parametrize("name", NEEDED_OF_PLACE)
def test_what_a_slide_lacks_is_named(slide: SegmentedSlide, tmp_path: Path, name: str) -> None:
    path = placed_source(tmp_path / "slide.dcm", slide, **dict[str, Any]({name: None}))
    with pytest.raises(UnfitError, match=name):
        write_segments(tmp_path / "a.seg.dcm", segmented(ROWS, COLUMNS, path=path))
    assert not (tmp_path / "a.seg.dcm").exists()


def test_what_is_unfit_is_told_without_the_patient(
    slide: SegmentedSlide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnfitError, match="DICOM segmentations refer to the slide, which is not known here"):
        write_segments(tmp_path / "a.seg.dcm", segmented())
    (tmp_path / "secret.svs").write_text("no DICOM")
    with pytest.raises(UnfitError, match="only DICOM slides can have DICOM segmentations") as told:
        write_segments(tmp_path / "a.seg.dcm", segmented(path=tmp_path / "secret.svs"))
    assert "secret" not in str(told.value)
    odd = placed_source(tmp_path / "odd.dcm", slide, PatientSex="SECRET")
    with pytest.raises(UnfitError, match="breaks the DICOM standard") as told:
        write_segments(tmp_path / "a.seg.dcm", segmented(ROWS, COLUMNS, path=odd))
    assert "SECRET" not in str(told.value)
    bare = np.ones((ROWS, COLUMNS), np.uint8)
    plain = ClassMap(classes=bare, scored=bare, pixel=PIXEL, pixel_um=slide.class_map.pixel_um)
    with pytest.raises(UnfitError, match="no place of this slide has a class but the background"):
        write_segments(tmp_path / "a.seg.dcm", segmented(ROWS, COLUMNS, path=slide.path, class_map=plain))
    monkeypatch.setattr(dicom_segments, "MOST_BITS", 8 * ROWS * COLUMNS - 1)
    with pytest.raises(UnfitError, match="1 megapixels and 2 classes would take too much memory"):
        write_segments(tmp_path / "a.seg.dcm", slide)
    assert not (tmp_path / "a.seg.dcm").exists()
