"""`signetscan detect` into folders on real file systems that are full, read-only or closed to the user.

Each test but the last mounts a file system of its own in memory, in a namespace that nobody else sees and that ends
with it.
"""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from signetscan.batch.find import SlideTask
from signetscan.batch.messages import Failed, Refused
from signetscan.batch.workers import answer
from signetscan.errors import ResultError, SlideError
from signetscan.testing.tiny_model import write_tiny_model

if TYPE_CHECKING:
    from signetscan.batch.outcome import SlideOutcome
    from signetscan.errors import SignetscanError


def _may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/tmp"]  # noqa: S108 - hides it from this process alone
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0  # noqa: S603 - the line above


mounts = pytest.mark.skipif(not _may_mount(), reason="this system does not let a user mount in a namespace of his own")


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory, small_slide: Path) -> Path:
    root = tmp_path_factory.mktemp("disks")
    (root / "slides").mkdir()
    for name in "abcd":
        shutil.copy(small_slide, root / "slides" / f"{name}.svs")
    write_tiny_model(root / "tiny.onnx")
    (root / "disk").mkdir()
    return root


def in_namespace(slides: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script of bash; `detect` in it scans into the folder `disk`, and says its status on stdout."""
    told = f"""
    cd {slides}
    detect() {{ {sys.executable} -m signetscan detect slides --out disk/out --model tiny.onnx --threshold 0.1 --quiet \\
        --device cpu >> log; echo "status $?"; }}
    """
    arguments = ["unshare", "-rm", "bash", "-c", told + script]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)  # noqa: S603 - written above


@mounts
def test_a_full_disk_stops_the_run_and_with_room_it_goes_on(slides: Path) -> None:
    run = in_namespace(
        slides,
        """
        mount -t tmpfs -o size=32k tmpfs disk
        detect
        for file in disk/out/*.csv; do name=${file%.csv}; test -s $name.geojson || echo "alone: $file"; done
        ls -A disk/out | grep -c '^[.]'
        ls disk/out/*.run.json | wc -l
        mount -o remount,size=10m disk
        detect
        ls -A disk/out | wc -l
        sha256sum disk/out/*.geojson | cut -d' ' -f1 | sort -u | wc -l
        """,
    )
    first, hidden, done, second, files, kinds = run.stdout.split("\n")[:6]
    assert (first, second) == ("status 1", "status 0"), run.stderr
    assert hidden == "0"
    assert 0 < int(done) < 4, "the disk is to be full after some slides; choose its size anew"
    assert (files, kinds) == ("12", "1")
    said = run.stderr.strip().splitlines()
    assert len(said) == 1
    assert "cannot be written: No space left on device. The run stops here. Start it again to continue" in said[0]


@mounts
def test_a_read_only_disk_is_refused_before_anything_is_scanned(slides: Path) -> None:
    run = in_namespace(slides, "mount -t tmpfs -o ro tmpfs disk; detect; ls -A disk")
    assert run.stdout == "status 1\n"
    assert run.stderr == "Error: disk/out: the folder cannot be made: Read-only file system; choose another folder\n"


@mounts
def test_a_disk_that_becomes_read_only_stops_the_run(slides: Path) -> None:
    run = in_namespace(
        slides, "mount -t tmpfs tmpfs disk; mkdir disk/out; mount -o remount,ro disk; detect; ls -A disk/out"
    )
    assert run.stdout == "status 1\n"
    assert run.stderr.startswith("Error: disk/out: ")
    assert len(run.stderr.splitlines()) == 1


@mounts
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv to give up root's rights with")
@pytest.mark.parametrize("mode", ["500", "000"])
def test_a_folder_without_permission_is_refused(slides: Path, mode: str) -> None:
    """Root's right to write anywhere is given up first."""
    run = in_namespace(
        slides,
        f"""
        mount -t tmpfs tmpfs disk; mkdir disk/out; chmod {mode} disk/out
        export -f detect
        setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-dac_override,-dac_read_search bash -c detect
        ls -A disk/out
        """,
    )
    assert run.stdout == "status 1\n"
    assert run.stderr == "Error: disk/out: no permission to write here; choose another folder\n"


@mounts
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv to give up root's rights with")
def test_a_slide_without_permission_costs_that_slide_only(slides: Path) -> None:
    run = in_namespace(
        slides,
        """
        mount -t tmpfs tmpfs disk; cp -r slides tiny.onnx disk; cd disk; mkdir disk; chmod 000 slides/a.svs
        export -f detect
        setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-dac_override,-dac_read_search bash -c detect
        ls disk/out | head -4
        grep -o 'attempts": 1' disk/out/a.failed.json
        """,
    )
    said = ["status", "3", "a.failed.json", "b.csv", "b.geojson", "b.run.json", 'attempts":', "1"]
    assert run.stdout.split() == said
    assert "a.svs" in run.stderr
    assert "ermission" in run.stderr


LASTING = (errno.EACCES, errno.EROFS, errno.ENOSPC, errno.ENAMETOOLONG)
PASSING = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EBUSY)


@pytest.mark.parametrize("code", [*LASTING, *PASSING])
@pytest.mark.parametrize("kind", [SlideError, ResultError, None])
def test_only_what_can_pass_is_tried_again(code: int, kind: type[SignetscanError] | None) -> None:
    """As errors of the system come, or as those of ours that they cause."""

    def fails() -> SlideOutcome:
        try:
            raise OSError(code, "no")
        except OSError as error:
            if kind is None:
                raise
            message = "it did not work"
            raise kind(message) from error

    given = answer(fails, SlideTask(place=Path("a.svs"), name="a", root=Path()), private=False)
    assert isinstance(given, Refused if code in LASTING else Failed)
