"""`signetscan store`."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import click

from signetscan.cli.console import note, result
from signetscan.cli.results import results_argument
from signetscan.cli.statuses import SOME_FAILED

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@results_argument
@click.argument("archive", metavar="ADDRESS")
@click.pass_context
def store(context: click.Context, /, results: tuple[Path, ...], archive: str) -> None:
    """Send DICOM results to an archive that speaks DICOMweb.

    RESULT is a folder of results of detect and segment, or any result file of one slide. Their annotations and
    segmentations, written with --format dicom, go to the DICOMweb service at ADDRESS, such as https://HOST/dicom-web,
    by STOW-RS. They hold the patient data that the slides hold. A bearer token is taken from SIGNETSCAN_DICOMWEB_TOKEN.

    Prints the names of the files that the archive has taken, and an error for each that it has refused; the others are
    sent all the same. What is sent twice is one object: its UIDs are the same.

    Exit status: 0 all stored, 1 stopped by an error, 2 wrong usage, 3 some files were not stored.

    Example: signetscan store results https://archive.example/dicom-web
    """
    from signetscan.results.storing import NothingToStore, NotStored, Stored, store_results

    failed = False
    for outcome in store_results(results, archive.rstrip("/")):
        match outcome:
            case Stored():
                result(str(outcome.file))
            case NotStored():
                note(f"Error: {outcome.file}: {outcome.reason}")
                failed = True
            case NothingToStore():
                note(f"Note: {outcome.name}: there is nothing to store: {outcome.reason}")
            case _:
                assert_never(outcome)
    if failed:
        context.exit(SOME_FAILED)
