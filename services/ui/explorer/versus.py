"""Two catalogues side by side: which features match, how well, and which have no partner."""

from dataclasses import replace
from html import escape
from typing import cast

import streamlit as st

from services.ui import recovery
from services.ui.backend import backend
from services.ui.explorer import pieces, reading
from services.ui.explorer.address import Address, change, here, href
from services.ui.explorer.browse import last_page, pager, thumbnails
from services.ui.explorer.paired import curves, line, lines
from steerboard.spec.catalogue import (
    TOGETHER,
    CatalogueInfo,
    ComparedFeatures,
    ComparedSide,
    FeaturePair,
    FeatureRow,
    PairSide,
)
from steerboard.spec.errors import SteerboardError

SIZE, PICTURES = 12, 4
# Of thousands of meanings the nearest is near by chance; a correlation of responses seldom is high.
USUAL = {"responses": 0.5, "meanings": 0.8}


def show(at: Address, info: CatalogueInfo) -> None:
    """The other one to choose, what comparing them came to, and the pairs."""
    others = [o.key for o in reading.catalogues() if o.key != info.key and not o.trouble]
    if not others:
        st.info(
            "There is one catalogue here, and comparing takes two: build one of another dictionary"
            " or model over the same pictures, with `steerboard catalogue build`."
        )
        return
    fit = [one.key for one in reading.meant(reading.catalogues(), at.other) if one.key in others]
    if at.other and not fit:
        known = ", ".join(others)
        st.warning(f"There is no other catalogue {at.other!r} here; there is {known}.")
    other = fit[0] if fit else others[0]
    with_, floor = st.columns([1, 1.4], vertical_alignment="bottom", gap="medium")
    with with_:
        which(others, other)
    found = asked(at, info, other)
    if found is None:
        return
    with floor:
        partners(floor_of(at, found))
    if at.page > (last := last_page(found.total, SIZE)):
        at = replace(at, page=last)
        found = asked(at, info, other) or found
    names = reading.titles()
    said(names[info.key], names[other], found, floor_of(at, found))
    sides(at, names[info.key], names[other], found)
    listed(at, info, other, found)
    pager(at, found.total, SIZE)


def which(others: list[str], other: str) -> None:
    """With which one."""
    st.session_state["ex-other"] = other
    st.selectbox(
        "Compare with",
        others,
        key="ex-other",
        format_func=reading.titles().__getitem__,
        on_change=lambda: change(other=st.session_state["ex-other"]),
    )


def partners(floor: float) -> None:
    """From when on two features are partners."""
    st.session_state["ex-floor"] = floor
    st.slider(
        "Partners from an alikeness of",
        0.0,
        1.0,
        step=0.05,
        key="ex-floor",
        on_change=lambda: change(floor=round(100 * st.session_state["ex-floor"])),
    )


def floor_of(at: Address, found: ComparedFeatures) -> float:
    """That of the address, else what suits the way of matching."""
    return USUAL[found.by] if at.floor is None else at.floor / 100


def asked(at: Address, info: CatalogueInfo, other: str) -> ComparedFeatures | None:
    """A page of pairs; None where there is none, and the page says why."""

    def ask(floor: float) -> ComparedFeatures:
        side = cast(PairSide, at.side)
        return reading.compared(info.key, other, side, floor, at.page, SIZE, PICTURES)

    def check() -> None:
        backend().library.compare(info.key, other, page_size=1)

    try:
        found = ask(USUAL["responses"] if at.floor is None else at.floor / 100)
        return found if at.floor is not None else ask(USUAL[found.by])
    except SteerboardError as error:
        recovery.explain("The two cannot be shown side by side now.", error, check, "compare")
        return None


def said(first: str, second: str, found: ComparedFeatures, floor: float) -> None:
    """By what they were matched, what came of it, and the figure."""
    words, figure = st.columns([1, 1.1], gap="large", vertical_alignment="center")
    how = (
        f"Matched by how they answer to the <b>{found.shared:,} pictures</b> that both catalogues"
        " hold: the correlation of their responses, among features that fire together on"
        f" {TOGETHER} of them or more (those that fire seldom meet by chance)."
        if found.by == "responses"
        else "Matched by the <b>meaning</b> of their strongest pictures (cosine of the mean"
        " embeddings), for the catalogues do not both hold responses to the same pictures:"
        " built again without --slim, they are matched by those. Features that fire on fewer than"
        f" {TOGETHER} pictures are left out: what they mean is what one picture shows."
    )
    both = (side_said(name, side) for name, side in ((first, found.first), (second, found.second)))
    words.html(pieces.soft(f"{how}<br>{'<br>'.join(both)}"))
    figure.html(curves((first, found.first), (second, found.second), floor))


def side_said(name: str, side: ComparedSide) -> str:
    """One side in a sentence."""
    alone = side.features - side.matched
    seldom = (
        f", {side.seldom:,} of which fire on fewer than {TOGETHER} pictures" if side.seldom else ""
    )
    return (
        f"Of <b>{escape(name)}</b>'s {side.features:,} features <b>{side.matched:,}</b> have a"
        f" partner, {side.mutual:,} of them mutually; <b>{alone:,}</b> have none{seldom}."
    )


def sides(at: Address, first: str, second: str, found: ComparedFeatures) -> None:
    """Which features are listed."""
    names = {
        "matched": f"Pairs ({found.first.matched:,})",
        "first_alone": f"Only in {first} ({found.first.features - found.first.matched:,})",
        "second_alone": f"Only in {second} ({found.second.features - found.second.matched:,})",
    }
    st.session_state["ex-side"] = at.side
    st.segmented_control(
        "Listed",
        list(names),
        key="ex-side",
        required=True,
        format_func=names.__getitem__,
        label_visibility="collapsed",
        on_change=lambda: change(side=st.session_state["ex-side"]),
    )


def listed(at: Address, info: CatalogueInfo, other: str, found: ComparedFeatures) -> None:
    """One page of pairs."""
    if not found.pairs:
        st.info("No feature is listed here: choose another alikeness, or the other list.")
        return
    rows, names = [(pair.first, pair.second) for pair in found.pairs], reading.titles()
    small = (
        thumbnails(info.key, [d for row, _ in rows if row for d in row.pictures]),
        thumbnails(other, [d for _, row in rows if row for d in row.pictures]),
    )
    st.html(
        lines(
            (names[info.key], names[other]),
            (drawn(pair, info, other, small) for pair in found.pairs),
        )
    )
    if at.side != "matched":
        st.caption("Pale: the nearest feature of the other side, which is not near enough.")


def drawn(
    pair: FeaturePair, info: CatalogueInfo, other: str, small: tuple[dict[str, str], dict[str, str]]
) -> str:
    """One pair, each feature leading to its page; what is not near enough is pale."""
    pale = {"matched": "", "first_alone": "second", "second_alone": "first"}[here().side]
    return line(one(pair.first, info.key, small[0]), one(pair.second, other, small[1]), pair, pale)


def one(row: FeatureRow | None, dictionary: str, small: dict[str, str]) -> str:
    """One feature of a pair."""
    if row is None:
        return '<span class="sb-nobody">nothing: too few pictures to tell</span>'
    at = replace(Address(), dictionary=dictionary, feature=row.feature)
    return pieces.strip(row, href(at), small)
