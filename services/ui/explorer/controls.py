"""What narrows the list: words, class, picture, statistics, names; and how it is ordered.

Every box shows what the address says, and writes what a person chooses into the address.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import streamlit as st

from services.ui import alone, markup, predict, recovery
from services.ui.backend import backend, picture
from services.ui.explorer import pieces, reading
from services.ui.explorer.address import LOOKS, Address, change, go, here
from services.ui.explorer.spread import EVERYWHERE
from services.ui.pictures import thumbnail
from services.ui.session import session, state
from steerboard.spec.catalogue import Bound, CatalogueInfo, Statistic
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import SteerboardError

NAMES = {
    "all": "All",
    "labelled": "With a label",
    "unlabelled": "Without a label",
    "by_people": "Spoken of by people",
}
FILTERS: tuple[Statistic, ...] = (
    "firing_rate",
    "clarity",
    "polysemanticity",
    "redundancy",
    "precision",
    "auroc",
    "lift",
    "label_score",
    "mean",
    "maximum",
)
RATES = (0.0, 0.0001, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, EVERYWHERE, 1.0)
# Parts that are drawn alone: all of the list; what was found; its order; what narrows it.
LISTED, FOUND, ORDER, CHIPS = "ex-listed", "ex-found", "ex-order", "ex-narrowed"
ICONS = {
    "cards": ":material/grid_view:",
    "table": ":material/table_rows:",
    "map": ":material/map:",
    "compare": ":material/compare_arrows:",
}


def show(at: Address, info: CatalogueInfo) -> None:
    """Two lines of boxes, and what is set that they do not show."""
    known = reading.catalogues()
    fill(at, info)
    with st.container(key="explorer-controls"):
        if at.look != "compare":
            narrowing(at, info)
        left, right = st.columns([1.3, 1], vertical_alignment="center")
        with left:
            looks()
        if len(known) > 1:
            with right:
                dictionaries(known)
        if at.look != "compare":
            alone.part(CHIPS, lambda: chips(here()))


def narrowing(at: Address, info: CatalogueInfo) -> None:
    """What narrows the list, and how it is ordered."""
    words, of_class, by, more = st.columns([2.2, 1.4, 1.2, 1.5], vertical_alignment="bottom")
    with words:
        search()
    with of_class:
        classes(info)
    with by:
        alone.part(ORDER, lambda: order(info))
    with more.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        drawer("Filters", ":material/filter_list:", lambda: filters(at, info))
        drawer("By a picture", ":material/image_search:", by_picture)
    sparse(at, info)


def sparse(at: Address, info: CatalogueInfo) -> None:
    """A switch that leaves out what fires in most pictures: that is seldom a thing in them."""
    found = info.range("firing_rate")
    if found is None or found.high <= EVERYWHERE:
        return
    rate = next((b for b in at.bounds if b.statistic == "firing_rate"), None)
    high = rate.high if rate is not None and rate.high is not None else 1.0
    st.session_state["ex-sparse"] = high <= EVERYWHERE
    low = rate.low if rate is not None and rate.low is not None else 0.0
    st.toggle(
        "Leave out what fires everywhere",
        key="ex-sparse",
        help="Features that fire in more than half of the pictures: they seldom stand for a thing"
        " that is in some of them.",
        on_change=lambda: bind(
            info, "firing_rate", (low, EVERYWHERE if st.session_state["ex-sparse"] else 1.0)
        ),
    )


def drawer(title: str, icon: str, fill: Callable[[], None]) -> None:
    """A box behind a button, which is filled when it is opened: it holds up no page before."""
    with st.popover(title, icon=icon, key=f"ex-drawer-{title}", on_change="rerun") as held:
        if held.open:
            fill()


def fill(at: Address, info: CatalogueInfo) -> None:
    """Let every box show what the address says."""
    shown: dict[str, Any] = {
        "ex-words": at.words,
        "ex-class": at.class_name or None,
        "ex-look": at.look,
        "ex-dictionary": info.key,
        "ex-naming": at.naming,
        "ex-tag": at.tag,
    }
    st.session_state.update(shown)


def search() -> None:
    """The box for words."""
    st.text_input(
        "Search by words or meaning",
        key="ex-words",
        max_chars=200,
        icon=":material/search:",
        placeholder="owl, something red, a number …",
        on_change=lambda: search_for(words=st.session_state["ex-words"].strip()),
        help="Labels, names that people gave, classes, and what the pictures mean.",
    )


def classes(info: CatalogueInfo) -> None:
    """The class that they detect."""
    counts = {c.name: c.positives for c in info.classes}
    st.selectbox(
        "Detects a class",
        sorted(counts),
        index=None,
        key="ex-class",
        placeholder="any",
        format_func=lambda name: f"{pieces.spoken(name)} ({counts.get(name, 0)})",
        on_change=lambda: search_for(class_name=st.session_state["ex-class"] or ""),
    )


def search_for(**parts: str) -> None:
    """Something else is looked for, the best fit first.

    What is found is drawn before all else, and the boxes that stay as they are not at all: drawing
    them takes a browser longer than the search.
    """
    before = ordered()
    change(**parts, sort="")
    alone.only(FOUND, *([ORDER] if ordered() != before else []), CHIPS)


def ordered() -> str:
    """How the list is ordered now."""
    at = here()
    return at.query(at.dictionary).order


def order(info: CatalogueInfo) -> None:
    """By what they are sorted."""
    known: list[str] = ["feature", "relevance", *(s.statistic for s in info.statistics), "votes"]
    st.session_state["ex-sort"] = here().query(info.key).order
    st.selectbox(
        "Sort by",
        list(dict.fromkeys(known)),
        key="ex-sort",
        format_func=pieces.TITLES.__getitem__,
        on_change=sort_by,
    )


def sort_by() -> None:
    """Another order was chosen."""
    change(sort=st.session_state["ex-sort"], ascending=False)
    alone.only(FOUND)


def looks() -> None:
    """Cards, table, map, or beside another catalogue."""
    st.segmented_control(
        "Shown as",
        LOOKS,
        key="ex-look",
        required=True,
        format_func=lambda look: f"{ICONS[look]} {look.capitalize()}",
        label_visibility="collapsed",
        on_change=lambda: change(look=st.session_state["ex-look"]),
    )


def dictionaries(known: tuple[CatalogueInfo, ...]) -> None:
    """Whose features."""
    st.segmented_control(
        "Dictionary",
        [info.key for info in known],
        key="ex-dictionary",
        required=True,
        label_visibility="collapsed",
        format_func=reading.titles().__getitem__,
        on_change=lambda: go(
            Address(dictionary=st.session_state["ex-dictionary"], look=here().look)
        ),
    )


def filters(at: Address, info: CatalogueInfo) -> None:
    """Bounds of every statistic that is known, and what they are called."""
    st.selectbox(
        "Names",
        list(NAMES),
        key="ex-naming",
        format_func=NAMES.__getitem__,
        on_change=lambda: change(naming=st.session_state["ex-naming"]),
    )
    st.text_input(
        "A tag that people gave",
        key="ex-tag",
        max_chars=60,
        on_change=lambda: change(tag=st.session_state["ex-tag"].strip()),
    )
    for statistic in FILTERS:
        if info.range(statistic) is not None:
            bounds(at, info, statistic)
    votes(at)


def votes(at: Address) -> None:
    """How many votes its name has at least; of them no largest number is known before."""
    own = next((one.low for one in at.bounds if one.statistic == "votes"), None)
    st.session_state["ex-by-votes"] = None if own is None else round(own)
    st.number_input(
        f"{pieces.TITLES['votes']}, at least",
        value=None,
        step=1,
        key="ex-by-votes",
        placeholder="any",
        help=pieces.ABOUT["votes"],
        on_change=lambda: bound_to("votes", st.session_state["ex-by-votes"], None),
    )


def bounds(at: Address, info: CatalogueInfo, statistic: Statistic) -> None:
    """The bounds of one statistic; another place is another slider, so that it follows."""
    value = ends(at, info, statistic)
    key = f"ex-by-{statistic}-{value[0]:g}-{value[1]:g}"
    shared: dict[str, Any] = {
        "key": key,
        "value": value,
        "help": pieces.ABOUT.get(statistic),
        "on_change": lambda: bind(info, statistic, st.session_state[key]),
    }
    title = pieces.TITLES[statistic]
    if statistic == "firing_rate":
        st.select_slider(title, RATES, format_func=lambda v: f"{v:.2%}", **shared)
        return
    low, high = limits(info, statistic)
    st.slider(title, low, high, **shared)


def limits(info: CatalogueInfo, statistic: Statistic) -> tuple[float, float]:
    """The ends of a statistic's slider, rounded outwards."""
    found = info.range(statistic)
    if statistic == "firing_rate" or found is None:
        return 0.0, 1.0
    low, high = found.low - found.low % 0.01, found.high - found.high % -0.01
    return round(low, 2), round(max(high, low + 0.01), 2)


