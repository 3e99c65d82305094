"""Features by their reference pictures, on one sheet, to be looked at.

``python -m bench.feature_sheet CATALOGUE.parquet PICTURES --out sheet.png``: twelve features by
lot among those that fire on 1 to 30 % of the set, not chosen by hand; with ``--telling`` those of
them that detect a class best, at most three of a class; or those named with ``--features``. Of each
picture what lies around its strongest patch, patches that fire framed. Photographs stay out of the
repository: write the sheet elsewhere.
"""

import argparse
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from steerboard.catalogue.file import Catalogue
from steerboard.catalogue.index import Index
from steerboard.spec.catalogue import FeatureCard

SIDE, LINE, SHOWN = 130, 18, 9
AROUND = 5  # patches a side that are shown
WEAK, STRONG = 0.3, 0.7  # of the strongest patch's activation
SELDOM, OFTEN = 0.01, 0.3
OF_A_CLASS = 3  # features that detect one class


def by_lot(catalogue: Catalogue, count: int, seed: int) -> list[int]:
    """Features that fire neither almost never nor almost always."""
    found = usual(catalogue)
    drawn: list[int] = np.random.default_rng(seed).choice(found, count, replace=False).tolist()
    return sorted(drawn)


def usual(catalogue: Catalogue) -> list[int]:
    """Those that fire on 1 to 30 % of the set."""
    table = catalogue.columns("feature", "firing_rate").to_pydict()
    pairs = zip(table["feature"], table["firing_rate"], strict=True)
    return [feature for feature, rate in pairs if SELDOM <= rate <= OFTEN]


def telling(catalogue: Catalogue, count: int) -> list[int]:
    """Of those the ones with the largest average precision for a class, at most three of each."""
    index = Index(catalogue)
    rates = index.statistics["firing_rate"]
    known = (rates >= SELDOM) & (rates <= OFTEN) & (index.best >= 0)
    order = np.lexsort((index.features, -index.statistics["precision"]))
    taken: Counter[int] = Counter()
    out: list[int] = []
    for at in order[known[order]].tolist():
        taken[int(index.best[at])] += 1
        if taken[int(index.best[at])] <= OF_A_CLASS:
            out.append(int(index.features[at]))
    return out[:count]


def framed(path: Path, cells: Sequence[Sequence[float]]) -> Image.Image:
    """What lies around the strongest patch, with frames around those that fire nearly as much.

    Of a feature that fires on no patch, the square that the model sees.
    """
    picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    seen = ImageOps.fit(picture, (min(picture.size),) * 2)
    heat = np.abs(np.asarray(cells, np.float64))
    if not heat.size or not heat.max():
        return seen.resize((SIDE, SIDE))
    peak = np.unravel_index(heat.argmax(), heat.shape)
    top, left = np.clip(np.array(peak) - AROUND // 2, 0, np.array(heat.shape) - AROUND)
    step = seen.width / heat.shape[0]
    box = (left * step, top * step, (left + AROUND) * step, (top + AROUND) * step)
    shown = seen.resize((SIDE, SIDE), box=box)
    frame(shown, heat[top : top + AROUND, left : left + AROUND] / heat.max())
    return shown


def frame(picture: Image.Image, shares: np.ndarray) -> None:
    """Draw a frame around each patch that has such a share of the largest activation."""
    draw, step = ImageDraw.Draw(picture), SIDE / AROUND
    for row, column in np.argwhere(shares >= WEAK).tolist():
        x, y = column * step, row * step
        colour = (255, 40, 40) if shares[row, column] >= STRONG else (255, 180, 60)
        draw.rectangle((x + 1, y + 1, x + step - 2, y + step - 2), outline=colour, width=2)


def told(card: FeatureCard) -> str:
    best = card.classes[0] if card.classes else None
    detects = f", {best.name}: AP {best.ap:.2f}" if best else ""
    return f"{card.feature}: fires on {card.firing_rate:.0%}{detects}"


def sheet(catalogue: Catalogue, features: list[int], files: dict[str, Path]) -> Image.Image:
    made = Image.new("RGB", (SHOWN * SIDE, len(features) * (SIDE + LINE)), "white")
    draw = ImageDraw.Draw(made)
    for i, feature in enumerate(features):
        (card,) = catalogue.cards([feature])
        top = i * (SIDE + LINE)
        draw.text((4, top + 3), told(card), fill="black")
        for j, reference in enumerate(card.references[:SHOWN]):
            picture = framed(files[reference.image], reference.heat)
            made.paste(picture, (j * SIDE, top + LINE))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("catalogue")
    parser.add_argument("pictures", type=Path, help="folder that they lie in")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--telling", action="store_true", help="by a rule, in place of lots")
    parser.add_argument("--features", type=int, nargs="*", help="these, in place of lots")
    options = parser.parse_args()
    catalogue = Catalogue(options.catalogue)
    found = sorted(options.pictures.rglob("*.jpg"))
    files = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in found}
    lot = (
        telling(catalogue, options.count)
        if options.telling
        else by_lot(catalogue, options.count, options.seed)
    )
    features = options.features or lot
    sheet(catalogue, features, files).save(options.out)


if __name__ == "__main__":
    main()
