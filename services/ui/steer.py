"""Steps 3 and 4, Hypothesise and Test: what the person believes, and what the model then says."""

from dataclasses import dataclass

import streamlit as st

from services.ui import alone, elsewhere, locating, markup, predict, recovery, units
from services.ui.alone import ANSWER
from services.ui.backend import backend, model
from services.ui.recipes import beside
from services.ui.session import act, record, redraw, state
from steerboard.spec.answers import Prediction, Steered
from steerboard.spec.digest import digest
from steerboard.spec.edits import Edit, Feature, Scale, SteerSet
from steerboard.spec.errors import SteerboardError
from steerboard.spec.requests import Cosine, Encoded, Logit, LogProb, Margin, Steer, Target
from steerboard.store.events import HypothesisWritten, Reset, Tested

NOWHERE = "embedding"  # stands in for the site of a dictionary that the model does not have


@dataclass(frozen=True)
class Move:
    """One changed unit of the session; ``why_not`` says why the model cannot take it."""

    edit: Edit
    why_not: str = ""

    @property
    def key(self) -> str:
        """What tells its button from others."""
        unit = self.edit.unit
        if isinstance(unit, Feature):
            return f"{unit.dictionary}-{unit.index}"
        return f"{self.edit.site}-{unit.kind}-{digest(unit)[:8]}"


def hypothesis() -> None:
    """Free text, kept with the session."""
    st.text_area(
        "What do you think goes on, and what should happen when you turn a feature down?",
        value=state().hypothesis,
        key="hypothesis",
        height=76,
        max_chars=5000,
        on_change=lambda: act(HypothesisWritten, text=st.session_state["hypothesis"] or ""),
        placeholder="I believe … Turning … down should …",
        label_visibility="collapsed",
    )


def moves() -> list[Move]:
    """All changed units: sliders of features first, then every other change."""
    sites = {d.id: d.site for d in model().dictionaries}
    slid = [
        Edit(site=sites.get(name, NOWHERE), unit=Feature(dictionary=name, index=i), op=Scale(m=m))
        for name, of in state().moves.items()
        for i, m in sorted(of.items())
    ]
    found = (*slid, *state().edits)
    return [Move(edit, units.why_not(edit.site, edit.unit)) for edit in found]


def steer_set(moved: list[Move]) -> SteerSet:
    """The edits behind those moves that the model can take."""
    return SteerSet(edits=tuple(move.edit for move in moved if not move.why_not))


def ask(data: bytes, edits: SteerSet, target: Target) -> Steered:
    """The clean and the steered answer; raises a SteerboardError."""
    request = Steer(
        model=model().id,
        images=(Encoded(data=data),),
        classifier=predict.prompts(),
        steer_sets=(edits,),
        targets=(target,),
    )
    return backend().runner.steer(request).one()


def show(data: bytes, clean: Prediction, decision: Margin, names: tuple[str, ...]) -> None:
    """Before beside after, predicted beside measured: a part that a move draws alone."""
    alone.part(ANSWER, lambda: answered(data, clean, decision, names))


def answered(data: bytes, clean: Prediction, decision: Margin, names: tuple[str, ...]) -> None:
    """What the model says to the session's moves as they now are."""
    target = locating.target(decision, locating.how())
    moved = moves()
    edits = steer_set(moved)
    answer = None
    if not edits.edits:
        idle(clean, names)
    else:
        try:
            answer = ask(data, edits, target)
        except SteerboardError as error:
            st.html(markup.strip_away())
            recovery.explain(
                "The model has not answered to the moved features.",
                error,
                backend().runner.models,
                "steer",
            )
        else:
            outcome(answer, edits, target, names)
    show_moves(moved)
    beside.show(data, edits, decision)
    elsewhere.show(edits, names)
    if answer is not None:
        probabilities(answer, names)


