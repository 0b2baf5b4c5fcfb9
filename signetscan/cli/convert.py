"""`signetscan convert`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from signetscan.batch.options import BatchOptions
from signetscan.cli.console import FILE, note, result
from signetscan.cli.flags import flags_of
from signetscan.cli.results import overwrite_option, results_argument, slide_option
from signetscan.cli.statuses import FATAL
from signetscan.formats.result_files import ALL_FORMATS

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.slides.addresses import AnyPlace


@click.command()
@results_argument
@click.option(
    "--format",
    "formats",
    type=click.Choice(list(ALL_FORMATS)),
    multiple=True,
    required=True,
    help="Format to write; may be given several times.",
)
@slide_option
@click.option(
    "--out", "-o", type=FILE, help="Folder for the files; created if it does not exist.  [default: next to the results]"
)
@overwrite_option
@flags_of(BatchOptions, only=("objects_per_file",))
@click.pass_context
def convert(
    context: click.Context,
    /,
    results: tuple[Path, ...],
    formats: tuple[str, ...],
    slide: AnyPlace | None,
    out: Path | None,
    objects_per_file: int | None,
    *,
    overwrite: bool,
) -> None:
    """Write results in more formats, without scanning again.

    RESULT is a folder of results of detect, or any result file of one slide. Formats: geojson and geojson.gz (QuPath),
    csv, parquet (GeoParquet), dicom (Microscopy Bulk Simple Annotations; only for DICOM slides, and needs --slide),
    asap, imagescope, and heatmap (density as an OME-TIFF).

    A file of segment, such as NAME.regions.run.json, stands for the regions of its slide, whose formats are geojson,
    csv, classmap, heatmap and dicom (a Segmentation). They are made of the class map, geojson of the heat map too.

    Prints the names of the files written, and an error for each file that could not be written; the others are written
    all the same.

    Exit status: 0 all done, 1 some files could not be written, 2 wrong usage.

    Example: signetscan convert results --format parquet --format asap
    """
    from signetscan.results.converting import convert_results
    from signetscan.results.folder import failed_slides, failures_in_words

    failed = False
    for converted in convert_results(
        results, formats, slides=slide, out=out, objects_per_file=objects_per_file, overwrite=overwrite
    ):
        for path in converted.files:
            result(str(path))
        unfit = [f"{converted.name}: not written as {name}: {why}" for name, why in converted.unfit.items()]
        for problem in [*([converted.problem] if converted.problem else []), *unfit]:
            note(f"Error: {problem}")
            failed = True
    without_results = failed_slides(results)
    if without_results:
        note(f"Note: there is nothing to convert of {failures_in_words(without_results)}")
    if failed:
        context.exit(FATAL)
