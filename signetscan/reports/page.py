"""From a template and values to a page.

Names of files, classes and images come from strangers, so the template engine escapes every value, and the page itself
tells browsers to run nothing and load nothing.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from signetscan import __version__
from signetscan.outputs.atomic import atomic_text

if TYPE_CHECKING:
    from pathlib import Path

NOT_DEFINED = "\N{EN DASH}"
"""Stands for a number that there is not."""


def number(value: float, form: str = ".3f") -> str:
    """A number as text, in a form of Python's `format`; a dash if it is not defined."""
    return NOT_DEFINED if math.isnan(value) else format(value, form)


def counted(count: int, what: str) -> str:
    """A number of things: `1 cell`, `1,200 cells`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def render_page(template: str, **values: object) -> str:
    """A page as text.

    Args:
        template: name of a file in `templates`.
        values: what the template asks for; all of it is escaped.
    """
    environment = Environment(
        loader=PackageLoader("signetscan.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "counted": counted}
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return environment.get_template(template).render(version=__version__, made=made, **values)


def write_page(path: Path, template: str, **values: object) -> None:
    """Write a page; it appears whole or not at all. See `render_page`.

    Raises:
        OutputError: it cannot be written.
    """
    page = render_page(template, **values)
    with atomic_text(path) as file:
        file.write(page)
