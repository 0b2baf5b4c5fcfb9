"""Pages of reports in a real browser: what every one of them must be."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

HOSTILE = "<script>alert(1)</script>"
HOSTILE_TEXTS = (HOSTILE, '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "'); alert(1); ('")

PATIENCE_MS = 180_000
"""How long a page may take: on a machine with other work, Chromium may wait for a minute."""


@contextmanager
def shown(browser: Browser, path: Path, *, width: int = 1200, scripts: bool = True) -> Iterator[Page]:
    """A page, opened; in the end it must have asked for nothing, complained of nothing and shown no dialog."""
    context = browser.new_context(viewport={"width": width, "height": 900}, java_script_enabled=scripts)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.goto(path.as_uri())
    yield page
    context.close()
    assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
    assert complaints == []


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Ratio of WCAG 2."""

    def light(colour: tuple[float, ...]) -> float:
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def faint_texts(page: Page) -> list[tuple[str, str, str]]:
    """Colour, background and text of the elements with text of their own that do not stand out enough.

    The background is the nearest one behind the element.
    """
    script = """() => [...document.querySelectorAll('main *')]
      .filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
      .map((element) => {
        let behind = element;
        const solid = (each) => !/, 0\\)$|transparent/.test(getComputedStyle(each).backgroundColor);
        while (behind.parentElement && !solid(behind)) behind = behind.parentElement;
        return [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor, element.textContent.trim()];
      })"""
    faint = []
    for ink, paper, text in page.evaluate(script):
        colours = [tuple(float(part) / 255 for part in re.findall(r"[\d.]+", each)[:3]) for each in (ink, paper)]
        if contrast(*colours) < 4.5:
            faint.append((ink, paper, text))
    return faint
