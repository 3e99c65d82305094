"""The report's figures: marks lie where their axis says, and no name covers another."""

import re
from itertools import pairwise

import pytest

from steerboard.recipe.drawings import APART, Mark, apart, price, rates
from steerboard.spec.evidence import Share, SweepPoint


def share(hits: int, n: int, spread: float = 0.01) -> Share:
    value = hits / n
    return Share(hits=hits, n=n, low=max(0.0, value - spread), high=min(1.0, value + spread))


def places(figure: str, kind: str) -> list[float]:
    return [float(x) for x in re.findall(rf'<circle cx="[\d.]+" {kind}="([\d.]+)"', figure)]


@pytest.mark.parametrize(("hits", "n"), [(1, 100), (7, 100), (30, 100), (100, 100), (0, 50)])
def test_a_dot_stands_at_its_value_on_the_axis(hits: int, n: int) -> None:
    figure = rates([Mark("fixed", share(hits, n))])
    ticks = re.findall(r'<text x="([\d.]+)" y="[\d.]+" class="tick">([\d.]+) %', figure)
    (left, _), (right, end) = ((float(x), float(v)) for x, v in (ticks[0], ticks[-1]))
    (at,) = (float(x) for x in re.findall(r'<circle cx="([\d.]+)"', figure))
    assert (at - left) / (right - left) * end == pytest.approx(100 * hits / n, abs=0.05)
    assert left <= at <= right


def test_small_rates_are_not_pressed_to_the_foot_of_the_curve() -> None:
    points = [SweepPoint(factor=f, fix_rate=share(h, 100), break_rate=share(1, 100), drift=0.0)
              for f, h in ((0.5, 1), (1.0, 3), (2.0, 4))]  # fmt: skip
    heights = places(price(points), "cy")
    assert max(heights) - min(heights) > 40


def test_names_of_curves_that_end_together_lie_apart() -> None:
    found = apart([(100.0, "fixed"), (101.0, "broken"), (40.0, "other")])
    assert [name for _, name in found] == ["broken", "fixed", "other"]
    assert all(low - high >= APART for (low, _), (high, _) in pairwise(found))
    assert apart([(100.0, "fixed"), (20.0, "broken")]) == [(100.0, "fixed"), (20.0, "broken")]
