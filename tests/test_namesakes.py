"""Which slide is which: by content, not by name."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from signetscan.batch.events import Ended
from signetscan.batch.find import SlideTask, find_slides
from signetscan.batch.local import record_failure
from signetscan.batch.options import BatchOptions
from signetscan.batch.outcome import SlideFailed, SlideScanned, SlideSkipped, outcome_facts
from signetscan.batch.run import run_batch
from signetscan.batch.slide import plan_slide, scan_slide
from signetscan.errors import NameTakenError
from signetscan.models.detector import OnnxDetector, load_detector
from signetscan.results.namesakes import is_at, place_of
from signetscan.results.run_record import read_run_record
from signetscan.scan.options import ScanOptions
from signetscan.slides import fingerprint, open_slide
from signetscan.slides.fingerprint import content_of, state_of
from signetscan.slides.parts import slide_parts
from signetscan.testing.tiny_model import write_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TILE = 128


def pixels(seed: int) -> NDArray[np.uint8]:
    """Dark blotches on glass, (512, 768, 3)."""
    small = np.random.default_rng(seed).integers(60, 240, (4, 6, 3), np.uint8)
    return small.repeat(TILE, axis=0).repeat(TILE, axis=1)


def write(path: Path, seed: int) -> Path:
    """A TIFF with tiles in two levels; the small one is the same for all seeds, the large one differs in a spot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    large = pixels(0)
    large[seed * 30 : seed * 30 + 20, 10:30] = 20
    with tifffile.TiffWriter(path) as file:
        resolution: dict[str, Any] = {"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}
        file.write(large, tile=(TILE, TILE), photometric="rgb", subifds=0, metadata=None, **resolution)
        file.write(pixels(0)[::4, ::4], tile=(TILE, TILE), photometric="rgb", subfiletype=1, metadata=None)
    return path


@pytest.fixture
def detector(tmp_path: Path) -> OnnxDetector:
    return load_detector(write_tiny_model(tmp_path / "tiny.onnx"), device="cpu")


@pytest.fixture
def request_(tmp_path: Path) -> BatchOptions:
    (tmp_path / "out").mkdir()
    return BatchOptions(out=tmp_path / "out", model=str(tmp_path / "tiny.onnx"), device="cpu")


def scan(path: Path, request: BatchOptions, detector: OnnxDetector) -> SlideScanned | SlideSkipped:
    (task,) = find_slides([path], options=ScanOptions(threshold=0.1, tissue_mask=False))
    return scan_slide(task, request, detector)


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ---- content --------------------------------------------------------------------------------------------------------


def test_content_is_that_of_a_copy_and_not_of_any_other_bytes(tmp_path: Path) -> None:
    one = tmp_path / "one"
    one.write_bytes(bytes(range(256)) * 40)
    shutil.copy(one, tmp_path / "copy")
    assert content_of([one]) == content_of([tmp_path / "copy"])
    for position in (0, 5000, 256 * 40 - 1):
        changed = bytearray(one.read_bytes())
        changed[position] ^= 1
        (tmp_path / "other").write_bytes(changed)
        assert content_of([one]) != content_of([tmp_path / "other"])
    assert content_of([one, tmp_path / "copy"]) != content_of([one])


@given(st.integers(0, 3999), st.lists(st.integers(0, 4000), max_size=3))
def test_of_a_large_slide_no_stretch_that_is_longer_than_a_gap_is_missed(
    tmp_path_factory: pytest.TempPathFactory, start: int, cuts: list[int]
) -> None:
    """Eight blocks of 100 bytes in 4000: what lies between two blocks is at most 458 bytes long."""
    folder = tmp_path_factory.mktemp("large")
    zeroed = bytearray(b"\1" * 4000)
    zeroed[start : start + 459] = bytes(len(zeroed[start : start + 459]))
    edges = [0, *sorted(cuts), 4000]

    def parts(content: bytes, name: str) -> list[Path]:
        paths = [folder / f"{name}{number}" for number in range(len(edges) - 1)]
        for path, low, high in zip(paths, edges, edges[1:], strict=False):
            path.write_bytes(content[low:high])
        return paths

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fingerprint, "BLOCKS", 8)
        patch.setattr(fingerprint, "BLOCK_BYTES", 100)
        whole, holed = content_of(parts(b"\1" * 4000, "a")), content_of(parts(bytes(zeroed), "b"))
    assert whole != holed


