"""Checking options once, where they are made."""

from __future__ import annotations

from signetscan.errors import OptionError


def check_ranges(options: object, **ranges: tuple[float, float]) -> None:
    """Make sure that options lie within their ranges.

    Args:
        options: has the options as attributes.
        ranges: lowest and highest value of each option, by name.

    Raises:
        OptionError: one is out of range or not a number; the message names it.
    """
    for name, (low, high) in ranges.items():
        value = getattr(options, name)
        if not low <= value <= high:
            message = f"{name} must be from {low:.15g} to {high:.15g}, not {value}"
            raise OptionError(message)
