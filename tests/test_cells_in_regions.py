"""Cells in the tissue that they lie in: counted by a slow way too, and inputs that do not fit together."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from conftest import BlobDetector

import signetscan
from signetscan.annotations.objects import Region
from signetscan.cli.main import cli
from signetscan.detections import Detections
from signetscan.errors import ResultError
from signetscan.evaluation.files import read_results
from signetscan.evaluation.options import TruthOptions
from signetscan.measurements import MEASURES, Measurements
from signetscan.models.segmenter import load_segmenter
from signetscan.results.cell_tables import tabulate_cells
from signetscan.results.cells_in_regions import cells_in_regions
from signetscan.results.segmentation import write_segmentation
from signetscan.results.tissue_of_cells import find_tissue_map, with_tissue
from signetscan.results.writing import write_results
from signetscan.scan.detect import SlideResult
from signetscan.scan.options import ScanOptions, SegmentOptions
from signetscan.scan.roi import Roi
from signetscan.scan.segment import segment_slide
from signetscan.slides.array_slide import ArraySlide
from signetscan.testing.tiny_segmenter import write_tiny_segmenter

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from signetscan.models.segmenter import OnnxSegmenter
    from signetscan.slides import Slide

pytestmark = pytest.mark.usefixtures("no_settings")

CELLS = ("Signet ring cell", "=Mitosis")
PIXEL = 8
"""Level-0 pixels per pixel of the map: an output stride of 4 at twice the slide's mpp."""
HALF = Roi(regions=(Region(rings=(np.array([(0.0, 0), (400, 0), (400, 600), (0, 600)]),), normal=False),))


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> OnnxSegmenter:
    return load_segmenter(write_tiny_segmenter(tmp_path_factory.mktemp("model") / "tiny.onnx"))


