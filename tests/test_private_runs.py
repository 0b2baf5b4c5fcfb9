"""Runs with pseudonyms: whatever goes wrong, nothing says which slide it was."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from conftest import ROOT

from signetscan.batch.events import Ended, Retried
from signetscan.batch.find import SlideTask, find_slides, read_list
from signetscan.batch.messages import Failed, Full, Refused
from signetscan.batch.options import BatchOptions
from signetscan.batch.outcome import SlideFailed, SlideScanned
from signetscan.batch.privacy import PHRASES, private_reason, read_key
from signetscan.batch.run import scan_slides
from signetscan.batch.workers import answer
from signetscan.errors import AnnotationError, MppError, OptionError, OutputError, SignetscanError, SlideError
from signetscan.scan.options import ScanOptions
from signetscan.testing.tiny_model import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from signetscan.batch.outcome import SlideOutcome

KEY = bytes(range(32))
SECRETS = ("Muster", "muster", "Station", "station")
PATH = Path("/data/Station 3/Muster, Eva.svs")


def caused(error: SignetscanError, cause: BaseException) -> SignetscanError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (SlideError(f"{PATH}: OpenSlide cannot read this slide: {PATH.parent}/Muster.ini: no group"), "cannot be read"),
        (SlideError(f"{PATH}: the file is empty; copy it again"), "the file is empty"),
        (SlideError(f"{PATH}: its folder Muster is not beside it"), "that belongs to it is not beside it"),
        (MppError(f"{PATH.stem}: the file does not say how large its pixels are."), "does not say how large"),
        (AnnotationError(f"{PATH}: Muster is not JSON"), "region of interest"),
        (OutputError(f"{PATH}: cannot be written"), "results cannot be written"),
        (
            caused(OutputError(f"{PATH}: cannot be written"), OSError(errno.ENOSPC, "full", str(PATH))),
            "No space left on device",
        ),
        (SignetscanError(f"{PATH}"), "unforeseen"),
        (ValueError("Muster, Eva (born 1950)"), "ValueError"),
        (MemoryError(f"{PATH}"), "out of memory"),
    ],
)
def test_errors_are_told_in_our_own_words_alone(error: Exception, says: str) -> None:
    def fails() -> SlideOutcome:
        raise error

    task = SlideTask(place=PATH, name="0123", root=PATH.parent, true_name="Muster, Eva")
    given = answer(fails, task, private=True)
    assert isinstance(given, Failed | Refused | Full)
    assert says in given.reason
    assert not any(secret in given.reason for secret in SECRETS)
    open_given = answer(fails, task, private=False)
    assert isinstance(open_given, Failed | Refused | Full)
    assert str(error) in open_given.reason


def test_the_phrases_are_those_of_our_messages() -> None:
    folders = ("slides", "scan", "batch", "results")
    code = "".join(path.read_text() for folder in folders for path in (ROOT / "signetscan" / folder).glob("*.py"))
    for phrase in PHRASES:
        assert code.count(phrase) >= 2, phrase  # in `PHRASES`, and where it is said
        assert not any(mark in phrase for mark in "{}%")
    assert private_reason(SlideError("the file is damaged")).endswith("the file is damaged")


@pytest.mark.parametrize(
    "key", [b"", b"\n", b"secret", b"x" * 15, b" " * 20 + b"short key", bytes(40), b"ab" * 20, b"x" * 100_000]
)
def test_a_key_that_anybody_could_guess_is_refused(tmp_path: Path, key: bytes) -> None:
    (tmp_path / "key").write_bytes(key)
    with pytest.raises(OptionError, match=r"too easy to guess|longer than"):
        read_key(tmp_path / "key")


@pytest.mark.parametrize("key", [KEY[:16], KEY, b"correct horse battery staple\n", KEY.hex().encode()])
def test_a_key_is_taken_as_it_is(tmp_path: Path, key: bytes) -> None:
    (tmp_path / "key").write_bytes(key)
    assert read_key(tmp_path / "key") == key


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs Linux")
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom", "/dev/null"])
def test_a_device_is_no_key(device: str) -> None:
    with pytest.raises(OptionError, match="a device"):
        read_key(Path(device))


def test_messages_about_names_and_lists_name_no_slide(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "Muster.svs").touch()
    with pytest.raises(OptionError, match="two slides would have the same results") as error:
        find_slides([tmp_path / "a", tmp_path / "b"], private=True)
    assert "Muster" not in str(error.value)
    (tmp_path / "list.csv").write_text("path\nMuster.svs\n")
    request = BatchOptions(pseudonymise=tmp_path / "key")
    with (tmp_path / "list.csv").open() as file, pytest.raises(OptionError, match="line 2: its path: no such") as error:
        read_list(file, "list.csv", tmp_path, request, ScanOptions())
    assert "Muster" not in str(error.value)


# ---- whole runs -----------------------------------------------------------------------------------------------------


@pytest.fixture
def ward(tmp_path: Path, small_slide: Path) -> Path:
    folder = tmp_path / "Station 3"
    folder.mkdir()
    shutil.copy(small_slide, folder / "Muster, Eva.svs")
    write_tiny_model(tmp_path / "tiny.onnx")
    (tmp_path / "key").write_bytes(KEY)
    return folder


def private_request(folder: Path) -> BatchOptions:
    return BatchOptions(
        out=folder / "out", model=str(folder / "tiny.onnx"), device="cpu", pseudonymise=folder / "key", report=True
    )


def broken_mirax(folder: Path) -> None:
    """OpenSlide names the file that belongs to this one."""
    (folder / "Muster.mrxs").write_bytes(b"x")
    (folder / "Muster").mkdir()
    (folder / "Muster" / "Slidedat.ini").write_text("[GENERAL]\nSLIDE_ID = MUSTER\n")


def deep_tiff(folder: Path) -> None:
    tifffile.imwrite(folder / "Muster.tif", np.zeros((64, 64, 3), np.uint16), photometric="rgb", description="Muster")


def cut_slide(folder: Path) -> None:
    whole = (folder / "Muster, Eva.svs").read_bytes()
    (folder / "Muster_cut.svs").write_bytes(whole[: len(whole) // 2])


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [broken_mirax, deep_tiff, cut_slide])
def test_nothing_that_is_written_or_said_tells_which_slide_failed(
    ward: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], spoil: Callable[[Path], None]
) -> None:
    spoil(ward)
    request = replace(private_request(tmp_path), log_file=tmp_path / "log", verbose=True)
    events = list(scan_slides([ward], request, ScanOptions(threshold=0.1)))
    said = "".join(repr(event) for event in events if isinstance(event, Ended | Retried)) + "".join(capfd.readouterr())
    said += (tmp_path / "log").read_text()
    for path in sorted((tmp_path / "out").rglob("*")):
        said += path.name + path.read_bytes().decode(errors="replace")
    assert not [secret for secret in SECRETS if secret in said]
    outcomes = [type(event.outcome) for event in events if isinstance(event, Ended)]
    assert sorted(outcomes, key=str) == [SlideFailed, SlideScanned]


@pytest.mark.slow
def test_a_region_of_interest_is_found_by_the_name_of_its_slide(ward: Path, tmp_path: Path) -> None:
    outline = {"type": "Polygon", "coordinates": [[[0, 0], [300, 0], [300, 300], [0, 300], [0, 0]]]}
    (tmp_path / "roi").mkdir()
    (tmp_path / "roi" / "Muster, Eva.geojson").write_text(
        json.dumps({"type": "Feature", "geometry": outline, "properties": {}})
    )
    request = replace(private_request(tmp_path), roi=tmp_path / "roi", report=False)
    *_, ended, _ = scan_slides([ward], request)
    assert isinstance(ended, Ended)
    assert isinstance(ended.outcome, SlideScanned), ended
    assert ended.outcome.record.roi is not None


@pytest.mark.slow
def test_a_short_key_stops_the_command_before_it_scans(ward: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    command = [sys.executable, "-m", "signetscan", "detect", str(ward), "--out", str(tmp_path / "out")]
    command += ["--pseudonymise", str(tmp_path / "key"), "--model", str(tmp_path / "tiny.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)  # noqa: S603
    assert done.returncode == 2
    assert "too easy to guess" in done.stderr
    assert "--pseudonymise" in done.stderr
    assert not (tmp_path / "out").exists()
