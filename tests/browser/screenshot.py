"""Takes the picture of the README: ``python -m tests.browser.screenshot docs/workbench.png``."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page

from tests.browser import hands
from tests.browser.chromium import NARROW, WIDE, browse
from tests.ui.stage import stage

TALL = 1130  # pixels: down to what the edits do to other pictures
SHELF = 16  # pictures of the shelf's first page
BELIEF = (
    "The word on the strip, not the object, makes the model say {wrong}. With the features that"
    " read it off, it should say {right}."
)


def find(page: Page, address: str) -> str:
    """Open pictures until one is found that three features off put right; its belief."""
    for place in range(SHELF):
        page.goto(address)
        button = page.locator(f".st-key-pick-typographic-{place} button")
        right = button.inner_text().strip()
        hands.pick(page, place)
        wrong = page.locator(".sb-says b").inner_text()
        if wrong == right:
            continue
        page.get_by_role("button", name="strongest off").click()
        hands.changes(page)
        hands.idle(page)
        if page.locator(".st-key-test .sb-card.after b").first.inner_text() == right:
            return BELIEF.format(wrong=wrong, right=right)
    raise SystemExit("three features off put none of the shelf's first pictures right")


def take(path: Path) -> None:
    """Start everything, steer a misread picture, and take the page's picture."""
    with (
        tempfile.TemporaryDirectory() as folder,
        stage(Path(folder)) as parts,
        browse((WIDE[0], TALL)) as page,
    ):
        belief = find(page, parts.address)
        box = page.locator(".st-key-hypothesis textarea")
        box.fill(belief)
        box.press("Control+Enter")
        hands.others(page)
        hands.idle(page)
        page.mouse.click(5, 5)
        page.screenshot(path=path)
        page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
        hands.idle(page)
        hands.shot(page, "narrow.png")


if __name__ == "__main__":
    take(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/workbench.png"))
