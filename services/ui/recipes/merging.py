"""Several recipes as one, after a look at whether their edits get in each other's way."""

import streamlit as st
from pydantic import ValidationError

from services.ui import recovery
from services.ui.backend import backend, model
from services.ui.recipes import words
from services.ui.recipes.pictures import LibrarySet, first_split
from services.ui.recipes.shelf import announce, ask_author, go, misfit, require_author, shelf
from steerboard.recipe.changes import merge
from steerboard.recipe.interaction import Interaction, interaction
from steerboard.spec.errors import InvalidRequest, SteerboardError
from steerboard.spec.recipe import Recipe
from steerboard.store.recipe_rows import Saved

PICTURES = 96  # on which the interaction is measured


def show(found: list[Saved]) -> None:
    """Which, the check, and under which name."""
    names = {s.recipe.name: s.recipe for s in found}
    titles = {s.recipe.name: words.marked(s) for s in found}
    if len(names) < 2:
        st.caption("There is nothing to merge yet: it takes two recipes.")
        return
    chosen = st.multiselect(
        "Two or more recipes", list(names), format_func=titles.__getitem__, key="merge-these"
    )
    left, right = st.columns(2)
    with left:
        name = st.text_input("Name of the new recipe", key="merge-name", placeholder="no-shortcuts")
    with right:
        ask_author("merge-author")
    parts = [names[n] for n in chosen]
    try:
        if st.button("Check how they interact", key="merge-check", disabled=len(parts) < 2):
            st.session_state["interaction"] = (joined(name or "merged", parts), measured(parts))
        told(parts)
        if st.button("Merge", key="merge-save", type="primary", disabled=len(parts) < 2):
            save(name or "", parts)
    except SteerboardError as error:
        st.error(f"Not merged. {recovery.sentence(error)}")


def joined(name: str, parts: list[Recipe]) -> Recipe:
    """All edits in one; raises InvalidRequest."""
    for part in parts:
        if wrong := misfit(part, model()):
            raise InvalidRequest(f"{part.title} cannot be used here: {wrong}")
    check_adds(parts)
    try:
        return Recipe.model_validate(
            merge("merged", parts).model_copy(update={"name": name}).model_dump()
        )
    except ValidationError as error:
        raise bad_name(name) from error


def check_adds(parts: list[Recipe]) -> None:
    """Raises InvalidRequest where one of them is all that they come to."""
    edits = {edit for part in parts for edit in part.steer.edits}
    whole = next((p for p in parts if edits == set(p.steer.edits)), None)
    if whole is not None:
        raise InvalidRequest(
            f"{whole.title} already makes every edit of the others: there is nothing to merge"
        )


def bad_name(name: str) -> InvalidRequest:
    """What is said of a name that cannot be."""
    if not name:
        return InvalidRequest("give the recipe a name, such as no-label-strip", field="name")
    return InvalidRequest(
        f"{name!r} is no name for a recipe: use up to 64 small letters, digits, dots, dashes and"
        " underscores, and begin with a letter or digit",
        field="name",
    )


def measured(parts: list[Recipe]) -> Interaction:
    """Together against the sum of each, on pictures of the library."""
    with st.spinner(f"Trying the recipes alone and together on {PICTURES} pictures"):
        return interaction(backend().runner, parts, LibrarySet.drawn(*first_split(), PICTURES))


def told(parts: list[Recipe]) -> None:
    """What the check said of these very recipes."""
    held = st.session_state.get("interaction")
    if held is None or held[0].provenance.parents != tuple(p.digest for p in parts):
        return
    seen: Interaction = held[1]
    text = (
        f"On {seen.pictures} pictures, together differs from the sum of each by {seen.gap:.3f}"
        f" logits, where they move the margin by {seen.moved:.3f} ({seen.excess:.0%});"
        f" {seen.other_class} pictures get an answer that no recipe alone gives."
    )
    if seen.strong:
        st.warning(f"These recipes interact: judge the merged one by its own evidence. {text}")
    else:
        st.success(f"They hardly interact. {text}")


def save(name: str, parts: list[Recipe]) -> None:
    """Keep the merged recipe, unproven, and show it."""
    kept = shelf().save(joined(name, parts), require_author()).recipe
    go(kept.name, kept.version)
    announce(
        f"{kept.title} was merged from {len(parts)} recipes; it is unproven until its own run."
    )
    st.rerun()
