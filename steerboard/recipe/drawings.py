"""Figures of the report as SVG text: rates with their intervals, and the price curve."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from steerboard.spec.evidence import Share, SweepPoint

LEFT, WIDTH, LINE = 210, 420, 26  # pixels
APART = 15  # pixels between the names of two curves
REACHES = (0.04, 0.1, 0.2, 0.4, 1.0)  # ends of an axis of shares, in quarters that read well


@dataclass(frozen=True)
class Mark:
    """A rate and how it is drawn: good, bad or plain."""

    name: str
    share: Share
    tone: str = "plain"


def rates(marks: Sequence[Mark]) -> str:
    """One line a rate: its interval as a bar, its value as a dot, its numbers beside it."""
    height = LINE * len(marks) + 24
    end = reach(mark.share for mark in marks)
    parts = [axis(height - 20, end)]
    for i, mark in enumerate(marks):
        y = LINE * i + LINE // 2
        parts.append(f'<text x="{LEFT - 10}" y="{y + 4}" class="name">{escape(mark.name)}</text>')
        if mark.share.n:
            found = mark.share.low, mark.share.high, mark.share.value
            low, high, at = (across(value / end) for value in found)
            parts.append(f'<line x1="{low}" x2="{high}" y1="{y}" y2="{y}" class="{mark.tone}"/>')
            parts.append(f'<circle cx="{at}" cy="{y}" r="4.5" class="{mark.tone}"/>')
        parts.append(f'<text x="{LEFT + WIDTH + 12}" y="{y + 4}" class="told">{told(mark)}</text>')
    return framed(LEFT + WIDTH + 170, height, parts, "rates with their intervals")


def told(mark: Mark) -> str:
    """Such as ``71 %  (64 of 90)``."""
    if not mark.share.n:
        return "none to count"
    return f"{100 * mark.share.value:.1f} % ({mark.share.hits} of {mark.share.n})"


def reach(shares: Iterable[Share]) -> float:
    """Where an axis ends that holds all intervals: small rates are not pressed to its foot."""
    most = max((share.high for share in shares if share.n), default=1.0)
    return next(end for end in REACHES if most <= end or end == REACHES[-1])


def tick(quarter: int, end: float) -> str:
    """What a quarter of an axis is called, such as ``50 %``."""
    return f"{25 * quarter * end:g} %"


def across(part: float) -> float:
    """A part of the axis as a place from left to right."""
    return round(LEFT + WIDTH * part, 1)


def axis(bottom: int, end: float) -> str:
    """Lines at every quarter, with percentages below."""
    lines = []
    for quarter in range(5):
        x = across(quarter / 4)
        lines.append(f'<line x1="{x}" x2="{x}" y1="0" y2="{bottom}" class="grid"/>')
        lines.append(f'<text x="{x}" y="{bottom + 15}" class="tick">{tick(quarter, end)}</text>')
    return "".join(lines)


def price(points: Sequence[SweepPoint]) -> str:
    """Local gain and global loss over all strengths: two lines with their intervals."""
    side, bottom, wide = 52, 200, 480
    most = max(p.factor for p in points)
    end = reach(share for p in points for share in (p.fix_rate, p.break_rate))

    def place(factor: float, value: float) -> tuple[float, float]:
        x = side + (wide - side) * factor / most
        return round(x, 1), round(bottom - (bottom - 24) * value / end, 1)

    parts = [price_axes(points, side, bottom, wide, most, end)]
    ends: list[tuple[float, str]] = []
    for tone, label, shares in (
        ("good", "failing pictures fixed", [p.fix_rate for p in points]),
        ("bad", "right pictures broken", [p.break_rate for p in points]),
    ):
        spots = [place(0.0, 0.0)]
        spots += [place(p.factor, s.value) for p, s in zip(points, shares, strict=True)]
        corners = " ".join(f"{x},{y}" for x, y in spots)
        parts.append(f'<polyline points="{corners}" class="curve {tone}"/>')
        for point, share in zip(points, shares, strict=True):
            (x, low), (_, high) = place(point.factor, share.low), place(point.factor, share.high)
            parts.append(f'<line x1="{x}" x2="{x}" y1="{low}" y2="{high}" class="{tone}"/>')
            y = place(point.factor, share.value)[1]
            parts.append(f'<circle cx="{x}" cy="{y}" r="4.5" class="{tone}"/>')
        ends.append((spots[-1][1], label))
    for y, label in apart(ends):
        parts.append(f'<text x="{wide + 12}" y="{y + 4}" class="told">{label}</text>')
    return framed(wide + 170, bottom + 48, parts, "fixed and broken over all strengths")


def apart(ends: Iterable[tuple[float, str]]) -> list[tuple[float, str]]:
    """Names at their heights, from the lowest up, moved up where two would cover each other."""
    found: list[tuple[float, str]] = []
    for y, label in sorted(ends, reverse=True):
        found.append((min(y, found[-1][0] - APART) if found else y, label))
    return found


def price_axes(
    points: Sequence[SweepPoint], side: int, bottom: int, wide: int, most: float, end: float
) -> str:
    """Shares upward in quarters, the factors that were tried to the right."""
    parts = []
    for quarter in range(5):
        y = bottom - (bottom - 24) * quarter / 4
        parts.append(f'<line x1="{side}" x2="{wide}" y1="{y}" y2="{y}" class="grid"/>')
        parts.append(f'<text x="{side - 8}" y="{y + 4}" class="name">{tick(quarter, end)}</text>')
    for point in points:
        x = round(side + (wide - side) * point.factor / most, 1)
        parts.append(f'<text x="{x}" y="{bottom + 18}" class="tick">×{point.factor:g}</text>')
    middle = (side + wide) / 2
    parts.append(f'<text x="{middle}" y="{bottom + 38}" class="tick">all strengths times</text>')
    return "".join(parts)


def framed(width: int, height: int, parts: Sequence[str], title: str) -> str:
    """The parts in one picture that scales with the page."""
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{title}">'
        f"{''.join(parts)}</svg>"
    )
