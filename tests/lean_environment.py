"""An environment with the libraries that some extras of signetscan require, and no others, made without a network."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tomllib
from importlib import metadata
from typing import TYPE_CHECKING

from conftest import ROOT
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCRIPT = '#!/bin/sh\nexec "{python}" -m signetscan "$@"\n'


class LeanEnvironment:
    """A virtual environment that sees this checkout and, of the libraries installed here, those that it requires.

    It stands for what `pip install` of the checkout makes: what `pyproject.toml` does not name is not there.
    """

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)  # noqa: S603
        self.bin = folder / "bin"
        self._site = next((folder / "lib").glob("python*/site-packages"))
        (self._site / "signetscan.pth").write_text(f"{ROOT}\n")
        script = self.bin / "signetscan"
        script.write_text(SCRIPT.format(python=self.bin / "python"))
        script.chmod(0o755)

    def install(self, extras: list[str]) -> None:
        """Make the libraries of some extras visible, with all that they require."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        listed = [
            *project["dependencies"],
            *(line for extra in extras for line in project["optional-dependencies"][extra]),
        ]
        for name in sorted(closure(listed)):
            for top in tops(metadata.distribution(name)):
                link = self._site / top
                if not link.exists():
                    link.symlink_to(sysconfig.get_path("purelib") + "/" + top)


def closure(lines: list[str]) -> set[str]:
    """The names of the distributions that requirements need, directly or not."""
    needed: set[str] = set()
    done: set[tuple[str, str]] = set()
    waiting = [(Requirement(line), "") for line in lines]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        needed.add(requirement.name)
        for wanted in {"", *requirement.extras}:
            if (requirement.name, wanted) not in done:
                done.add((requirement.name, wanted))
                requires = metadata.distribution(requirement.name).requires or []
                waiting += [(Requirement(line), wanted) for line in requires]
    return needed


def tops(distribution: metadata.Distribution) -> Iterator[str]:
    """The files and folders of a distribution in `site-packages`."""
    parts = {file.parts[0] for file in distribution.files or () if file.parts[0] != ".."}
    yield from sorted(part for part in parts if part != "__pycache__" and not part.endswith(".pth"))
