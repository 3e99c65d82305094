"""What a person waits for when a slider moves: from the mouse's release to the new numbers.

    python -m bench.workbench [--moves 20] [--address URL]

Starts the whole demo (or takes a page that runs already), opens a misread picture in Chromium, and
drags sliders of its features with the mouse. Each move is timed in the browser by the clock of its
own page, from the release of the button to the frame that shows another measured change; beside it
stand the seconds of processor time that page, inference and worker took until all was quiet again.
Prints JSON with medians and all values.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.browser import hands
from tests.browser.chromium import NARROW, PATIENCE_MS, WIDE, browse
from tests.ui.stage import Stage

MEASURED = ".sb-card.measured > b"
# Remembers the release, and the frame in which the measured change is another one.
WATCH = """() => {
  document.addEventListener('pointerup', () => {
    const shown = () => (document.querySelector('.sb-card.measured > b') || {}).innerText;
    const before = shown(), released = performance.now();
    window.took = null;
    const look = () => {
      const now = shown();
      if (now && now !== before) requestAnimationFrame(
        () => { window.took = performance.now() - released });
      else requestAnimationFrame(look);
    };
    look();
  }, true);
}"""
PLACES = (0.0, 0.6, 0.1, 0.85, 0.25, 0.95, 0.4, 0.7)  # the middle moves nothing
ROWS = 3  # whose sliders are moved in turn
QUIET_MS = 1500  # until the other pictures are answered, and nothing is drawn any more


@contextmanager
def started() -> Iterator[tuple[str, dict[str, int]]]:
    """Address of the demo's page, and the ids of its processes."""
    with tempfile.TemporaryDirectory() as work:
        parts = Stage(Path(work))
        try:
            parts.start()
            yield parts.address, {n: parts.process(n) for n in ("ui", "inference", "worker")}
        finally:
            parts.stop()


def spent(process: int) -> float:
    """Milliseconds of processor time of one process so far; source: proc(5), utime and stime."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return 1000.0 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def drag(page: Page, row: Locator, place: float) -> float:
    """Milliseconds from the release at ``place`` in [0, 1] of a slider to the new numbers."""
    hands.slide(page, row, place)
    page.wait_for_function("() => window.took !== null", timeout=PATIENCE_MS)
    return float(page.evaluate("window.took"))


def moves(page: Page, count: int, processes: Mapping[str, int]) -> dict[str, object]:
    """Each move's wait, and what it cost."""
    page.evaluate(WATCH)
    waits: list[float] = []
    before: dict[str, float] = {}
    for i in range(-ROWS, count):  # the first ones come upon a page that is not warm
        if i == 0:
            waits.clear()
            before = {name: spent(process) for name, process in processes.items()}
        place = PLACES[(i // ROWS) % len(PLACES)]
        waits.append(drag(page, hands.rows(page).nth(i % ROWS), place))
        page.wait_for_timeout(QUIET_MS)
    cost = {f"{n}_cpu_ms": round((spent(p) - before[n]) / count) for n, p in processes.items()}
    return {"wait_ms": told(waits), **cost}


def told(values: list[float]) -> dict[str, object]:
    return {"median": round(statistics.median(values)), "all": [round(v) for v in values]}


def measured(
    address: str, count: int, size: tuple[int, int], processes: Mapping[str, int]
) -> dict[str, object]:
    """One browser of a size."""
    with browse(size) as page:
        page.goto(address)
        hands.pick(page)
        hands.turn_off(hands.rows(page).filter(has=page.locator(".sb-score.for")).first)
        expect(page.locator(MEASURED)).to_be_visible(timeout=PATIENCE_MS)
        hands.others(page)
        hands.idle(page)
        return moves(page, count, processes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", help="of a page that runs already")
    parser.add_argument("--moves", type=int, default=20)
    parser.add_argument("--narrow", action="store_true", help="on a page as wide as a telephone")
    asked = parser.parse_args()
    size = NARROW if asked.narrow else WIDE
    if asked.address:
        print(json.dumps(measured(asked.address, asked.moves, size, {})))
        return
    with started() as (address, processes):
        print(json.dumps(measured(address, asked.moves, size, processes)))


if __name__ == "__main__":
    main()
