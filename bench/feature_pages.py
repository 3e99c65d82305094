"""Pages of features as a person sees them, kept as pictures to be looked at.

    python -m bench.feature_pages FOLDER --dictionary trained --out SHOTS

Starts inference, job door and page over the ``steerboard.yaml`` of a folder, whose catalogue was
built before. Twelve features by lot among those that fire on 1 to 30 % of the set, not chosen by
hand; with ``--telling`` those of them that detect a class best, at most three of a class; with
``--views`` also the list as cards, as table, as map, wide and narrow. Photographs, and what shows
them, stay out of the repository: name a folder elsewhere.
"""

import argparse
from pathlib import Path

import yaml
from playwright.sync_api import Page, expect

from bench.explorer import started
from bench.feature_sheet import by_lot, telling
from steerboard.catalogue.file import Catalogue
from tests.browser.chromium import NARROW, PATIENCE_MS, WIDE, browse
from tests.browser.hands import idle

# Pictures are fetched when they come into sight.
DRAWN = "() => [...document.images].every((one) => one.complete)"
VIEWS = {"cards": ".sb-feature", "table": ".sb-table", "map": "canvas[data-map]"}


def still(page: Page) -> None:
    """The page has drawn everything, and does not begin again."""
    for _ in range(3):
        idle(page)
        page.wait_for_timeout(150)


def kept(page: Page, file: Path) -> None:
    """The whole of a page as it stands, Streamlit's own scroll box unrolled."""
    still(page)
    size = page.viewport_size or {"width": WIDE[0], "height": WIDE[1]}
    high = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": size["width"], "height": int(high)})
    still(page)
    page.wait_for_function(DRAWN)
    page.screenshot(path=file)
    page.set_viewport_size(size)


def features(page: Page, place: str, numbers: list[int], out: Path, name: str) -> None:
    """The page of each feature."""
    for number in numbers:
        page.goto(f"{place}&feature={number}")
        expect(page.locator(".sb-title")).to_contain_text(f"#{number} ", timeout=PATIENCE_MS)
        expect(page.get_by_text("What it detects")).to_be_visible(timeout=PATIENCE_MS)
        kept(page, out / f"{name}-feature-{number}.png")


def views(page: Page, place: str, out: Path, name: str) -> None:
    """The list in each of its looks."""
    for look, selector in VIEWS.items():
        page.goto(f"{place}&look={look}&sort=clarity")
        expect(page.locator(selector).first).to_be_visible()
        kept(page, out / f"{name}-{look}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of a steerboard.yaml")
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--telling", action="store_true", help="by a rule, in place of lots")
    parser.add_argument("--views", action="store_true")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    house = yaml.safe_load((asked.folder / "steerboard.yaml").read_text())
    where = asked.folder / house.get("catalogue", "catalogue") / f"{asked.dictionary}.parquet"
    catalogue = Catalogue(str(where))
    drawn = (
        telling(catalogue, asked.count)
        if asked.telling
        else by_lot(catalogue, asked.count, asked.seed)
    )
    with started(asked.folder) as address:
        place = f"{address}/features?dictionary={asked.dictionary}"
        for name, size in {"wide": WIDE, "narrow": NARROW}.items():
            with browse(size) as page:
                features(page, place, drawn if name == "wide" else drawn[:1], asked.out, name)
                if asked.views:
                    views(page, place, asked.out, name)
    print(*drawn)


if __name__ == "__main__":
    main()
