"""Colours of classes and regions, the same in every format."""

from __future__ import annotations

import colorsys

from signetscan.annotations import NORMAL_REGION, POSITIVE_REGION, REVIEWED_REGION

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

LABEL_COLOURS: tuple[Colour, ...] = (
    (227, 26, 28),
    (31, 120, 180),
    (51, 160, 44),
    (255, 127, 0),
    (106, 61, 154),
    (177, 89, 40),
)
"""Colours of the labels; they repeat after the sixth."""
IGNORED_COLOUR: Colour = (180, 180, 180)
"""QuPath's colour of its class `Ignore*`."""
REGION_COLOURS: dict[str, Colour] = {
    POSITIVE_REGION: (255, 127, 0),
    NORMAL_REGION: (51, 160, 44),
    REVIEWED_REGION: (31, 120, 180),
}


BACKGROUND_COLOUR: Colour = (255, 255, 255)
"""Colour of the class of no interest on maps of tissue."""


def tissue_colours(count: int, background: int) -> tuple[Colour, ...]:
    """A colour for each class of tissue: white for the background, and hues from green over blue to red."""
    hues = [(1 / 3 + 2 / 3 * index / max(count - 2, 1)) % 1 for index in range(count - 1)]
    if count == 2:
        hues = [0.0]
    colours = [colorsys.hsv_to_rgb(hue, 0.85, 0.85) for hue in hues]
    others: list[Colour] = [(round(255 * red), round(255 * green), round(255 * blue)) for red, green, blue in colours]
    return (*others[:background], BACKGROUND_COLOUR, *others[background:])


def colour_of(label: int) -> Colour:
    """The colour of a label."""
    return LABEL_COLOURS[label % len(LABEL_COLOURS)]
