"""What the workbench shows of recipes beside the edits: whence they come, warnings, the way on."""

import streamlit as st

from services.ui import predict
from services.ui.recipes import guards, saving, words
from services.ui.recipes.shelf import RECIPE, VERSION, shelf
from services.ui.session import page_address, state
from steerboard.spec.edits import SteerSet
from steerboard.spec.errors import NotFound, SteerboardError
from steerboard.spec.requests import Margin


def show(data: bytes, steer: SteerSet, target: Margin) -> None:
    """Guard rails of these edits on the open picture, and ``Save as recipe``."""
    if not steer.edits:
        return
    origin()
    classifier = predict.prompts()
    guards.show(data, state().picture, classifier, steer, target)
    saving.offer(steer, classifier)


def origin() -> None:
    """The recipe that the edits began as, and whether anything proves it."""
    at = state().recipe
    if at is None:
        return
    address = page_address("recipes", **{RECIPE: at.name, VERSION: at.version})
    changed = (at.moves, at.edits) != (state().moves, state().edits)
    st.html(words.applied(f"{at.name} v{at.version}", known(at.name, at.version), address, changed))


@st.cache_data(ttl=20, max_entries=64, show_spinner=False)
def known(name: str, version: int) -> str:
    """Its badges; of one that is not at hand nothing is known to prove it."""
    try:
        return words.badges(shelf().get(name, version))
    except NotFound:
        return words.badge("unproven", "doubt")
    except SteerboardError:
        return ""