def test_the_files_of_a_slide(tmp_path: Path) -> None:
    for name in ("m.mrxs", "m/Slidedat.ini", "m/Data0000.dat", "n/Data0000.dat", "i-1.jpg", "i-2.jpg", "j.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "i.vms").write_text(
        "[Virtual Microscope Specimen]\nImageFile=i-1.jpg\nImageFile(1,0)=i-2.jpg\nX=../j\n"
    )
    for name, uid in {"a.dcm": b"1.2", "IM2": b"1.2", "c": b"1.3"}.items():
        head = b"\x20\x00\x0e\x00UI" + len(uid).to_bytes(2, "little") + uid
        (tmp_path / name).write_bytes(bytes(128) + b"DICM" + head)

    def names(name: str) -> list[str]:
        return [path.relative_to(tmp_path).as_posix() for path in slide_parts(tmp_path / name)]

    assert names("m.mrxs") == ["m.mrxs", "m/Data0000.dat", "m/Slidedat.ini"]
    assert names("i.vms") == ["i.vms", "i-1.jpg", "i-2.jpg"]
    assert names("a.dcm") == names("IM2") == ["IM2", "a.dcm"]
    assert names("j.jpg") == ["j.jpg"]


def test_a_pipe_among_dicom_files_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.dcm").write_bytes(bytes(128) + b"DICM\x20\x00\x0e\x00UI\x03\x001.2")
    assert slide_parts(tmp_path / "a.dcm") == (tmp_path / "a.dcm",)
    assert slide_parts(tmp_path / "pipe") == (tmp_path / "pipe",)


