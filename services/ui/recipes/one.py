"""One recipe: what it changes, what is known of it, and what can be done with it."""

import json
from collections.abc import Sequence
from html import escape

import streamlit as st

from services.ui import recovery
from services.ui.backend import backend, model
from services.ui.pictures import thumbnail
from services.ui.recipes import applying, differing, evidence, publishing, reports, taking, words
from services.ui.recipes.shelf import VERSION, go, link, misfit, when
from steerboard.recipe.files import as_record
from steerboard.spec.catalogue import FeatureCard, name_of
from steerboard.spec.edits import Edit, Feature
from steerboard.spec.errors import NotFound, SteerboardError
from steerboard.spec.recipe import Recipe
from steerboard.store.recipe_rows import Saved

SIDE, REFERENCES, SHOWN = 72, 6, 40  # pixels, pictures of an edit, edits


def show(versions: Sequence[Saved], version: int | None) -> None:
    """The version that is asked for, by default the newest; raises NotFound."""
    wanted = versions[0].newest if version is None else version
    saved = next((s for s in versions if s.recipe.version == wanted), None)
    if saved is None:
        raise NotFound(
            f"recipe {versions[0].recipe.name} has no version {wanted}: its newest is"
            f" {versions[0].newest}"
        )
    st.button(
        "All recipes", key="all-recipes", icon=":material/arrow_back:", on_click=go, type="tertiary"
    )
    wrong = fit(saved.recipe)
    top(saved, versions, wrong)
    left, right = st.columns([1, 1.15], gap="large")
    with left:
        changes(saved.recipe)
        purpose(saved.recipe)
        differing.history(saved, versions)
        taking.show(saved)
    with right:
        evidence.show(saved, wrong)
    reports.show(saved)


def fit(recipe: Recipe) -> str:
    """Why a recipe cannot be used here; empty where it can, or where the model is away."""
    try:
        return misfit(recipe, model())
    except SteerboardError as error:
        return error.message


def top(saved: Saved, versions: Sequence[Saved], wrong: str) -> None:
    """Its name, what is known of it in a line, and what can be done with it."""
    recipe = saved.recipe
    st.html(words.head(saved, when(saved.at)))
    st.html(f'<div class="sb-line">{escape(words.line(saved))}</div>')
    if wrong:
        st.warning(f"This recipe cannot be used here: {recovery.clause(wrong)}")
    with st.container(horizontal=True, key="recipe-actions", vertical_alignment="center"):
        applying.button(saved, bool(wrong))
        st.download_button(
            "Export",
            json.dumps(as_record(recipe), indent=1) + "\n",
            file_name=taking.file_of(recipe),
            mime="application/json",
            key="export",
            icon=":material/download:",
            on_click="ignore",
        )
        with st.popover("Share", icon=":material/link:", key="share"):
            st.caption("Whoever of the team opens this address sees this very version.")
            st.code(link(recipe), language=None, wrap_lines=True)
        publishing.button(saved)
        if len(versions) > 1:
            choose_version(saved, versions)


def choose_version(saved: Saved, versions: Sequence[Saved]) -> None:
    """Go to another version."""
    numbers = [s.recipe.version for s in versions]
    key = f"version-{saved.recipe.name}-{saved.recipe.version}"
    st.selectbox(
        "Version",
        numbers,
        index=numbers.index(saved.recipe.version),
        format_func=lambda n: f"Version {n}",
        key=key,
        label_visibility="collapsed",
        width=130,
        on_change=lambda: st.query_params.update({VERSION: str(st.session_state[key])}),
    )


def changes(recipe: Recipe) -> None:
    """Every edit in words, with what the catalogue knows of its feature."""
    st.html("<h4>What it changes</h4>")
    shown = recipe.steer.edits[:SHOWN]
    cards = known(shown)
    album = pictures(list(cards.values()))
    parts = [words.change(e, *about(e, cards, album)) for e in shown]
    st.html(f'<div class="sb-changes">{"".join(parts)}</div>')
    if len(recipe.steer.edits) > SHOWN:
        st.caption(f"and {len(recipe.steer.edits) - SHOWN} more, which the exported file lists.")


def about(
    edit: Edit, cards: dict[tuple[str, int], FeatureCard], album: dict[str, bytes]
) -> tuple[str, list[tuple[str, str]]]:
    """Label and reference pictures of an edit's feature."""
    unit = edit.unit
    card = cards.get((unit.dictionary, unit.index)) if isinstance(unit, Feature) else None
    if card is None:
        return "", []
    held = [(r, album[r.image]) for r in card.references[:REFERENCES] if r.image in album]
    found = [(thumbnail(data, SIDE), f"activation {r.activation:.1f}") for r, data in held]
    return card.label, found


def known(edits: Sequence[Edit]) -> dict[tuple[str, int], FeatureCard]:
    """Cards by dictionary and feature; none while the library is away."""
    wanted: dict[str, set[int]] = {}
    for edit in edits:
        if isinstance(edit.unit, Feature):
            wanted.setdefault(edit.unit.dictionary, set()).add(edit.unit.index)
    try:
        library, own = backend().library, model().id
        found = [c for d, f in wanted.items() for c in library.features(name_of(d, own), sorted(f))]
    except SteerboardError:
        return {}
    return {(card.dictionary, card.feature): card for card in found}


def pictures(cards: Sequence[FeatureCard]) -> dict[str, bytes]:
    """Reference pictures in one call; none while the library is away."""
    try:
        return backend().album.get(r.image for c in cards for r in c.references[:REFERENCES])
    except SteerboardError:
        return {}


def purpose(recipe: Recipe) -> None:
    """What it is to mend, what it was made on, and for which model."""
    cells = "".join(f"<b>{escape(k)}</b><span>{escape(v)}</span>" for k, v in words.facts(recipe))
    st.html(f'<div class="sb-facts">{cells}</div>')
