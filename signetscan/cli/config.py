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

from signetscan.cli.flags import Flag
from signetscan.errors import OptionError

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
    user_file, working_folder = Path(click.get_app_dir("signetscan")) / "config.toml", Path.cwd()
    project_files = (folder / PROJECT_FILE for folder in (working_folder, *working_folder.parents))
    nearest = next((path for path in project_files if path.is_file()), None)
    return [path for path in (user_file, nearest) if path is not None and path.is_file()]


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
                settings.setdefault(command, {})[name] = Setting(value=value, source=path)
    return settings


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
    return {command: {name: setting.value for name, setting in table.items()} for command, table in settings.items()}


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            message = f"{path}: too large for a settings file"
            raise OptionError(message)
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"{path}: cannot be read as TOML: {error}"
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
    click.echo(f"# files: {', '.join(map(str, files)) or 'none'}")
    for name, known in group.commands.items():
        if isinstance(known, click.Group) or command not in {None, name}:
            continue
        click.echo(f"[{name}]")
        former = {flag.former.removeprefix("--") for flag in known.params if isinstance(flag, Flag)}
        for option, parameter in option_names(known).items():
            if option in former:
                continue
            value, source = _in_force(known, name, parameter, settings)
            click.echo(f"{option} = {value}  # {source}")


def _in_force(command: click.Command, name: str, parameter: str, settings: Settings) -> tuple[str, str]:
    """An option's value and its source."""
    variable = f"{PREFIX}_{name}_{parameter}".upper()
    if os.environ.get(variable):
        return repr(os.environ[variable]), variable
    setting = settings.get(name, {}).get(parameter)
    if setting is not None:
        return repr(setting.value), str(setting.source)
    default = next(known.default for known in command.params if known.name == parameter)
    if default is None or callable(default) or type(default).__name__ == "Sentinel":
        return "none", "default"
    return repr(str(default) if isinstance(default, Path) else default), "default"