def test_the_state_is_of_sizes_and_times(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x")
    before = state_of([path])
    assert state_of([path]) == before
    os.utime(path, ns=(0, 1))
    assert state_of([path]) != before


# ---- going on -------------------------------------------------------------------------------------------------------


def test_a_copy_or_a_new_date_is_no_other_slide(tmp_path: Path, request_: BatchOptions, detector: OnnxDetector) -> None:
    slide = write(tmp_path / "a" / "s.tif", 1)
    assert isinstance(scan(slide, request_, detector), SlideScanned)
    os.utime(slide, ns=(0, 0))
    assert isinstance(scan(slide, request_, detector), SlideSkipped)
    (tmp_path / "b").mkdir()
    shutil.copy(slide, tmp_path / "b" / "s.tif")
    assert isinstance(scan(tmp_path / "b" / "s.tif", request_, detector), SlideSkipped)


def test_other_pixels_in_level_0_alone_are_scanned(
    tmp_path: Path, request_: BatchOptions, detector: OnnxDetector
) -> None:
    slide = write(tmp_path / "a" / "s.tif", 1)
    with open_slide(slide) as opened:
        before = opened.fingerprint
    scan(slide, request_, detector)
    stat = slide.stat()
    write(slide, 2)
    os.utime(slide, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with open_slide(slide) as opened:
        assert (opened.fingerprint, slide.stat().st_size) == (before, stat.st_size)
    assert isinstance(scan(slide, request_, detector), SlideScanned)
    assert isinstance(scan(slide, request_, detector), SlideSkipped)


def test_a_slide_with_unread_area_is_scanned_again_when_it_was_touched(
    tmp_path: Path, request_: BatchOptions, detector: OnnxDetector
) -> None:
    slide = tmp_path / "s.tif"
    tifffile.imwrite(slide, pixels(1), tile=(TILE, TILE), compression="jpeg", photometric="rgb", metadata=None)
    with tifffile.TiffFile(slide) as file:
        start, count = file.pages[0].dataoffsets[8], file.pages[0].databytecounts[8]
    content = bytearray(slide.read_bytes())
    content[start : start + count] = bytes(count)
    slide.write_bytes(content)
    (task,) = find_slides([slide], options=ScanOptions(threshold=0.1, tissue_mask=False, max_bad_area=0.9), mpp=0.25)
    scanned = scan_slide(task, request_, detector)
    assert scanned.record.unread_mm2 > 0
    assert isinstance(scan_slide(task, request_, detector), SlideSkipped)
    os.utime(slide, ns=(0, 0))
    assert isinstance(scan_slide(task, request_, detector), SlideScanned)


# ---- one name, two slides -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [2, 1])
def test_results_of_another_slide_are_not_written_over(
    tmp_path: Path, request_: BatchOptions, detector: OnnxDetector, seed: int
) -> None:
    """Also where the other slide has the same overview, so that OpenSlide's fingerprint is the same."""
    one, other = write(tmp_path / "a" / "s.tif", 1), write(tmp_path / "b" / "s.tif", 3)
    if seed == 2:
        tifffile.imwrite(other, pixels(seed), tile=(TILE, TILE), photometric="rgb", resolution=(40_000, 40_000))
    scan(one, request_, detector)
    (request_.out / "s.corrected.geojson").write_text("[]")
    before = files_in(request_.out)
    with pytest.raises(NameTakenError, match="another slide of this name") as caught:
        scan(other, request_, detector)
    assert caught.value.options == ("out", "overwrite")
    (task,) = find_slides([other])
    with pytest.raises(NameTakenError):
        plan_slide(task, request_, detector)
    assert isinstance(scan(one, request_, detector), SlideSkipped)
    assert files_in(request_.out) == before
    overwritten = scan(other, replace(request_, overwrite=True), detector)
    assert isinstance(overwritten, SlideScanned)
    (marks,) = request_.out.glob("s.corrected.geojson*")
    assert marks.read_bytes() == b"[]"
    assert any(f"it is now {marks.name}" in warning for warning in overwritten.warnings) is (seed == 2)


def test_a_file_that_was_replaced_is_scanned_again(
    tmp_path: Path, request_: BatchOptions, detector: OnnxDetector
) -> None:
    slide = write(tmp_path / "a" / "s.tif", 1)
    scan(slide, request_, detector)
    tifffile.imwrite(slide, pixels(4), tile=(TILE, TILE), photometric="rgb", resolution=(40_000, 40_000))
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert isinstance(scan(tmp_path / "link" / "s.tif", request_, detector), SlideScanned)


def test_the_failure_of_a_namesake_does_not_stand_beside_results(
    tmp_path: Path, request_: BatchOptions, detector: OnnxDetector
) -> None:
    one = write(tmp_path / "a" / "s.tif", 1)
    scan(one, request_, detector)
    elsewhere = tmp_path / "b" / "s.tif"
    for path, recorded in ((elsewhere, False), (one, True)):
        record_failure(request_.out, SlideTask(place=path, name="s", root=path.parent), "damaged", attempts=1)
        assert (request_.out / "s.failed.json").exists() is recorded


@pytest.mark.slow
def test_a_batch_says_which_results_are_in_the_way(
    tmp_path: Path, request_: BatchOptions, detector: OnnxDetector
) -> None:
    scan(write(tmp_path / "a" / "s.tif", 1), request_, detector)
    write(tmp_path / "b" / "s.tif", 2)
    before = files_in(request_.out)
    tasks = find_slides([tmp_path / "b"], options=ScanOptions(threshold=0.1))
    (outcome,) = [event.outcome for event in run_batch(request_, tasks) if isinstance(event, Ended)]
    assert isinstance(outcome, SlideFailed)
    facts = outcome_facts(outcome)
    assert (facts["status"], "another slide of this name" in str(facts["reason"])) == ("failed", True)
    assert files_in(request_.out) == before


def test_a_place_is_known_again_and_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "Miller, John" / "s.svs"
    place = place_of(path)
    assert is_at(path, place)
    assert is_at(tmp_path / "x" / ".." / "Miller, John" / "s.svs", place)
    assert not is_at(tmp_path / "s.svs", place)
    assert place_of(path) != place, "nobody can see that two slides are of one place"
    for nonsense in ("", ":", "ü:1", "12:zz", "00"):
        assert not is_at(path, nonsense)


def test_records_with_pseudonyms_do_not_say_the_place(
    tmp_path: Path, request_: BatchOptions, detector: OnnxDetector
) -> None:
    (tmp_path / "key").write_text("secret")
    private = replace(request_, pseudonymise=tmp_path / "key")
    scan(write(tmp_path / "a" / "s.tif", 1), private, detector)
    identity = read_run_record(request_.out / "s.run.json").slide.identity
    assert (identity.place, bool(identity.content)) == ("", True)
    other = tmp_path / "b" / "s.tif"
    other.parent.mkdir()
    tifffile.imwrite(other, pixels(4), tile=(TILE, TILE), photometric="rgb", resolution=(40_000, 40_000))
    with pytest.raises(NameTakenError):
        scan(other, private, detector)


def test_a_slide_keeps_its_results_when_another_gets_its_name(
    tmp_path: Path, request_: BatchOptions, detector: OnnxDetector
) -> None:
    """First there is s.tif alone, with results called s; later s.btf lies beside it."""
    first = write(tmp_path / "in" / "s.tif", 1)
    scan(first, request_, detector)
    write(tmp_path / "in" / "s.btf", 2)

    def scan_both(threshold: float = 0.1) -> list[SlideScanned | SlideSkipped]:
        tasks = find_slides([tmp_path / "in"], options=ScanOptions(tissue_mask=False, threshold=threshold))
        assert [task.name for task in tasks] == ["s.btf", "s.tif"]
        return [scan_slide(task, request_, detector) for task in tasks]

    for expected in (SlideScanned, SlideSkipped):
        other, again = scan_both()
        assert isinstance(other, expected)
        assert isinstance(again, SlideSkipped)
        assert (again.name, again.record.slide.name) == ("s.tif", "s")
        assert {path.name for path in again.files} == {"s.csv", "s.geojson", "s.run.json"}
        assert not (request_.out / "s.tif.run.json").exists()
    other, again = scan_both(threshold=0.2)
    assert isinstance(again, SlideScanned)
    assert any("older results of this slide, called s" in warning for warning in again.warnings)
    assert not any("older results" in warning for warning in other.warnings)
    assert isinstance(scan_both(threshold=0.2)[1], SlideSkipped)
