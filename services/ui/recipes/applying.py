"""A recipe's edits on the session of whoever is in front of the page."""

import streamlit as st

from services.ui.session import act, redraw, session, state, tell
from steerboard.spec.edits import Edit, Feature, Mask, Scale
from steerboard.spec.recipe import Recipe
from steerboard.store.events import Moves, RecipeApplied
from steerboard.store.recipe_rows import Saved


def button(saved: Saved, disabled: bool) -> None:
    """Put the edits on the session, and go to the workbench."""
    pressed = st.button(
        "Apply in the workbench",
        key="apply-recipe",
        type="primary",
        icon=":material/tune:",
        disabled=disabled,
    )
    if pressed:
        apply(saved.recipe)
        st.switch_page(st.session_state["pages"][0], query_params={"s": session()})


def apply(recipe: Recipe) -> None:
    """Replace all that is moved in the session by what the recipe changes."""
    moves, edits = parted(recipe.steer.edits)
    act(
        RecipeApplied,
        name=recipe.name,
        version=recipe.version,
        digest=recipe.digest,
        moves=moves,
        edits=edits,
    )
    redraw()
    more = "" if state().picture else " Choose a picture to see what it does."
    unproven = " It is unproven." if recipe.status == "unproven" else ""
    tell(f"{recipe.title} is applied: {len(recipe.steer.edits)} edits.{unproven}{more}")


def parted(edits: tuple[Edit, ...]) -> tuple[Moves, tuple[Edit, ...]]:
    """What sliders can say, and the rest."""
    moves: Moves = {}
    rest = []
    for edit in edits:
        if plain(edit) and isinstance(edit.unit, Feature) and isinstance(edit.op, Scale):
            moves.setdefault(edit.unit.dictionary, {})[edit.unit.index] = edit.op.m
        else:
            rest.append(edit)
    return moves, tuple(rest)


def plain(edit: Edit) -> bool:
    """Whether a slider of the workbench says the same."""
    op = edit.op
    everywhere = edit.mask == Mask() and edit.condition is None
    return everywhere and isinstance(op, Scale) and -1 <= op.m <= 1
