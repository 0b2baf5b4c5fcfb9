"""Settings files that do something else than one would think, or cannot be used."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from conftest import ROOT

from signetscan.cli.main import cli

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder below a project's, and a home of one's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    (tmp_path / "project" / "work").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project" / "work")
    return tmp_path / "project"


def detect(*words: object) -> Result:
    return CliRunner().invoke(cli, ["detect", "no.svs", *map(str, words)])


def test_settings_of_a_folder_above_are_named_when_they_take_effect(project: Path) -> None:
    path = project / "signetscan.toml"
    path.write_text('[detect]\nout = "/elsewhere"\nthreshold = 0.7\nformat = ["csv"]\n[watch]\nmodel = "other"\n')
    assert detect("--quiet").stderr.splitlines()[0] == (
        f"Settings of {path} are in force: out = '/elsewhere', format = ['csv'], threshold = 0.7"
    )
    named = detect("-o", "here", "--threshold=0.5").stderr.splitlines()[0]
    assert named == f"Settings of {path} are in force: format = ['csv']"
    assert "in force" not in detect("-o", "here", "--threshold=0.5", "--format", "csv").stderr
    assert "in force" not in CliRunner().invoke(cli, ["info", "no.svs"]).stderr


def test_the_environment_takes_precedence_there_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "signetscan.toml").write_text('[detect]\nout = "/elsewhere"\n')
    monkeypatch.setenv("SIGNETSCAN_DETECT_OUT", "here")
    assert "in force" not in detect().stderr


def test_settings_of_the_working_folder_are_in_plain_sight(project: Path) -> None:
    (project / "work" / "signetscan.toml").write_text('[detect]\nout = "elsewhere"\n')
    (project / "signetscan.toml").write_text('[detect]\nmodel = "other"\n')
    assert "in force" not in detect().stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("out = [1]", "[detect] out cannot be a list"),
        ("out = {a = 1}", "[detect] out cannot be a table"),
        ("threshold = true", "[detect] threshold cannot be true or false"),
        ("threshold = 1979-05-27", "[detect] threshold cannot be a date or a time"),
        ("threshold = nan", "--threshold"),
        ("batch-size = 1.5", "1.5"),
        ("batch-size = inf", "--batch-size"),
        ('report = "yes"', "[detect] report cannot be this text"),
        ("report = 1", "[detect] report cannot be a number"),
        ('out = "\\u0000"', "[detect] out cannot be this text"),
        ("format = [[1]]", "[detect] format cannot be a list"),
        (f"threshold = {'1' * 5000}", "cannot be read as TOML"),
        (f"out = {'[' * 50_000}", "nested too deeply"),
        (f"out = {'{a=' * 50_000}", "nested too deeply"),
    ],
)
def test_a_value_that_an_option_cannot_take_is_named(project: Path, text: str, says: str) -> None:
    (project / "work" / "signetscan.toml").write_text(f"[detect]\n{text}\n")
    result = detect()
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert says in result.stderr


@pytest.mark.parametrize("text", ["threshold = 1", 'threshold = "0.5"', "report = true", "format = ['csv', 'geojson']"])
def test_values_are_taken_as_flags_are(project: Path, text: str) -> None:
    (project / "work" / "signetscan.toml").write_text(f"[detect]\n{text}\n")
    assert "no.svs: no such file" in detect().stderr


@pytest.mark.skipif(sys.platform != "linux", reason="Linux lets one remove the working folder")
@pytest.mark.parametrize("change", [{}, {"HOME": None}, {"HOME": "/nonexistent"}])
def test_a_removed_working_folder_and_no_home_are_told_in_words(project: Path, change: dict[str, str | None]) -> None:
    environment = {name: value for name, value in (os.environ | change).items() if value is not None}
    job = "import os, sys; os.rmdir(os.getcwd()); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        (project / "work").mkdir(exist_ok=True)
        command = [sys.executable, "-c", job, "-P", "-m", "signetscan", *words]
        return subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=False, env=environment, cwd=project / "work"
        )

    shown = run("config", "show", "detect")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "# files: none" in shown.stdout
    slide = str(ROOT / "tests" / "data" / "sample.svs")
    scanned = run("detect", slide, "--out", str(project / "out"))
    assert scanned.returncode == 1
    assert scanned.stderr.splitlines() == [
        "Error: the working folder was removed; change to one that exists, and start again"
    ]
