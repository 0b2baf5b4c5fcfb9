"""What a run leaves behind outside its output folder: nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def test_a_run_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    """ONNX Runtime's telemetry, which is on by default, would keep a device id and events to send there."""
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    for folder in (home, temporary):
        folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(home), "TMPDIR": str(temporary), "XDG_CACHE_HOME": str(home / ".cache")}
    command = [sys.executable, "-m", "signetscan", "detect", str(ROOT / "tests" / "data" / "sample.svs")]
    subprocess.run(  # noqa: S603 - our own command
        [*command, "--out", str(tmp_path / "out"), "--model", "fast", "-q"], env=environment, check=True
    )
    assert (tmp_path / "out" / "sample.run.json").is_file()
    assert [path for folder in (home, temporary) for path in folder.rglob("*") if path.is_file()] == []
