"""Options from settings files and the environment, and `signetscan config show`, which shows their sources.

A flag overrides the environment (SIGNETSCAN_DETECT_MODEL), which overrides the project's file (signetscan.toml in the
working folder or the nearest folder above it), which overrides the user's file (config.toml in the system's folder for
settings). A file has a table for each command, such as [detect], with options by their long names.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from signetscan.cli.console import note, result
from signetscan.cli.flags import Flag
from signetscan.errors import OptionError
from signetscan.user_folder import user_folder

PREFIX = "SIGNETSCAN"
PROJECT_FILE = "signetscan.toml"
MAX_BYTES = 1 << 20
"""Largest settings file, bytes; most have a few lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """An option that a file sets."""

    value: Any
    """Its value."""
    source: Path
    """The file that sets it."""


Settings = dict[str, dict[str, Setting]]
"""Settings by command and parameter."""


def config_files() -> list[Path]:
    """The settings files in use; later ones override earlier ones."""
    user_file, project_file = user_folder() / "config.toml", _project_file()
    return [path for path in (user_file, project_file) if path is not None and os.path.isfile(path)]  # noqa: PTH113


def _project_file() -> Path | None:
    """The file in the working folder or the nearest folder above it."""
    try:
        working_folder = Path.cwd()
    except OSError:  # it was removed
        return None
    candidates = (folder / PROJECT_FILE for folder in (working_folder, *working_folder.parents))
    return next((path for path in candidates if os.path.isfile(path)), None)  # noqa: PTH113 - False without permission


def say_foreign_settings(context: click.Context, command: click.Command, words: list[str], settings: Settings) -> None:
    """Name the settings file of a folder above the working folder, and what it sets, where that takes effect.

    Whoever may write to such a folder could otherwise redirect the results without a word.

    Args:
        context: that of the program, whose command is to run.
        command: the command.
        words: its arguments and flags.
        settings: the settings.
    """
    path = _project_file()
    table = settings.get(command.name or "", {})
    if path is None or path.parent == Path.cwd() or not table:
        return
    inner = click.Context(command, info_name=command.name, parent=context)
    given, _, _ = command.make_parser(inner).parse_args(list(words))
    in_force = [
        f"{option} = {table[name].value!r}"
        for option, name in option_names(command).items()
        if name in table and table[name].source == path and name not in given and not _variable(command, name)[1]
    ]
    if in_force:
        note(f"Settings of {path} are in force: {', '.join(in_force)}")


def read_settings(group: click.Group, files: list[Path]) -> Settings:
    """Read the settings that files hold for the commands of a group.

    Raises:
        OptionError: a file is not TOML, or names a command or option that does not exist.
    """
    settings: Settings = {}
    for path in files:
        for command, table in _read(path).items():
            known = group.commands.get(command)
            if known is None or not isinstance(table, dict):
                message = f"{path}: [{command}] is not a command; the commands are {', '.join(group.commands)}"
                raise OptionError(message)
            if isinstance(known, click.Group):
                message = f"{path}: [{command}]: settings files cannot set options of commands with two words"
                raise OptionError(message)
            names = option_names(known)
            for option, value in table.items():
                name = names.get(option.replace("_", "-"))
                if name is None:
                    message = f"{path}: [{command}] has no option {option}; its options are {', '.join(names)}"
                    raise OptionError(message)
                parameter = next(each for each in known.params if each.name == name)
                if not _fits(value, parameter):
                    message = f"{path}: [{command}] {option} cannot be {_in_words(value)}"
                    raise OptionError(message)
                settings.setdefault(command, {})[name] = Setting(value=value, source=path)
    return settings


def _fits(value: Any, parameter: click.Parameter) -> bool:  # noqa: ANN401 - whatever TOML holds
    """Whether a value is of a kind that an option takes; click checks texts and numbers, but nothing else."""
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return isinstance(value, bool)
    values = value if isinstance(value, list) and getattr(parameter, "multiple", False) else [value]
    return all(
        isinstance(each, str | int | float) and not isinstance(each, bool) and "\0" not in str(each) for each in values
    )


def _in_words(value: Any) -> str:  # noqa: ANN401 - whatever TOML holds
    kinds = {bool: "true or false", list: "a list", dict: "a table", str: "this text", int: "a number"}
    return kinds.get(type(value), "a number" if isinstance(value, float) else "a date or a time")


def option_names(command: click.Command) -> dict[str, str]:
    """The parameters of a command's options, by long name."""
    return {
        flag.removeprefix("--"): parameter.name or ""
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for flag in parameter.opts
        if flag.startswith("--")
    }


def default_map(settings: Settings) -> dict[str, dict[str, Any]]:
    """Settings in the form that click takes."""
    return {
        command: {name: _as_given(setting.value) for name, setting in table.items()}
        for command, table in settings.items()
    }


def _as_given(value: Any) -> Any:  # noqa: ANN401 - whatever TOML holds
    """A value as it would be given as a flag, so that it is checked as one: 1.5 is no whole number."""
    if isinstance(value, list):
        return [str(each) for each in value]
    return value if isinstance(value, bool) else str(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            message = f"{path}: too large for a settings file"
            raise OptionError(message)
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # numbers of thousands of digits; tables without end
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        message = f"{path}: cannot be read as TOML: {why}"
        raise OptionError(message) from error


@click.group()
def config() -> None:
    """Show the settings in force."""


@config.command()
@click.argument("command", required=False)
@click.pass_context
def show(context: click.Context, /, command: str | None) -> None:
    """Print the value of each option and its source.

    Shows the options of COMMAND, or of all commands. A flag overrides the environment (SIGNETSCAN_DETECT_MODEL), which
    overrides signetscan.toml in the working folder or the nearest folder above it, which overrides the user's
    config.toml.

    Example: signetscan config show detect
    """
    group = context.find_root().command
    if not isinstance(group, click.Group):
        raise TypeError(group)
    if command is not None and command not in group.commands:
        message = f"no command {command}; the commands are {', '.join(group.commands)}"
        raise OptionError(message)
    files = config_files()
    settings = read_settings(group, files)
    result(f"# files: {', '.join(map(str, files)) or 'none'}")
    for name, known in group.commands.items():
        if isinstance(known, click.Group) or command not in {None, name}:
            continue
        result(f"[{name}]")
        former = {flag.former.removeprefix("--") for flag in known.params if isinstance(flag, Flag)}
        for option, parameter in option_names(known).items():
            if option in former:
                continue
            value, source = _in_force(known, name, parameter, settings)
            result(f"{option} = {value}  # {source}")


def _variable(command: click.Command, parameter: str) -> tuple[str, str]:
    """The environment variable of an option, and its value, empty if it is not set."""
    variable = f"{PREFIX}_{command.name}_{parameter}".upper()
    return variable, os.environ.get(variable, "")


def _in_force(command: click.Command, name: str, parameter: str, settings: Settings) -> tuple[str, str]:
    """An option's value and its source."""
    variable, given = _variable(command, parameter)
    if given:
        return repr(given), variable
    setting = settings.get(name, {}).get(parameter)
    if setting is not None:
        return repr(setting.value), str(setting.source)
    default = next(known.default for known in command.params if known.name == parameter)
    if default is None or callable(default) or type(default).__name__ == "Sentinel":
        return "none", "default"
    return repr(str(default) if isinstance(default, Path) else default), "default"
