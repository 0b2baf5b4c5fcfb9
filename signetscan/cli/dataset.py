"""`signetscan dataset`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from signetscan.cli.console import FILE, POSITIVE, note, progress

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.dataset.add import Added


@click.group()
def dataset() -> None:
    """Make training data from slides of your own."""


@dataset.command()
@click.argument("slide", type=FILE)
@click.argument("corrected", type=FILE, nargs=-1, required=True, metavar="CORRECTED...")
@click.option("--out", "-o", type=FILE, required=True, help="The data set: a new folder, or one made by this command.")
@click.option(
    "--class",
    "classes",
    multiple=True,
    help="Class that is a cell, by name; may be given several times.  [default: all in CORRECTED]",
)
@click.option(
    "--detections/--no-detections",
    default=None,
    help="Whether a model's detections are cells.  [default: those in positive regions; without such regions all, or "
    "none if there are annotated cells]",
)
@click.option(
    "--rejected-windows/--no-rejected-windows",
    default=True,
    help="Without positive regions: whether a window in which all was rejected is a normal image.",
)
@click.option("--window", default=2000, help="Without positive regions: longest side of an image, pixels.")
@click.option(
    "--bounds-crop/--no-bounds-crop",
    default=True,
    help="GeoJSON counts from the slide's bounds, as QuPath shows it, or from level 0.",
)
@click.option("--mpp", type=POSITIVE, help="Size of the slide's pixels, um/px.  [default: what the file says]")
@click.option(
    "--image-mpp",
    type=POSITIVE,
    help="Size of the pixels of a new data set, um; all slides are resampled to it.  [default: the first slide's]",
)
@click.option("--name", help="What to call the slide in the names of images.  [default: the file's name]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors and the result.")
def add(
    slide: Path,
    corrected: tuple[Path, ...],
    out: Path,
    *,
    bounds_crop: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,  # noqa: ANN401 - click's values
) -> None:
    """Turn a SLIDE that you CORRECTED in QuPath into training images.

    CORRECTED are GeoJSON files of the slide: import what `signetscan detect` wrote into QuPath, give what is no cell
    the class Ignore* (or delete it), draw a box around each cell that was missed, and export all objects.

    Annotations of the class "Positive region" say where you looked at everything, those of the class "Normal region"
    where there is no cell. Without positive regions, windows with cells become images in which cells may be missing.

    Adding a slide again replaces its images.

    Example: signetscan dataset add biopsy.svs corrected.geojson --out mine

    Then:    signetscan train mine
    """
    from signetscan.dataset.add import AddOptions, add_slide

    wanted = AddOptions(crop_to_bounds=bounds_crop, **options)
    with progress("writing", unit="images", quiet=quiet) as on_progress:
        added = add_slide(out, slide, corrected, wanted, on_progress=on_progress)
    for line in added.notes:
        note(f"Note: {line}.", quiet=quiet)
    click.echo(json.dumps(asdict(added), ensure_ascii=False) if as_json else _line(out, added))


def _line(out: Path, added: Added) -> str:
    cells = ", ".join(f"{count} {name}" for name, count in added.cells.items()) or "no cell"
    replaced = f"; {added.replaced} of this slide were replaced" if added.replaced else ""
    return (
        f"{out}: {added.name}: {added.positives} images with {cells}, and {added.normals} images without cells, at "
        f"{added.mpp:g} um/px{replaced}"
    )
