"""A timer of the page that was left does not clear the one that is open."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from steerboard.cli.processes import free_port
from tests.browser.chromium import PATIENCE_MS

SCRIPT = Path(__file__).with_name("late_page.py")
QUIET = ("--server.headless=true", "--browser.gatherUsageStats=false")


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Two bare pages, without any service behind them."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(SCRIPT), f"--server.port={port}"]
    with open(tmp_path / "log", "wb") as log:
        served = subprocess.Popen([*command, *QUIET], stdout=log, stderr=log, cwd=SCRIPT.parents[2])
        try:
            while b"URL" not in (tmp_path / "log").read_bytes():
                assert served.poll() is None, (tmp_path / "log").read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            served.terminate()
            served.wait(60)


def test_a_late_timer_clears_no_page(address: str, page: Page) -> None:
    page.goto(address)
    page.get_by_role("button", name="Go").click()
    expect(page.get_by_text("the second page")).to_be_visible(timeout=PATIENCE_MS)
    # Without the guard the page is cleared within half a second; being slow can only hide that.
    page.wait_for_timeout(1500)
    expect(page.get_by_text("the second page")).to_be_visible()
