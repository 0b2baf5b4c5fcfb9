"""`import signetscan`: every name that it offers is there, has a description, and costs nothing until it is used."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest
from conftest import ROOT

import signetscan
from signetscan.options import options_of

if TYPE_CHECKING:
    from pathlib import Path

API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLE = re.search(
    r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)
HEAVY = {"numpy", "scipy", "skimage", "openslide", "tifffile", "PIL", "onnxruntime", "torch", "click", "matplotlib"}


def python(code: str, folder: Path = ROOT) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder).stdout  # noqa: S603


@pytest.mark.parametrize("name", signetscan.__all__)
def test_every_name_is_there_and_described(name: str) -> None:
    thing = getattr(signetscan, name)
    assert thing.__name__ == name
    assert thing.__module__.startswith("signetscan.")
    assert len(inspect.getdoc(thing) or "") > 10
    assert f"\n## {name}\n" in API


def test_the_names_are_listed() -> None:
    assert set(signetscan.__all__) <= set(dir(signetscan))
    assert {"open_slide", "load_detector", "detect_slide", "train_detector", "SignetscanError"} <= set(
        signetscan.__all__
    )
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = signetscan.no_such_name  # type: ignore[attr-defined]


def test_importing_it_loads_nothing_heavy() -> None:
    loaded = set(python("import signetscan, sys; print(*sys.modules)").split())
    assert "signetscan" in loaded
    assert not HEAVY & loaded


def test_scanning_needs_no_torch() -> None:
    code = "import signetscan, sys; signetscan.detect_slide, signetscan.load_detector; print(*sys.modules)"
    loaded = set(python(code).split())
    assert "numpy" in loaded
    assert not {"torch", "click", "rich"} & loaded


def test_the_example_of_the_readme_runs(tmp_path: Path) -> None:
    assert EXAMPLE is not None
    shutil.copy(ROOT / "tests" / "data" / "sample.svs", tmp_path / "slide.svs")
    assert "[[" in python(EXAMPLE[1], tmp_path)


@pytest.mark.parametrize("name", [name for name in signetscan.__all__ if name.endswith("Options")])
def test_every_option_is_described_on_the_page(name: str) -> None:
    section = API.split(f"\n## {name}\n")[1].split("\n## ")[0]
    cls = getattr(signetscan, name)
    abouts = options_of(cls)
    for field in fields(cls):
        row = next(line for line in section.splitlines() if line.startswith(f"| `{field.name}` |"))
        assert len(row.rsplit("| ", 1)[1]) > 5
        if field.name in abouts:
            assert abouts[field.name].help.replace("|", "\\|") in row
