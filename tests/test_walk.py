"""What a new user does: reads page after page, types what they say, and looks for what they claim."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from conftest import ROOT, SHARED_DATA
from docs_folder import QUICK, fill
from lean_environment import LeanEnvironment

if TYPE_CHECKING:
    from pathlib import Path

CARD = ROOT / "models" / "signet-sim-3.md"
NAV = re.findall(r"[\w-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
PAGES = [ROOT / "README.md", *(ROOT / "docs" / name for name in NAV), CARD]
"""The README, the pages in the order of the site, and the model's card."""
TRAINING = ROOT / "docs" / "training.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INSTALL = re.compile(r'pip install -c constraints\.txt "\.\[([\w,]+)\]"')
REAL_SLIDE = "CMU-1-Small-Region.svs"


def blocks(page: Path) -> list[tuple[str, str]]:
    """The kind and the text of each block of a page."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def steps(page: Path) -> list[str]:
    """What a page tells to do: the lines of its `bash` blocks, and the installations of this checkout in any block.

    Lines of other blocks are for other machines, or for one's own names.
    """
    typed = []
    for kind, block in blocks(page):
        for line in (part.strip() for part in block.replace("&&", "\n").splitlines()):
            # The README's first lines have no kind, and are for typing.
            is_command = line.startswith("signetscan ") and (kind == "bash" or (page.name == "README.md" and not kind))
            if INSTALL.fullmatch(line) or is_command:
                typed.append(line)
    return typed


@dataclass(kw_only=True)
class Walk:
    """A user in a folder, with an environment and an empty home."""

    environment: LeanEnvironment
    folder: Path
    home: Path
    seen: dict[str, str] = field(default_factory=dict)
    """What each line printed."""

    def do(self, line: str) -> None:
        """Type a line; what it prints is kept."""
        installed = INSTALL.fullmatch(line)
        if installed is not None:
            self.environment.install(installed[1].split(","))
        elif line.startswith("signetscan view "):
            self.seen[line] = self._look(line)
        else:
            done = self._run(line)
            assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
            self.seen[line] = done.stdout

    def fails(self, line: str) -> str:
        """Type a line that must fail; gives what it says."""
        done = self._run(line)
        assert done.returncode != 0, line
        return done.stderr

    @property
    def _variables(self) -> dict[str, str]:
        quick = {f"SIGNETSCAN_{name}": value for name, value in QUICK.items()}
        path = os.pathsep.join([str(self.environment.bin), "/usr/bin", "/bin"])
        return {"PATH": path, "HOME": str(self.home), "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", **quick}

    def _run(self, line: str) -> subprocess.CompletedProcess[str]:
        words = ["bash", "-c", line]
        return subprocess.run(  # noqa: S603
            words, cwd=self.folder, env=self._variables, capture_output=True, text=True, check=False, timeout=300
        )

    def _look(self, line: str) -> str:
        """Start the viewer, wait for its address, and end it as Ctrl-C does."""
        words = ["bash", "-c", f"exec {line}"]
        with subprocess.Popen(  # noqa: S603
            words, cwd=self.folder, env=self._variables, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            try:
                address = process.stdout.readline()
                process.send_signal(signal.SIGINT)
                assert process.wait(30) in {0, 130}
            finally:
                process.kill()
        assert address.startswith("http://127.0.0.1:"), line
        return address


@pytest.fixture
def walk(tmp_path: Path, toy_folder: Path) -> Walk:
    """A checkout's constraints and sample, and beside them what the reader brings: slides, annotations, lists."""
    folder, home = tmp_path / "work", tmp_path / "home"
    home.mkdir()
    fill(folder, toy_folder)
    (folder / "tests").mkdir()
    shutil.copytree(ROOT / "tests" / "data", folder / "tests" / "data")
    for made in ("sample.svs", "sample.truth.geojson"):  # the quick start makes them
        (folder / made).unlink(missing_ok=True)
    if SHARED_DATA.is_dir():
        shutil.copy(SHARED_DATA / "slides" / REAL_SLIDE, folder)
    return Walk(environment=LeanEnvironment(tmp_path / "venv"), folder=folder, home=home)


def take(walk: Walk, page: Path, trained: Path | None = None) -> None:
    """Do what a page says."""
    for line in steps(page):
        if REAL_SLIDE in line and not (walk.folder / REAL_SLIDE).exists():
            continue  # a slide that is not part of the project
        if "int8" in line and trained is not None:
            # Two batches teach nothing, and of a network that finds nothing no int8 model is made.
            shutil.copy(trained / "best.pt", walk.folder / "runs" / "first")
        walk.do(line)


@pytest.mark.slow
def test_pages_work_in_order_where_nothing_but_what_they_say_is_installed(walk: Walk) -> None:
    for page in PAGES:
        if page == TRAINING:
            continue  # the next test, because it takes as long as all others
        if page.name == "quick-start.md":  # else this test would not notice a page that forgets to install something
            assert 'pip install "signetscan[report]"' in walk.fails("signetscan detect tests/data/sample.svs --report")
        take(walk, page)
        if page.name == "quick-start.md":
            made = {path.name for path in (walk.folder / "first").iterdir()}
            assert {f"sample.{end}" for end in ("geojson", "csv", "run.json", "report.html")} <= made
    check_claims(walk.seen)


@pytest.mark.slow
def test_the_page_on_training_works_after_the_readme_alone(walk: Walk, trained: Path) -> None:
    walk.do(steps(PAGES[0])[0])
    assert "pip install" in walk.fails("signetscan train DigestPath2019 --out runs/first")
    take(walk, TRAINING, trained)


def check_claims(seen: dict[str, str]) -> None:
    """What the pages and the card claim is printed by one of their own lines."""
    card = CARD.read_text(encoding="utf-8")
    drawn = next(text for line, text in seen.items() if line.startswith("signetscan simulate slide sample.svs"))
    assert "72 signet ring cells" in drawn
    judged = next(text for line, text in seen.items() if line.startswith("signetscan evaluate found"))
    claimed = re.search(r"`tests/data/sample\.svs`.*\| 72 \| accurate \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", card)
    printed = [re.search(rf"^{name}\s+([\d.]+)", judged, re.MULTILINE) for name in ("FROC", "Recall", "Precision.*?")]
    assert claimed is not None
    assert [f"{float(value[1]):.3f}" for value in printed if value is not None] == list(claimed.groups())
    real = [text for line, text in seen.items() if REAL_SLIDE in line]
    assert "it finds 2, and so\ndoes the fast one:" in card
    if SHARED_DATA.is_dir():
        assert all(f"{REAL_SLIDE}: {count} signet" in text for count, text in zip((2, 2), real, strict=True))


def test_the_walk_goes_far() -> None:
    assert sum(len(steps(page)) for page in PAGES) > 40
    # Every line of every block of bash, unlike a pattern that loses the thread at a block of another kind.
    lines = [line for page in PAGES for line in page.read_text(encoding="utf-8").splitlines()]
    assert lines.count("```bash") == sum(kind == "bash" for page in PAGES for kind, _ in blocks(page))
    assert steps(ROOT / "README.md")[0] == 'pip install -c constraints.txt ".[cpu]"'
    assert len(steps(ROOT / "README.md")) == 2
    assert len(steps(CARD)) == 2
