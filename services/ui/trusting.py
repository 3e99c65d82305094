"""How far to trust the whole ranking: checked behind the page by exact ablations and curves."""

import logging
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import streamlit as st

from services.ui import locating, markup, predict, recovery, trust_charts
from services.ui.backend import Backend, backend, model
from services.ui.patient import Patient
from services.ui.session import state
from steerboard.analysis.ablation import frozen
from steerboard.analysis.located import Located
from steerboard.analysis.trust import Trust, trust
from steerboard.spec.answers import ResolvedTarget
from steerboard.spec.digest import digest
from steerboard.spec.errors import Internal, SteerboardError
from steerboard.spec.jobs import AttributeResult
from steerboard.spec.requests import Attribute, Encoded, Margin
from steerboard.store.how import How

_LOG = logging.getLogger(__name__)
LOOK_S = 0.5
Kind = Literal["logit", "cosine", "log_prob"]


@dataclass
class Check:
    """One check of one ranking, and what it found; ``key`` is its question's."""

    key: str
    found: Trust | None = None
    trouble: SteerboardError | None = None

    @property
    def done(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.found is not None or self.trouble is not None


def show(data: bytes, found: AttributeResult, how: How) -> None:
    """The button; behind it what was found out about this very ranking."""
    if found.kind == "unit":
        return  # The activation of a later unit is told by no steered answer.
    key = asked_about(found, how)
    now: Check | None = st.session_state.get("check")
    if now is None or now.key != key:
        st.button(
            "Check the whole ranking",
            key="check-ranking",
            icon=":material/rule:",
            on_click=begin,
            args=(key, data, found, how),
            help="Sets the scores beside exact ablations, and beside other methods' rankings.",
        )
        return
    if now.done:
        draw(now, how)
        return

    def look() -> None:
        if now.done:
            st.rerun()
        st.html(markup.busy("Switching units off one by one, and in every method's order"))

    st.fragment(look, run_every=LOOK_S)()


def asked_about(found: AttributeResult, how: How) -> str:
    """What tells this ranking's check from others; worked out once a ranking."""
    held: tuple[AttributeResult, str] | None = st.session_state.get("ranked")
    if held is None or held[0] is not found:
        held = st.session_state["ranked"] = found, digest(found)
    return digest(model().fingerprint, state().picture, how, held[1])


def begin(key: str, data: bytes, found: AttributeResult, how: How) -> None:
    """Check behind the page."""
    now = st.session_state["check"] = Check(key)
    backend().threads.submit(work, now, backend(), question(data, found, how), listed(found, how))


def question(data: bytes, found: AttributeResult, how: How) -> Attribute:
    """What the ranking was asked, its target frozen."""
    resolved = ResolvedTarget(found.index, found.against, cast(Kind, found.kind))
    fields = locating.asked(Margin(), how)
    del fields["target"]
    return Attribute(
        model=model().id,
        images=(Encoded(data=data),),
        classifier=predict.prompts(),
        targets=(frozen(resolved),),
        top_k=max(1, len(found.features)),  # the others list as many units as this ranking does
        **fields,
    )


def listed(found: AttributeResult, how: How) -> Located:
    """The ranking that is on trial."""
    rows = found.features
    units = np.array([row.feature for row in rows], np.int64)
    scores = np.array([row.score for row in rows], np.float64)
    return Located(how.method, units, scores, found.value)


def work(now: Check, services: Backend, asked: Attribute, found: Located) -> None:
    """Fill in what is found, letting people's own questions go first."""
    try:
        now.found = trust(Patient(services.runner), asked, found=found)
    except SteerboardError as error:
        now.trouble = error
    except Exception:
        _LOG.exception("trust in %s", asked.method)
        now.trouble = Internal("the log of the page says why")


def draw(now: Check, how: How) -> None:
    """The verdict in sentences, the curves of every ranking, and each score beside its effect."""
    if now.trouble is not None:
        st.caption(f"Not checked: {recovery.clause(now.trouble.message)}")
        st.button("Check again", key="check-again", on_click=forget)
        return
    found = now.found
    assert found is not None
    with st.container(border=True, key="trust"):
        st.html(markup.about(" ".join(sentences(found, how))))
        st.fragment(lambda: charts(found, by_features=how.units == "feature"))()


def charts(found: Trust, by_features: bool) -> None:
    """Deletion, insertion and calibration side by side; below, every line's name and areas."""
    left, middle, right = st.columns(3, gap="small")
    suffix = ""
    if by_features and st.toggle(
        "Drop what no feature accounts for",
        key="trust-dropped",
        help="With it kept, the curves ask what the units do in this pass; without it, what they do"
        " alone.",
    ):
        suffix = "_dropped"
    for place, name, title in (
        (left, "deletion", "Deletion: units go"),
        (middle, "insertion", "Insertion: units come back"),
    ):
        drawn = trust_charts.curve(found.curves, found.method, name + suffix, title)
        place.altair_chart(drawn, theme=None, width="stretch", key=f"trust-{name}")
    dots = trust_charts.calibration(found.claims, found.slope)
    right.altair_chart(dots, theme=None, width="stretch", key="trust-calibration")
    st.html(markup.areas(areas(found, suffix)))


def sentences(found: Trust, how: How) -> list[str]:
    """What the check says, in words and numbers."""
    count = len(found.claims)
    agree = sum(c.verdict.endswith("agrees") for c in found.claims)
    opposite = sum(c.verdict.endswith("opposite sign") for c in found.claims)
    said = [
        f"Of the first {count} units, switched off one at a time, {agree} do as their score says,"
        f" {opposite} do the opposite, and {count - agree - opposite} do nothing worth naming.",
        f"Order beside exact effects: Spearman {found.spearman:.2f}.",
    ]
    if how.method in ("gradient", "integrated_gradients"):
        said.append(f"A score of 1 was worth {found.slope:.2f} when the unit went off.")
    return said


def areas(found: Trust, suffix: str = "") -> list[tuple[str, str, float, float, bool]]:
    """Each ranking's name, colour, two areas, and whether it is on trial; the deepest fall first.

    ``suffix`` chooses the curves with the error term dropped.
    """
    lines = [
        (
            name,
            trust_charts.colour(name, found.method),
            drawn.area(f"deletion{suffix}"),
            drawn.area(f"insertion{suffix}"),
            name == found.method,
        )
        for name, drawn in found.curves.items()
    ]
    return sorted(lines, key=lambda line: line[2])


def forget() -> None:
    """Begin anew at the next press."""
    st.session_state.pop("check", None)
