"""The `signetscan` command."""

from __future__ import annotations

from typing import Any

import click

from signetscan import __version__
from signetscan.cli.calibrate import calibrate
from signetscan.cli.cells import cells
from signetscan.cli.compare import compare
from signetscan.cli.config import PREFIX, config, config_files, default_map, read_settings, say_foreign_settings
from signetscan.cli.console import note
from signetscan.cli.convert import convert
from signetscan.cli.dataset import dataset
from signetscan.cli.detect import detect
from signetscan.cli.doctor import doctor
from signetscan.cli.evaluate import evaluate
from signetscan.cli.export import export
from signetscan.cli.flags import with_flags
from signetscan.cli.import_model import import_model
from signetscan.cli.info import info
from signetscan.cli.models import models
from signetscan.cli.report import report
from signetscan.cli.segment import segment
from signetscan.cli.signals import ended_by_signals
from signetscan.cli.simulate import simulate
from signetscan.cli.statuses import INTERRUPTED
from signetscan.cli.store import store
from signetscan.cli.streams import tolerant_streams
from signetscan.cli.train import train
from signetscan.cli.view import view
from signetscan.cli.watch import watch
from signetscan.errors import OptionError, SignetscanError
from signetscan.extras import EXTRAS, missing
from signetscan.texts import printable

COMMAND = "signetscan.command"
"""Key, in the context, of the command that runs."""
WORDS = "signetscan.words"
"""Key, in the context, of its arguments and flags."""


class Commands(click.Group):
    """A group that prints the library's errors as one line, with exit status 2 for options and 1 for all others."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - click's signature
        """Run the command line; a stream that cannot be written to does not end the work."""
        with tolerant_streams():
            return super().main(*args, **kwargs)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and remember it, because errors are printed with its flags."""
        name, command, rest = super().resolve_command(ctx, args)
        inner = command.commands.get(rest[0]) if isinstance(command, click.Group) and rest else None
        ctx.meta[COMMAND], ctx.meta[WORDS] = inner or command, rest
        return name, command, rest

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run a command; one that is asked to end removes what is half-written first."""
        try:
            with ended_by_signals():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            note("Interrupted.")
            ctx.exit(INTERRUPTED)
        except OptionError as error:
            raise click.UsageError(printable(with_flags(error, ctx.meta[COMMAND]))) from error
        except SignetscanError as error:
            raise click.ClickException(printable(with_flags(error, ctx.meta[COMMAND]))) from error
        except (click.BadParameter, click.NoSuchOption) as error:  # they quote what may come from a settings file
            text = "\n".join(map(printable, error.format_message().split("\n")))
            raise click.UsageError(text, ctx=error.ctx) from error
        except ModuleNotFoundError as error:
            if error.name not in EXTRAS:
                raise
            raise click.ClickException(str(missing(error.name))) from error


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "auto_envvar_prefix": PREFIX},
)
@click.version_option(__version__)
@click.pass_context
def cli(context: click.Context, /) -> None:
    """Find signet ring cells in whole-slide images, and train the detector from partial annotations.

    Research software: not for clinical use.
    """
    settings = read_settings(cli, config_files())
    context.default_map = default_map(settings)
    say_foreign_settings(context, context.meta[COMMAND], context.meta[WORDS], settings)


COMMANDS = (
    detect,
    segment,
    watch,
    calibrate,
    report,
    view,
    cells,
    convert,
    store,
    compare,
    train,
    dataset,
    evaluate,
    export,
    import_model,
    models,
    simulate,
    info,
    doctor,
    config,
)
for command in COMMANDS:
    cli.add_command(command)
