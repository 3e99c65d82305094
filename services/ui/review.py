"""Step 2, Review: which features made the decision, with what they answer to."""

import time
from typing import Literal

import streamlit as st

from services.ui.backend import backend, model, picture
from services.ui.pictures import enlarged, overlaid
from services.ui.predict import prompts
from services.ui.session import record, state
from steerboard.spec.answers import Prediction
from steerboard.spec.errors import ImageNotCached, SteerboardError, Unavailable
from steerboard.spec.jobs import AttributeJob, AttributeResult, JobStatus, RankedFeature, Reference
from steerboard.spec.requests import Digest, Margin
from steerboard.store.events import DictionaryChosen, FeatureMoved, Reviewed, TargetChosen

ROWS = 12
REFERENCES = 8
PATIENCE_S = 8.0


def dictionary() -> str:
    """The session's dictionary, or the model's first."""
    known = [d.id for d in model().dictionaries]
    return state().dictionary if state().dictionary in known else known[0]


def target(clean: Prediction) -> Margin:
    """The session's margin, or top against runner-up of the clean pass."""
    order = clean.logits.argsort()[::-1]
    index = state().index if state().index is not None else int(order[0])
    against = state().against
    if against is None or against == index:
        against = next(int(i) for i in order if i != index)
    return Margin(index=index, against=against)


def choose(clean: Prediction, names: tuple[str, ...]) -> Margin:
    """Which decision is explained, through which dictionary."""
    now = target(clean)
    left, middle, right = st.columns(3)
    with left:
        st.selectbox(
            "Why",
            names,
            index=now.index,
            key=f"why-{now.index}",
            on_change=lambda: take("why", now, names),
        )
    with middle:
        st.selectbox(
            "rather than",
            names,
            index=now.against,
            key=f"against-{now.against}",
            on_change=lambda: take("against", now, names),
        )
    with right:
        known = [d.id for d in model().dictionaries]
        labels = {d.id: f"{d.id}: {d.site}, {d.tokens} tokens" for d in model().dictionaries}
        st.selectbox(
            "Dictionary",
            known,
            index=known.index(dictionary()),
            key="dictionary",
            format_func=labels.__getitem__,
            on_change=take_dictionary,
        )
    return now


def take(which: str, now: Margin, names: tuple[str, ...]) -> None:
    """Write the newly chosen pair down."""
    index, against = now.index, now.against
    if which == "why":
        index = names.index(st.session_state[f"why-{now.index}"])
    else:
        against = names.index(st.session_state[f"against-{now.against}"])
    record(TargetChosen(index=index, against=None if index == against else against))


def take_dictionary() -> None:
    """Write the newly chosen dictionary down."""
    record(DictionaryChosen(dictionary=st.session_state["dictionary"]))


def ranking(wanted: Margin) -> AttributeResult | None:
    """The job's result; None while it is not there, with a sentence that says why."""
    spec = AttributeJob(
        model=model().id,
        image=Digest(sha256=state().picture),
        classifier=prompts(),
        dictionary=dictionary(),
        target=wanted,
        top_k=24,
        verify=ROWS,
        references=REFERENCES,
    )
    status = submit(spec)
    began = time.monotonic()
    with st.spinner("The worker scores, ranks and verifies the features"):
        while status.state in ("queued", "running") and time.monotonic() - began < PATIENCE_S:
            time.sleep(0.1)
            status = next(backend().jobs.watch(status.id, timeout_s=5.0))
    return outcome(status)


def submit(spec: AttributeJob) -> JobStatus:
    """Hand the job in; the bytes travel only if the job door lacks them."""
    return backend().jobs.submit(spec, (picture(spec.image.sha256),))


def outcome(status: JobStatus) -> AttributeResult | None:
    """The result, or why there is none yet and how to look again."""
    if status.state == "done":
        (found,) = backend().jobs.result(status.id)
        assert isinstance(found, AttributeResult)
        note(status.id, found)
        return found
    if status.state == "failed":
        st.error(f"The ranking failed: {status.message}")
    else:
        st.info(f"The ranking is {status.state}. {status.message or 'The workers are busy.'}")
    st.button("Look again", key="look-again")
    return None


