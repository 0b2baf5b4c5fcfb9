"""DICOM annotations, read back by highdicom."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import highdicom
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from scanned_slides import CONTROLS, HOSTILE, many, scanned, scanned_slides

from signetscan.errors import UnfitError
from signetscan.formats.dicom import write_dicom
from signetscan.formats.dicom_objects import MAY_BE_EMPTY, NEEDED
from signetscan.slides import open_slide
from signetscan.testing.dicom_source import write_dicom_source

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.formats.scanned_slide import ScannedSlide


def write_source(path: Path, size: tuple[int, int] = (120_000, 90_000), **changes: object) -> Path:
    return write_dicom_source(path, size, mpp=0.25, **changes)


def read(path: Path) -> Any:  # noqa: ANN401
    return highdicom.ann.annread(path)


def boxes_of(group: Any) -> np.ndarray[Any, Any]:  # noqa: ANN401
    """(N, 4) of a group of polygons of four corners."""
    assert group.graphic_type.value == "POLYGON"
    corners = np.array(group.get_graphic_data(coordinate_type="2D"))
    assert corners.shape == (group.number_of_annotations, 4, 2)
    assert (corners[:, 0] == corners.min(axis=1)).all()
    assert (corners[:, 2] == corners.max(axis=1)).all()
    assert (corners[:, 1] == corners[:, [2, 0], [0, 1]]).all()
    assert (corners[:, 3] == corners[:, [0, 2], [0, 1]]).all()
    boxes: np.ndarray[Any, Any] = np.concatenate([corners[:, 0], corners[:, 2]], axis=1)
    return boxes


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(scanned_slides())
def test_what_highdicom_reads_is_what_was_found(tmp_path: Path, slide: ScannedSlide) -> None:
    source = write_source(tmp_path / "slide.dcm", slide.dimensions)
    slide = replace(slide, path=source)
    found = slide.detections
    if not len(found):
        with pytest.raises(UnfitError, match="this slide has no detections"):
            write_dicom(tmp_path / "a.ann.dcm", slide)
        return
    write_dicom(tmp_path / "a.ann.dcm", slide)
    groups = read(tmp_path / "a.ann.dcm").get_annotation_groups()
    labels = np.unique(found.labels).tolist()
    assert [group.number for group in groups] == list(range(1, len(labels) + 1))
    for label, group in zip(labels, groups, strict=True):
        own = found.labels == label
        np.testing.assert_allclose(boxes_of(group), found.boxes[own], atol=0.005)
        names, values, units = group.get_measurements()
        np.testing.assert_array_equal(values[:, 0], found.scores[own])
        assert (len(names), units[0].value) == (1, "1")


@pytest.mark.parametrize("name", ["camelyon_jpeg.dcm", "highdicom_sm_image.dcm"])
def test_annotations_belong_to_a_real_slide(shared_slides: Path, tmp_path: Path, name: str) -> None:
    path = shared_slides / name
    with open_slide(path, mpp=0.25) as opened:
        dimensions = opened.dimensions
    boxes = [(0, 0, 10.25, 12.5), (1, 2, *dimensions)]
    slide = scanned(boxes, [0.25, 0.75], [0, 0], dimensions=dimensions, path=path, model="fast", model_sha256="ab" * 32)
    write_dicom(tmp_path / "a.ann.dcm", slide)
    source, made = pydicom.dcmread(path, stop_before_pixels=True), read(tmp_path / "a.ann.dcm")
    for attribute in ("StudyInstanceUID", "PatientID", "PatientName", "PatientSex", "AccessionNumber", "StudyDate"):
        assert made.get(attribute) == source.get(attribute, "")
    assert made.SeriesInstanceUID != source.SeriesInstanceUID
    (image,) = made.ReferencedImageSequence
    assert image.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert (source.TotalPixelMatrixColumns, source.TotalPixelMatrixRows) == dimensions
    assert (made.Modality, made.AnnotationCoordinateType, made.PixelOriginInterpretation) == ("ANN", "2D", "VOLUME")
    (group,) = made.get_annotation_groups()
    np.testing.assert_array_equal(boxes_of(group), boxes)
    assert (group.label, group.algorithm_type.value) == ("Signet ring cell", "AUTOMATIC")
    assert (group.algorithm_identification.name, group.algorithm_identification.version) == ("fast", "ab" * 32)
    assert group.RecommendedDisplayCIELabValue == list(highdicom.color.CIELabColor.from_rgb(227, 26, 28).value)
    (algorithm,) = group.AnnotationGroupAlgorithmIdentificationSequence
    assert algorithm.AlgorithmParameters == "learnt from=not said"


def test_the_patient_is_copied_whatever_its_letters(tmp_path: Path) -> None:
    slide = many(3, path=write_source(tmp_path / "slide.dcm"), class_names=("胃",))
    write_dicom(tmp_path / "a.ann.dcm", slide)
    made = pydicom.dcmread(tmp_path / "a.ann.dcm")
    assert str(made.PatientName) == "Müller^Jörg"
    assert made.AnnotationGroupSequence[0].AnnotationGroupLabel == "胃"
    assert (made.PatientID, made.StudyID, made.ContainerIdentifier) == ("P1", "S1", "Box 7")


def test_hostile_names_become_labels(tmp_path: Path) -> None:
    names = tuple(HOSTILE + CONTROLS)
    box = (1.0, 2.0, 3.0, 4.0)
    count = len(names)
    path = write_source(tmp_path / "slide.dcm")
    slide = scanned([box] * count, [0.5] * count, range(count), class_names=names, path=path, model="a\\b\n" * 40)
    write_dicom(tmp_path / "a.ann.dcm", slide)
    groups = read(tmp_path / "a.ann.dcm").get_annotation_groups()
    for name, group in zip(names, groups, strict=True):
        if name.isprintable():
            assert group.AnnotationGroupDescription == name
        assert len(group.label) <= 64
        assert group.label.isprintable()
        assert group.annotated_property_type.meaning == group.label
    assert len({group.annotated_property_type.value for group in groups}) == count
    assert groups[0].label == names[0]


def test_the_image_of_full_resolution_is_meant_whichever_file_is_named(tmp_path: Path) -> None:
    write_source(tmp_path / "1.dcm", SOPInstanceUID="1.2.3.1", SeriesInstanceUID="1.9")
    write_source(tmp_path / "2.dcm", SOPInstanceUID="1.2.3.2")
    small = write_source(tmp_path / "3.dcm", (30_000, 22_500), SOPInstanceUID="1.2.3.3")
    (tmp_path / "4.dcm").write_text("no DICOM")
    write_dicom(tmp_path / "a.ann.dcm", many(3, path=small))
    assert read(tmp_path / "a.ann.dcm").ReferencedImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.2"


def test_the_same_findings_are_the_same_object(tmp_path: Path) -> None:
    path = write_source(tmp_path / "slide.dcm")

    def uids(**changes: Any) -> tuple[str, str, str]:  # noqa: ANN401
        write_dicom(tmp_path / "a.ann.dcm", many(5, path=path, **changes))
        made = read(tmp_path / "a.ann.dcm")
        assert all(pydicom.uid.UID(uid).is_valid for uid in (made.SeriesInstanceUID, made.SOPInstanceUID))
        return made.SeriesInstanceUID, made.SOPInstanceUID, made.get_annotation_groups()[0].uid

    first = uids()
    assert uids() == first
    assert uids(seed=1)[0] == first[0], "another threshold is another object of the same series"
    assert not set(uids(seed=1)[1:]) & set(first)
    assert not set(uids(model_sha256="1" * 64)) & set(first)


@pytest.mark.parametrize("name", NEEDED)
def test_what_a_slide_lacks_is_named(tmp_path: Path, name: str) -> None:
    path = write_source(tmp_path / "slide.dcm", **dict[str, Any]({name: None}))
    with pytest.raises(UnfitError, match=name):
        write_dicom(tmp_path / "a.ann.dcm", many(3, path=path))
    assert not (tmp_path / "a.ann.dcm").exists()


def test_what_may_be_empty_may_be_absent(tmp_path: Path) -> None:
    absent: dict[str, Any] = dict.fromkeys((*MAY_BE_EMPTY, "ContainerIdentifier"))
    path = write_source(tmp_path / "slide.dcm", **absent)
    write_dicom(tmp_path / "a.ann.dcm", many(3, path=path))
    assert all(name in read(tmp_path / "a.ann.dcm") for name in MAY_BE_EMPTY)


def test_what_is_unfit_is_told_without_the_patient(tmp_path: Path) -> None:
    with pytest.raises(UnfitError, match="not known here"):
        write_dicom(tmp_path / "a.ann.dcm", many(3))
    (tmp_path / "secret.svs").write_text("no DICOM")
    (tmp_path / "cut.dcm").write_bytes(write_source(tmp_path / "secret.dcm").read_bytes()[:300])
    for name in ("secret.svs", "gone.dcm", "cut.dcm"):
        with pytest.raises(UnfitError, match=r"only DICOM slides can|that this slide's file lacks") as told:
            write_dicom(tmp_path / "a.ann.dcm", many(3, path=tmp_path / name))
        assert "secret" not in str(told.value)
    odd = write_source(tmp_path / "odd.dcm", PatientSex="SECRET")
    with pytest.raises(UnfitError, match="breaks the DICOM standard") as told:
        write_dicom(tmp_path / "a.ann.dcm", many(3, path=odd))
    assert "SECRET" not in str(told.value)
