"""DICOM results of a DICOM slide, as they are sent to archives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom_slides import write_dicom_slide

from signetscan.batch.find import find_slides, with_suffix
from signetscan.batch.options import BatchOptions
from signetscan.batch.segment import segment_task
from signetscan.batch.slide import scan_slide
from signetscan.formats.result_files import REGIONS
from signetscan.models.detector import load_detector
from signetscan.models.segmenter import load_segmenter
from signetscan.scan.options import ScanOptions, SegmentOptions
from signetscan.slides import open_slide
from signetscan.testing.tiny_model import write_tiny_model
from signetscan.testing.tiny_segmenter import write_tiny_segmenter

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.slides.addresses import AnyPlace


def write_archived_slide(folder: Path, small_slide: Path) -> Path:
    """The small slide of the tests as DICOM that OpenSlide refuses."""
    with open_slide(small_slide) as slide:
        pixels, mpp = slide.read_region((0, 0), 0, slide.dimensions), slide.mpp
    assert mpp is not None
    return write_dicom_slide(folder / "1.2.3.5.dcm", pixels, "jpeg-ls", mpp=mpp.x)


def write_dicom_results(out: Path, place: AnyPlace, models: Path) -> None:
    """Detect and segment in this process, and write the results as DICOM too."""
    out.mkdir(exist_ok=True)
    detector = load_detector(write_tiny_model(models / "tiny.onnx"), device="cpu", threads=1)
    segmenter = load_segmenter(write_tiny_segmenter(models / "segments.onnx"), device="cpu", threads=1)
    request = BatchOptions(out=out, formats=("csv", "dicom"), region_formats=("csv", "classmap", "dicom"))
    (task,) = find_slides([place], options=ScanOptions(threshold=0.1))
    scan_slide(task, request, detector)
    (task,) = with_suffix(find_slides([place], options=SegmentOptions()), REGIONS)
    segment_task(task, request, segmenter)
