"""From the workbench to a recipe that a team may rely on, in a real browser."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Page, expect

from tests.browser.chromium import PATIENCE_MS
from tests.browser.hands import changes, idle, pick, rows, sees_no_traceback, shot, turn_off
from tests.ui.stage import Stage


def halves(house: Path, folder: Path) -> Path:
    """The tiny house with a split to choose on, one to report on, and two groups in each."""
    lines = [
        json.loads(line) for line in (house / "images" / "manifest.jsonl").read_text().splitlines()
    ]
    for i, row in enumerate(lines):
        row |= {"split": ("validation", "test")[i % 8 > 3], "group": ("clean", "odd")[i % 2]}
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    own = {"images": str(house / "images"), "manifest": "manifest.jsonl"}
    config = yaml.safe_load((house / "steerboard.yaml").read_text())
    model = config["models"]["tiny"]
    for part in (model, *model["dictionaries"].values()):
        part |= {"path": str(house / part["path"])}
    model |= {"prompts": str(house / model["prompts"])}
    model["calibration"] |= {
        "images": own["images"],
        "manifest": str(house / "images/manifest.jsonl"),
    }
    config |= {"image_sets": {"tiny": own}}
    (folder / "steerboard.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture(scope="module")
def team(tiny_house: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """All parts over the small house."""
    folder = tmp_path_factory.mktemp("team")
    running = Stage(folder, config=halves(tiny_house, folder))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.mark.timeout(900)
def test_two_versions_are_compared_proven_reported_and_published(team: Stage, page: Page) -> None:
    page.goto(team.address)
    pick(page, 0, "clean")
    page.get_by_role("button", name="strongest off").click()
    before = changes(page)
    save(page, "no-mark", 1)
    expect(badge(page)).to_have_text("unproven")
    expect(page.locator(".sb-change")).to_have_count(3)
    address, record = share(page), exported(page)
    assert (record["recipe"]["name"], record["status"]) == ("no-mark", "unproven")
    another_version(page, before)
    expect(page.locator(".sb-diff ins")).to_have_text(["off"], timeout=PATIENCE_MS)
    refused(page)
    page.locator(".st-key-run-evidence button").click()
    report = page.frame_locator(".st-key-report iframe")
    expect(report.locator("h1")).to_have_text("no-mark v2", timeout=PATIENCE_MS)
    verdict = report.locator(".verdict b").inner_text()
    idle(page)
    expect(badge(page)).to_have_text(verdict, ignore_case=True)
    expect(page.locator(".sb-run")).to_contain_text("of 8 pictures on tiny, test")
    shot(page, "report.png")
    publish(page)
    page.goto(address)  # as a colleague would: another session
    expect(page.locator(".sb-recipe")).to_contain_text("version 2 is newer", timeout=PATIENCE_MS)
    expect(badge(page)).to_have_text("unproven")
    sees_no_traceback(page)


def badge(page: Page) -> Any:
    """What is known of the recipe that is open."""
    return page.locator(".sb-recipe .sb-badge")


def save(page: Page, name: str, version: int) -> None:
    """Fill in the form, and land on the recipe's own page."""
    page.locator(".st-key-save-recipe button").click()
    form = page.get_by_role("dialog")
    for label, text in (("Name", name), ("Note", "a mark"), ("Your name", "ann")):
        form.get_by_label(label, exact=True).fill(text)
    form.locator(".st-key-recipe-save button").click()
    saved = f"{name} v{version}"
    expect(page.locator(".sb-recipe")).to_contain_text(saved, timeout=PATIENCE_MS)
    idle(page)


def another_version(page: Page, before: tuple[float, float]) -> None:
    """Apply the recipe, which does what was seen, move one feature more, and save that too."""
    page.locator(".st-key-apply-recipe button").click()
    assert changes(page) == before
    whence = page.locator(".sb-from")
    expect(whence).to_contain_text("no-mark v1", timeout=PATIENCE_MS)
    expect(whence).to_contain_text("unproven")
    turn_off(rows(page).last)
    expect(whence).to_contain_text("changed since", timeout=PATIENCE_MS)
    idle(page)
    save(page, "no-mark", 2)


def refused(page: Page) -> None:
    """Nothing without evidence is published."""
    page.locator(".st-key-publish-it button").first.click()
    why = page.get_by_text("An unproven recipe is not published")
    expect(why).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator(".st-key-publish")).to_have_count(0)
    page.keyboard.press("Escape")


def publish(page: Page) -> None:
    """Tell the team."""
    page.locator(".st-key-publish-it button").first.click()
    page.locator(".st-key-publish button").click()
    expect(badge(page)).to_contain_text(["", "published"], timeout=PATIENCE_MS)


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
