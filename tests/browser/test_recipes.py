"""From the workbench to a recipe that a colleague opens by its link, in a real browser."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import PATIENCE_MS
from tests.browser.hands import changes, idle, pick, sees_no_traceback, shot
from tests.ui.stage import Stage


@pytest.mark.timeout(900)
def test_a_saved_recipe_opens_by_its_link_and_goes_back_to_the_workbench(
    parts: Stage, page: Page
) -> None:
    page.goto(parts.address)
    pick(page)
    page.get_by_role("button", name="strongest off").click()
    before = changes(page)
    save(page, "no-mark")
    expect(page.locator(".sb-badge")).to_have_text("unproven")
    expect(page.locator(".sb-change")).to_have_count(3)
    address = share(page)
    record = exported(page)
    assert (record["recipe"]["name"], record["status"]) == ("no-mark", "unproven")
    shot(page, "recipe.png")
    page.locator(".st-key-apply-recipe button").click()
    assert changes(page) == before
    page.goto(address)  # as a colleague would: another session
    expect(page.locator(".sb-recipe")).to_contain_text("ann", timeout=PATIENCE_MS)
    sees_no_traceback(page)


def save(page: Page, name: str) -> None:
    """Fill in the form, and land on the recipe's own page."""
    page.locator(".st-key-save-recipe button").click()
    form = page.get_by_role("dialog")
    for label, text in (("Name", name), ("Note", "a mark"), ("Your name", "ann")):
        form.get_by_label(label, exact=True).fill(text)
    form.locator(".st-key-recipe-save button").click()
    expect(page.locator(".sb-recipe")).to_contain_text(f"{name} v1", timeout=PATIENCE_MS)
    idle(page)


def share(page: Page) -> str:
    """The address that the page offers."""
    page.locator(".st-key-share button").first.click()
    text: str = page.locator("[data-testid=stPopoverBody] code").inner_text().strip()
    page.keyboard.press("Escape")
    return text


def exported(page: Page) -> Any:
    """The file that the page gives."""
    with page.expect_download(timeout=PATIENCE_MS) as download:
        page.locator(".st-key-export button").click()
    return json.loads(Path(download.value.path()).read_text())
