"""A model's figures on held-out images, as lines for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from signetscan.models.held_out import HeldOut, HeldOutRegions


def held_out_lines(held_out: HeldOut | HeldOutRegions) -> list[str]:
    """A heading, a line for each figure, and what the intervals are from."""
    width = max(map(len, held_out.figures))
    lines = [f"{held_out.heading}:"]
    lines += [f"  {label:{width}}  {estimate}" for label, estimate in held_out.figures.items()]
    drawn = f"95% intervals are from resamples of {held_out.intervals}" if held_out.intervals else "no intervals"
    return [*lines, f"  {drawn}"]
