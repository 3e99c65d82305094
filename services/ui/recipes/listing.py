"""All recipes of the team, newest first; and the ways to have more of them."""

import streamlit as st

from services.ui.recipes import importing, merging, words
from services.ui.recipes.shelf import go, shelf, when
from steerboard.store.recipe_rows import Saved

KINDS = ("All", "Proven", "Unproven", "Published")


def show() -> None:
    """The recipes, or how the first one is made."""
    found = shelf().latest()
    st.html(
        '<div class="sb-intro"><h2>Recipes</h2><span>Edits that are worth keeping: named,'
        " versioned, and tried on more than one picture.</span></div>"
    )
    if found:
        rows(narrowed(found))
    else:
        st.html(
            '<div class="sb-empty"><b>No recipe yet.</b> Open a picture in the workbench, move'
            " features until the model answers as it should, and press <i>Save as recipe</i>.</div>"
        )
    with st.expander("Merge recipes", icon=":material/merge:", key="merge"):
        merging.show(found)
    with st.expander("Import a recipe from a file", icon=":material/upload_file:", key="import"):
        importing.show()


def narrowed(found: list[Saved]) -> list[Saved]:
    """Those that a person asks for."""
    text, kind = st.columns([2, 3], vertical_alignment="bottom")
    wanted = text.text_input(
        "Search", key="recipe-search", placeholder="Search names, notes and authors",
        label_visibility="collapsed",
    )  # fmt: skip
    with kind:
        which = st.segmented_control(
            "Which", KINDS, default="All", required=True, key="recipe-kind",
            label_visibility="collapsed",
        )  # fmt: skip
    return [s for s in found if matches(s, (wanted or "").casefold(), which or "All")]


def matches(saved: Saved, text: str, kind: str) -> bool:
    """Whether a recipe is asked for."""
    held = f"{saved.recipe.name} {saved.recipe.summary} {saved.author}".casefold()
    fits = {"Published": saved.published}.get(kind, saved.recipe.status == kind.casefold())
    return text in held and (kind == "All" or fits)


def rows(found: list[Saved]) -> None:
    """A card each."""
    if not found:
        st.caption("None of the recipes is like that.")
    for saved in found:
        with st.container(border=True, key=f"recipe-{saved.recipe.name}"):
            told, open_ = st.columns([5, 1], vertical_alignment="center")
            told.html(words.card(saved, when(saved.at)))
            open_.button(
                "Open",
                key=f"open-{saved.recipe.name}",
                width="stretch",
                on_click=go,
                args=(saved.recipe.name,),
            )
