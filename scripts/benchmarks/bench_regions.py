"""Print how long regions take to outline and to write in all formats, how exact they are, and the memory that it takes.

    python scripts/benchmarks/bench_regions.py [--side 6250] [--detail 9]

The map is made up: three classes in patches of some twice `--detail` pixels, and holes of glass. Nearly all regions
touch others, which is the worst case. Probabilities are noise, which compresses worse than any model's.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import shapely
from scipy import ndimage

from signetscan.formats.region_writers import REGION_WRITERS
from signetscan.formats.regions import write_regions
from signetscan.formats.segmented_slide import SegmentedSlide
from signetscan.scan.class_map import FIRST_CLASS, NOT_SCANNED, ClassMap
from signetscan.scan.options import ResolvedSegmentOptions
from signetscan.scan.regions import regions_of
from signetscan.slides import Mpp
from signetscan.testing.dicom_source import write_dicom_source

if TYPE_CHECKING:
    from numpy.typing import NDArray

SQUARE = 625
"""Side of the part of the map that is repeated, so that making it takes little memory."""
NAMES, COLOURS = ("background", "a", "b"), ((200, 200, 200), (255, 127, 0), (227, 26, 28))


def made_up_map(side: int, detail: float) -> ClassMap:
    """A map of patches; a pixel is 4 µm wide."""
    rng = np.random.default_rng(0)
    fields = ndimage.gaussian_filter(rng.normal(size=(3, SQUARE, SQUARE)), (0, detail, detail))
    classes = (fields.argmax(axis=0) + FIRST_CLASS).astype(np.uint8)
    classes[ndimage.gaussian_filter(rng.normal(size=(SQUARE, SQUARE)), 2 * detail) > 0.02 / detail] = NOT_SCANNED
    mirrored = np.block([[classes, classes[:, ::-1]], [classes[::-1], classes[::-1, ::-1]]])
    repeats = -(-side // len(mirrored))
    whole: NDArray[np.uint8] = np.tile(mirrored, (repeats, repeats))[:side, :side]
    noise = rng.integers(0, 256, (SQUARE, SQUARE), np.uint8)
    scored: NDArray[np.uint8] = np.tile(noise, (-(-side // SQUARE), -(-side // SQUARE)))[:side, :side]
    scored[whole == NOT_SCANNED] = 0
    return ClassMap(classes=whole, scored=scored, pixel=(16.0, 16.0), pixel_um=(4.0, 4.0))


def options(simplify_um: float) -> ResolvedSegmentOptions:
    """Options that leave nothing out."""
    return ResolvedSegmentOptions(
        tile_size=1024,
        batch_size=1,
        read_threads=1,
        trim_tiles=False,
        min_area=0,
        min_hole=0,
        simplify=simplify_um,
    )


def mib() -> float:
    """The most memory that this process has held, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write_files(class_map: ClassMap, size: tuple[int, int], folder: Path) -> None:
    """Print a line for the file of each map."""
    source = write_dicom_source(folder / "slide.dcm", size, mpp=0.25)
    segmented = SegmentedSlide(
        name="a",
        class_map=class_map,
        class_names=NAMES,
        class_colours=COLOURS,
        background=0,
        scored=(1, 2),
        options=options(4.0),
        model="made up",
        model_sha256="0" * 64,
        fingerprint="f",
        mpp=Mpp(0.25, 0.25),
        dimensions=size,
        path=source,
    )
    for name in ("classmap", "heatmap", "dicom"):
        started, path = time.process_time(), folder / name
        REGION_WRITERS[name](path, segmented)
        seconds, megabytes = time.process_time() - started, path.stat().st_size / 1e6
        print(f"{name}: {megabytes:.1f} MB, {seconds:.1f} s of CPU time; {mib():.0f} MiB at most so far")


def main() -> None:
    """Print a line for exact outlines, one for simplified ones, and one for the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=6250, help="side of the map, pixels")
    parser.add_argument("--detail", type=float, default=9, help="half the size of patches, pixels")
    given = parser.parse_args()
    class_map, size = made_up_map(given.side, given.detail), (given.side * 16, given.side * 16)
    of_class = np.bincount(class_map.classes.ravel(), minlength=4)[FIRST_CLASS + 1 : FIRST_CLASS + 3]
    pixels = of_class.sum() / 1e6
    print(f"map of {given.side} x {given.side} px, {pixels:.1f} million of them in regions; {mib():.0f} MiB")
    for simplify in (0.0, 4.0):
        started, count, area, valid = time.process_time(), 0, np.zeros(2), True
        for some in regions_of(class_map, [1, 2], options(simplify), size):
            count += len(some)
            area += np.bincount(some.labels, some.areas_px, minlength=3)[1:] / 256
            valid = valid and bool(shapely.is_valid(some.polygons).all())
        seconds, (a, b) = time.process_time() - started, area / of_class - 1
        print(
            f"simplified by {simplify:g} µm: {count} regions, {seconds:.1f} s of CPU time, "
            f"areas {a:+.5f} and {b:+.5f} of the map's, {'all' if valid else 'NOT all'} valid; "
            f"{mib():.0f} MiB at most so far"
        )
    with tempfile.TemporaryDirectory() as folder:
        write_files(class_map, size, Path(folder))
        regions = list(regions_of(class_map, [1, 2], options(4.0), size))
        started = time.process_time()
        path = Path(folder) / "a.geojson"
        counts = write_regions(path, regions, NAMES, COLOURS, source="", mpp=Mpp(0.25, 0.25))
        seconds = time.process_time() - started
        print(
            f"written: {sum(counts.values())} regions, {path.stat().st_size / 1e6:.0f} MB, {seconds:.1f} s of CPU time"
        )


if __name__ == "__main__":
    main()
