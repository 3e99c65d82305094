"""In the workbench: the feature that one came with from the explorer, with a slider of its own."""

from dataclasses import dataclass
from html import escape
from typing import cast

import streamlit as st

from services.ui import markup
from services.ui.backend import backend, model
from services.ui.explorer.address import whole
from services.ui.session import UNIT, act, feature_address, generation, redraw, state
from steerboard.spec.catalogue import name_of
from steerboard.spec.errors import SteerboardError
from steerboard.store.events import DictionaryChosen, FeatureMoved

STRENGTHS = (("Off", -1.0), ("0", 0.0), ("Double", 1.0))


@dataclass(frozen=True)
class Pin:
    """A feature, and what it is called."""

    dictionary: str
    feature: int
    label: str


def take() -> None:
    """Take over the feature that the address names, once."""
    wanted = st.query_params.get(UNIT, "")
    if not wanted:
        return
    del st.query_params[UNIT]
    name, _, number = wanted.rpartition(":")
    feature, book = whole(number), model().dictionary(name)
    if feature is None or book is None or feature >= book.size:
        st.warning(unknown(wanted))
        return
    if state().dictionary != name:
        act(DictionaryChosen, dictionary=name)
    st.session_state["pinned"] = Pin(name, feature, label(name, feature))


def unknown(wanted: str) -> str:
    """Why a unit that an address names is not taken up."""
    books = ", ".join(f"{b.id} (0 to {b.size - 1})" for b in model().dictionaries)
    return (
        f"The address asks for the feature {markup.plain(wanted[:80])}, which is not known here."
        f" Write it as dictionary:number; {model().id} has {markup.plain(books) or 'none'}."
    )


def label(dictionary: str, feature: int) -> str:
    """What the catalogue calls it; nothing while the library is away."""
    try:
        known = backend().library.features(name_of(dictionary, model().id), (feature,))
    except SteerboardError:
        return ""
    return known[0].label if known else ""


def show() -> None:
    """The feature above the ranked ones, until it is put away."""
    pin = cast(Pin | None, st.session_state.get("pinned"))
    if pin is None or model().dictionary(pin.dictionary) is None:
        return
    with st.container(border=True, key="pinned"):
        name, slider, buttons, away = st.columns([2, 2, 1.6, 0.4], vertical_alignment="center")
        link = feature_address(pin.dictionary, pin.feature)
        shown = f"#{pin.feature} {escape(pin.label)}".strip()
        titled = f'<a href="{escape(link)}" target="_self">{shown}</a>' if link else shown
        name.html(f'<div class="sb-id">{titled}</div><small>from the catalogue</small>')
        with slider:
            move_it(pin)
        with buttons.container(horizontal=True, key="buttons-pinned"):
            for text, m in STRENGTHS:
                st.button(text, key=f"pinned-{text}", on_click=move, args=(pin, m))
        away.button("", key="unpin", icon=":material/close:", help="Put this row away",
                    on_click=lambda: st.session_state.pop("pinned", None))  # fmt: skip


def move_it(pin: Pin) -> None:
    """Its strength, as the session has it."""
    key = f"pinned-{pin.dictionary}-{pin.feature}-{generation()}"
    st.slider(
        f"Strength m of {markup.plain(pin.label) or pin.feature}",
        -1.0,
        1.0,
        state().moves.get(pin.dictionary, {}).get(pin.feature, 0.0),
        0.05,
        key=key,
        label_visibility="collapsed",
        on_change=lambda: move(pin, st.session_state[key]),
    )


def move(pin: Pin, m: float) -> None:
    """Write a change of strength down; every slider shows it."""
    redraw()
    act(FeatureMoved, dictionary=pin.dictionary, feature=pin.feature, m=m)
