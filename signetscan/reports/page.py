"""Make a page from a template and values.

Names of files, classes and images come from strangers, so the template engine escapes every value. The page tells
browsers to load nothing, and to run nothing but its own script, which its policy names by a hash.
"""

from __future__ import annotations

import base64
import hashlib
import math
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from signetscan import __version__
from signetscan.atomic import atomic_text
from signetscan.plurals import amount, counted

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
        template: name of a file in `templates`. If a script of the same name is there too, the page runs it.
        values: values for the template, all of which it escapes.
    """
    loader = PackageLoader("signetscan.reports")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "amount": amount, "counted": partial(counted, separator=",")}
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    script = f"{template.removesuffix('.html')}.js"
    # A script may include others; nothing of the page's values is in it.
    code = environment.get_template(script).render() if script in loader.list_templates() else ""
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode("ascii")
    common = {"version": __version__, "made": made, "script": Markup(code), "script_digest": digest}  # noqa: S704 - our code
    return environment.get_template(template).render(**common, **values)


def write_page(path: Path, template: str, **values: object) -> None:
    """Write a page, whole or not at all. See `render_page`.

    Raises:
        OutputError: the page cannot be written.
    """
    page = render_page(template, **values)
    with atomic_text(path) as file:
        file.write(page)
