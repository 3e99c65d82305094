"""A person finds a feature, says what it is, tries it on the workbench, and comes back."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import PATIENCE_MS
from tests.browser.hands import sees_no_traceback, shot
from tests.ui.stage import Stage

pytestmark = pytest.mark.timeout(900)


def test_a_feature_is_found_named_tried_and_come_back_to(parts: Stage, page: Page) -> None:
    page.goto(f"{parts.address}/features?dictionary=last")
    box = page.get_by_role("textbox", name="Search by words or meaning")
    box.fill("owl")
    box.press("Enter")
    best = page.locator(".sb-feature", has=page.locator("b", has_text=re.compile("^owl$"))).first
    best.click()
    title = page.locator(".sb-title h1")
    expect(title).to_have_text("owl", timeout=PATIENCE_MS)
    shot(page, "feature.png")
    number = page.locator(".sb-title span").inner_text().split()[0]

    page.get_by_role("textbox", name="Your name").fill("Ann")
    page.get_by_role("textbox", name="Your name").press("Enter")
    page.get_by_role("textbox", name="What you would call it").fill("owls, also <b>painted")
    page.get_by_role("button", name="Write down").click()
    expect(title).to_have_text("owls, also <b>painted", timeout=PATIENCE_MS)

    page.get_by_role("link", name="Open in the workbench").click()
    pinned = page.locator(".st-key-pinned")
    expect(pinned).to_contain_text(number, timeout=PATIENCE_MS)
    page.go_back()  # to the feature, not to the list of all
    expect(title).to_have_text("owls, also <b>painted", timeout=PATIENCE_MS)
    page.get_by_role("link", name="Open in the workbench").click()
    expect(pinned).to_contain_text(number, timeout=PATIENCE_MS)
    pinned.locator(".sb-id a").click()
    expect(title).to_have_text("owls, also <b>painted", timeout=PATIENCE_MS)

    page.locator(".sb-pictures a").first.click()
    expect(pinned).to_contain_text(number, timeout=PATIENCE_MS)
    sees_no_traceback(page)


def test_a_point_of_the_map_is_picked_and_opened(parts: Stage, page: Page) -> None:
    page.goto(f"{parts.address}/features?dictionary=last&look=map")
    canvas = page.locator("canvas[data-map]")
    expect(canvas).to_have_attribute("data-map", re.compile("^[1-9]"), timeout=PATIENCE_MS)
    canvas.press("Enter")
    picked = page.locator(".sb-feature")
    expect(picked).to_contain_text("fires on", timeout=PATIENCE_MS)
    number = re.findall(r"#\d+", picked.inner_text())[0]
    shot(page, "map.png")
    expect(page).to_have_url(re.compile(f"point={number[1:]}"))
    page.goto(page.url)  # what somebody sees to whom the address was sent
    expect(picked).to_contain_text(f"{number} ", timeout=PATIENCE_MS)
    page.set_viewport_size({"width": 420, "height": 900})
    shot(page, "map-narrow.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    page.set_viewport_size({"width": 1280, "height": 900})
    picked.click()
    expect(page.locator(".sb-title span")).to_contain_text(number, timeout=PATIENCE_MS)
    sees_no_traceback(page)


def test_two_dictionaries_are_seen_side_by_side(parts: Stage, page: Page) -> None:
    page.goto(f"{parts.address}/features?dictionary=last&look=compare")
    pairs = page.locator(".sb-pairs > section")
    expect(pairs).to_have_count(12, timeout=PATIENCE_MS)
    expect(page.locator("img.sb-curves")).to_be_visible()
    shot(page, "compare.png")
    first, second = pairs.first.locator(".sb-side").all()
    number = re.findall(r"#\d+", second.inner_text())[0]
    expect(first).to_contain_text("#")
    page.set_viewport_size({"width": 420, "height": 900})
    shot(page, "compare-narrow.png")
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 420
    pair, small = pairs.first.bounding_box(), pairs.first.locator("img").last.bounding_box()
    assert pair and small, "a pair's pictures stand within it"
    assert pair["y"] <= small["y"] and small["y"] + small["height"] <= pair["y"] + pair["height"]
    second.click()
    expect(page.locator(".sb-title span")).to_have_text(f"{number} of middle", timeout=PATIENCE_MS)
    sees_no_traceback(page)
