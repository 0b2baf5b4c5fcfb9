"""Making a command's flags from classes of options, and the options from the values of the flags."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, TypeVar

import click

from signetscan.cli.console import FILE
from signetscan.options import kinds_of, options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from signetscan.errors import SignetscanError
    from signetscan.options import Kind, Option

T = TypeVar("T")
Command = TypeVar("Command", bound="Callable[..., object]")

SHORT = {"out": "-o", "quiet": "-q", "verbose": "-v"}
"""Short flags, by option."""


class Flag(click.Option):
    """A flag that also accepts its former name, which help does not show."""

    def __init__(self, *args: Any, former: str = "", **kwargs: Any) -> None:  # noqa: ANN401 - click's signature
        super().__init__(*args, **kwargs)
        self.former = former

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The line of `--help`, without the former name."""
        names = self.opts, self.secondary_opts
        hidden = {self.former, f"--no-{self.former.removeprefix('--')}"}
        self.opts, self.secondary_opts = ([name for name in group if name not in hidden] for group in names)
        try:
            return super().get_help_record(ctx)
        finally:
            self.opts, self.secondary_opts = names

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """The value of the environment variable of the name or of the former name."""
        value = super().resolve_envvar_value(ctx)
        if value is None and self.former and ctx.auto_envvar_prefix is not None:
            name = self.former.removeprefix("--").replace("-", "_")
            return os.environ.get(f"{ctx.auto_envvar_prefix}_{name}".upper()) or None
        return value


def flags_of(
    *classes: type, leave_out: tuple[str, ...] = (), only: tuple[str, ...] | None = None
) -> Callable[[Command], Command]:
    """Give a command a flag for each option of some classes.

    Args:
        classes: the classes.
        leave_out: options that the command does not offer.
        only: the options that it offers; None for all.
    """

    def decorate(command: Command) -> Command:
        for cls in reversed(classes):
            for name, about in reversed(options_of(cls).items()):
                if name not in leave_out and (only is None or name in only):
                    command = _flag(name, about, kinds_of(cls)[name], _default(cls, name))(command)
        return command

    return decorate


def given(cls: type[T], values: Mapping[str, object], **others: object) -> T:
    """Make the options of a class from a command's flags; options without a flag keep their defaults.

    Args:
        cls: the class.
        values: values of the options by name; others are ignored.
        others: values of fields of the class that are not options.

    Raises:
        OptionError: a value makes no sense.
    """
    return cls(**{name: values[name] for name in options_of(cls) if name in values}, **others)


def with_flags(error: SignetscanError, command: click.Command) -> str:
    """An error's message, followed by the flags of the options that it concerns."""
    flags = {parameter.name: parameter.opts for parameter in command.params if isinstance(parameter, click.Option)}
    named = [next(flag for flag in flags[name] if flag.startswith("--")) for name in error.options if name in flags]
    if not named:
        return str(error)
    return f"{str(error).removesuffix('.')}. See {' and '.join(named)}"


def _default(cls: type, name: str) -> object:
    default: object = cls.__dataclass_fields__[name].default  # type: ignore[attr-defined]
    return default


def _flag(name: str, about: Option, kind: Kind, default: object) -> Callable[[Command], Command]:
    flag = f"--{(about.flag or name).replace('_', '-')}"
    help_text = f"{about.help.removesuffix('.')}, {about.unit}." if about.unit else about.help
    if about.default:
        help_text += f"  [default: {about.default}]"
    names = [flag, *([SHORT[name]] if name in SHORT else [])]
    former = f"--{about.former.replace('_', '-')}" if about.former else ""
    if kind.scalar is bool:
        if default is not False:  # an option that is None by default can be switched on and off
            names[0] += f"/--{(about.opposite or f'no-{about.flag or name}').replace('_', '-')}"
            former = former and f"{former}/--no-{former.removeprefix('--')}"
        switches = [*names, *([former] if former else [])]
        return click.option(
            *switches, name, cls=Flag, former=former.partition("/")[0], is_flag=True, default=default, help=help_text
        )
    decorator: Callable[[Command], Command] = click.option(
        *names,
        *([former] if former else []),
        name,
        cls=Flag,
        former=former,
        type=_type(kind, about),
        multiple=kind.many,
        default=None if about.default and not kind.many else default,  # what None means is decided later
        help=help_text,
    )
    return decorator


def _type(kind: Kind, about: Option) -> click.ParamType[Any]:
    if kind.choices:
        return click.Choice(kind.choices)
    low, high = (None if math.isinf(bound) else bound for bound in (about.low, about.high))
    if kind.scalar is int:
        return click.IntRange(None if low is None else int(low), None if high is None else int(high), about.above)
    if kind.scalar is float:
        return click.FloatRange(low, high, about.above)
    return click.STRING if kind.scalar is str else FILE
