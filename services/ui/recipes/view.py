"""The page of recipes: the list of them, or the one that the address names."""

from pathlib import Path

import streamlit as st

from services.ui import markup, recovery
from services.ui.recipes import listing, one
from services.ui.recipes.shelf import announced, go, opened, shelf
from steerboard.spec.errors import InvalidRequest, NotFound, SteerboardError

STYLE = Path(__file__).with_name("recipes.css").read_text()


def show() -> None:
    """The whole page below its head."""
    st.html(f"<style>{STYLE}</style>")
    if news := announced():
        st.success(markup.plain(news))
    try:
        name, version = opened()
        if name:
            one.show(shelf().versions(name), version)
        else:
            listing.show()
    except (NotFound, InvalidRequest) as error:
        unknown(error)
    except SteerboardError as error:
        recovery.explain(
            "The recipes cannot be shown now.", error, lambda: shelf().latest(), "recipes"
        )


def unknown(error: SteerboardError) -> None:
    """A link that leads nowhere: why, and the way to the list."""
    st.warning(f"This link opens no recipe: {recovery.clause(error.message)}")
    st.caption(markup.plain("Ask whoever sent it whether it was saved in this team's database."))
    st.button("All recipes", key="all-recipes", icon=":material/arrow_back:", on_click=go)
