"""Whether the size of a slide's pixels is plausible, and what its file says of it consistent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.slides.concerns import Concern, ConcernKind
from signetscan.slides.mpp import Mpp, MppSource, is_possible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from signetscan.slides.mpp import Claim, SizeClaims

FINEST_UM = 0.0995
"""Slide scanners' pixels are from 0.1 µm. Those of 0.25 µm of which somebody took the inches for 2.54 are below."""
UNEQUAL = 0.02
"""Width and height of a pixel differ by no more than this share on any scanner that works."""
LARGEST_MM = 180.0
"""The longest glass slides, for whole sections of a brain, are about this long."""
SAME_SIZE = 0.05
"""Sizes that differ by no more than this share agree: values are rounded, and some scanners give their nominal one."""
GIVEN_SIZE = 0.1
"""A user's size may differ from the file's by this share without a word: scanners are calibrated better than that."""
FIELD_UM = (6.2, 15.0)
"""Product of a pixel's size and the objective's magnification on scanners: 10 µm, as 0.25 µm at 40x, and around it."""
ADAPTED_FIELD_UM = (4.0, 15.0)
"""The same where lenses between objective and camera enlarge further, such as 0.24 µm at 20x."""


def size_concerns(
    mpp: Mpp | None, dimensions: tuple[int, int], said: SizeClaims, *, is_adapted: bool = False
) -> tuple[Concern, ...]:
    """What is suspicious about the size of a pixel.

    Args:
        mpp: the size that is used; None if none is known.
        dimensions: width and height of the slide, level-0 pixels.
        said: what the file says of the size.
        is_adapted: whether the scanner may have lenses between objective and camera.
    """
    messages = [*_impossible(said)]
    if mpp is not None:
        field = ADAPTED_FIELD_UM if is_adapted else FIELD_UM
        messages += [*_implausible(mpp, dimensions), *_contradicted(mpp, said), *_unmagnified(mpp, said, field)]
    return tuple(Concern(kind=ConcernKind.PIXEL_SIZE, message=message) for message in messages)


def _impossible(said: SizeClaims) -> Iterator[str]:
    for claim in said.claims:
        if not is_possible(claim.x, claim.y):
            yield f"the file says that its pixels are of {_text(claim)}, as no pixels are, and this is ignored"


def _implausible(mpp: Mpp, dimensions: tuple[int, int]) -> Iterator[str]:
    size = _text(mpp)
    if min(mpp.x, mpp.y) < FINEST_UM:
        yield f"pixels of {size} are finer than any slide scanner's, so that cells would be missed; check the mpp"
    if max(mpp.x, mpp.y) / min(mpp.x, mpp.y) > 1 + UNEQUAL:
        yield f"pixels of {size} are not square, as no scanner's are; check the mpp"
    length = max(mpp.x * dimensions[0], mpp.y * dimensions[1]) / 1000
    if length > LARGEST_MM:
        yield f"with pixels of {size} the slide would be {length:.0f} mm long, more than any glass slide; check the mpp"


def _contradicted(mpp: Mpp, said: SizeClaims) -> Iterator[str]:
    """What the file says that is not the size used."""
    is_given = mpp.source is MppSource.GIVEN
    for claim in said.claims:
        if is_possible(claim.x, claim.y) and _differ(mpp, claim, GIVEN_SIZE if is_given else SAME_SIZE):
            yield f"pixels of {_text(mpp)} are not of {_text(claim)}: the two disagree, and the first is used; check it"


def _unmagnified(mpp: Mpp, said: SizeClaims, field: tuple[float, float]) -> Iterator[str]:
    magnification = said.magnification
    if magnification is None or not 0 < magnification < float("inf"):
        return
    if not field[0] <= (mpp.x + mpp.y) / 2 * magnification <= field[1]:
        yield (
            f"pixels of {_text(mpp)} disagree with the magnification that the file gives, {magnification:g}x, at which "
            f"scanners have pixels of about {10 / magnification:.3g} µm; check the mpp"
        )


def _differ(mpp: Mpp, claim: Claim, share: float) -> bool:
    pairs = ((mpp.x, claim.x), (mpp.y, claim.y))
    return any(max(pair) > min(pair) * (1 + share) for pair in pairs)


def _text(size: Mpp | Claim) -> str:
    return f"{size.x:g} x {size.y:g} µm/px ({size.source})"
