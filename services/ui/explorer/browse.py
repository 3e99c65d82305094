"""All features of a catalogue: searched, sorted and filtered, as cards, as a table, as a map."""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from services.ui import alone, markup, recovery
from services.ui.backend import backend
from services.ui.explorer import controls, pieces, reading
from services.ui.explorer.address import PAGE, Address, change, here, href
from services.ui.session import session
from steerboard.api.jobs_client import FoundFeatures
from steerboard.spec.catalogue import CatalogueInfo, FeatureQuery
from steerboard.spec.errors import SteerboardError
from steerboard.spec.requests import Encoded

ROWS, PICTURES = 50, 4


def show(at: Address, info: CatalogueInfo) -> None:
    """The controls, and what they find."""
    controls.show(at, info)
    alone.part(controls.FOUND, lambda: shown(here(), info))


def shown(at: Address, info: CatalogueInfo) -> None:
    """What is found, or how two compare."""
    try:
        if at.look == "compare":
            from services.ui.explorer import versus  # which lists with the functions of this one

            versus.show(at, info)
            return
        if at.look == "map":
            from services.ui.explorer import atlas  # what draws it takes a while to load

            atlas.show(at, info, query(at, info))
            return
        size = ROWS if at.look == "table" else PAGE
        found = reading.found(query(at, info), at.page, size, PICTURES)
        if at.page > (last := last_page(found.total, size)):
            at = replace(at, page=last)
            found = reading.found(query(at, info), at.page, size, PICTURES)
    except SteerboardError as error:
        recovery.explain(
            "The features cannot be searched now.", error, backend().library.catalogues, "search"
        )
        return
    said(at, info, found)
    listed(at, info, found)
    pager(at, found.total, size)


def unfit(info: CatalogueInfo) -> None:
    """A catalogue that is not to be gone by: why, and the ways to others."""
    st.session_state["ex-dictionary"] = info.key
    controls.dictionaries(reading.catalogues())
    st.warning(f"{info.trouble[:1].upper()}{info.trouble[1:]}, with `steerboard catalogue build`.")


def several(at: Address, infos: Sequence[CatalogueInfo]) -> None:
    """What a name may mean that several models' dictionaries bear: a way to each of them."""
    st.warning(f"Several models have a dictionary “{markup.plain(at.dictionary)}”. Which one?")
    titles = reading.titles()
    st.html(
        pieces.ways(
            (
                href(replace(at, dictionary=info.key)),
                titles[info.key],
                f"{info.features:,} features over {info.pictures:,} pictures",
            )
            for info in infos
        )
    )


def query(at: Address, info: CatalogueInfo) -> FeatureQuery:
    """What is asked; an example picture of this session goes along with its bytes."""
    asked = at.query(info.key)
    if not at.image:
        return asked
    held = backend().store.upload(session(), at.image)
    return asked.model_copy(update={"image": Encoded(data=held)}) if held else asked


def said(at: Address, info: CatalogueInfo, found: FoundFeatures) -> None:
    """How many there are, and what was left out."""
    many = f"{found.total:,}" if found.total < info.features else f"All {info.features:,}"
    line = f"<b>{many}</b> features"
    if at.narrowed:
        line += f" of {info.features:,}"
    line += f", over {info.pictures:,} pictures"
    if silent := info.size - info.features:
        line += f"; {silent:,} more never fired on them"
    st.html(pieces.soft(line + "."))
    if found.without_meaning:
        st.caption(
            "Searched by the words of labels and classes only, not by meaning: "
            + recovery.clause(found.without_meaning)
        )
    if not found.total:
        st.info("No feature fits all of this. Take a filter away, or search for something else.")


def listed(at: Address, info: CatalogueInfo, found: FoundFeatures) -> None:
    """One page of features."""
    pictures = thumbnails(info.key, [d for r in found.items for d in r.pictures])
    links = [href(replace(at, dictionary=info.key, feature=r.feature)) for r in found.items]
    if at.look == "table":
        st.html(pieces.table(found.items, links, heads(at), pictures))
        return
    pairs = zip(found.items, links, strict=True)
    st.html(pieces.cards(pieces.card(row, link, pictures) for row, link in pairs))


def thumbnails(dictionary: str, digests: list[str]) -> dict[str, str]:
    """Small pictures; none while the library is away."""
    try:
        return reading.thumbnails().get(dictionary, digests)
    except SteerboardError:
        return {}


def heads(at: Address) -> str:
    """The titles of the table's columns; a click sorts, a second one turns it round."""
    out = [head(at, "feature"), "<th></th>", "<th>Label</th>"]
    return "".join([*out, *(head(at, name) for name in (*pieces.COLUMNS, "precision"))])


def head(at: Address, name: str) -> str:
    """One of them."""
    mine = at.sort == name
    arrow = (" ↑" if at.ascending else " ↓") if mine else ""
    turned = replace(at, sort=name, ascending=mine and not at.ascending, page=0)
    return pieces.head(name, href(turned), arrow)


def pager(at: Address, total: int, size: int) -> None:
    """Where one is, and the ways on."""
    last = last_page(total, size)
    if not last:
        return
    before, where, after = st.columns([1, 3, 1], vertical_alignment="center")
    with before:
        turn("Earlier", at.page - 1, at.page == 0)
    with where.container(horizontal_alignment="center"):
        st.caption(f"Page {at.page + 1} of {last + 1}", text_alignment="center")
    with after:
        turn("Later", at.page + 1, at.page >= last)


def last_page(total: int, size: int) -> int:
    """From 0."""
    return max(0, (total - 1) // size)


def turn(text: str, page: int, disabled: bool) -> None:
    """A button to another page of the list."""
    st.button(
        text,
        key=f"ex-{text.lower()}",
        disabled=disabled,
        on_click=change,
        kwargs={"page": page},
        width="stretch",
    )
