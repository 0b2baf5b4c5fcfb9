"""The README and what it says must be true."""

from __future__ import annotations

import re
import shlex

import click
import pytest
from click.testing import CliRunner
from conftest import ROOT

from signetscan.cli.main import cli
from signetscan.outputs.table import COLUMNS

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_the_first_two_blocks_set_everything_up() -> None:
    """One line each; CI runs the second as it stands."""
    first, second = (block.strip() for block in BLOCKS[:2])
    assert "\n" not in first
    assert first.endswith("signetscan detect tests/data/sample.svs --out results")
    assert second in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_every_command_shown_exists() -> None:
    """Each `signetscan ...` line parses: its command and options are there."""
    lines = [line for block in BLOCKS for line in block.replace("&&", "\n").splitlines()]
    shown = [shlex.split(line)[1:] for line in lines if line.strip().startswith("signetscan ")]
    assert len(shown) > 5
    for words in shown:
        command: click.Command = cli
        used = list(words)
        while isinstance(command, click.Group):
            command = command.commands[used.pop(0)]
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in used if word.startswith("--")} <= known, words


def test_every_command_is_listed() -> None:
    for name in cli.commands:
        assert f"`signetscan {name}" in README, name
        result = CliRunner().invoke(cli, [name, "--help"])
        assert result.exit_code == 0


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_is_described(column: str) -> None:
    assert f"`{column}`" in README
