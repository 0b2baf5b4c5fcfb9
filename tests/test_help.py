"""What the command line says of itself."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from signetscan import __version__
from signetscan.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Iterator


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(cli, arguments, terminal_width=300)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(
    "words", [[], *([name] for name, each in cli.commands.items() if isinstance(each, click.Group))]
)
def test_every_command_is_summed_up_on_one_line(words: list[str]) -> None:
    """A terminal of 80 columns cuts off what is longer."""
    listed = CliRunner().invoke(cli, [*words, "--help"], terminal_width=80).output.split("Commands:\n")[1]
    assert listed.count("\n") >= 1
    for line in listed.splitlines():
        assert re.fullmatch(r"  \w+ +[A-Z].*[^.]\.", line), line


def walk(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from walk(below, *path, name)
    else:
        yield path, command


COMMANDS = list(walk(cli))


def test_all_commands_are_there() -> None:
    assert sorted(" ".join(path) for path, _ in COMMANDS) == [
        "calibrate",
        "cells",
        "compare",
        "config show",
        "convert",
        "dataset add",
        "detect",
        "doctor",
        "evaluate",
        "export",
        "import",
        "info",
        "models add",
        "models list",
        "report",
        "segment",
        "simulate images",
        "simulate slide",
        "store",
        "train",
        "view",
        "watch",
    ]
    assert __version__ in shown("--version")
    for path, _ in COMMANDS:
        assert path[0] in shown("-h")


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[" ".join(path) for path, _ in COMMANDS])
def test_help_explains_each_option_its_default_and_an_example(path: tuple[str, ...], command: click.Command) -> None:
    (example,) = re.findall(r"Example: signetscan (.*)", shown(*path, "--help"))
    words = shlex.split(example)
    assert tuple(words[: len(path)]) == path
    assert command.make_context(path[-1], words[len(path) :]).params, "its options must be real ones"
    context = click.Context(command, parent=cli.make_context("signetscan", list(path)))
    for option in command.params:
        if not isinstance(option, click.Option):
            continue
        assert option.help
        _, text = option.get_help_record(context) or ("", "")
        default = ", ".join(option.default) if isinstance(option.default, tuple) else option.default
        if default is not False and isinstance(default, str | int | float | Path) and default != "":
            shown_default = str(option.name).replace("_", "-") if default is True else default
            assert text.count(f"[default: {shown_default}") == text.count("[default: ") == 1, text
        else:
            assert text.count("[default: ") == option.help.count("[default: "), text


def test_without_arguments_the_help_is_shown() -> None:
    result = CliRunner().invoke(cli)
    assert "Usage: " in result.output
    assert "detect" in result.output
    assert result.exit_code in {0, 2}


def commands_of(command: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for own, below in command.commands.items():
            yield from commands_of(below, f"{name} {own}".strip())
    else:
        yield name, command


@pytest.mark.parametrize(
    ("name", "command"), list(commands_of(cli)), ids=lambda each: each if isinstance(each, str) else ""
)
def test_every_option_says_what_it_is_and_what_it_is_without_being_given(name: str, command: click.Command) -> None:
    context = click.Context(command, info_name=name, show_default=True)
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            _, said = parameter.get_help_record(context) or ("", "")
            assert said, parameter.opts
            assert parameter.required or parameter.is_flag or "default" in said, (parameter.opts, said)
