"""Make a page from a template and values.

Names of files, classes and images come from strangers, so the template engine escapes every value. The page tells
browsers to load nothing, and to run nothing but its own script, which its policy names by a hash.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from signetscan import __version__
from signetscan.atomic import atomic_text
from signetscan.plurals import amount, counted
from signetscan.reports.scripts import script_hash, script_of

if TYPE_CHECKING:
    from pathlib import Path

NOT_DEFINED = "\N{EN DASH}"
"""Stands for a number that is not defined."""


def number(value: float, form: str = ".3f") -> str:
    """A number as text, by a format specification; a dash for nan."""
    return NOT_DEFINED if math.isnan(value) else format(value, form)


def render_page(template: str, **values: object) -> str:
    """A page as text.

    Args:
        template: name of a file in `templates`.
        values: values for the template, all of which it escapes.
    """
    environment = Environment(
        loader=PackageLoader("signetscan.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "amount": amount, "counted": partial(counted, separator=",")}
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    code = script_of(template)
    common = {"version": __version__, "made": made, "script": Markup(code), "script_hash": Markup(script_hash(code))}  # noqa: S704 - our code
    return environment.get_template(template).render(**common, **values)


def write_page(path: Path, template: str, **values: object) -> None:
    """Write a page, whole or not at all. See `render_page`.

    Raises:
        OutputError: the page cannot be written.
    """
    page = render_page(template, **values)
    with atomic_text(path) as file:
        file.write(page)