def ends(at: Address, info: CatalogueInfo, statistic: Statistic) -> tuple[float, float]:
    """Where a statistic's slider stands."""
    low, high = limits(info, statistic)
    for one in at.bounds:
        if one.statistic == statistic:
            wanted = low if one.low is None else one.low, high if one.high is None else one.high
            low, high = max(low, min(wanted[0], high)), min(high, max(wanted[1], low))
    if statistic == "firing_rate":
        return nearest(low), nearest(high)
    return low, high


def nearest(rate: float) -> float:
    """The step of the slider next to a rate."""
    return min(RATES, key=lambda step: abs(step - rate))


def bind(info: CatalogueInfo, statistic: Statistic, value: tuple[float, float]) -> None:
    """Take over a slider's bounds; a whole range is none."""
    low, high = limits(info, statistic)
    bound_to(
        statistic,
        value[0] if value[0] > low else None,
        value[1] if value[1] < high else None,
    )


def bound_to(statistic: Statistic, low: float | None, high: float | None) -> None:
    """Take over the bounds of a statistic; without ends there are none."""
    rest = tuple(b for b in here().bounds if b.statistic != statistic)
    own = Bound(statistic=statistic, low=low, high=high)
    change(bounds=rest if low is None and high is None else (*rest, own))


def by_picture() -> None:
    """Features that fire on a picture: the workbench's, or a file."""
    st.caption("Find the features that fire on a picture, the strongest for their kind first.")
    if state().picture:
        st.button(
            "The workbench's picture",
            key="ex-mine",
            on_click=lambda: change(image=state().picture, sort=""),
        )
    file = st.file_uploader("A picture of your own", key=f"ex-file-{here().image}")
    if file is not None:
        try:
            data = file.getvalue()
            predict.ask(data)
            backend().store.keep(session(), data)
        except SteerboardError as error:
            st.error(f"This file is not used. {recovery.sentence(error)}")
            return
        change(image=image_digest(data), sort="")
        st.rerun()


