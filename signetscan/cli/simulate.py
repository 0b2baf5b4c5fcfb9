"""`signetscan simulate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from signetscan.cli.console import FILE, progress

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def simulate() -> None:
    """Draw images of tissue in which every signet ring cell is known."""


@simulate.command()
@click.argument("out", type=FILE)
@click.option("--positives", default=20, help="Images with signet ring cells.")
@click.option("--negatives", default=40, help="Images without.")
@click.option("--size", default=2000, help="Side of an image, pixels of 0.25 um.")
@click.option("--images-per-slide", default=4, help="Images that share a slide's stain and scanner.")
@click.option("--missing-rate", default=0.0, help="Share of boxes left out of the XML, 0 to 1; truth/ keeps them all.")
@click.option(
    "--background",
    "backgrounds",
    type=FILE,
    multiple=True,
    help="A real picture (of 0.25 um per pixel) or slide to draw half of the images on; may be given several times.  "
    "[default: none]",
)
@click.option("--seed", default=0, help="The same seed and options give the same bytes.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: one a core]")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors and the result.")
def images(out: Path, workers: int | None, *, quiet: bool, **options: Any) -> None:  # noqa: ANN401 - click's values
    """Write a training set into the new folder OUT.

    It has the layout of DigestPath 2019.

    Example: signetscan simulate images data --positives 40 --negatives 80 --missing-rate 0.3
    """
    from signetscan.concurrency import cpu_count
    from signetscan.simulate.image_set import ImageSetOptions, write_image_set

    wanted = ImageSetOptions(**options)
    with progress("drawing", unit="images", quiet=quiet) as on_progress:
        totals = write_image_set(out, wanted, workers=workers or cpu_count(), on_progress=on_progress)
    click.echo(
        f"{out}: {totals['positives']} images with {totals['cells']} signet ring cells "
        f"({totals['boxes']} with a box), {totals['negatives']} without"
    )


@simulate.command()
@click.argument("out", type=FILE)
@click.option("--width", default=8400, help="Width of the slide, pixels.")
@click.option("--height", default=8400, help="Height of the slide, pixels.")
@click.option("--mpp", default=0.25, help="Size of a pixel, um.")
@click.option("--region", default=2000, help="Side of a piece of tissue, pixels of 0.25 um.")
@click.option("--jpeg-quality", default=80, help="Quality of the JPEG tiles, 1 to 100.")
@click.option("--seed", default=0, help="The same seed and options give the same bytes.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors and the result.")
def slide(out: Path, *, quiet: bool, **options: Any) -> None:  # noqa: ANN401 - click's values
    """Write the whole-slide image OUT (.svs or .tiff) and its truth.

    The truth is a GeoJSON file beside the image.

    Example: signetscan simulate slide made.svs --width 20000 --height 20000
    """
    from signetscan.simulate.slide_file import SlideOptions, write_slide

    wanted = SlideOptions(**options)
    with progress("drawing", unit="pieces", quiet=quiet) as on_progress:
        totals = write_slide(out, wanted, on_progress=on_progress)
    click.echo(
        f"{out}: {totals['positive_regions']} regions with {totals['cells']} signet ring cells, "
        f"{totals['normal_regions']} without"
    )