def note(job: str, found: AttributeResult) -> None:
    """Write down, once, that this ranking was seen."""
    if st.session_state.get("reviewed") != job:
        st.session_state["reviewed"] = job
        record(Reviewed(job=job, features=tuple(f.feature for f in found.features[:ROWS])))


def show(found: AttributeResult, data: bytes, names: tuple[str, ...]) -> None:
    """The rows: features first, then what no feature accounts for."""
    against = names[found.against] if found.against is not None else "nothing"
    st.caption(
        f"Positive scores speak for **{names[found.index]}**, negative ones for **{against}**;"
        " the margin is"
        f" {found.value:+.2f} logits. Scores balance each other: none is a share of the answer."
    )
    for row in found.features[:ROWS]:
        show_row(row, data)
    left, middle, right = st.columns(3)
    left.container(key="error-term").metric(
        "Error term",
        f"{found.error:+.2f}",
        help="What the dictionary does not rebuild. It stays in the model whatever you move.",
    )
    middle.metric("Bias", f"{found.bias:+.2f}", help="The dictionary's constant part.")
    right.metric(
        "All other features", f"{found.rest + sum(r.score for r in found.features[ROWS:]):+.2f}"
    )


def show_row(row: RankedFeature, data: bytes) -> None:
    """One feature: numbers, where it fires, what else it fires on, and its slider."""
    with st.container(border=True, key=f"feature-{row.feature}"):
        numbers, map_, references, slider = st.columns(
            [1.3, 1, 5, 2.2], vertical_alignment="center"
        )
        numbers.markdown(
            f"**#{row.feature}**  \nattribution **{row.score:+.2f}**  \n"
            f"activation {row.activation:.1f}"
        )
        if row.measured is not None:
            agrees = "agrees" if row.measured * row.score > 0 else "opposite sign"
            numbers.caption(f"off: {row.measured:+.2f} measured, {agrees}")
        map_.image(overlaid(data, row.heat, 110), caption="where", width="stretch")
        with references:
            show_references(row.references)
        with slider:
            show_slider(row.feature)


def show_references(found: tuple[Reference, ...]) -> None:
    """Pictures of the catalogue that the feature answers to most."""
    if not found:
        st.caption("no reference images: the catalogue does not know this feature")
        return
    for column, reference in zip(st.columns(len(found)), found, strict=True):
        column.image(enlarged(picture(reference.image), 96), width="stretch")


def slider_key(feature: int) -> str:
    """The widget's key; a new one after each change from outside, so that it shows it."""
    return f"m-{dictionary()}-{feature}-{st.session_state.get('generation', 0)}"


def show_slider(feature: int) -> None:
    """M in [-1, 1], with Off, Unchanged and Double."""
    value = state().moves.get(dictionary(), {}).get(feature, 0.0)
    key = slider_key(feature)
    st.slider(
        "strength m",
        -1.0,
        1.0,
        value,
        0.05,
        key=key,
        label_visibility="collapsed",
        on_change=lambda: move(feature, st.session_state[key]),
    )
    buttons = st.columns(3)
    for column, (label, m) in zip(
        buttons, (("Off", -1.0), ("0", 0.0), ("Double", 1.0)), strict=True
    ):
        chosen: Literal["primary", "secondary"] = "primary" if value == m and m else "secondary"
        column.button(
            label,
            key=f"{label}-{feature}",
            type=chosen,
            on_click=press,
            args=(feature, m),
            width="stretch",
        )


def press(feature: int, m: float) -> None:
    """A button sets the slider."""
    st.session_state["generation"] = st.session_state.get("generation", 0) + 1
    move(feature, m)


def move(feature: int, m: float) -> None:
    """Write a change of strength down."""
    record(FeatureMoved(dictionary=dictionary(), feature=feature, m=m))


def without_worker(error: SteerboardError) -> None:
    """Why there is no ranking."""
    if isinstance(error, Unavailable | ImageNotCached):
        st.warning(f"No ranking now: {error.message}. Prediction and steering go on without it.")
    else:
        st.error(error.message)
