"""Output that cannot be printed or logged does not decide whether slides are scanned."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from signetscan.batch.events import Begun, Event, Finished, LogLost
from signetscan.batch.journal import Journal
from signetscan.errors import OutputError

FULL = Path("/dev/full")
JOB = """
import sys
from pathlib import Path
from signetscan.cli.streams import tolerant_streams
with tolerant_streams():
    print("a result \\u0142")
    sys.stdout.flush()
    print("a note", file=sys.stderr)
    print("another result")
    Path(sys.argv[1]).write_text("done")
    sys.exit(int(sys.argv[2]))
"""

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="needs Linux")


def run(folder: Path, redirection: str, *, status: int = 0, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the job with its streams redirected by a shell, and make sure that it did its work."""
    command = ["sh", "-c", f'"$0" -c "$1" "$2" {status} {redirection}', sys.executable, JOB, str(folder / "work")]
    done = subprocess.run(command, capture_output=True, check=False, env=os.environ | environment)  # noqa: S603
    assert (folder / "work").read_text() == "done"
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    return done


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("redirection", "status"),
    [
        ("", 0),
        (">&-", 0),
        ("2>&-", 0),
        ("<&- >&- 2>&-", 0),
        ("2>/dev/full", 0),
        (">/dev/full", 1),
        (">/dev/full 2>/dev/full", 1),
        ("| true; sleep 0", 0),
    ],
)
def test_the_work_is_done_and_lost_results_give_a_status(
    tmp_path: Path, redirection: str, status: int, unbuffered: str
) -> None:
    done = run(tmp_path, redirection, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == status
    if status and "2>" not in redirection:
        assert done.stderr.splitlines()[-1] == b"Error: not all results could be printed: No space left on device."


def test_a_status_of_its_own_stays(tmp_path: Path) -> None:
    assert run(tmp_path, ">/dev/full", status=3).returncode == 3
    assert run(tmp_path, "", status=3).returncode == 3


def test_what_an_encoding_lacks_is_escaped(tmp_path: Path) -> None:
    done = run(tmp_path, "", PYTHONIOENCODING="latin-1")
    assert done.stdout.splitlines() == [b"a result \\u0142", b"another result"]


def test_a_reader_that_went_away_is_told_apart_from_one_that_reads_all(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-c", JOB, str(tmp_path / "work"), "0"]
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, check=False)  # noqa: S603
    os.close(theirs)
    assert (done.returncode, (tmp_path / "work").read_text()) == (1, "done")
    assert done.stderr.splitlines()[-1] == b"Error: not all results could be printed: Broken pipe."


def test_files_do_not_get_the_numbers_of_closed_streams(tmp_path: Path) -> None:
    """Libraries in C print to number 2, whatever file has it."""
    job = (
        "import os, sys\nfrom signetscan.cli.streams import tolerant_streams\nwith tolerant_streams():\n"
        "    file = open(sys.argv[1], 'w')\n    os.write(2, b'a complaint')\n    file.write('results')"
    )
    command = ["sh", "-c", '"$0" -c "$1" "$2" <&- >&- 2>&-', sys.executable, job, str(tmp_path / "file")]
    subprocess.run(command, check=True)  # noqa: S603
    assert (tmp_path / "file").read_text() == "results"


def test_a_log_that_cannot_be_written_is_told_of_once() -> None:
    events: list[Event] = [Begun(tasks=()), Finished(done=0, skipped=0, failed=0)]
    with Journal(FULL) as journal:
        followed = list(journal.follow(events))
    assert followed == [LogLost(path=FULL, reason="No space left on device"), *events]


def test_a_log_has_a_line_for_each_event_after_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    with Journal(path) as journal:
        assert len(list(journal.follow([Begun(tasks=()), Finished(done=1, skipped=2, failed=3)]))) == 2
    first, begun, finished = path.read_text().splitlines()
    assert first == "before"
    assert json.loads(begun)["event"] == "begins"
    assert json.loads(finished) | {"time": ""} == {"time": "", "event": "ends", "done": 1, "skipped": 2, "failed": 3}


def test_a_log_that_cannot_be_opened_stops_the_run_before_it_begins(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the log cannot be written: Is a directory"):
        Journal(tmp_path)
