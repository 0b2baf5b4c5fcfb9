"""The pages of a folder of results, its index and reports, as they are served: their links lead to the slides.

A report is a file that anybody may have written. So a page is served only if it has a name that results have, and under
a policy that lets nothing run but the scripts of our own reports; one of another version is shown without its scripts.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from signetscan.formats.result_files import REGIONS, REPORT_SUFFIX, add_suffix
from signetscan.reports.index_file import INDEX_NAME, is_index
from signetscan.reports.scripts import SCRIPTS, script_hash, script_of
from signetscan.viewer.replies import HTML, Reply, not_there, refusal

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

FOLDER = "/results/"
"""Address of the folder of results; a page in it has the address that its links to others suppose."""
MOST_BYTES = 1 << 26
"""Largest page that is served; a report takes a few megabytes."""


@cache
def page_policy() -> str:
    """The content security policy of a page of results, which loads nothing."""
    hashes = " ".join(script_hash(script_of(template)) for template in SCRIPTS)
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {hashes}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def page_addresses(folder: Path, name: str) -> dict[str, str]:
    """The addresses of a slide's reports by what they are of, `cells` or `regions`; none where there is no report.

    Args:
        folder: the folder of the results.
        name: the name of the slide's results of detection below the folder.
    """
    reports = {"cells": f"{name}{REPORT_SUFFIX}", "regions": f"{name}{REGIONS}{REPORT_SUFFIX}"}
    return {of: f"{FOLDER}{quote(report)}" for of, report in reports.items() if (folder / report).is_file()}


def index_address(folder: Path) -> str:
    """The address of the folder's index; empty where there is none."""
    return f"{FOLDER}{INDEX_NAME}" if is_index(folder / INDEX_NAME) else ""


def result_page(folder: Path, address: str, names: Container[str]) -> Reply:
    """The page at an address.

    Args:
        folder: the folder of the results.
        address: begins with `FOLDER`.
        names: the names of the slides below the folder, which may have reports.
    """
    wanted = unquote(address.removeprefix(FOLDER), errors="replace")
    slide = wanted.removesuffix(REPORT_SUFFIX)
    if wanted == INDEX_NAME:
        path = folder / INDEX_NAME
        is_known = is_index(path)
    else:
        path = add_suffix(folder / slide, REPORT_SUFFIX)
        is_known = slide != wanted and (slide in names or slide.removesuffix(REGIONS) in names)
    if not is_known or not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
        return not_there()
    try:
        if path.stat().st_size > MOST_BYTES:
            return refusal(413, "This page is too large to be served; open its file.")
        return Reply(kind=HTML, body=path.read_bytes(), policy=page_policy())
    except OSError as error:
        return refusal(500, f"This page cannot be read: {error.strerror or 'input and output failed'}.")
