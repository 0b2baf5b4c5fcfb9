"""`signetscan convert`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from signetscan.cli.console import FILE, note, result
from signetscan.cli.results import results_argument, slide_option, stored_results
from signetscan.cli.statuses import FATAL
from signetscan.formats.result_files import ENDINGS, check_libraries, result_paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from signetscan.results.reading import StoredResult


@click.command()
@results_argument
@click.option(
    "--format",
    "formats",
    type=click.Choice(list(ENDINGS)),
    multiple=True,
    required=True,
    help="To write; may be given several times.",
)
@slide_option
@click.option(
    "--out", "-o", type=FILE, help="Folder for the files; made if it is not there.  [default: beside the results]"
)
@click.pass_context
def convert(
    context: click.Context,
    /,
    results: tuple[Path, ...],
    formats: tuple[str, ...],
    where: Path | None,
    out: Path | None,
) -> None:
    """Write results in more formats, without scanning again.

    RESULT is a folder of results, or any file of one slide's. Formats: geojson and geojson.gz (QuPath), csv, parquet
    (GeoParquet), dicom (Microscopy Bulk Simple Annotations; only of DICOM slides, and needs --slide), asap,
    imagescope, and heatmap (density as an OME-TIFF).

    Prints the files that were written. What cannot be written is told, and all else is done.

    Exit status: 0 all done, 1 something could not be written, 2 wrong usage.

    Example: signetscan convert results --format parquet --format asap
    """
    from signetscan.batch.outcome import printable

    check_libraries(formats)
    if "dicom" in formats and where is None:
        message = "--format dicom needs --slide: DICOM annotations refer to the slide's own file"
        raise click.UsageError(message)
    failed = False
    for stored in _each(results, where, out):
        if isinstance(stored, str):
            note(f"Error: {printable(stored)}")
            failed = True
            continue
        paths, unfit = _write(stored, tuple(dict.fromkeys(formats)), out)
        for path in paths:
            result(printable(str(path)))
        for name, why in unfit.items():
            note(f"Error: {printable(stored.target.name)}: not written as {name}: {why}")
            failed = True
    if failed:
        context.exit(FATAL)


def _each(results: Sequence[Path], where: Path | None, out: Path | None) -> Iterator[StoredResult | str]:
    """The results, or what is the matter with one."""
    from signetscan.errors import AnnotationError, OptionError, ResultError, SlideError
    from signetscan.results.reading import find_results

    records = list(dict.fromkeys(path for each in results for path in find_results(each)))
    seen: dict[str, Path] = {}
    for record in records if out is not None else ():
        other = seen.setdefault(record.name.casefold(), record)
        if other is not record:
            message = f"{other} and {record} would have the same files in {out}; convert them into different folders"
            raise OptionError(message)
    for record in records:
        try:
            yield from stored_results((record,), where)
        except (AnnotationError, ResultError, SlideError) as error:
            yield str(error)


def _write(stored: StoredResult, formats: Sequence[str], out: Path | None) -> tuple[list[Path], dict[str, str]]:
    """Write a result's formats; the files, and why a format is not among them."""
    from signetscan.atomic import make_folder
    from signetscan.formats.writers import write_formats
    from signetscan.results.writing import add_formats

    target = stored.target if out is None else out / stored.target.name
    paths = {name: path for name, path in result_paths(target, formats).items() if name in formats}
    if out is None:
        unfit = add_formats(stored, formats).record["unfit"]
    else:
        make_folder(out)
        unfit = write_formats(paths, stored.scanned)
    unfit = {name: why for name, why in unfit.items() if name in paths}
    return [path for name, path in paths.items() if name not in unfit], unfit