def slide_of(seed: int = 0, width: int = 900) -> ArraySlide:
    """Squares of all kinds of darkness, and glass at the right."""
    rng = np.random.default_rng(seed)
    grey = np.kron(rng.integers(0, 230, (10, width // 60)), np.ones((60, 60))).astype(np.uint8)
    grey[:, -240:] = 245
    return ArraySlide([np.repeat(grey[..., None], 3, axis=2)], mpp=0.25)


def found(count: int, seed: int = 0, width: int = 900) -> Detections:
    """Cells all over a slide, some beyond its edges, and some with their centre between two pixels of the map."""
    rng = np.random.default_rng(seed)
    middle = rng.uniform((-5, -5), (width + 5, 605), (count, 2)).round(2)
    middle[::5] = (middle[::5] / PIXEL).round() * PIXEL
    half = rng.integers(1, 20, (count, 1)) / 2
    boxes = np.concatenate([middle - half, middle + half], axis=1)
    scores = np.full(count, 0.75, np.float32)
    return Detections(boxes=boxes, scores=scores, labels=rng.integers(0, len(CELLS), count))


def write_cells(
    folder: Path, slide: Slide, detections: Detections, name: str = "a", *, roi: Roi | None = None, unread: float = 0
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    detector = BlobDetector(class_names=CELLS)
    options = ScanOptions().resolve(detector)
    result = SlideResult(
        detections=detections,
        options=options,
        tiles=1,
        tiles_scanned=1,
        tissue_mm2=1.0,
        roi=roi,
        unread_mm2=unread,
    )
    write_results(folder / name, slide, detector, result)
    return folder / f"{name}.run.json"


def write_tissue(
    folder: Path, slide: Slide, segmenter: OnnxSegmenter, name: str = "a", *, roi: Roi | None = None
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    result = segment_slide(slide, segmenter, SegmentOptions(min_tissue=0), roi=roi)
    write_segmentation(folder / f"{name}.regions", slide, segmenter, result)
    return folder / f"{name}.regions.run.json"


class Both(NamedTuple):
    cells: Path
    regions: Path
    detections: Detections


@pytest.fixture
def both(tmp_path: Path, segmenter: OnnxSegmenter) -> Both:
    detections = found(500)
    folder = tmp_path / "results"
    return Both(write_cells(folder, slide_of(), detections), write_tissue(folder, slide_of(), segmenter), detections)


def test_measured_cells_have_the_tissue_in_which_they_count(both: Both) -> None:
    target, slide = both.cells.with_name("a"), slide_of()
    measured = replace(both.detections, measured=Measurements(values=np.zeros((len(both.detections), len(MEASURES)))))
    tissue_map = find_tissue_map(target, slide)
    assert tissue_map is not None
    found_there = with_tissue(measured, tissue_map).measured
    assert found_there is not None
    names = np.array(found_there.tissue_names)
    figures = cells_in_regions(both.cells, both.regions)
    for name, cells in [*((each.tissue, each.cells) for each in figures.tissues), ("", figures.outside)]:
        assert tuple(np.bincount(both.detections.labels[names == name], minlength=len(CELLS)).tolist()) == cells
    assert with_tissue(both.detections, tissue_map) is both.detections, "what nobody measured has no tissue"
    assert find_tissue_map(target.with_name("b"), slide) is None
    with pytest.raises(ResultError, match="regions of another slide"):
        find_tissue_map(target, slide_of(seed=9))


def test_each_cell_counts_where_its_centre_lies(both: Both) -> None:
    values = tifffile.imread(both.regions.with_name("a.regions.classmap.ome.tif"))
    counts = np.zeros((4, len(CELLS)), np.int64)  # of values 0, not scanned, to 3
    for (x0, y0, x1, y1), label in zip(both.detections.boxes.tolist(), both.detections.labels.tolist(), strict=True):
        column, row = ((x0 + x1) / 2) // PIXEL, ((y0 + y1) / 2) // PIXEL
        is_inside = 0 <= row < values.shape[0] and 0 <= column < values.shape[1]
        counts[values[int(row), int(column)] if is_inside else 0, label] += 1
    assert counts.min() > 0, "the data holds all cases"
    figures = signetscan.cells_in_regions(both.cells, both.regions)
    assert [tissue.cells for tissue in figures.tissues] == [tuple(row) for row in counts[1:].tolist()]
    assert figures.outside == tuple(counts[0].tolist())
    assert figures.total == len(both.detections)
    assert figures.cell_classes == CELLS
    for tissue, value in zip(figures.tissues, (1, 2, 3), strict=True):
        assert tissue.mm2 == pytest.approx(np.count_nonzero(values == value) * (PIXEL * 0.25) ** 2 / 1e6, abs=1e-6)
        assert tissue.per_mm2(tissue.cells[0]) == pytest.approx(tissue.cells[0] / tissue.mm2, abs=0.001)
    assert figures.notes == ()


def test_no_cells_and_no_tissue_are_figures_too(tmp_path: Path, segmenter: OnnxSegmenter) -> None:
    glass = ArraySlide([np.full((600, 900, 3), 245, np.uint8)], mpp=0.25)
    none = cells_in_regions(
        write_cells(tmp_path / "none", slide_of(), Detections.empty()),
        write_tissue(tmp_path / "none", slide_of(), segmenter),
    )
    assert none.total == 0
    assert [tissue.per_mm2(tissue.cells[0]) for tissue in none.tissues] == [0, 0, 0]
    bare = cells_in_regions(
        write_cells(tmp_path / "bare", glass, found(9)), write_tissue(tmp_path / "bare", glass, segmenter)
    )
    assert sum(bare.outside) == bare.total == 9
    assert [tissue.per_mm2(tissue.cells[0]) for tissue in bare.tissues] == [None, None, None]


def test_results_that_do_not_fit_are_refused_in_words(both: Both, tmp_path: Path, segmenter: OnnxSegmenter) -> None:
    other = write_tissue(tmp_path / "other", slide_of(seed=1), segmenter)
    with pytest.raises(ResultError, match="results of different slides"):
        cells_in_regions(both.cells, other)
    with pytest.raises(ResultError, match="results of a segmentation, which hold no cells"):
        cells_in_regions(both.regions, both.regions)
    with pytest.raises(ResultError, match="results of a detection, which hold no regions"):
        cells_in_regions(both.cells, both.cells)
    with pytest.raises(ResultError, match="cannot be read"):
        cells_in_regions(both.cells, tmp_path / "gone.regions.run.json")
    half = write_cells(tmp_path / "half", slide_of(), found(9), roi=HALF)
    with pytest.raises(ResultError, match="different regions of interest"):
        cells_in_regions(half, both.regions)
    same = cells_in_regions(half, write_tissue(tmp_path / "half", slide_of(), segmenter, roi=HALF))
    assert same.total == 9
    unread = cells_in_regions(write_cells(tmp_path / "unread", slide_of(), found(9), unread=0.25), both.regions)
    assert unread.notes == ("0.2500 mm² could not be read by the detection, and no cells were found there",)


def test_another_map_than_the_run_wrote_is_refused(both: Both, tmp_path: Path) -> None:
    record = json.loads(both.regions.read_text(encoding="utf-8"))
    classmap = both.regions.with_name("a.regions.classmap.ome.tif")
    classmap.write_bytes(classmap.read_bytes() + b"x")
    with pytest.raises(ResultError, match="not the file that its run wrote"):
        cells_in_regions(both.cells, both.regions)
    classmap.unlink()
    with pytest.raises(ResultError, match="cannot be read"):
        cells_in_regions(both.cells, both.regions)
    del record["files"]["classmap"]
    both.regions.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ResultError, match="has no class map"):
        cells_in_regions(both.cells, both.regions)


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return result


def test_the_tables_hold_all_cells_of_all_slides(both: Both, tmp_path: Path, segmenter: OnnxSegmenter) -> None:
    folder = both.cells.parent
    write_cells(folder / "ward", slide_of(3), found(70, seed=3), name="b")
    write_tissue(folder / "ward", slide_of(3), segmenter, name="b")
    write_cells(folder, slide_of(4), found(5), name="alone")
    result = run("cells", folder)
    assert result.exit_code == 0, result.output
    assert "Note: no regions of 1 slide: alone" in result.stderr
    with (folder / "cells-in-regions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["slide"] for row in rows} == {"a", "ward/b"}
    assert sum(int(row["cells"]) for row in rows) == 570
    assert {row["cell"] for row in rows} == {"Signet ring cell", "'=Mitosis"}
    assert [row["tissue"] for row in rows[::2]] == ["Background", "Low grade", "High grade", "(outside)"] * 2
    for row in rows:
        if row["tissue"] == "(outside)":
            assert row["tissue_mm2"] == row["cells_per_mm2"] == ""
        else:
            assert float(row["cells_per_mm2"]) == pytest.approx(int(row["cells"]) / float(row["tissue_mm2"]), abs=0.001)
    slides = json.loads((folder / "cells-in-regions.json").read_text(encoding="utf-8"))["slides"]
    assert [slide["slide"] for slide in slides] == ["a", "ward/b"]
    printed = [json.loads(line) for line in run("cells", folder, "--json").stdout.splitlines()]
    assert printed == slides
    for slide in slides:
        of_tissues = sum(sum(tissue["cells"].values()) for tissue in slide["tissues"].values())
        assert slide["cells"] == of_tissues + sum(slide["outside"]["cells"].values())
    table = result.stdout.splitlines()
    assert table[0].split() == ["slide", "tissue", "mm²", "cell", "cells", "per", "mm²"]
    assert sum("outside of all tissue" in line for line in table) == 4
    assert [image.name for image in read_results(folder, folder, TruthOptions(class_name=CELLS[0])).results] == [
        "a",
        "alone",
        "ward/b",
    ]


@pytest.mark.parametrize("name", ["a.csv", "a.run.json", "a.regions.geojson", "a.regions.classmap.ome.tif"])
def test_any_file_stands_for_both_kinds_beside_it(both: Both, name: str) -> None:
    assert tabulate_cells([both.cells.with_name(name)]).slides["a"].total == 500


def test_results_of_both_kinds_may_be_in_two_folders(both: Both, tmp_path: Path) -> None:
    apart = tmp_path / "apart"
    apart.mkdir()
    for path in sorted(both.regions.parent.glob("a.regions.*")):
        path.rename(apart / path.name)
    tables = tabulate_cells([both.cells.parent, apart], tmp_path / "out")
    assert tables.slides["a"].total == 500
    assert [path.parent for path in tables.files] == [tmp_path / "out"] * 2
    one = tabulate_cells([both.cells.with_name("a.csv"), apart / "a.regions.geojson"])
    assert one.slides["a"] == tables.slides["a"]
    assert one.files[0].parent == both.cells.parent


def test_what_is_missing_is_told_in_words(both: Both, tmp_path: Path, segmenter: OnnxSegmenter) -> None:
    cells = write_cells(tmp_path / "cells", slide_of(), found(9), name="c").parent
    tissue = write_tissue(tmp_path / "tissue", slide_of(), segmenter, name="t").parent
    for folders, words in (
        ([cells], "no regions; segment the slides first"),
        ([tissue], "no cells; detect cells on the slides first"),
        ([cells, tissue], "the results of cells (c) and of regions (t) have no name in common"),
        ([tmp_path / "nowhere"], "no such file"),
        ([both.cells.parent, write_cells(tmp_path / "twice", slide_of(), found(9)).parent], "two results of one name"),
    ):
        result = run("cells", *folders)
        assert result.exit_code == 1
        assert words in result.stderr


def test_a_slide_that_does_not_fit_does_not_stop_the_others(
    both: Both, tmp_path: Path, segmenter: OnnxSegmenter
) -> None:
    folder = both.cells.parent
    write_cells(folder, slide_of(5), found(5), name="z")
    write_tissue(folder, slide_of(6), segmenter, name="z")
    result = run("cells", folder, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "Error:" in result.stderr
    assert "results of different slides" in result.stderr
    with (tmp_path / "out" / "cells-in-regions.csv").open(newline="", encoding="utf-8") as file:
        assert {row["slide"] for row in csv.DictReader(file)} == {"a"}
