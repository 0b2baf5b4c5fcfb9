"""The arguments of commands that take results of an earlier run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from signetscan.cli.console import FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from signetscan.results.reading import StoredResult

results_argument = click.argument("results", type=FILE, nargs=-1, required=True, metavar="RESULT...")
"""Folders of results, or any file of one slide's."""
slide_option = click.option(
    "--slide",
    "where",
    type=FILE,
    help="The slide that the result is of, or a folder that holds it: results do not name the files of slides.  "
    "[default: none]",
)


def stored_results(results: tuple[Path, ...], where: Path | None) -> Iterator[StoredResult]:
    """The results that a user names, each once, with the slides' files if a place for those is given.

    Raises:
        ResultError: there is none, one is damaged, or its slide is not there.
    """
    from signetscan.batch.lookup import slide_of
    from signetscan.results.reading import find_results, load_result

    for path in dict.fromkeys(path for each in results for path in find_results(each)):
        stored = load_result(path)
        if where is not None:
            stored = replace(stored, scanned=replace(stored.scanned, path=slide_of(stored.record, where)))
        yield stored
