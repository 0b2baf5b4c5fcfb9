"""A look at a whole slide before it is scanned: where its tissue is, and what of it cannot be right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.scan.look import colour_concerns, look_at
from signetscan.scan.overview import overview_step, read_overview
from signetscan.scan.tissue import tissue_on
from signetscan.slides.concerns import Concern, ConcernKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from signetscan.scan.overview import Overview
    from signetscan.scan.tissue import TissueMask
    from signetscan.slides.protocol import Slide

MIN_CUT_UM = 100.0
"""Tissue that runs along the edge of what a file holds for less than this, µm, is not worth a word."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Survey:
    """What the overview of a slide shows."""

    tissue: TissueMask
    """Where its tissue is."""
    concerns: tuple[Concern, ...]
    """What is suspicious about its pixels."""


def survey_slide(slide: Slide, *, min_area_um2: float, level: int | None = None, allow_unread: bool = False) -> Survey:
    """Find a slide's tissue, and what is suspicious about its pixels.

    Args:
        slide: the slide.
        min_area_um2: pieces of tissue below this area are left out, µm².
        level: the level to look at; the one that suits an overview if None.
        allow_unread: whether parts that cannot be decoded may count as tissue.

    Raises:
        MppError: the slide's pixel size is unknown.
        SlideError: the overview cannot be read.
    """
    overview = read_overview(slide, overview_step(slide), level, allow_unread=allow_unread)
    tissue = tissue_on(slide, overview, min_area_um2=min_area_um2)
    look = look_at(_shown(overview, tissue), tissue.pixel_um2)
    colours = () if look is None else colour_concerns(look)
    return Survey(tissue=tissue, concerns=(*_damage(overview, tissue.pixel_um2), *_lost(tissue), *colours))


def _shown(overview: Overview, tissue: TissueMask) -> NDArray[np.uint8]:
    """The pixels of an overview that show something, (N, 3)."""
    shown = overview.pixels[~tissue.blank]
    coloured = shown[shown.min(axis=1, initial=255) < 255]  # pure white marks what was not scanned
    return coloured if len(coloured) else shown


def _damage(overview: Overview, pixel_um2: float) -> Iterator[Concern]:
    """What could not be decoded of the levels on which tissue is looked for.

    Args:
        overview: the overview.
        pixel_um2: area of its pixels, µm².
    """
    if overview.damaged is None:
        return
    unread_mm2 = np.count_nonzero(overview.unread) * pixel_um2 / 1e6
    instead = "finer levels were searched for tissue there, which takes longer. " if overview.damaged else ""
    rest = f"{unread_mm2:.4f} mm² cannot be decoded on any, and count as tissue. " if unread_mm2 else ""
    yield Concern(
        kind=ConcernKind.MISSING,
        message=f"parts of level {overview.damaged} of its pyramid cannot be decoded: {instead}{rest}"
        "Copy the file again",
    )


def _lost(tissue: TissueMask) -> Iterator[Concern]:
    if tissue.filled_mm2 > 0:
        yield Concern(
            kind=ConcernKind.MISSING,
            message=f"{tissue.filled_mm2:.4f} mm² within tissue is filled up with a single grey, and was not scanned: "
            "the picture is lost there. Export the slide again",
        )
    if tissue.cut_um >= MIN_CUT_UM:
        yield Concern(
            kind=ConcernKind.MISSING,
            message=f"tissue runs along the edge of what the file holds for {tissue.cut_um / 1000:.1f} mm: the part "
            "beyond was never scanned, or is lost. See whether the slide is complete",
        )
