"""Step 4 goes on: does it hold on other pictures, and what does it break?"""

import streamlit as st

from services.ui import markup, predict, probing, recovery
from services.ui.backend import AWAY, backend, model
from services.ui.pictures import thumbnail
from services.ui.probing import Probing, Question
from services.ui.session import link, record, state
from steerboard.analysis.intervals import Rate
from steerboard.analysis.side_effects import Outcome
from steerboard.spec.edits import SteerSet
from steerboard.spec.errors import SteerboardError
from steerboard.store.events import Probed

LOOK_S = 0.4
SHOWN = 5  # pictures of each kind
SIDE = 96


def show(steer: SteerSet, names: tuple[str, ...]) -> None:
    """What the edits do to the probe set, drawn again as it is found out."""
    if not steer.edits:
        return
    now = probing.current(
        Question(
            model=model().id,
            fingerprint=model().fingerprint,
            classifier=predict.prompts(),
            steer=steer,
            without=state().picture,
        )
    )
    if now.done:
        draw(now, names)  # Outside a fragment: its buttons are for the whole page.
        if now.trouble is None and now.tally.outcomes:
            seen(now, steer)
        return

    def look() -> None:
        if now.done:
            st.rerun()
        draw(now, names)

    st.fragment(look, run_every=LOOK_S)()


def draw(now: Probing, names: tuple[str, ...]) -> None:
    """Counts with their intervals, counts by group, and some of the pictures themselves."""
    found = now.tally
    st.html(markup.aside("On other pictures", progress(now)))
    if now.trouble is not None:
        st.caption(f"Not finished: {recovery.clause(now.trouble.message)}")
        if isinstance(now.trouble, AWAY):
            st.button("Try again", key="probe-again", on_click=probing.forget, args=(now,))
    if found.error is not None:
        what = f"{found.failed} of them could not be answered"
        st.caption(f"{what}, the first because: {recovery.clause(found.error.message)}")
    if not found.outcomes:
        return
    st.html(
        markup.versus(
            markup.card("after", "Fixed", str(len(found.fixed)), of("wrong", found.fix_rate)),
            "",
            markup.card("broken", "Broken", str(len(found.broken)), of("right", found.break_rate)),
        )
    )
    groups = found.groups()
    if len(groups) > 1:
        rows = ((name, part.fix_rate, part.break_rate) for name, part in groups.items())
        st.html(markup.groups(rows))
    for title, outcomes in (("Broken", found.broken), ("Fixed", found.fixed)):
        if outcomes:
            st.html(markup.changed(title, pictures(outcomes[:SHOWN], names), len(outcomes)))


def progress(now: Probing) -> str:
    """How many of how many."""
    if now.cases is None:
        return "" if now.done else "drawing them"
    if not now.cases:
        return "none of the image set has a label among the prompts"
    found, total = now.tally, len(now.cases)
    failed = f", {found.failed} failed" if found.failed else ""
    if now.done and not now.trouble:
        return f"{total} {whence(now)}, net {found.net:+d}{failed}".replace("-", "−")
    return f"{found.seen} of {total} {whence(now)}{failed}"


def whence(now: Probing) -> str:
    """Which pictures they are."""
    return f"of the {now.split} split" if now.split else "of the image set"


def of(kind: str, rate: Rate) -> str:
    """Such as ``of 40 wrong: 30% [18, 45]``."""
    if not rate.n:
        return f"none was {kind}"
    low, high = rate.interval
    return f"of {rate.n} {kind}: {rate.value:.0%} [{100 * low:.0f}, {100 * high:.0f}]"


def pictures(outcomes: tuple[Outcome, ...], names: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Thumbnail, link and caption of each; those whose picture is not at hand are left out."""
    try:
        held = backend().album.get(o.case.key for o in outcomes)
    except SteerboardError:
        return []
    return [
        (
            thumbnail(held[o.case.key], SIDE),
            link(o.case.key, o.case.name),
            f"{names[o.before]} → {names[o.after]}",
        )
        for o in outcomes
        if o.case.key in held
    ]


def seen(now: Probing, steer: SteerSet) -> None:
    """Write down, once a steer set, what was seen."""
    found = now.tally
    event = Probed(
        pictures=len(found.outcomes),
        wrong=found.fix_rate.n,
        fixed=len(found.fixed),
        broken=len(found.broken),
    )
    what = (state().picture, steer, event)
    if st.session_state.get("probed") != what:
        st.session_state["probed"] = what
        record(event)
