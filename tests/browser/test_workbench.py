"""Task A by hand, in a real browser: a misread picture, its features, a slider, a new answer."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from steerboard.cli.processes import free_port
from tests.browser import hands
from tests.browser.chromium import NARROW, PATIENCE_MS, WIDE

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The whole demo, as ``make demo`` starts it."""
    port = free_port()
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "steerboard.cli", "demo", "--config", str(ROOT / "demo")]
    command += ["--folder", str(folder), "--ui-port", str(port), "--no-browser"]
    with open(folder / "demo.log", "w+") as log:
        demo = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        try:
            for _ in range(2400):
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


@pytest.mark.timeout(900)
def test_a_feature_is_turned_off_and_the_session_comes_back(address: str, page: Page) -> None:
    page.goto(address)
    hands.pick(page)
    rows = hands.rows(page)
    assert rows.first.locator("img").count() >= 9  # where it counts, and eight references
    speaks = rows.filter(has=page.locator(".sb-score.for")).first
    hands.turn_off(speaks)
    _, before = hands.changes(page)
    assert before < 0
    moved_by_mouse(page, speaks, before)
    hands.others(page)
    hands.idle(page)
    hands.shot(page, "workbench.png")
    page.reload()
    hands.ranked(page)
    assert hands.changes(page)[1] == before
    in_sight_when_narrow(page)
    page.locator(".st-key-reset button").click()
    expect(page.locator(".sb-card.measured")).to_have_count(0, timeout=PATIENCE_MS)
    suggested(page)
    hands.sees_no_traceback(page)
    leads_to_its_page(page)


def moved_by_mouse(page: Page, row: Locator, off: float) -> None:
    """Half off does less than off, and the button says so; then it is off again."""
    hands.slide(page, row, 0.25)
    shown = page.locator(".sb-card.measured > b")
    expect(shown).not_to_have_text(f"{off:+.2f}".replace("-", "−"), timeout=PATIENCE_MS)
    text = shown.inner_text()
    assert off < float(text.replace("−", "-")) < 0
    button = row.get_by_role("button", name="Off", exact=True)
    kind = "stBaseButton-secondary"
    expect(button).to_have_attribute("data-testid", kind, timeout=PATIENCE_MS)
    hands.turn_off(row)
    expect(shown).not_to_have_text(text, timeout=PATIENCE_MS)
    assert hands.changes(page)[1] == off


def leads_to_its_page(page: Page) -> None:
    """A ranked feature's number leads to its page, in the catalogue of its own dictionary."""
    link = hands.rows(page).first.locator(".sb-id a")
    number = link.inner_text().split()[0]
    link.click()
    title = page.locator(".sb-title span")
    expect(title).to_have_text(f"{number} of middle", timeout=PATIENCE_MS)


def suggested(page: Page) -> None:
    """A suggestion is asked for, tried, and does as it says."""
    page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
    page.get_by_role("button", name="Suggest what to turn off").click()
    way = page.locator(".sb-way").first
    expect(way).to_be_visible(timeout=PATIENCE_MS)
    answer = way.locator("b").inner_text()
    page.locator(".st-key-way-0 button").click()
    hands.changes(page)
    expect(page.locator(".sb-card.after b").first).to_have_text(answer, timeout=PATIENCE_MS)
    hands.others(page)
    hands.shot(page, "suggested.png")


def in_sight_when_narrow(page: Page) -> None:
    """On a phone nothing is cut off, and the outcome stays in sight."""
    page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
    hands.idle(page)
    hands.shot(page, "workbench-narrow.png")
    expect(page.locator(".sb-strip")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW[0]
