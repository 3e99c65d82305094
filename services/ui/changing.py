"""Changes that no slider shows: set to a value, push along a direction, remove, only where."""

import streamlit as st

from services.ui import alone, locating, markup, units
from services.ui.session import redraw
from steerboard.spec.edits import (
    MAX_ALPHA,
    MAX_SCALE,
    MAX_VALUE,
    Add,
    Condition,
    Feature,
    Op,
    Remove,
    Scale,
    Set,
    Unit,
)
from steerboard.spec.jobs import RankedFeature
from steerboard.store.how import How

OPEN = "changing"
OPS = {
    "scale": "multiply",
    "set": "set to a value",
    "add": "push along it",
    "remove": "take it out",
}
ABOUT = {
    "scale": "m times its activation is added: −1 is off, 1 doubled.",
    "set": "Its activation becomes this wherever it fires.",
    "add": "Every token moves along it, by so many median norms of the place.",
    "remove": "Whatever lies along its direction is taken out.",
}


def show_button(index: int) -> None:
    """Opens the other changes of a row, or closes them."""
    st.button("…", key=f"more-{index}", on_click=toggle, args=(index,), help="Other changes")


def toggle(index: int) -> None:
    """One row at a time."""
    st.session_state[OPEN] = None if st.session_state.get(OPEN) == index else index
    alone.whole()


def show(row: RankedFeature, how: How) -> None:
    """The other changes of the row that is open."""
    if st.session_state.get(OPEN) != row.feature:
        return
    unit = units.unit(how, row.feature)
    with st.container(key=f"change-{row.feature}"):
        known = units.ops(unit)
        kind, amount, where = st.columns([1.2, 1, 1.2], vertical_alignment="bottom")
        name = kind.selectbox("Change", known, format_func=OPS.__getitem__, key=f"op-{row.feature}")
        with amount:
            op = chosen(name, row)
        with where:
            condition = only_where(unit)
        st.caption(ABOUT[name])
        st.button(
            "Apply",
            key=f"apply-{row.feature}",
            type="primary",
            on_click=apply,
            args=(locating.place(how).name, unit, op, condition),
        )


def chosen(name: str, row: RankedFeature) -> Op:
    """The op, with its number."""
    key = f"amount-{name}-{row.feature}"
    match name:
        case "set":
            most = row.maximum or row.peak
            hint = f"catalogue maximum {most:.2f}" if row.maximum else f"here {row.peak:.2f}"
            value = st.number_input(
                f"Value ({hint})", -MAX_VALUE, MAX_VALUE, round(most, 2), key=key
            )
            return Set(value=value)
        case "add":
            return Add(alpha=st.number_input("Norms", -MAX_ALPHA, MAX_ALPHA, 0.5, key=key))
        case "remove":
            return Remove()
    return Scale(m=st.number_input("Strength m", -MAX_SCALE, MAX_SCALE, -1.0, key=key))


def only_where(unit: Unit) -> Condition | None:
    """A condition on a feature of the same dictionary, or none."""
    if not isinstance(unit, Feature):
        return None
    book = locating.dictionary()
    if not st.toggle("only where a feature fires", key=f"if-{unit.index}"):
        return None
    index = st.number_input(
        f"Feature of {markup.plain(book.id)}", 0, book.size - 1, unit.index, key=f"g-{unit.index}"
    )
    tau = st.number_input("above", 0.0, MAX_VALUE, 0.0, key=f"tau-{unit.index}")
    return Condition(unit=Feature(dictionary=book.id, index=int(index)), tau=tau, per="image")


def apply(site: str, unit: Unit, op: Op, condition: Condition | None) -> None:
    """Take the change, and close the row."""
    st.session_state[OPEN] = None
    units.change(site, unit, op, condition)
    redraw()
