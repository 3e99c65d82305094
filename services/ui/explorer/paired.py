"""HTML of two catalogues side by side: pairs of features, and how well each side is matched."""

from base64 import b64encode
from collections.abc import Iterable
from html import escape

from steerboard.spec.catalogue import ComparedSide, FeaturePair

WIDE, HIGH, LEFT, LOW = 420, 200, 44, 34  # pixels of the figure, and of the room for its words
SOFT, LINE = "#6b7681", "#dfe4e9"
SMALL = 'font-size="11"'
DASHED, FONT = 'stroke-dasharray="4 3"', 'font-family="sans-serif" font-size="12"'
COLOURS = ("#1d5fae", "#c8641b")


def lines(names: tuple[str, str], pairs: Iterable[str]) -> str:
    """All pairs, under the names of the two."""
    first, second = map(escape, names)
    heads = f"<header><b>{first}</b><span>alike</span><b>{second}</b></header>"
    return f'<div class="sb-pairs">{heads}{"".join(pairs)}</div>'


def line(first: str, second: str, pair: FeaturePair, pale: str) -> str:
    """One pair; ``pale`` names the side that is not near enough."""
    value = "–" if pair.alike is None else f"{pair.alike:.2f}"
    notes = ["mutual"] if pair.mutual and not pale else []
    if pair.together is not None:
        notes.append(f"both fire on {pair.together:,}")
    if pair.cosine is not None and pair.cosine != pair.alike:
        notes.append(f"meaning {pair.cosine:.2f}")
    told = f"<span><b>{value}</b><small>{'<br>'.join(notes)}</small></span>"
    shades = (' class="pale"' if pale == name else "" for name in ("first", "second"))
    left, right = (f"<div{s}>{h}</div>" for s, h in zip(shades, (first, second), strict=True))
    return f"<section>{left}{told}{right}</section>"


def curves(first: tuple[str, ComparedSide], second: tuple[str, ComparedSide], floor: float) -> str:
    """How many features of each side are matched at least so well, as a picture."""
    drawn = "".join(
        f'<polyline fill="none" stroke="{colour}" stroke-width="2.5" points="{points(side)}"/>'
        for colour, (_, side) in zip(COLOURS, (first, second), strict=True)
    )
    words = "".join(
        f'<text x="{WIDE - 8}" y="{18 + 17 * i}" text-anchor="end" fill="{colour}">'
        f"{escape(name)}</text>"
        for i, (colour, (name, _)) in enumerate(zip(COLOURS, (first, second), strict=True))
    )
    x = across(floor)
    mark = f'<line x1="{x:.0f}" x2="{x:.0f}" y1="0" y2="{HIGH}" stroke="{SOFT}" {DASHED}/>'
    size = f'viewBox="0 0 {WIDE} {HIGH + LOW}" width="{2 * WIDE}" height="{2 * (HIGH + LOW)}"'
    whole = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {FONT}>{axes()}{mark}{drawn}{words}</svg>'
    )
    told = "Share of each side's features by how well they are matched"
    src = "data:image/svg+xml;base64," + b64encode(whole.encode()).decode()
    return f'<img class="sb-curves" src="{src}" alt="{told}">'


def across(value: float) -> float:
    """Where an alikeness stands."""
    return LEFT + value * (WIDE - LEFT - 6)


def up(share: float) -> float:
    """Where a share stands."""
    return 6 + (1 - share) * (HIGH - 6)


def points(side: ComparedSide) -> str:
    """The corners of a side's curve."""
    last = max(len(side.shares) - 1, 1)
    return " ".join(f"{across(i / last):.1f},{up(s):.1f}" for i, s in enumerate(side.shares))


def axes() -> str:
    """Lines and numbers at every quarter, and what they are."""
    lines_, words = [], []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y, x = up(share), across(share)
        lines_.append(f'<line x1="{LEFT}" x2="{WIDE - 6}" y1="{y:.0f}" y2="{y:.0f}"/>')
        words.append(f'<text x="{LEFT - 6}" y="{y + 4:.0f}" text-anchor="end">{share:.0%}</text>')
        words.append(f'<text x="{x:.0f}" y="{HIGH + 14}" text-anchor="middle">{share:g}</text>')
    about = "of the features are matched at least so well"
    middle = (LEFT + WIDE) / 2
    words.append(f'<text x="{middle:.0f}" y="{HIGH + 30}" text-anchor="middle">{about}</text>')
    return f'<g stroke="{LINE}">{"".join(lines_)}</g><g fill="{SOFT}" {SMALL}>{"".join(words)}</g>'
