"""The workbench: Predict, Review, Hypothesise, Test. Run by ``streamlit run``."""

import sys
from pathlib import Path

import streamlit as st

# Streamlit puts this folder first on the path; the project's root is what imports start from.
if str(Path(__file__).parents[2]) not in sys.path:
    sys.path.append(str(Path(__file__).parents[2]))

from services.ui import predict, review, steer
from services.ui.backend import picture
from services.ui.pictures import enlarged
from services.ui.session import begin, state
from steerboard.spec.errors import SteerboardError

STYLE = """<style>
.block-container {padding-top: 2.2rem; max-width: 1500px}
h1 {font-size: 1.7rem; padding-bottom: 0} h3 {padding: .2rem 0}
[data-testid="stMetricValue"] {font-size: 1.35rem}
</style>"""


def page() -> None:
    """The whole page, from the top."""
    st.set_page_config("Steerboard", "🧭", layout="wide")
    st.html(STYLE)
    try:
        begin()
        st.title("Steerboard", anchor=False)
        with st.expander("Choose a picture", expanded=not state().picture):
            shelf()
        if state().picture:
            workbench()
    except SteerboardError as error:
        st.error(error.message)
        st.button("Try again", key="try-again")


def shelf() -> None:
    """Pictures to choose from; without the job door only uploads."""
    try:
        predict.choose_picture()
    except SteerboardError as error:
        st.error(error.message)


def workbench() -> None:
    """One picture: what the model says, why, and what it says when features move."""
    data = picture(state().picture)
    left, right = st.columns([1, 1.25], gap="large")
    with left:
        st.subheader("1 · Predict", anchor=False)
        image, words = st.columns([1, 1.1])
        image.image(enlarged(data, 288), caption=state().origin, width="stretch")
        with words:
            predict.edit_prompts()
        if problem := st.session_state.get("prompt_error"):
            st.error(f"These prompts are not used yet: {problem}")
    names = predict.prompts().names
    clean = predict.ask(data)
    with left:
        st.markdown(f"The model says **{names[clean.top]}**")
        st.subheader("3 · Hypothesise", anchor=False)
        steer.hypothesis()
    with right:
        st.subheader("4 · Test", anchor=False)
        test = st.container(key="test")
    st.subheader("2 · Review", anchor=False)
    wanted = review.choose(clean, names)
    with test:
        steer.show(data, clean, wanted, names)
    try:
        found = review.ranking(wanted)
    except SteerboardError as error:
        review.without_worker(error)
        return
    if found is not None:
        review.show(found, data, names)


page()
