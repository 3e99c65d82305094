"""Who comes first after a start waits for nothing that later visitors do not wait for."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.chromium import PATIENCE_MS
from tests.ui.stage import Stage

pytestmark = pytest.mark.timeout(900)
PAGES = {
    "features?dictionary=last": ".sb-feature",
    "": ".st-key-picker img",
    "features?dictionary=last&look=table": ".sb-table",
    "features?dictionary=last&look=map": "canvas[data-map]",
    "features?dictionary=last&look=compare": ".sb-pairs > section",
    "concepts": ".st-key-head",
    "recipes": ".st-key-head",
}
Tell = Callable[[], dict[str, Any]]


@pytest.fixture
def fresh(parts: Stage, tmp_path: Path) -> Iterator[Stage]:
    """A page over the same services that was just started, and tells of itself."""
    page = parts.another_page(tmp_path, f"sqlite:///{tmp_path / 'sessions.sqlite'}")
    child = page._children["ui"]
    command = [*child.command]
    assert command[1:3] == ["-m", "services.ui"]
    command[1:3] = ["-m", "tests.browser.told_page", str(tmp_path / "told.json")]
    page._children["ui"] = replace(child, command=tuple(command))
    try:
        page.start()
        yield page
    finally:
        page.stop()


@pytest.fixture
def tell(fresh: Stage, tmp_path: Path) -> Tell:
    """What the page's process tells now."""

    def now() -> dict[str, Any]:
        file = tmp_path / "told.json"
        file.unlink(missing_ok=True)
        os.kill(fresh.process("ui"), signal.SIGUSR1)
        while not file.exists():
            time.sleep(0.05)
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    return now


def test_no_page_reads_anything_in_that_was_not_read_before(
    fresh: Stage, tell: Tell, page: Page
) -> None:
    before = tell()
    while before["ahead"]:
        time.sleep(0.2)
        before = tell()
    for address, seen in PAGES.items():
        page.goto(f"{fresh.address}/{address}")
        page.locator(seen).first.wait_for(timeout=PATIENCE_MS)
        app = page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]')
        app.wait_for(timeout=PATIENCE_MS)
        now = tell()
        assert not set(now["modules"]) - set(before["modules"]), address
        assert now["at_once"] and all(now["at_once"]), "small answers do not wait for the browser"
