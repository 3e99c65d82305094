"""Telling the team that a recipe may be relied on: only where its evidence says so."""

from collections.abc import Callable

import streamlit as st

from services.ui import recovery
from services.ui.recipes.shelf import ask_author, require_author, shelf
from services.ui.recipes.words import best, place
from steerboard.spec.errors import SteerboardError
from steerboard.store.recipe_rows import Saved

DOUBTED = {
    "harmful": "Its evidence calls it **harmful**: it breaks more than it fixes.",
    "costly": "Its evidence calls it **costly**: it breaks right pictures beyond chance.",
    "no better than controls": "Its evidence says it is **no better than controls** of its size.",
    "inconclusive": "Its evidence is **inconclusive**: the net could be zero.",
}


def button(saved: Saved) -> None:
    """Publish or withdraw; what is missing stands beside a publication that cannot be."""
    key = (saved.recipe.name, saved.recipe.version)
    if saved.published:
        with st.popover("Published", icon=":material/verified:", key="published"):
            st.caption("The team may rely on this version. Withdrawing keeps it in the list.")
            ask_author("withdraw-author")
            if st.button("Withdraw", key="withdraw"):
                marked(lambda: shelf().withdraw(key, require_author()))
        return
    with st.popover("Publish", icon=":material/campaign:", key="publish-it"):
        found = best(saved)
        if found is None:
            st.info(
                "An unproven recipe is not published. Run its evidence on at least one image set"
                " that it was not made on."
            )
            return
        st.caption(f"Its evidence: {found[0].verdict} on {place(found[0])}.")
        if doubt := DOUBTED.get(found[0].verdict):
            st.warning(f"{doubt} It keeps that mark wherever it appears.")
        ask_author("publish-author")
        if st.button("Publish this version", key="publish", type="primary"):
            marked(lambda: shelf().publish(key, require_author()))


def marked(write: Callable[[], Saved]) -> None:
    """Write it down and draw the page again; why not, where it cannot be."""
    try:
        write()
    except SteerboardError as error:
        st.error(recovery.sentence(error))
    else:
        st.rerun()
