"""The arguments of commands that take results of an earlier run."""

from __future__ import annotations

import click

from signetscan.cli.console import FILE

results_argument = click.argument("results", type=FILE, nargs=-1, required=True, metavar="RESULT...")
"""Folders of results, or any file of one slide's."""
slide_option = click.option(
    "--slide",
    type=FILE,
    help="The slide of the result, or a folder that holds it: results do not name the files of slides.  "
    "[default: none]",
)
