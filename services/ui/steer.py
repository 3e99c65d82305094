"""Steps 3 and 4, Hypothesise and Test: what the person believes, and what the model then says."""

import streamlit as st

from services.ui.backend import backend, model
from services.ui.predict import bars, prompts
from services.ui.session import record, state
from steerboard.spec.answers import Prediction, Steered
from steerboard.spec.edits import Edit, Feature, Scale, SteerSet
from steerboard.spec.requests import Encoded, Margin, Steer
from steerboard.store.events import HypothesisWritten, Reset, Tested


def hypothesis() -> None:
    """Free text, kept with the session."""
    st.text_area(
        "What do you think goes on, and what should happen when you turn a feature down?",
        value=state().hypothesis,
        key="hypothesis",
        height=80,
        on_change=lambda: record(HypothesisWritten(text=st.session_state["hypothesis"])),
    )


def steer_set() -> SteerSet:
    """All moved features of all dictionaries."""
    sites = {d.id: d.site for d in model().dictionaries}
    return SteerSet(
        edits=tuple(
            Edit(site=sites[name], unit=Feature(dictionary=name, index=f), op=Scale(m=m))
            for name, moves in state().moves.items()
            if name in sites
            for f, m in sorted(moves.items())
        )
    )


def ask(data: bytes, edits: SteerSet, target: Margin) -> Steered:
    """The clean and the steered answer; raises a SteerboardError."""
    request = Steer(
        model=model().id,
        images=(Encoded(data=data),),
        classifier=prompts(),
        steer_sets=(edits,),
        targets=(target,),
    )
    return backend().runner.steer(request).one()


def show(data: bytes, clean: Prediction, target: Margin, names: tuple[str, ...]) -> None:
    """Before beside after, predicted beside measured."""
    edits = steer_set()
    if not edits.edits:
        st.info("Move a slider below: the model's new answer appears here.")
        bars(clean, names)
        return
    moved = ", ".join(
        f"#{e.unit.index} {e.op.m:+.2f}"
        for e in edits.edits
        if isinstance(e.unit, Feature) and isinstance(e.op, Scale)
    )
    answer = ask(data, edits, target)
    (after,) = answer.steered
    predicted, measured = float(answer.predicted[0, 0]), float(answer.measured[0, 0])
    before_name, after_name = names[answer.clean.top], names[after.top]
    if before_name == after_name:
        st.markdown(f"### still **{after_name}**")
    else:
        st.markdown(f"### {before_name} → **{after_name}**")
    st.caption(f"with {moved}")
    left, right = st.columns(2)
    left.metric(
        "Predicted change of the margin", f"{predicted:+.2f}", help="From the clean gradient."
    )
    right.container(key="measured").metric(
        "Measured change", f"{measured:+.2f}", help="From the steered pass."
    )
    bars(answer.clean, names, after)
    st.button("Reset all features", key="reset", on_click=reset)
    seen(
        Tested(before=before_name, after=after_name, predicted=predicted, measured=measured), edits
    )


def reset() -> None:
    """Put every feature back."""
    st.session_state["generation"] = st.session_state.get("generation", 0) + 1
    record(Reset())


def seen(event: Tested, edits: SteerSet) -> None:
    """Write down, once a steer set and picture, what was seen."""
    what = (state().picture, edits, event)
    if st.session_state.get("tested") != what:
        st.session_state["tested"] = what
        record(event)