def chips(at: Address) -> None:
    """What narrows the list out of sight, each with the way back."""
    with st.container(horizontal=True, gap="small", key="ex-chips"):
        for name, text, without in narrowed(at):
            st.button(
                text,
                key=f"ex-without-{name}",
                icon=":material/close:",
                icon_position="right",
                on_click=widen,
                args=(without,),
            )
        if at.image:
            st.html(f'<img src="{example(at.image)}" alt="the example" style="height:2.5rem">')


def widen(without: Address) -> None:
    """A filter was taken away: the box that it stands in shows it."""
    go(without)
    alone.only(LISTED)


def narrowed(at: Address) -> list[tuple[str, str, Address]]:
    """Key, words, and the view without it, of each."""
    start = replace(at, page=0)
    out = []
    if at.words:
        out.append(("words", f"“{markup.plain(at.words)}”", replace(start, words="", sort="")))
    if at.class_name:
        name = markup.plain(pieces.spoken(at.class_name))
        out.append(("class", f"detects {name}", replace(start, class_name="", sort="")))
    if at.image:
        out.append(("image", "fires on this picture", replace(start, image="", sort="")))
    if at.naming != "all":
        out.append(("naming", NAMES[at.naming].lower(), replace(start, naming="all")))
    if at.tag:
        out.append(("tag", f"tag {markup.plain(at.tag)}", replace(start, tag="")))
    for one in at.bounds:
        rest = tuple(b for b in at.bounds if b.statistic != one.statistic)
        out.append((one.statistic, between(one), replace(start, bounds=rest)))
    return out


def between(one: Bound) -> str:
    """Bounds in words."""
    name = pieces.TITLES[one.statistic].lower()
    digits = "{:.0f}" if one.statistic == "votes" else "{:.2f}"
    shown = pieces.share if one.statistic == "firing_rate" else digits.format
    low = "" if one.low is None else f" from {shown(one.low)}"
    high = "" if one.high is None else f" to {shown(one.high)}"
    return f"{name}{low}{high}"


def example(sha256: str) -> str:
    """The example picture as an address; empty where it is not at hand."""
    try:
        return thumbnail(picture(session(), sha256), 96)
    except SteerboardError:
        return ""
