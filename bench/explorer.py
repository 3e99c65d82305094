"""How fast the explorer is in a real browser: first paint, search, a feature's page, the map.

    python -m bench.explorer http://127.0.0.1:8501 --dictionary large

The services run already, over ``bench.catalogue_files`` or a catalogue of one's own. Milliseconds,
each measured in the browser by the clock of its own page, from the key or the click to the frame
that shows the new features. Prints JSON with the median and all values.
"""

import argparse
import json
import statistics

from playwright.sync_api import Page

from tests.browser.chromium import browse

WORDS = ["red car", "wet dog", "old wall", "striped sign", "blue hand", "dark water", "round face"]
# Resolves in the frame after the first card, or its text, is another one.
CHANGED = """([selector, before]) => new Promise((done) => {
  const look = () => {
    const found = document.querySelector(selector);
    if (found && found.innerText !== before) requestAnimationFrame(() => done(performance.now()));
    else requestAnimationFrame(look);
  };
  look();
})"""
CARD, TITLE = ".sb-feature > small", ".sb-title h1"


def first_paint(page: Page, address: str) -> float:
    """From the start of navigation to the first card."""
    page.goto(address, wait_until="commit")
    page.wait_for_function("document.querySelector('.sb-feature')", polling="raf")
    return float(page.evaluate("performance.now()"))


def search(page: Page, words: str) -> float:
    """From Enter to the first new card."""
    before = page.locator(CARD).first.inner_text()
    page.evaluate(
        "document.addEventListener('keydown', (e) => {"
        " if (e.key === 'Enter') window.pressed = performance.now() }, true)"
    )
    box = page.get_by_role("textbox", name="Search by words or meaning")
    box.fill(words)
    box.press("Enter")
    return float(page.evaluate(CHANGED, [CARD, before]) - page.evaluate("window.pressed"))


def opened(page: Page) -> float:
    """From a click on a card to the title of its page."""
    page.evaluate(
        "document.addEventListener('click', () => { window.pressed = performance.now() }, true)"
    )
    page.locator(".sb-feature").first.click()
    return float(page.evaluate(CHANGED, [TITLE, ""]) - page.evaluate("window.pressed"))


def told(values: list[float]) -> dict[str, object]:
    return {"median": round(statistics.median(values)), "all": [round(v) for v in values]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--dictionary", default="large")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    place = f"{asked.address}/features?dictionary={asked.dictionary}"
    found: dict[str, list[float]] = {"first_paint": [], "search": [], "open": [], "map": []}
    for _ in range(asked.rounds):
        with browse((1400, 900)) as page:
            found["first_paint"].append(first_paint(page, place))
            page.wait_for_timeout(500)
            for words in WORDS:
                found["search"].append(search(page, words))
                page.wait_for_timeout(300)
            found["open"].append(opened(page))
            page.goto(f"{place}&look=map", wait_until="commit")
            page.wait_for_function("document.querySelector('canvas')", polling="raf")
            found["map"].append(float(page.evaluate("performance.now()")))
    print(json.dumps({name: told(values) for name, values in found.items()}))


if __name__ == "__main__":
    main()
