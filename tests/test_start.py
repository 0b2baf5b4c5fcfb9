"""What a plain scan imports: libraries that it does not need take as long to import as a small slide to scan."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_a_scan_imports_of_scipy_only_what_it_needs_and_nothing_of_scikit_image(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "signetscan", "detect", str(ROOT / "tests" / "data" / "sample.svs")]
    command += ["--out", str(tmp_path), "-q"]
    # Processes that it starts are asked the same.
    done = subprocess.run(  # noqa: S603 - our own command
        command,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
    )
    imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "signetscan.scan.tissue" in imported
    assert {name.split(".")[0] for name in imported} & {"skimage", "torch", "onnx", "matplotlib", "pyarrow"} == set()
    parts = {name.split(".")[1] for name in imported if name.startswith("scipy.")}
    # scipy.special is what scipy.ndimage itself imports.
    assert {part for part in parts if not part.startswith(("_", "version"))} == {"ndimage", "special"}
