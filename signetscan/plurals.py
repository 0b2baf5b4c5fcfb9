"""Numbers in sentences: "1 image", "2 boxes", "91 signet ring cells", "0.04" mm²."""

from __future__ import annotations

IRREGULAR = {"nucleus": "nuclei", "mitosis": "mitoses"}
"""Several of what models detect, where an "s" would be wrong."""


def counted(number: int, noun: str, plural: str = "", *, separator: str = "") -> str:
    """A number with its noun.

    Args:
        number: how many there are.
        noun: one of them.
        plural: several of them; by default as in `IRREGULAR`, or with an "s", unless it ends with one.
        separator: what stands between thousands; nothing where programs may read the number.
    """
    several = plural or IRREGULAR.get(noun) or (noun if noun.endswith("s") else f"{noun}s")
    digits = f"{number:,}".replace(",", separator)
    return f"{digits} {noun if number == 1 else several}"


def amount(value: float, decimals: int) -> str:
    """A number of at least 0 with so many decimals, or with two digits where these would make it nothing."""
    return f"{value:.2g}" if value and not round(value, decimals) else f"{value:.{decimals}f}"
