"""Options from files and the environment, and `signetscan config show`, which says where each value comes from.

A flag goes before the environment (SIGNETSCAN_DETECT_MODEL), that before the project's file (signetscan.toml in the
working folder or the nearest one above it), and that before the user's own (config.toml in the system's folder for
settings). A file has a table for each command: [detect], with options by their long names.
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
"""A file of settings is a few lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One option that a file sets."""

    value: Any
    """Its value."""
    source: Path
    """The file."""


Settings = dict[str, dict[str, Setting]]
"""By command and parameter."""


def config_files() -> list[Path]:
    """The files that count, the weaker first."""
    found = [Path(click.get_app_dir("signetscan")) / "config.toml"]
    here = Path.cwd()
    found += [folder / PROJECT_FILE for folder in (here, *here.parents) if (folder / PROJECT_FILE).is_file()][:1]
    return [path for path in found if path.is_file()]


def read_settings(group: click.Group, files: list[Path]) -> Settings:
    """What files set for the commands of a group.

    Raises:
        OptionError: a file is not TOML, or names a command or option that is not there.
    """
    settings: Settings = {}
    for path in files:
        for command, table in _read(path).items():
            known = group.commands.get(command)
            if known is None or not isinstance(table, dict):
                message = f"{path}: [{command}] is not a command; there are {', '.join(group.commands)}"
                raise OptionError(message)
            if isinstance(known, click.Group):
                message = f"{path}: [{command}]: options of commands of two words are not taken from files"
                raise OptionError(message)
            names = option_names(known)
            for option, value in table.items():
                name = names.get(option.replace("_", "-"))
                if name is None:
                    message = f"{path}: [{command}] has no option {option}; there are {', '.join(names)}"
                    raise OptionError(message)
                settings.setdefault(command, {})[name] = Setting(value=value, source=path)
    return settings


def option_names(command: click.Command) -> dict[str, str]:
    """Parameter of each option, by its long name."""
    return {
        flag.removeprefix("--"): parameter.name or ""
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for flag in parameter.opts
        if flag.startswith("--")
    }


def default_map(settings: Settings) -> dict[str, dict[str, Any]]:
    """Settings as click takes them."""
    return {command: {name: setting.value for name, setting in own.items()} for command, own in settings.items()}


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            message = f"{path}: too large for a file of settings"
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
    """Print the value of each option and where it comes from.

    Shows the options of COMMAND, or of all commands. A flag goes before the environment (SIGNETSCAN_DETECT_MODEL), that
    before signetscan.toml in the working folder or the nearest one above it, and that before the user's own
    config.toml.

    Example: signetscan config show detect
    """
    group = context.find_root().command
    if not isinstance(group, click.Group):
        raise TypeError(group)
    if command is not None and command not in group.commands:
        message = f"no command {command}; there are {', '.join(group.commands)}"
        raise OptionError(message)
    files = config_files()
    settings = read_settings(group, files)
    click.echo(f"# files: {', '.join(map(str, files)) or 'none'}")
    for name, known in group.commands.items():
        if isinstance(known, click.Group) or command not in {None, name}:
            continue
        click.echo(f"[{name}]")
        former = {each.former.removeprefix("--") for each in known.params if isinstance(each, Flag)}
        for option, parameter in option_names(known).items():
            if option in former:
                continue
            value, source = _in_force(known, name, parameter, settings)
            click.echo(f"{option} = {value}  # {source}")


def _in_force(command: click.Command, name: str, parameter: str, settings: Settings) -> tuple[str, str]:
    """An option's value and where it comes from."""
    variable = f"{PREFIX}_{name}_{parameter}".upper()
    if os.environ.get(variable):
        return repr(os.environ[variable]), variable
    setting = settings.get(name, {}).get(parameter)
    if setting is not None:
        return repr(setting.value), str(setting.source)
    default = next(each.default for each in command.params if each.name == parameter)
    if default is None or callable(default) or type(default).__name__ == "Sentinel":
        return "none", "default"
    return repr(str(default) if isinstance(default, Path) else default), "default"
