"""The browser of the scripts that measure and picture the viewer."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from served_viewer import SAMPLE, sample_cells, scanned

from signetscan.slides import open_slide
from signetscan.testing import browser as testing_browser
from signetscan.testing.browser import chromium_path, viewed

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser


@pytest.mark.slow
def test_a_slide_is_drawn_and_its_server_ends_with_the_block(browser: Browser) -> None:
    with open_slide(SAMPLE) as slide:
        with viewed(browser, scanned(sample_cells()), slide, width=700, height=500) as page:
            assert float(page.evaluate("Number(document.body.dataset.drawnAfterMs)")) > 0
            assert page.viewport_size == {"width": 700, "height": 500}
            assert "a slide" in page.title()
            address = urlsplit(page.url)
        assert page.is_closed()
        with (
            pytest.raises(ValueError, match="halt"),
            viewed(browser, scanned(sample_cells()), slide, width=9, height=9),
        ):
            raise ValueError("halt")
    assert address.hostname == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", address.port or 0), timeout=5)


def test_a_browser_is_taken_by_any_of_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert chromium_path() is None
    for name in reversed(testing_browser.NAMES):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        assert chromium_path() == str(tmp_path / name)
