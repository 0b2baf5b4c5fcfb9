"""Arguments of the commands that read results of an earlier run."""

from __future__ import annotations

import click

from signetscan.cli.console import FILE, PLACE

results_argument = click.argument("results", type=FILE, nargs=-1, required=True, metavar="RESULT...")
"""Folders of results, or any result files of slides."""
slide_option = click.option(
    "--slide",
    type=PLACE,
    help="The slide of the result, or a folder with it, because results do not name the slides' files; or the address "
    "of the slide or its study in an archive.  [default: none]",
)

overwrite_option = click.option("--overwrite", is_flag=True, help="Replace files that are in --out already.")
