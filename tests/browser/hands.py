"""What a person does on the page and reads from it, in a real browser."""

from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.browser.chromium import PATIENCE_MS

SHOTS = Path(__file__).parents[2] / "build" / "screenshots"


def pick(page: Page, place: int = 1, group: str = "typographic") -> None:
    """Open a picture of the shelf and wait for its features."""
    page.locator(f".st-key-pick-{group}-{place} button").click()
    ranked(page)


def ranked(page: Page) -> None:
    """The workers' ranking is there: their exact checks stand below the scores."""
    expect(page.locator(".st-key-error-term")).to_be_visible(timeout=PATIENCE_MS)
    expect(rows(page)).to_have_count(12, timeout=PATIENCE_MS)
    expect(rows(page).first).to_contain_text("measured", timeout=PATIENCE_MS)


def rows(page: Page) -> Locator:
    """The ranked features."""
    return page.locator('[class*="st-key-feature-"]')


def turn_off(row: Locator) -> None:
    """Press a feature's button."""
    row.get_by_role("button", name="Off", exact=True).click()


def slide(page: Page, row: Locator, place: float) -> None:
    """Drag a feature's slider with the mouse, to ``place`` in [0, 1] of its length."""
    slider = row.locator('[data-testid="stSlider"]')
    slider.scroll_into_view_if_needed()
    thumb = slider.locator('[data-testid="stSliderThumbValue"]').locator("..")
    at, along = thumb.bounding_box(), slider.bounding_box()
    assert at and along
    high = at["y"] + at["height"] / 2
    page.mouse.move(at["x"] + at["width"] / 2, high)
    page.mouse.down()
    for share in (0.9, 1.0):  # people move before they arrive
        page.mouse.move(along["x"] + 10 + share * place * (along["width"] - 20), high)
    page.mouse.up()


def changes(page: Page) -> tuple[float, float]:
    """Predicted and measured change of the margin; waits until they are there."""
    expect(page.locator(".sb-card.measured")).to_be_visible(timeout=PATIENCE_MS)
    return number(page, "predicted"), number(page, "measured")


def others(page: Page) -> None:
    """The edits were tried on all other pictures."""
    expect(page.locator(".sb-aside").first).to_contain_text("net", timeout=PATIENCE_MS)
    expect(page.locator(".sb-card.broken")).to_be_visible(timeout=PATIENCE_MS)


def number(page: Page, key: str) -> float:
    """The number of a card."""
    return float(page.locator(f".sb-card.{key} > b").inner_text().replace("−", "-"))


def idle(page: Page) -> None:
    """The page has drawn everything."""
    expect(page.locator('[data-testid="stStatusWidget"]')).to_have_count(0, timeout=PATIENCE_MS)
    expect(page.locator('[data-stale="true"]')).to_have_count(0, timeout=PATIENCE_MS)


def upload(page: Page, file: Path) -> None:
    """Bring a file."""
    page.get_by_role("tab", name="Upload your own").click()
    page.locator('[class*="st-key-upload-"] input[type="file"]').set_input_files(file)


def sees_no_traceback(page: Page) -> None:
    """Nobody ever does."""
    expect(page.locator('[data-testid="stException"]')).to_have_count(0)
    expect(page.get_by_text("should not have")).to_have_count(0)


def shot(page: Page, name: str) -> None:
    """Keep a picture of the page, for people to look at."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / name, timeout=PATIENCE_MS)
