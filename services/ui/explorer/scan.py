"""Pictures of one's own set on which a feature fires, found while one looks on."""

from dataclasses import dataclass, field, replace

import streamlit as st

from services.ui import recovery
from services.ui import sets as titles
from services.ui.backend import backend, image_sets
from services.ui.explorer import feature as page
from services.ui.explorer import pieces, reading
from services.ui.explorer.address import go, here
from services.ui.explorer.drawing import figure, usual
from services.ui.pictures import Eye
from steerboard.api.convert_library import ImageSet
from steerboard.spec.catalogue import CatalogueInfo, FeatureCard
from steerboard.spec.errors import SteerboardError
from steerboard.spec.jobs import Reference

AT_ONCE, SHOWN, SIDE = 16, 24, 168
LOOK_S = 0.2
Which = tuple[str, int, str, str, str]  # catalogue, feature, set, split, group


@dataclass
class Search:
    """A walk through a set.

    Attributes:
        which: What is looked for, and where.
        token: Of the next page; None at the end.
        seen: Pictures looked at.
        total: Pictures of the set.
        found: Those on which it fires.
        trouble: Why it stopped.
    """

    which: Which
    token: str | None = ""
    seen: int = 0
    total: int = 0
    failed: int = 0
    found: list[Reference] = field(default_factory=list)
    trouble: SteerboardError | None = None

    def further(self) -> None:
        """Look at some more pictures."""
        dictionary, feature, image_set, split, group = self.which
        try:
            got = backend().library.firing(
                dictionary, feature, image_set, split=split, group=group,
                page_token=self.token or "", page_size=AT_ONCE,
            )  # fmt: skip
        except SteerboardError as error:
            self.trouble = error
            return
        self.seen, self.total, self.failed = got.seen, got.total, self.failed + got.failed
        self.found = sorted([*self.found, *got.firing], key=lambda one: -one.activation)
        self.token = got.next or None


def show(info: CatalogueInfo, card: FeatureCard) -> None:
    """Which set, a button, and what was found so far."""
    st.html(pieces.section("Pictures of a set on which it fires"))
    try:
        sets = [s for s in image_sets() if s.size]
    except SteerboardError as error:
        st.caption(f"The image sets cannot be read now: {recovery.clause(error.message)}")
        return
    if not sets:
        st.caption("There is no image set: name one in steerboard.yaml.")
        return
    which = chosen(info, card, sets)
    view, eye = here().view or usual(card), reading.eye(info)
    held: Search | None = st.session_state.get("ex-scan")
    if held is None or held.which != which:
        st.button("Look for them", key="ex-look-for", icon=":material/search:",
                  on_click=lambda: st.session_state.update({"ex-scan": Search(which)}))  # fmt: skip
        return
    if held.token is None or held.trouble is not None:
        draw(info, held, view, eye)
        return

    def look() -> None:
        held.further()
        draw(info, held, view, eye)
        if held.token is None or held.trouble is not None:
            st.rerun()

    st.fragment(look, run_every=LOOK_S)()


def chosen(info: CatalogueInfo, card: FeatureCard, sets: list[ImageSet]) -> Which:
    """Dictionary, feature, set, split and group."""
    columns = st.columns(3)
    names = {s.id: s for s in sets}
    at = here()
    name = at.image_set if at.image_set in names else next(iter(names))
    found = names[name]
    splits, groups = ["", *found.splits], ["", *found.groups]
    split = at.split if at.split in splits else ""
    group = at.group if at.group in groups else ""
    shown = {"ex-scan-set": name, "ex-scan-split": split, "ex-scan-group": group}
    st.session_state.update(shown)

    def box(place: int, title: str, key: str, options: list[str], part: str) -> None:
        columns[place].selectbox(
            title,
            options,
            key=key,
            format_func=(
                (lambda one: one.capitalize() or "All")
                if place
                else (lambda one: titles.called(names[one]))
            ),
            on_change=lambda: go(replace(here(), **{part: st.session_state[key]})),
        )

    box(0, "Image set", "ex-scan-set", list(names), "image_set")
    box(1, "Split", "ex-scan-split", splits, "split")
    box(2, "Group", "ex-scan-group", groups, "group")
    return info.key, card.feature, name, split, group


def draw(info: CatalogueInfo, search: Search, view: str, eye: Eye) -> None:
    """How far it is, and the strongest pictures."""
    if search.trouble is not None:
        st.caption(f"Stopped: {recovery.clause(search.trouble.message)}")
        st.button("Go on", key="ex-scan-on",
                  on_click=lambda: setattr(search, "trouble", None))  # fmt: skip
    if search.total:
        failed = f"; {search.failed} could not be answered" if search.failed else ""
        where = f"{search.seen:,} of {search.total:,} pictures looked at{failed}"
        words = f"fires on {len(search.found):,} of the {where}"
        st.progress(search.seen / search.total, words)
    shown = search.found[:SHOWN]
    data = page.held(search.which[0], [one.image for one in shown])
    figures = [
        (src, page.opened(info, search.which[1], one.image), f"{one.activation:.2f}")
        for one in shown
        if one.image in data and (src := figure(data[one.image], one, SIDE, view, eye))
    ]
    st.html(pieces.pictures(figures))
    if len(search.found) > SHOWN:
        st.caption(f"The {SHOWN} strongest are shown.")
