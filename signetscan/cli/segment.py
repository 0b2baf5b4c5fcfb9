"""`signetscan segment`."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import click

from signetscan.batch.options import BatchOptions, list_columns
from signetscan.cli.console import PLACE
from signetscan.cli.flags import flags_of, given
from signetscan.cli.scan_messages import area_in_words
from signetscan.cli.scanning import AS_JSON, QUIET, ends_cleanly, show
from signetscan.plurals import amount, counted
from signetscan.scan.options import SegmentOptions
from signetscan.texts import printable

if TYPE_CHECKING:
    from signetscan.batch.outcome import SlideScanned, SlideSkipped
    from signetscan.slides.addresses import AnyPlace

OF_DETECTION = ("trim_tiles", "model", "calibration", "formats", "objects_per_file")
"""Options of scans that are not offered here."""


@click.command()
@click.argument("paths", type=PLACE, nargs=-1, metavar="PATH...")
@click.option(
    "--model",
    required=True,
    help="Name of a model that segments tissue (glands: of real colon glands; or your own), or an ONNX file.",
)
@click.option(
    "--list",
    "slide_list",
    type=click.File(encoding="utf-8-sig"),
    help=f"CSV of slides: path, and any of {', '.join(list_columns(SegmentOptions))}; - is stdin.  [default: none]",
)
@flags_of(BatchOptions, SegmentOptions, leave_out=OF_DETECTION)
@AS_JSON
@QUIET
@click.pass_context
def segment(
    context: click.Context,
    /,
    paths: tuple[AnyPlace, ...],
    slide_list: IO[str] | None,
    *,
    as_json: bool,
    quiet: bool,
    **values: object,
) -> None:
    """Outline regions of tissue, and score slides.

    Give files, folders or patterns, addresses of slides or studies in an archive that speaks DICOMweb, or a list of
    slides. Writes for each slide NAME.regions.geojson (drag it onto the slide in QuPath), NAME.regions.csv, the
    area of each class, NAME.regions.classmap.ome.tif, the class of each place, and NAME.regions.run.json, with the
    slide's score. They lie beside the results of detect. Slides that are already done with the same model and
    options are skipped.

    Exit status: as for detect.

    Example: signetscan segment biopsy.svs --model glands --out results
    """
    from signetscan.batch.run import scan_slides

    request, options = given(BatchOptions, values), given(SegmentOptions, values)
    with ends_cleanly(context):
        events = scan_slides(paths, request, options, slide_list=slide_list)
        status = show(events, request, context.command, as_json=as_json, quiet=quiet, tell=_regions)
    if status:
        context.exit(status)


def _regions(outcome: SlideScanned | SlideSkipped) -> str:
    """The slide's score, and how much of which class was found."""
    record = outcome.record
    if record.regions is None or record.regions.slide_score is None:
        return f"no tissue{area_in_words(record)}"
    found = ", ".join(
        f"{amount(area.mm2, 2)} mm² of {printable(area.name)} in {counted(area.regions, 'region')}"
        for area in record.regions.classes
        if area.regions
    )
    return f"score {record.regions.slide_score:.4f}; {found or 'no region'}{area_in_words(record)}"
