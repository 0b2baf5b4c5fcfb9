"""The size of pixels in OME-XML, the description of OME-TIFF images."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from signetscan.slides.mpp import SizeClaims, size_claim

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

logger = logging.getLogger(__name__)

MOST_XML = 1 << 24
"""Longest OME-XML that is parsed, characters; a slide's takes some kilobytes."""

UM_PER_UNIT = {
    "pm": 1e-6,
    "\u00c5": 1e-4,  # the letter
    "\u212b": 1e-4,  # the unit
    "nm": 1e-3,
    "\u00b5m": 1.0,  # the micro sign
    "\u03bcm": 1.0,  # the Greek letter
    "um": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "dm": 1e5,
    "m": 1e6,
    "thou": 25.4,
    "mil": 25.4,
    "li": 25400 / 12,
    "in": 25400.0,
    "ft": 304_800.0,
}
"""Units of length. Others are of stars and atoms, or, as `pixel` and `reference frame`, none of length."""


def is_ome(description: str) -> bool:
    """Whether an image's description is OME-XML."""
    return "<OME" in description[:4096] and description.rstrip().endswith("OME>")


def ome_sizes(description: str, dimensions: tuple[int, int]) -> SizeClaims:
    """What OME-XML says of the size of an image's pixels; nothing if it cannot be parsed.

    Args:
        description: the first image's description in the file.
        dimensions: width and height of the image, by which it is found among several, pixels.
    """
    root = _parsed(description)
    image = None if root is None else _image_of(root, dimensions)
    pixels = None if image is None else image.find("{*}Pixels")
    if root is None or image is None or pixels is None:
        return SizeClaims()
    claim = size_claim(_um(pixels, "X"), _um(pixels, "Y"))
    return SizeClaims(claims=() if claim is None else (claim,), magnification=_magnification(root, image))


def ome_planes(description: str) -> float:
    """How many planes OME-XML says that its images have, all together; 0 if it cannot be parsed."""
    root = _parsed(description)
    if root is None:
        return 0
    every = root.iterfind("{*}Image/{*}Pixels")
    return sum(math.prod(_number(pixels.get(f"Size{axis}", "1")) for axis in "CZT") for pixels in every)


def _parsed(description: str) -> Element | None:
    if not is_ome(description) or len(description) > MOST_XML:
        return None
    from defusedxml import DefusedXmlException, ElementTree  # noqa: PLC0415 - only OME-TIFF needs it

    try:
        root: Element = ElementTree.fromstring(description)
    except (DefusedXmlException, ElementTree.ParseError, ValueError) as error:
        logger.debug("OME-XML that cannot be parsed: %s", error)
        return None
    return root


def _image_of(root: Element, dimensions: tuple[int, int]) -> Element | None:
    """The first image of a size; None if there is none, as where somebody scaled the image and kept its description."""
    wanted = tuple(map(str, dimensions))
    for image in root.iterfind("{*}Image"):
        pixels = image.find("{*}Pixels")
        if pixels is not None and (pixels.get("SizeX"), pixels.get("SizeY")) == wanted:
            return image
    return None


def _um(pixels: Element, axis: str) -> float:
    """Length of a pixel along an axis, µm; 0 if it is not given."""
    unit = pixels.get(f"PhysicalSize{axis}Unit", "\u00b5m").strip()
    return _number(pixels.get(f"PhysicalSize{axis}")) * UM_PER_UNIT.get(unit, 0.0)


def _magnification(root: Element, image: Element) -> float | None:
    """Magnification of the objective with which an image was taken."""
    settings = image.find("{*}ObjectiveSettings")
    objectives = root.findall("{*}Instrument/{*}Objective")
    if settings is not None:
        objectives = [objective for objective in objectives if objective.get("ID") == settings.get("ID")]
    if len(objectives) != 1:
        return None
    return _number(objectives[0].get("NominalMagnification")) or None


def _number(text: str | None) -> float:
    """A number; 0 if it is none."""
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
