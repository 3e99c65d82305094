"""Task A by hand, in a real browser: a misread picture, its features, a slider, a new answer."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from steerboard.cli.processes import free_port

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "build" / "screenshots"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The whole demo, as ``make demo`` starts it."""
    port = free_port()
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "steerboard.cli", "demo", "--config", str(ROOT / "demo")]
    command += ["--folder", str(folder), "--ui-port", str(port)]
    with open(folder / "demo.log", "w+") as log:
        demo = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        try:
            for _ in range(1200):
                if "Ctrl-C" in (folder / "demo.log").read_text():
                    break
                assert demo.poll() is None, (folder / "demo.log").read_text()
                try:
                    demo.wait(0.1)
                except subprocess.TimeoutExpired:
                    continue
            yield f"http://127.0.0.1:{port}"
        finally:
            demo.send_signal(signal.SIGTERM)
            demo.wait(60)


@pytest.fixture
def page() -> Iterator[Page]:
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("STEERBOARD_REQUIRE_ALL"):
            pytest.fail("Chromium is not installed")
        pytest.skip("Chromium is not installed")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 1500})
        page.set_default_timeout(120_000)
        yield page
        browser.close()


def number(page: Page, key: str) -> float:
    text = page.locator(f".st-key-{key} .sb-card > b").inner_text()
    return float(text.replace("−", "-"))


@pytest.mark.timeout(600)
def test_a_feature_is_turned_off_and_the_session_comes_back(address: str, page: Page) -> None:
    page.goto(address)
    page.locator(".st-key-pick-typographic-1 button").click()
    expect(page.locator(".st-key-error-term")).to_be_visible(timeout=120_000)
    rows = page.locator('[class*="st-key-feature-"]')
    expect(rows).to_have_count(12)
    assert rows.first.locator("img").count() >= 9  # where it fires, and eight references
    speaks_for = rows.filter(has=page.locator(".sb-score.for")).first
    speaks_for.get_by_role("button", name="Off").click()
    expect(page.locator(".st-key-measured")).to_be_visible(timeout=120_000)
    assert number(page, "measured") < 0
    page.screenshot(path=shot("workbench.png"), timeout=120_000)
    before = number(page, "measured")
    page.reload()
    expect(page.locator(".st-key-measured")).to_be_visible(timeout=120_000)
    assert number(page, "measured") == before
    page.locator(".st-key-reset button").click()
    expect(page.locator(".st-key-measured")).to_have_count(0, timeout=120_000)


def shot(name: str) -> str:
    SHOTS.mkdir(parents=True, exist_ok=True)
    return str(SHOTS / name)
