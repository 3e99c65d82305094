"""Step 1, Predict: candidate prompts, and what the model says about a picture."""

import streamlit as st
from pydantic import ValidationError

from services.ui import markup
from services.ui.backend import backend, model
from services.ui.pictures import eye, veiled
from services.ui.session import record, state
from steerboard.spec.answers import Prediction
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.requests import Classifier, Encoded, Predict, Prompts
from steerboard.store.events import PromptsSet

SHOWN = 6  # bars
SIDE = 288  # pixels of the longer side


def prompts() -> Classifier:
    """The model's probe, else the session's or the model's prompts; raises InvalidRequest."""
    if (probe := model().probe) is not None:
        return probe
    names, template = words()
    if wrong := problem(names, template):
        raise InvalidRequest(wrong)
    return Prompts(prompts=names, template=template)


def words() -> tuple[tuple[str, ...], str]:
    """Names and template as the session or else the model has them."""
    now = state()
    return (now.prompts, now.template) if now.prompts else (model().prompts, model().template)


def show_picture(data: bytes) -> None:
    """The picture and where it is from."""
    image, partly = veiled(data, eye(model()), SIDE)
    st.image(image, width="stretch", alt="the picture that the model is asked about")
    st.caption(markup.plain(state().origin))
    if partly:
        st.caption("The model sees its middle; the pale part is cut off.")


def edit_prompts() -> None:
    """Free text, one prompt a line, and what is wrong with it; of a probe its classes."""
    if (probe := model().probe) is not None:
        st.caption("This model answers by a linear probe, whose classes are fixed:")
        st.caption(markup.plain(", ".join(probe.names)))
        return
    names, template = words()
    st.text_area(
        "Candidate prompts, one a line",
        value="\n".join(names),
        key="prompts",
        height=186,
        on_change=set_prompts,
        help="The model chooses among these. Two at least; Ctrl+Enter takes a change over.",
    )
    st.text_input(
        "Template",
        value=template,
        key="template",
        on_change=set_prompts,
        help="The sentence that the model reads for each prompt; {} stands for the prompt.",
    )
    if problem := st.session_state.get("prompt_error"):
        st.error(f"These prompts are not used yet: {markup.plain(problem)}.")


def set_prompts() -> None:
    """Take the fields over if they make a classifier; else say what is wrong."""
    # One of the two may not have been drawn yet when somebody is quick with the other.
    names, template = words()
    text = st.session_state.get("prompts", "\n".join(names))
    template = st.session_state.get("template", template)
    lines = tuple(line.strip() for line in text.splitlines() if line.strip())
    st.session_state["prompt_error"] = problem(lines, template)
    if not st.session_state["prompt_error"] and (lines, template) != words():
        record(PromptsSet(prompts=lines, template=template))


def problem(lines: tuple[str, ...], template: str) -> str:
    """Why these do not make a classifier, or an empty text."""
    most = model().limits.max_prompts
    if len(lines) > most:
        return f"{len(lines)} prompts are more than the limit of {most}: remove some"
    try:
        Prompts(prompts=lines, template=template)
    except ValidationError as error:
        return "; ".join(e["msg"].removeprefix("Value error, ") for e in error.errors())
    return ""


def ask(data: bytes) -> Prediction:
    """What the model says about a picture; raises a SteerboardError."""
    request = Predict(model=model().id, images=(Encoded(data=data),), classifier=prompts())
    return backend().runner.predict(request).one()


def clean(data: bytes) -> Prediction:
    """The same for the session's picture, asked once a question."""
    question = (state().picture, prompts(), model().fingerprint)
    held = st.session_state.get("clean")
    if held is None or held[0] != question:
        held = st.session_state["clean"] = (question, ask(data))
    answer: Prediction = held[1]
    return answer


def show_answer(answer: Prediction, names: tuple[str, ...]) -> None:
    """The answer, and the most probable prompts as bars."""
    st.html(markup.says(names[answer.top], float(answer.probabilities[answer.top])))
    st.html(markup.bars(rows(answer, names)))


def rows(
    before: Prediction, names: tuple[str, ...], after: Prediction | None = None
) -> list[tuple[str, float, float | None]]:
    """The most probable prompts before, and the answer after; with their probabilities."""
    shown = [int(i) for i in before.probabilities.argsort()[::-1][:SHOWN]]
    if after is not None and after.top not in shown:
        shown[-1] = after.top
    return [
        (
            names[i],
            float(before.probabilities[i]),
            None if after is None else float(after.probabilities[i]),
        )
        for i in shown
    ]
