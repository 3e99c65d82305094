"""A recipe from a file: checked, and saved as the next version of its name."""

import json

import streamlit as st

from services.ui import recovery
from services.ui.backend import model
from services.ui.recipes.shelf import announce, ask_author, go, misfit, require_author, shelf
from steerboard.recipe.files import parse
from steerboard.spec.errors import InvalidRequest, SteerboardError
from steerboard.spec.recipe import Recipe

MAX_MIB = 5


def show() -> None:
    """The file, one's name, and what came of it."""
    file = st.file_uploader(
        "A .recipe.json file, as this page or `steerboard recipe` writes it",
        key=f"recipe-file-{st.session_state.get('imported', 0)}",
        max_upload_size=MAX_MIB,
    )
    ask_author("import-author")
    if not st.button("Import", key="import-recipe", type="primary", disabled=file is None):
        return
    try:
        assert file is not None
        kept = take(file.getvalue(), f"“{file.name}”")
    except SteerboardError as error:
        st.error(f"Nothing was imported. {recovery.sentence(error)}")
        return
    st.session_state["imported"] = st.session_state.get("imported", 0) + 1
    go(kept.name, kept.version)
    announce(f"{kept.title} was imported.")
    st.rerun()


def take(data: bytes, name: str) -> Recipe:
    """Save what a file holds; raises a SteerboardError."""
    recipe = read(data, name)
    if wrong := misfit(recipe, model()):
        raise InvalidRequest(f"{recipe.title} cannot be used here: {wrong}")
    return shelf().save(recipe, require_author()).recipe


def read(data: bytes, name: str) -> Recipe:
    """The recipe of a file; raises InvalidRequest."""
    try:
        return parse(json.loads(data), name)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"{name} is no recipe: it is not JSON, or was cut off. Export it anew"
        ) from error
