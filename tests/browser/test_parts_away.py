"""Parts go away and come back; the page says so, and mends itself without a click."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser import hands
from tests.browser.chromium import NARROW, PATIENCE_MS
from tests.ui.bad_pictures import pattern, saved
from tests.ui.stage import Stage

pytestmark = pytest.mark.timeout(900)


def test_inference_away_is_one_sentence_and_mends_itself(parts: Stage, page: Page) -> None:
    page.goto(parts.address)
    hands.pick(page, 2)
    warnings = page.locator('[data-testid="stAlert"]')
    with parts.without("inference"):
        hands.turn_off(hands.rows(page).first)
        expect(warnings).to_have_count(1, timeout=PATIENCE_MS)
        expect(warnings.first).to_contain_text("What you did is kept")
        hands.idle(page)
        hands.shot(page, "inference-away.png")
        page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
        away = page.locator(".sb-strip", has_text="has not answered")
        expect(away).to_be_in_viewport()  # where the warning itself is far below
    hands.changes(page)
    expect(away).to_have_count(0)
    expect(warnings).to_have_count(0, timeout=PATIENCE_MS)
    hands.sees_no_traceback(page)


@pytest.mark.parametrize("part", ["worker", "redis-queue", "job-door"])
def test_the_models_own_scores_stand_in_for_the_workers(
    parts: Stage, page: Page, part: str
) -> None:
    page.goto(parts.address)
    page.locator(".st-key-pick-typographic-3 button").wait_for()
    with parts.without(part):
        prompts = {"worker": "boat\nkey", "redis-queue": "boat\ncat", "job-door": "boat\ndog"}
        page.locator(".st-key-pick-typographic-3 button").click()
        fill(page, prompts[part])
        expect(page.locator(".st-key-stand-in")).to_be_visible(timeout=PATIENCE_MS)
        expect(hands.rows(page)).to_have_count(12, timeout=PATIENCE_MS)
        hands.turn_off(hands.rows(page).first)
        hands.changes(page)
        hands.idle(page)
        hands.shot(page, f"{part}-away.png")
    expect(page.locator(".st-key-stand-in")).to_have_count(0, timeout=PATIENCE_MS)
    hands.ranked(page)
    hands.sees_no_traceback(page)


def fill(page: Page, prompts: str) -> None:
    """Type other prompts and take them over."""
    box = page.locator(".st-key-prompts textarea")
    box.fill(prompts)
    box.press("Control+Enter")


def test_a_restarted_page_brings_the_session_back(parts: Stage, page: Page, tmp_path: Path) -> None:
    file = tmp_path / "mine.png"
    file.write_bytes(saved(pattern(), "PNG"))
    page.goto(parts.address)
    hands.upload(page, file)
    hands.ranked(page)
    hands.turn_off(hands.rows(page).first)
    before, picture = hands.changes(page), page.locator('[data-testid="stImage"] img').first
    expect(picture).to_be_visible()
    parts.stop("ui")
    parts.start("ui")
    page.goto(page.url)
    hands.ranked(page)
    assert hands.changes(page) == before
    expect(page.get_by_text("mine.png")).to_be_visible()
    assert page.evaluate("document.querySelector('[data-testid=stImage] img').naturalWidth") > 0
    hands.sees_no_traceback(page)
