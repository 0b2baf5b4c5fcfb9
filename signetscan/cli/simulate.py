"""`signetscan simulate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from signetscan.cli.console import FILE, progress, result
from signetscan.cli.flags import flags_of, given
from signetscan.plurals import counted
from signetscan.simulate.options import ImageSetOptions, SlideOptions

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def simulate() -> None:
    """Draw images of tissue in which every signet ring cell is known."""


@simulate.command()
@click.argument("out", type=FILE)
@flags_of(ImageSetOptions)
@click.option("--workers", type=click.IntRange(min=1), help="Number of processes.  [default: one per core]")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors and the result.")
def images(out: Path, workers: int | None, *, quiet: bool, **values: object) -> None:
    """Write a training set into the new folder OUT.

    It has the layout of DigestPath 2019.

    Example: signetscan simulate images data --positives 40 --negatives 80 --missing-rate 0.3
    """
    options = given(ImageSetOptions, values)

    from signetscan.simulate.image_set import write_image_set

    with progress("drawing", unit="images", quiet=quiet) as on_progress:
        drawn = write_image_set(out, options, workers=workers, on_progress=on_progress)
    result(
        f"{out}: {counted(drawn.positives, 'image')} with {counted(drawn.cells, 'signet ring cell')} "
        f"({drawn.boxes} with a box), {drawn.negatives} without"
    )


@simulate.command()
@click.argument("out", type=FILE)
@flags_of(SlideOptions)
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors and the result.")
def slide(out: Path, *, quiet: bool, **values: object) -> None:
    """Write the whole-slide image OUT (.svs or .tiff) and its truth.

    The truth is a GeoJSON file beside the image.

    Example: signetscan simulate slide made.svs --width 20000 --height 20000
    """
    options = given(SlideOptions, values)

    from signetscan.simulate.slide_file import write_slide

    with progress("drawing", unit="pieces", quiet=quiet) as on_progress:
        drawn = write_slide(out, options, on_progress=on_progress)
    result(
        f"{out}: {counted(drawn.positive_regions, 'region')} with {counted(drawn.cells, 'signet ring cell')}, "
        f"{drawn.normal_regions} without"
    )
