"""Print the time and the memory that it takes to segment a large slide and to write all formats of its regions.

    python scripts/benchmarks/bench_segment.py --source SLIDE [--side 100000] [--tissue 0.3]

The slide is one of `virtual_slide.py`. The model knows nothing but darkness, and takes next to no time, so that what is
printed is the work around a model. For DICOM, a file stands beside the slide that says what a DICOM slide would say.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from virtual_slide import MPP, write_virtual_slide

from signetscan.formats.result_files import REGION_SUFFIXES
from signetscan.models.segmenter import load_segmenter
from signetscan.results.segmentation import write_segmentation
from signetscan.scan.options import SegmentOptions
from signetscan.scan.segment import segment_slide
from signetscan.slides import open_slide
from signetscan.testing.dicom_source import write_dicom_source
from signetscan.testing.tiny_segmenter import write_tiny_segmenter

TILE = 1024
"""Side of a tile, pixels."""


def said(what: str, started: float) -> None:
    """Print how long something took, and the most memory that this process has held."""
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what}: {time.perf_counter() - started:.1f} s; {mib:.0f} MiB at most so far", flush=True)


def main() -> None:
    """Print a line for the scan, one for the files, and one for each file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="slide that the tissue is taken from")
    parser.add_argument("--side", type=int, default=100_000, help="width and height, pixels")
    parser.add_argument("--tissue", type=float, default=0.3, help="share of the plane that is tissue, 0 to 1")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open_slide(given.source) as source:
            write_virtual_slide(folder / "slide.svs", source, given.side, given.tissue)
        segmenter = load_segmenter(write_tiny_segmenter(folder / "model.onnx"), device="cpu")
        dicom = write_dicom_source(folder / "slide.dcm", (given.side, given.side), mpp=MPP)
        with open_slide(folder / "slide.svs") as slide:
            started = time.perf_counter()
            result = segment_slide(slide, segmenter, SegmentOptions(tile_size=TILE), folder=folder)
            said(f"segmented {given.side} x {given.side} px, {result.tissue_mm2:.0f} mm² of tissue", started)
            started = time.perf_counter()
            record = write_segmentation(
                folder / "slide.regions", slide, segmenter, result, formats=tuple(REGION_SUFFIXES), slide_path=dicom
            )
            regions = 0 if record.regions is None else sum(area.regions for area in record.regions.classes)
            said(f"written, {regions} regions", started)
        for form, file in record.files.items():
            print(f"  {form}: {file.size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
