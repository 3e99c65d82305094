"""How fast the explorer is in a real browser: first paint, search, a feature's page, the map.

    python -m bench.catalogue_files build/large
    python -m bench.explorer build/large --dictionary large

Starts inference, job door and page over that folder (no worker: the explorer asks none), or takes
a page that runs already, ``--address``. Milliseconds, each measured in the browser by the clock of
its own page, from the start of navigation, the key or the click to the frame that shows what was
asked for. Each round is a browser that has nothing of the page in its cache; ``first_visitor`` is
the very first one after the services started, whose catalogue nobody has read yet. Words are new
in each round. Prints JSON with the median and all values.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page

from bench.catalogue_files import LOOKS, WORDS
from tests.browser.chromium import browse
from tests.ui.stage import Stage

# Resolves in the frame after the first card, or its text, is another one.
CHANGED = """([selector, before]) => new Promise((done) => {
  const look = () => {
    const found = document.querySelector(selector);
    if (found && found.innerText !== before) requestAnimationFrame(() => done(performance.now()));
    else requestAnimationFrame(look);
  };
  look();
})"""
PRESSED = """(name) => document.addEventListener(
  name, (e) => { if (!e.key || e.key === 'Enter') window.pressed = performance.now() }, true
)"""
CARD, TITLE, MAP = ".sb-feature > small", ".sb-title h1", "canvas[data-map]"
SEARCHES = 7
PARTS = "inference", "job-door", "ui"


@contextmanager
def started(folder: Path) -> Iterator[str]:
    """Address of a page over the ``steerboard.yaml`` of a folder."""
    with tempfile.TemporaryDirectory() as work:
        parts = Stage(Path(work), config=folder)
        try:
            parts.start(*PARTS)
            yield parts.address
        finally:
            parts.stop()


def painted(page: Page, address: str, selector: str) -> float:
    """From the start of navigation to the first frame with what is asked for."""
    page.goto(address, wait_until="commit")
    page.wait_for_function("(s) => document.querySelector(s)", arg=selector, polling="raf")
    return float(page.evaluate("performance.now()"))


def search(page: Page, words: str) -> float:
    """From Enter to the first new card."""
    before = page.locator(CARD).first.inner_text()
    page.evaluate(PRESSED, "keydown")
    box = page.get_by_role("textbox", name="Search by words or meaning")
    box.fill(words)
    box.press("Enter")
    return float(page.evaluate(CHANGED, [CARD, before]) - page.evaluate("window.pressed"))


def opened(page: Page) -> float:
    """From a click on a card to the title of its page."""
    page.evaluate(PRESSED, "click")
    page.locator(".sb-feature").first.click()
    return float(page.evaluate(CHANGED, [TITLE, ""]) - page.evaluate("window.pressed"))


def asked_for(turn: int) -> list[str]:
    """Words whose first card is another one each time, and that nobody has searched for."""
    own = [WORDS[(11 * (turn * SEARCHES + i)) % len(WORDS)] for i in range(SEARCHES)]
    return [f"{words} {LOOKS[turn % len(LOOKS)]}" if turn else words for words in own]


def visit(address: str, dictionary: str, turn: int, found: dict[str, list[float]]) -> None:
    """One browser: the list, searches, a feature's page, the map."""
    place = f"{address}/features?dictionary={dictionary}"
    with browse((1400, 900)) as page:
        name = "first_paint" if turn else "first_visitor"
        found[name].append(painted(page, place, ".sb-feature"))
        page.wait_for_timeout(500)
        for words in asked_for(turn):
            found["search"].append(search(page, words))
            page.wait_for_timeout(300)
        found["open"].append(opened(page))
        name = "map" if turn else "first_map"
        found[name].append(painted(page, f"{place}&look=map", MAP))


def told(values: list[float]) -> dict[str, object]:
    return {"median": round(statistics.median(values)), "all": [round(v) for v in values]}


def measured(address: str, dictionary: str, rounds: int) -> None:
    names = "first_visitor", "first_paint", "search", "open", "first_map", "map"
    found: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        visit(address, dictionary, turn, found)
    print(json.dumps({name: told(values) for name, values in found.items() if values}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="of a steerboard.yaml")
    parser.add_argument("--address", help="of a page that runs already")
    parser.add_argument("--dictionary", default="large")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    if (asked.folder is None) == (asked.address is None):
        parser.error("name a folder, or the address of a page that runs already")
    if asked.address:
        measured(asked.address, asked.dictionary, asked.rounds)
        return
    with started(asked.folder) as address:
        measured(address, asked.dictionary, asked.rounds)


if __name__ == "__main__":
    main()
