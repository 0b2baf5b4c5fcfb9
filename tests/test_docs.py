"""The README and the pages in docs: what they say must be true, and what they tell to type must work."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest
from conftest import ROOT
from docs_folder import QUICK, fill

from signetscan.cli.main import cli
from signetscan.extras import EXTRAS
from signetscan.formats.csv_file import COLUMNS
from signetscan.formats.result_files import SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
TEXTS = PAGES | {"README.md": README}
BLOCKS = re.findall(r"^```\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
TYPED = re.compile(r"^```bash\n(.*?)^```$", re.DOTALL | re.MULTILINE)
RUN = {name: "".join(TYPED.findall(page)).splitlines() for name, page in PAGES.items() if TYPED.search(page)}
"""The command lines of each page that are for typing as they stand."""


def test_the_first_two_blocks_set_everything_up() -> None:
    """One line each; CI runs the second as it stands."""
    first, second = (block.strip() for block in BLOCKS[:2])
    assert len(BLOCKS) == 2
    assert "\n" not in first
    assert first.endswith("signetscan detect tests/data/sample.svs --out results")
    assert second in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert f"run: {second}\n" in (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")


def shown_commands(text: str) -> list[list[str]]:
    """The words of every `signetscan ...` that a page shows, in a block or within a line."""
    blocks = re.findall(r"^```(?:text|bash)?\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    lines = [line.strip() for block in blocks for line in block.replace("&&", "\n").splitlines()]
    lines += re.findall(r"`(signetscan [^`]+)`", text)
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("signetscan ")]


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_command_shown_exists(name: str) -> None:
    """Its command and options are there."""
    for words in shown_commands(TEXTS[name]):
        command: click.Command = cli
        used = list(words)
        while isinstance(command, click.Group) and used and not used[0].startswith("-"):
            command = command.commands[used.pop(0)]
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        known |= {"--help", "--version"}
        assert {word for word in used if word.startswith("--")} <= known, words


def test_there_are_commands_to_run() -> None:
    assert sum(map(len, RUN.values())) > 20
    for lines in RUN.values():
        assert all(line.startswith("signetscan ") for line in lines)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, toy_folder: Path) -> Path:
    """Everything that the pages name: slides, annotations, lists."""
    root = tmp_path_factory.mktemp("docs")
    fill(root, toy_folder)
    return root


@pytest.fixture
def folder(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in."""
    place = tmp_path / "work"
    shutil.copytree(store, place)
    monkeypatch.chdir(place)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / ".config"))
    for name, value in QUICK.items():
        monkeypatch.setenv(f"SIGNETSCAN_{name}", value)
    return place


@pytest.mark.slow
@pytest.mark.parametrize("begins", ["exec signetscan", "signetscan detect $slide", "signetscan detect /share/slides"])
def test_the_commands_of_clusters_work(begins: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a shell, with what the cluster would set; instead of a cluster elsewhere there is one here."""
    (line,) = [line.strip() for line in PAGES["clusters.md"].splitlines() if line.strip().startswith(begins)]
    line = line.replace("/share/scheduler.json", "local").replace("/share", str(folder))
    line = line.replace("$task.cpus", "1").replace("signetscan", f"{sys.executable} -m signetscan")
    for name, value in (("SLURM_ARRAY_TASK_ID", "1"), ("SLURM_ARRAY_TASK_COUNT", "2"), ("slide", "slide.svs")):
        monkeypatch.setenv(name, value)
    subprocess.run(["bash", "-c", line], check=True, capture_output=True)  # noqa: S603, S607
    assert list(folder.rglob("results/*.geojson"))


def slugs(text: str) -> set[str]:
    """Names of the headings' anchors, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_links_and_pictures_are_there(name: str) -> None:
    folder = ROOT if name == "README.md" else ROOT / "docs"
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        assert (folder / path).exists() if path else True, target
        if anchor:
            text = (folder / path).read_text(encoding="utf-8") if path else TEXTS[name]
            assert anchor in slugs(text), target


def test_every_page_is_in_the_site() -> None:
    listed = re.findall(r"[\w-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(PAGES)


def test_the_reference_is_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/tools/make_reference.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_command_is_in_the_reference() -> None:
    for name in cli.commands:
        assert f"\n## {name}" in PAGES["reference.md"], name


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_is_described(column: str) -> None:
    assert f"`{column}`" in PAGES["results.md"]


@pytest.mark.parametrize("name", SUFFIXES)
def test_every_format_is_described(name: str) -> None:
    assert f"`{name}`" in PAGES["results.md"]
    assert f"NAME{SUFFIXES[name]}`" in PAGES["results.md"]


@pytest.mark.parametrize("extra", sorted(set(EXTRAS.values())))
def test_every_extra_is_described(extra: str) -> None:
    assert f"`{extra}`" in PAGES["install.md"]