def idle(clean: Prediction, names: tuple[str, ...]) -> None:
    """What to do, while nothing is moved."""
    top = names[clean.top]
    st.html(
        markup.versus(
            markup.card("before", "Before", top, f"{clean.probabilities[clean.top]:.1%}"),
            "→",
            markup.card("open", "After", "?", "move a feature to see"),
        )
    )


def outcome(answer: Steered, edits: SteerSet, target: Target, names: tuple[str, ...]) -> None:
    """The two answers and the two changes of the margin."""
    (after,) = answer.steered
    before = answer.clean
    names_now = names[before.top], names[after.top]
    st.html(
        markup.versus(
            markup.card(
                "before", "Before", names_now[0], f"{before.probabilities[before.top]:.1%}"
            ),
            "→",
            markup.card("after", "After", names_now[1], f"{after.probabilities[after.top]:.1%}"),
        )
        + markup.strip(*names_now)
    )
    st.html(markup.verdict(sentence(before, after, names), names_now[0] != names_now[1]))
    predicted, measured = float(answer.predicted[0, 0]), float(answer.measured[0, 0])
    changes(predicted, measured, pair(target, names))
    seen(
        Tested(before=names_now[0], after=names_now[1], predicted=predicted, measured=measured),
        edits,
    )


def probabilities(answer: Steered, names: tuple[str, ...]) -> None:
    """The most probable prompts, before and after."""
    st.html(
        markup.aside("This picture, all answers", "")
        + markup.legend((("var(--before)", "before"), ("var(--after)", "after")))
    )
    st.html(markup.bars(predict.rows(answer.clean, names, answer.steered[0])))


def sentence(before: Prediction, after: Prediction, names: tuple[str, ...]) -> str:
    """What came of it."""
    old, new = names[before.top], names[after.top]
    if old != new:
        return f"The answer has changed from {old} to {new}."
    from_, to = before.probabilities[before.top], after.probabilities[before.top]
    return f"Still {old}; its probability went from {from_:.1%} to {to:.1%}."


def pair(target: Target, names: tuple[str, ...]) -> str:
    """What changes, in words."""
    match target:
        case Margin():
            return f"{names[target.index or 0]} over {names[target.against or 0]}, logits"
        case Logit() | LogProb() | Cosine():
            what = target.kind.replace("log_prob", "log probability")
            return f"{names[target.index or 0]}, {what}"
    return target.kind


def changes(predicted: float, measured: float, what: str) -> None:
    """Predicted beside measured."""
    left = markup.card("predicted", "Predicted change", markup.change(predicted), what)
    right = markup.card("measured", "Measured change", markup.change(measured), what)
    st.html(markup.versus(left, "", right))


def show_moves(moved: list[Move]) -> None:
    """All changed units, each with the way back; the way back for all, and on to a recipe."""
    if not moved:
        return
    with st.container(key="moves", horizontal=True, gap="small"):
        for move in moved:
            st.button(
                markup.plain(units.said(move.edit)),
                key=f"back-{move.key}",
                icon=":material/close:",
                icon_position="right",
                help="Put it back",
                on_click=put_back,
                args=(move,),
            )
        st.button("Reset all", key="reset", icon=":material/undo:", on_click=reset)
    for move in moved:
        if move.why_not:
            name = markup.plain(units.name_of(move.edit.site, move.edit.unit))
            st.warning(f"{name} is left out: {markup.plain(move.why_not)}. Put it back.")


def put_back(move: Move) -> None:
    """One unit unchanged again."""
    redraw()
    units.put_back(move.edit.site, move.edit.unit)
    alone.whole()


def reset() -> None:
    """Put every feature back."""
    redraw()
    record(Reset())
    alone.whole()


def seen(event: Tested, edits: SteerSet) -> None:
    """Write down, once a steer set and picture, what was seen."""
    what = (state().picture, edits, event)
    if st.session_state.get("tested") != what:
        st.session_state["tested"] = what
        record(event)
