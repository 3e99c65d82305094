"""The trust report as charts: how a ranking's units take the target away and bring it back."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from steerboard.analysis.curves import Curves
from steerboard.analysis.trust import AGREES, NOTHING, OPPOSITE, Claim

HIGH = 190  # pixels
OWN = "#1d7a5a"
# Of each baseline its colour and its dashes: two that rank alike stay two lines.
LINES: dict[str, tuple[str, list[int]]] = {
    "activation": ("#b98a2b", [1, 0]),
    "energy": ("#7b4ea3", [5, 5]),
    "logit_lens": ("#1d5fbe", [1, 0]),
    "integrated_gradients": ("#d63420", [1, 0]),
    "random": ("#8a97a6", [2, 2]),
}
SAID = {AGREES: OWN, OPPOSITE: "#d63420", NOTHING: "#aab4bf"}
SOFT = "#5c6b7a"
Rows = list[dict[str, Any]]


def colour(ranking: str, own: str) -> str:
    """Of a ranking's line, and of its mark in the legend."""
    return OWN if ranking == own else LINES[ranking][0]


def curve(curves: dict[str, Curves], own: str, name: str, title: str) -> alt.LayerChart:
    """One kind of curve of every ranking, its own method's on top and the thickest.

    Args:
        curves: Of every ranking.
        own: The ranking on trial.
        name: Which curve, as ``Curves`` calls it.
        title: What it is.
    """
    order = [*(r for r in LINES if r in curves and r != own), own]
    data = {ranking: corners(ranking, curves[ranking], name) for ranking in order}
    drawn = [line(rows, ranking, own) for ranking, rows in data.items()]
    return framed(alt.LayerChart(layer=drawn), title)


def line(rows: Rows, ranking: str, own: str) -> alt.Chart:
    """One ranking's."""
    mine = ranking == own
    dashes = [1, 0] if mine else LINES[ranking][1]
    found: alt.Chart = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(color=colour(ranking, own), strokeWidth=3 if mine else 1.5, strokeDash=dashes)
        .encode(
            x=alt.X("units:Q", title="first units of the ranking", axis=alt.Axis(tickCount=5)),
            y=alt.Y("change:Q", title=None),
            tooltip=["ranking:N", "units:Q", alt.Tooltip("change:Q", format="+.2f")],
        )
    )
    return found


def corners(ranking: str, found: Curves, name: str) -> Rows:
    """The points of a line, from nothing on."""
    heights = [0.0, *getattr(found, name).tolist()]
    told = ranking.replace("_", " ")
    return [
        {"ranking": told, "units": k, "change": h}
        for k, h in zip((0, *found.steps), heights, strict=True)
    ]


def calibration(claims: Sequence[Claim], slope: float) -> alt.LayerChart:
    """Each unit's score against what switching it off did, and the line of the slope."""
    data = [
        {"unit": c.unit, "score": c.score, "measured": c.measured, "verdict": c.verdict}
        for c in claims
    ]
    x = alt.X("score:Q", title="score")
    y = alt.Y("measured:Q", title="measured effect")
    ends = [min(0.0, *(c.score for c in claims)), max(0.0, *(c.score for c in claims))]
    slant = alt.Chart(alt.InlineData(values=[{"score": e, "measured": slope * e} for e in ends]))
    dots = alt.Chart(alt.InlineData(values=data))
    shades = alt.Scale(domain=list(SAID), range=list(SAID.values()))
    drawn = slant.mark_line(color=SOFT, strokeDash=[4, 3]).encode(x=x, y=y) + dots.mark_circle(
        size=55, opacity=0.85
    ).encode(
        x=x,
        y=y,
        color=alt.Color("verdict:N", scale=shades, legend=None),
        tooltip=[
            "unit:N",
            alt.Tooltip("score:Q", format="+.2f"),
            alt.Tooltip("measured:Q", format="+.2f"),
            "verdict:N",
        ],
    )
    return framed(drawn, f"Calibration: slope {slope:.2f}")


def framed(chart: alt.LayerChart, title: str) -> alt.LayerChart:
    """Small, and in the page's own type."""
    plain = alt.AxisConfig(
        labelFontSize=10, titleFontSize=11, titleFontWeight="normal", titleColor=SOFT,
        labelColor=SOFT, gridColor="#e9edf1", domainColor="#aab4bf", tickCount=5,
    )  # fmt: skip
    name = alt.TitleParams(title, anchor="start", fontSize=12, fontWeight=600)
    found: alt.LayerChart = chart.properties(height=HIGH, title=name).configure(
        font="Source Sans Pro, sans-serif", axis=plain, view=alt.ViewConfig(stroke=None)
    )
    return found
