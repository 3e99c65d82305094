"""Which tokens count: all, the class token, the patches, or a region drawn on the picture."""

from typing import Any

import altair as alt
import streamlit as st

from services.ui.backend import model
from services.ui.pictures import eye, inline, viewed
from services.ui.session import act, state
from steerboard.spec.capabilities import DictionaryInfo, SiteInfo
from steerboard.spec.edits import Mask
from steerboard.store.events import HowChosen
from steerboard.store.how import How

NAMES = {
    "all": "all",
    "prefix": "class token",
    "patches": "all patches",
    "region": "a region",
}
SIDE = 260
Span = tuple[int, int]  # first and last, both included


def kind(tokens: Mask, grid: tuple[int, int]) -> str:
    """Which of the choices a mask is."""
    if tokens.kind != "patches":
        return tokens.kind
    return "patches" if len(tokens.cells) == grid[0] * grid[1] else "region"


def words(tokens: Mask, grid: tuple[int, int]) -> str:
    """A mask in a few words."""
    found = kind(tokens, grid)
    if found != "region":
        return {"all": "all tokens"}.get(found, NAMES[found])
    (top, bottom), (left, right) = spans(tokens)
    return f"rows {top}–{bottom}, columns {left}–{right}"


def rectangle(rows: Span, columns: Span) -> Mask:
    """The patches of a rectangle, ends included."""
    cells = tuple(
        (r, c) for r in range(rows[0], rows[1] + 1) for c in range(columns[0], columns[1] + 1)
    )
    return Mask(kind="patches", cells=cells)


def spans(tokens: Mask) -> tuple[Span, Span]:
    """First and last row and column."""
    rows, columns = zip(*tokens.cells, strict=True)
    return (min(rows), max(rows)), (min(columns), max(columns))


def begun(choice: str, grid: tuple[int, int]) -> Mask:
    """The mask that a choice begins with; a region begins in the middle."""
    rows, columns = grid
    match choice:
        case "prefix":
            return Mask(kind="prefix")
        case "patches":
            return rectangle((0, rows - 1), (0, columns - 1))
        case "region":
            return rectangle(middle(rows), middle(columns))
    return Mask()


def middle(count: int) -> Span:
    """The middle half."""
    return count // 4, max(count // 4, count - 1 - count // 4)


def choices(site: SiteInfo, book: DictionaryInfo | None) -> list[str]:
    """What can count at a place: where units live, and something behind reads it."""
    lives = book.tokens if book else "all"
    found = ["all"]
    if model().prefix_tokens and not site.prefix_unread and lives == "all" and site.tokens > 1:
        found.append("prefix")
    if site.patches_read and lives != "prefix" and site.tokens > 1:
        found += ["patches", "region"]
    return found


def take(tokens: Mask) -> None:
    """Write the tokens down."""
    act(HowChosen, how=state().how.model_copy(update={"tokens": tokens}))


def show(data: bytes, now: How, site: SiteInfo, book: DictionaryInfo) -> None:
    """The choice, and for a region the picture to draw on."""
    grid, own = model().grid, kind(now.tokens, model().grid)
    known = choices(site, book if now.units == "feature" else None)
    options = known if own in known else [*known, own]
    key = f"tokens-{own}"
    st.selectbox(
        "Tokens",
        options,
        index=options.index(own),
        format_func=NAMES.__getitem__,
        key=key,
        on_change=lambda: take(begun(st.session_state[key], grid)),
        help="Only these are scored, and what you move here moves on these only.",
    )
    if own not in known:
        st.caption(f"At {site.name} these tokens do not count: choose all.")
    if own == "region":
        draw(data, now.tokens, grid)


def draw(data: bytes, tokens: Mask, grid: tuple[int, int]) -> None:
    """The region on the picture, to be dragged, and as numbers, to be set."""
    rows, columns = spans(tokens)
    key = f"brush-{state().picture[:8]}-{rows}-{columns}"
    st.altair_chart(
        chart(data, rows, columns, grid),
        key=key,
        on_select=lambda: dragged(st.session_state[key], grid),
        theme=None,
        width="content",
    )
    st.caption("Drag on the picture to mark a region, or set it here.")
    for name, span, count in (("rows", rows, grid[0]), ("columns", columns, grid[1])):
        slot = f"{name}-{span}"
        st.slider(
            f"{name.capitalize()} of patches, first and last",
            0,
            count - 1,
            span,
            key=slot,
            on_change=lambda name=name, slot=slot: slid(
                {"rows": rows, "columns": columns, name: st.session_state[slot]}
            ),
        )


def slid(spans_: dict[str, Any]) -> None:
    """A slider was moved."""
    take(rectangle(spans_["rows"], spans_["columns"]))


def dragged(event: Any, grid: tuple[int, int]) -> None:
    """A rectangle was drawn: the patches that it touches, where it is a rectangle at all."""
    found = event["selection"].get("brush", {}) if event else {}
    if found.get("x") and found.get("y"):
        take(rectangle(touched(found["y"], grid[0]), touched(found["x"], grid[1])))


def touched(ends: list[float], count: int) -> Span:
    """Patches from one coordinate to the other; a sliver at an end does not count."""
    low, high = sorted(min(max(v, 0.0), count) for v in ends)
    first, last = int(low + 0.25), int(high - 0.25)
    return min(first, count - 1), min(max(first, last), count - 1)


def chart(data: bytes, rows: Span, columns: Span, grid: tuple[int, int]) -> alt.LayerChart:
    """The picture under the grid; what does not count is paler."""
    height, width = grid
    tall = round(SIDE * height / width)
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[0, width], nice=False))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[height, 0], nice=False))
    picture = [{"url": inline(viewed(data, eye(model()), SIDE)), "x": width / 2, "y": height / 2}]
    image = (
        alt.Chart(alt.InlineData(values=picture))
        .mark_image(aspect=False, width=SIDE, height=tall)
        .encode(url="url:N", x=x, y=y)
    )
    cells = (
        alt.Chart(alt.InlineData(values=patches(rows, columns, grid)))
        .mark_rect(stroke="#ffffff", strokeWidth=0.5, strokeOpacity=0.5)
        .encode(
            x=x,
            y=y,
            x2="x2:Q",
            y2="y2:Q",
            color=alt.Color("in:N", legend=None, scale=PALE),
            opacity=alt.Opacity("veil:Q", scale=None, legend=None),
        )
        .add_params(alt.selection_interval(name="brush", encodings=["x", "y"]))
    )
    # Not fitted and without padding: the picture has a size of its own, that of the grid.
    found: alt.LayerChart = (image + cells).properties(
        width=SIDE, height=tall, padding=0, autosize=alt.AutoSizeParams(type="none")
    )
    return found


PALE = alt.Scale(domain=["yes", "no"], range=["#d63420", "#ffffff"])


def patches(rows: Span, columns: Span, grid: tuple[int, int]) -> list[dict[str, object]]:
    """Every patch as a rectangle, with the veil over those that do not count."""
    found: list[dict[str, object]] = []
    for r in range(grid[0]):
        for c in range(grid[1]):
            counts = rows[0] <= r <= rows[1] and columns[0] <= c <= columns[1]
            corners = {"x": c, "x2": c + 1, "y": r, "y2": r + 1}
            veil = {"in": "yes", "veil": 0.12} if counts else {"in": "no", "veil": 0.62}
            found.append({**corners, **veil})
    return found
