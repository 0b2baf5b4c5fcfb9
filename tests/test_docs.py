"""The README and the pages in docs: what they say must be true, and what they tell to type must work."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner
from conftest import ROOT

from signetscan.cli.main import cli
from signetscan.extras import EXTRAS
from signetscan.formats.csv_file import COLUMNS
from signetscan.formats.result_files import SUFFIXES
from signetscan.simulate.options import SlideOptions
from signetscan.simulate.slide_file import write_slide

if TYPE_CHECKING:
    from pathlib import Path

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
TEXTS = PAGES | {"README.md": README}
BLOCKS = re.findall(r"^```\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
TYPED = re.compile(r"^```bash\n(.*?)^```$", re.DOTALL | re.MULTILINE)
RUN = {name: "".join(TYPED.findall(page)).splitlines() for name, page in PAGES.items() if TYPED.search(page)}
"""The command lines of each page that are for typing as they stand."""

QUICK = {
    "TRAIN_EPOCHS": "1",
    "TRAIN_BATCHES": "2",
    "TRAIN_BATCH_SIZE": "2",
    "TRAIN_CROP": "128",
    "TRAIN_WIDTH": "8",
    "TRAIN_FPN_CHANNELS": "16",
    "TRAIN_HEAD_DEPTH": "1",
    "TRAIN_BACKBONE": "resnet18",
    "EXPORT_THRESHOLD": "0.5",
    "SIMULATE_IMAGES_SIZE": "256",
}
"""Settings that make training a matter of seconds. They come from the environment, and the lines stay as they are."""


def test_the_first_two_blocks_set_everything_up() -> None:
    """One line each; CI runs the second as it stands."""
    first, second = (block.strip() for block in BLOCKS[:2])
    assert len(BLOCKS) == 2
    assert "\n" not in first
    assert first.endswith("signetscan detect tests/data/sample.svs --out results")
    assert second in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


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
    shutil.copy(ROOT / "tests" / "data" / "sample.svs", root)
    shutil.copy(ROOT / "tests" / "data" / "sample.truth.geojson", root)
    write_slide(root / "slide.svs", SlideOptions(width=1536, height=1536, region=600, seed=5))
    (root / "slide.truth.geojson").rename(root / "slide.geojson")
    write_slide(root / "second.svs", SlideOptions(width=1536, height=1536, region=600, seed=6))
    (root / "second.truth.geojson").rename(root / "second.geojson")
    for place in ("slides/a.svs", "slides/sub/b.svs", "more/c.svs"):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / "slide.svs", root / place)
    (root / "worklist.csv").write_text("path,mpp\nmore/c.svs,0.25\n")
    (root / "secret.key").write_bytes(b"a key of some bytes")
    shutil.copytree(toy_folder, root / "DigestPath2019")
    square = [[[100, 100], [900, 100], [900, 900], [100, 900], [100, 100]]]
    outline = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": square}, "properties": {}}
    (root / "roi.geojson").write_text(json.dumps(outline))
    shutil.copy(root / "slide.geojson", root / "corrected.geojson")
    return root


@pytest.fixture
def folder(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in, with results of an earlier run in `other`."""
    place = tmp_path / "work"
    shutil.copytree(store, place)
    monkeypatch.chdir(place)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / ".config"))
    for name, value in QUICK.items():
        monkeypatch.setenv(f"SIGNETSCAN_{name}", value)
    return place


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RUN))
def test_the_commands_of_a_page_work_one_after_the_other(name: str, folder: Path, trained: Path) -> None:
    if name == "results.md":
        run(["detect", "slide.svs", "--threshold", "0.2", "--out", "other"])
        run(["detect", "slide.svs", "--out", "results"])
    for line in RUN[name]:
        words = shlex.split(line)[1:]
        if "int8" in words:  # two batches teach nothing, and of a network that finds nothing no int8 model is made
            shutil.copy(trained / "best.pt", folder / "runs" / "first")
        if words[0] == "view":
            look(words)
        else:
            run(words)


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


def run(words: list[str]) -> None:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, f"{words}: {result.output}"


def look(words: list[str]) -> None:
    """Start the viewer, wait for its address, and end it as Ctrl-C does."""
    command = [sys.executable, "-m", "signetscan", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        try:
            address = process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) in {0, 130}
        finally:
            process.kill()
    assert address.startswith("http://127.0.0.1:")


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
