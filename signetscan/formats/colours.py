"""Colours of classes and regions, the same in every format."""

from __future__ import annotations

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


def colour_of(label: int) -> Colour:
    """The colour of a label."""
    return LABEL_COLOURS[label % len(LABEL_COLOURS)]
