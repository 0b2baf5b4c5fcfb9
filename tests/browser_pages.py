"""The viewer's pages in a real browser."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from signetscan.viewer import ViewerServer


@contextmanager
def shown(
    server: ViewerServer, browser: Browser, *, width: int = 1200, height: int = 800, is_slide: bool = True
) -> Iterator[Page]:
    """The page, drawn. At its end nothing may have gone wrong in it, and nobody else may have been asked."""
    page = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
    problems: list[str] = []
    asked: set[str] = set()
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: asked.add(request.url))
    try:
        page.goto(server.url)
        settle(page)
        yield page
        own = [problem for problem in problems if "readback" not in problem]  # those come from `evaluate`
        assert own == []
        assert all(url.startswith((f"http://127.0.0.1:{server.server_port}/", "data:")) for url in asked)
        assert not is_slide or any("/tiles/" in url for url in asked)
    finally:
        page.close()


def settle(page: Page) -> None:
    """Wait until a page is drawn and nothing is loading."""
    page.wait_for_selector("body[data-drawn-after-ms]")
    page.wait_for_load_state("networkidle")


def number(page: Page, name: str) -> int:
    return int(page.inner_text(f"#count-{name}").replace(",", ""))


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)
    page.wait_for_selector("#panel:not([aria-busy=true])")


def until(page: Page, condition: str) -> None:
    """Wait until something is true. `Page.wait_for_function` would need what the pages' policy forbids."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    message = f"it did not become true: {condition}"
    raise AssertionError(message)


CONTRAST = """([selector, least]) => {
    const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const over = ([r, g, b, a = 1], below) => [r, g, b].map((part, at) => part * a + below[at] * (1 - a));
    const background = (element) => {
        if (!element) return [255, 255, 255];
        const colour = channels(getComputedStyle(element).backgroundColor);
        return (colour[3] ?? 1) === 1 ? colour.slice(0, 3) : over(colour, background(element.parentElement));
    };
    const luminance = (colour) => {
        const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        const [r, g, b] = colour.map((part) => linear(part / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const problems = [];
    for (const element of document.querySelectorAll(selector)) {
        const texts = [...element.childNodes].filter((node) => node.nodeType === 3);
        const text = texts.map((node) => node.data.trim()).join("");
        const isExempt = element.closest("dialog:not([open]), :disabled, script, style");
        if (!text || isExempt || !element.checkVisibility()) continue;
        const below = background(element);
        const [light, dark] = [luminance(over(channels(getComputedStyle(element).color), below)), luminance(below)]
            .sort((a, b) => b - a);
        const ratio = (light + 0.05) / (dark + 0.05);
        if (ratio < least) problems.push(`${element.tagName}#${element.id} "${text}": ${ratio.toFixed(2)}`);
    }
    return problems;
}"""
"""Texts whose contrast to what is behind them is too low, by the formula of WCAG 2.2 (1.4.3)."""


def low_contrast(page: Page, selector: str = "body *", least: float = 4.5) -> list[str]:
    """Texts of the page that some people cannot read; disabled controls are exempt."""
    problems: list[str] = page.evaluate(CONTRAST, [selector, least])
    return problems


def low_contrast_when_hovered(page: Page) -> list[str]:
    """The same of each button and link while the pointer is over it."""
    problems: list[str] = []
    for control in page.locator("button:visible, a:visible").all():
        if control.is_enabled():
            control.hover()
            problems += low_contrast(page, ":hover, :hover *")
    return problems
