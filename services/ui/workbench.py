"""The workbench: Predict, Review, Hypothesise, Test."""

import streamlit as st

from services.ui import locating, markup, picker, predict, recovery, review, steer, suggesting
from services.ui.backend import backend, model, picture
from services.ui.explorer import pinned
from services.ui.session import session, state
from steerboard.spec.answers import Prediction
from steerboard.spec.errors import SteerboardError


def show() -> None:
    """A picture to choose, or what can be done with the one that is open."""
    try:
        model()
    except SteerboardError as error:
        recovery.explain(
            "The model cannot be asked now.", error, backend().runner.models, "inference"
        )
        return
    pinned.take()
    picker.show()
    if not state().picture:
        st.html(markup.welcome())
        return
    try:
        data = picture(session(), state().picture)
    except SteerboardError as error:
        recovery.explain(
            "The picture of this session cannot be shown.",
            error,
            lambda: picture(session(), state().picture),
            "picture",
        )
        return
    workbench(data)


def workbench(data: bytes) -> None:
    """One picture: what the model says, why, and what it says when features move."""
    left, right = st.columns([1.7, 1], gap="medium")
    with left:
        st.html(markup.step(1, "what the model says about the picture"))
        clean = first_step(data)
    with right, st.container(key="aside"):
        st.html(markup.step(3, "what you believe, before you try"))
        steer.hypothesis()
        asked = st.container(key="asked")
        st.html(markup.step(4, "what the model says when features move"))
        test = st.container(key="test")
    with left:
        st.html(markup.step(2, "which features made it say so"))
        if clean is None:
            st.caption("The features stand here once the model has answered.")
            return
        names = predict.prompts().names
        wanted = review.choose(clean, names)
        locating.show(data, wanted)
        pinned.show()
        below = st.container()
    with asked:
        suggesting.show(data, names)
    # The answer to a moved slider comes before the rows are drawn again.
    with test:
        steer.show(data, clean, wanted, names)
    with below:
        review.show(data, wanted, names)


def first_step(data: bytes) -> Prediction | None:
    """Picture, prompts and answer; None where there is no answer, and the page says why."""
    image, words, answer = st.columns([1, 1.25, 1.45])
    with image:
        predict.show_picture(data)
    with words:
        predict.edit_prompts()
    with answer:
        try:
            clean = predict.clean(data)
        except SteerboardError as error:
            recovery.explain(
                "The model has not answered.", error, backend().runner.models, "predict"
            )
            return None
        predict.show_answer(clean, predict.prompts().names)
    return clean
