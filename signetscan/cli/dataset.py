"""`signetscan dataset`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from signetscan.cli.console import FILE, json_result, note, progress, result
from signetscan.cli.flags import flags_of, given
from signetscan.dataset.options import AddOptions
from signetscan.plurals import counted

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.dataset.add_slide import Added


@click.group()
def dataset() -> None:
    """Make training data from slides of your own."""


@dataset.command()
@click.argument("slide", type=FILE)
@click.argument("corrected", type=FILE, nargs=-1, required=True, metavar="CORRECTED...")
@click.option("--out", "-o", type=FILE, required=True, help="The data set: a new folder, or one made by this command.")
@flags_of(AddOptions)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors and the result.")
def add(slide: Path, corrected: tuple[Path, ...], out: Path, *, as_json: bool, quiet: bool, **values: object) -> None:
    """Turn a SLIDE that you CORRECTED in QuPath into training images.

    CORRECTED are GeoJSON files of the slide, from `signetscan view` or from QuPath: import what `signetscan detect`
    wrote, give detections that are no cells the class Ignore*, draw a box around each cell that was missed, and export
    all objects.

    Draw annotations of the class "Positive region" around parts in which you looked at everything and left nothing but
    cells, and of the class "Normal region" around parts without cells; "Reviewed region" says that you looked, and
    that only what you confirmed or drew is a cell. A large annotation of the class Ignore* marks an area that training
    leaves out. Without regions, windows with cells become images in which boxes may be missing. Nothing becomes an
    image without cells only because nobody marked anything in it.

    Adding a slide again replaces its images.

    Example: signetscan dataset add biopsy.svs corrected.geojson --out mine

    Then:    signetscan train mine
    """
    from signetscan.dataset.add_slide import add_slide

    with progress("writing", unit="images", quiet=quiet) as on_progress:
        added = add_slide(out, slide, corrected, given(AddOptions, values), on_progress=on_progress)
    for line in added.notes:
        note(f"Note: {line}.", quiet=quiet)
    if as_json:
        json_result(asdict(added))
    else:
        result(_line(out, added))


def _line(out: Path, added: Added) -> str:
    parts: list[str] = []
    if added.positives:
        cells = ", ".join(f"{name}: {count}" for name, count in added.cells.items())
        parts.append(f"{counted(added.positives, 'image')} with cells ({cells})")
    if added.normals:
        parts.append(f"{counted(added.normals, 'image')} without cells")
    if added.replaced:
        parts.append(f"{counted(added.replaced, 'earlier image')} of this slide replaced")
    return f"{out}: added {added.name} at {added.mpp:g} µm/px: {'; '.join(parts)}"
