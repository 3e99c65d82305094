"""Figures of the report as SVG text: rates with their intervals, and the price curve."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from steerboard.spec.evidence import Share, SweepPoint

LEFT, WIDTH, LINE = 210, 420, 26  # pixels


@dataclass(frozen=True)
class Mark:
    """A rate and how it is drawn: good, bad or plain."""

    name: str
    share: Share
    tone: str = "plain"


def rates(marks: Sequence[Mark]) -> str:
    """One line a rate: its interval as a bar, its value as a dot, its numbers beside it."""
    height = LINE * len(marks) + 24
    parts = [axis(height - 20)]
    for i, mark in enumerate(marks):
        y = LINE * i + LINE // 2
        parts.append(f'<text x="{LEFT - 10}" y="{y + 4}" class="name">{escape(mark.name)}</text>')
        if mark.share.n:
            low, high, at = (across(v) for v in (mark.share.low, mark.share.high, mark.share.value))
            parts.append(f'<line x1="{low}" x2="{high}" y1="{y}" y2="{y}" class="{mark.tone}"/>')
            parts.append(f'<circle cx="{at}" cy="{y}" r="4.5" class="{mark.tone}"/>')
        parts.append(f'<text x="{LEFT + WIDTH + 12}" y="{y + 4}" class="told">{told(mark)}</text>')
    return framed(LEFT + WIDTH + 170, height, parts, "rates with their intervals")


def told(mark: Mark) -> str:
    """Such as ``71 %  (64 of 90)``."""
    if not mark.share.n:
        return "none to count"
    return f"{100 * mark.share.value:.1f} % ({mark.share.hits} of {mark.share.n})"


def across(share: float) -> float:
    """A share as a place from left to right."""
    return round(LEFT + WIDTH * share, 1)


def axis(bottom: int) -> str:
    """Lines at every quarter, with percentages below."""
    lines = []
    for quarter in range(5):
        x = across(quarter / 4)
        lines.append(f'<line x1="{x}" x2="{x}" y1="0" y2="{bottom}" class="grid"/>')
        lines.append(f'<text x="{x}" y="{bottom + 15}" class="tick">{25 * quarter} %</text>')
    return "".join(lines)


def price(points: Sequence[SweepPoint]) -> str:
    """Local gain against global loss over all strengths, with a dot for each factor."""
    side, bottom, wide = 52, 200, 480
    most = max(0.05, *(p.break_rate.value for p in points)) * 1.15

    def place(point: SweepPoint) -> tuple[float, float]:
        x = side + (wide - side - 30) * point.break_rate.value / most
        return round(x, 1), round(bottom - (bottom - 24) * point.fix_rate.value, 1)

    parts = [price_axes(side, bottom, wide, most)]
    corners = " ".join(f"{x},{y}" for x, y in map(place, points))
    parts.append(f'<polyline points="{corners}" class="curve"/>')
    named: dict[tuple[float, float], list[str]] = {}
    for point in points:
        named.setdefault(place(point), []).append(f"{point.factor:g}")
    for (x, y), factors in named.items():
        tone = "good" if "1" in factors else "plain"
        parts.append(f'<circle cx="{x}" cy="{y}" r="5" class="{tone}"/>')
        label = "×" + ", ".join(factors)
        parts.append(f'<text x="{x + 8}" y="{y - 8}" class="told">{label}</text>')
    return framed(wide + 90, bottom + 48, parts, "fixed against broken over all strengths")


def price_axes(side: int, bottom: int, wide: int, most: float) -> str:
    """Fixed upward in quarters, broken to the right in thirds."""
    parts = []
    for quarter in range(5):
        y = bottom - (bottom - 24) * quarter / 4
        parts.append(f'<line x1="{side}" x2="{wide}" y1="{y}" y2="{y}" class="grid"/>')
        parts.append(f'<text x="{side - 8}" y="{y + 4}" class="name">{25 * quarter} %</text>')
    for third in range(4):
        x = side + (wide - side - 30) * third / 3
        text = f"{100 * most * third / 3:.1f} %"
        parts.append(f'<text x="{x}" y="{bottom + 18}" class="tick">{text}</text>')
    parts.append(f'<text x="{side}" y="12" class="told">failing pictures fixed</text>')
    middle = (side + wide) / 2
    parts.append(f'<text x="{middle}" y="{bottom + 38}" class="tick">right pictures broken</text>')
    return "".join(parts)


def framed(width: int, height: int, parts: Sequence[str], title: str) -> str:
    """The parts in one picture that scales with the page."""
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{title}">'
        f"{''.join(parts)}</svg>"
    )
