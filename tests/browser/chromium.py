"""The real browser."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

WIDE, NARROW = (1440, 900), (430, 900)
PATIENCE_MS = 180_000
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def running() -> Iterator[Browser]:
    """A browser without a page; skips where there is none."""
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("STEERBOARD_REQUIRE_ALL"):
            pytest.fail("Chromium is not installed")
        pytest.skip("Chromium is not installed")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, size: tuple[int, int] = WIDE) -> Iterator[Page]:
    """An empty page, (width, height) pixels large, that knows nothing of the browser's others."""
    with browser.new_context(viewport={"width": size[0], "height": size[1]}) as own:
        page = own.new_page()
        page.set_default_timeout(PATIENCE_MS)
        yield page


@contextmanager
def browse(size: tuple[int, int] = WIDE) -> Iterator[Page]:
    """An empty page of a fresh browser, (width, height) pixels large; skips where there is none."""
    with running() as browser, opened(browser, size) as page:
        yield page
