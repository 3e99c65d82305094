"""Steering by experts: a way, its strength, and at once what the model then says of a picture."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from services.ui import alone, markup, predict, recovery, steer, units
from services.ui.backend import backend, model, picture
from services.ui.concepts import background, kinds
from services.ui.concepts.naming import Named
from services.ui.concepts.pool import Pool
from services.ui.patient import Patient
from services.ui.pictures import thumbnail
from services.ui.session import act, record, redraw, session, state, tell
from steerboard.analysis.concept_steering import away, towards, unit_of
from steerboard.analysis.concepts import Concept
from steerboard.analysis.expertise import Expertise
from steerboard.analysis.responses import Place
from steerboard.spec.digest import digest
from steerboard.spec.edits import (
    MAX_ALPHA,
    MAX_SCALE,
    MAX_VALUE,
    Add,
    Edit,
    Op,
    Remove,
    Scale,
    Set,
    SteerSet,
)
from steerboard.spec.errors import SteerboardError
from steerboard.spec.requests import Encoded, ImageRef, Margin
from steerboard.store.events import Edited, PictureChosen

PART = "concept-steer"
COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 64)  # of experts
SOME = 64  # positives whose activations give the median
SIDE, SAID = 200, 4
WAYS = {
    "away": "Away: dampen each by its skill (AurA)",
    "towards": "Towards: set to its median where it is shown",
    "scale": "Multiply, or switch off",
    "set": "Set to a value",
    "add": "Push along them",
    "remove": "Take them out",
}
ABOUT = {
    "away": "Each is scaled by m = −2 (AUROC − 0.5): a perfect detector is switched off, one no"
    " better than chance stays.",
    "towards": "Where it is active, each becomes its median over the pictures that show the"
    " concept.",
    "scale": "m times its activation is added: −1 is off, 1 doubled.",
    "set": "Its activation becomes this wherever it is active.",
    "add": "Every token moves along it, by so many median norms of the place.",
    "remove": "Whatever lies along its direction is taken out.",
}
FITS = {
    "feature": tuple(WAYS),
    "direction": tuple(WAYS),
    "neuron": ("away", "towards", "scale", "set", "add"),
    "head": ("away", "scale"),
}
NUMBERS = {
    "scale": ("Strength m", MAX_SCALE, -1.0),
    "set": ("Value", MAX_VALUE, 0.0),
    "add": ("Norms", MAX_ALPHA, 0.5),
}


def show(named: Named, where: Place, pool: Pool, skill: Expertise) -> None:
    """A part of the page that a slider draws alone."""
    alone.part(PART, lambda: shown(named, where, pool, skill))


def shown(named: Named, where: Place, pool: Pool, skill: Expertise) -> None:
    """What is done to which experts, and what comes of it."""
    st.html(markup.aside("Steer by them", "and see at once what the model says of a picture"))
    best = skill.best(COUNTS[-1]).tolist()
    count, how, amount = st.columns([1.2, 1.9, 0.9], vertical_alignment="bottom")
    options = [n for n in COUNTS if n <= len(best)]
    k = options[0]
    if len(options) > 1:
        k = count.select_slider("Experts to steer by", options, min(3, options[-1]),
                                key=f"concept-k-{where.units}")  # fmt: skip
    way = how.selectbox(
        "In which way",
        FITS[where.units],
        format_func=WAYS.__getitem__,
        key=f"concept-way-{where.units}",
    )
    number = 0.0
    if way in NUMBERS:
        title, most, usual = NUMBERS[way]
        number = float(amount.number_input(title, -most, most, usual, key=f"concept-by-{way}"))
    st.caption(ABOUT[way])
    key = digest(
        model().fingerprint, kinds.key(where), pool.digests, named.marks, best[:k], way, number
    )
    made = background.begun(
        "concept-edits", key, lambda: edits(named, where, pool, skill, best[:k], way, number)
    )
    if made.trouble is not None:
        st.error(f"Not steered: {recovery.clause(made.trouble.message)}")
        background.forget("concept-edits")
    elif made.found is None:
        background.follow(made, "Measuring on the pictures that show it")
    elif not made.found.edits:
        st.warning("None of these tells the concept better than chance: there is nothing to do.")
    else:
        outcome(named, pool, made.found)


def edits(
    named: Named,
    where: Place,
    pool: Pool,
    skill: Expertise,
    best: Sequence[int],
    way: str,
    number: float,
) -> SteerSet:
    """The changes of a way; raises a SteerboardError."""
    runner = Patient(backend().runner)
    if way == "away":
        return away(runner, model().id, where, skill, best)
    if way == "towards":
        return towards(runner, model().id, where, shown_by(named, pool), best)
    op = op_of(way, number)
    book = model().dictionary(where.dictionary)
    site = book.site if book else str(where.site)
    return SteerSet(
        edits=tuple(Edit(site=site, unit=unit_of(where, u), op=op, mask=where.tokens) for u in best)
    )


def op_of(way: str, number: float) -> Op:
    """The op of a way that needs no measuring."""
    match way:
        case "set":
            return Set(value=number)
        case "add":
            return Add(alpha=number)
        case "remove":
            return Remove()
    return Scale(m=number)


def shown_by(named: Named, pool: Pool) -> Concept:
    """Some of the pictures that show it, with their bytes."""
    shows = [p for p, mark in zip(pool.digests, named.marks, strict=True) if mark == 1][:SOME]
    held = backend().album.get(shows)
    images: tuple[ImageRef, ...] = tuple(Encoded(data=data) for data in held.values())
    return Concept(named.name, images, images[:1])  # negatives take no part in the median


def outcome(named: Named, pool: Pool, made: SteerSet) -> None:
    """What the model says of the open picture, and the ways on."""
    with st.container(key="concept-outcome"):
        seen, says = st.columns([1, 3.2], gap="medium")
        with seen:
            data = opened()
            label = "Another that shows it" if data else "Try it on a picture that shows it"
            st.button(label, key="concept-another", on_click=another, args=(named, pool))
        with says:
            if data is None:
                st.caption("Open a picture, and what it says before and after stands here.")
            else:
                answer(data, made)
            st.caption(sentence(made))
            if st.button(
                "Take these changes to the workbench",
                key="concept-take",
                type="primary",
                help="There each of them can be moved, put back, tried on other pictures and kept"
                " as a recipe.",
            ):
                take(named, made)


def opened() -> bytes | None:
    """The session's picture, shown; None where none is open or at hand."""
    if not state().picture:
        return None
    try:
        data = picture(session(), state().picture)
    except SteerboardError:
        return None
    st.html(f'<img class="sb-tried" src="{thumbnail(data, SIDE)}" alt="the open picture">')
    st.caption(markup.plain(state().origin))
    return data


def another(named: Named, pool: Pool) -> None:
    """Open the next picture that shows the concept."""
    shows = [p for p, mark in zip(pool.digests, named.marks, strict=True) if mark == 1]
    at = shows.index(state().picture) + 1 if state().picture in shows else 0
    next_one = shows[at % len(shows)]
    record(PictureChosen(sha256=next_one, origin=pool.origin(next_one)))
    alone.only(PART)


def answer(data: bytes, made: SteerSet) -> None:
    """Before beside after; these changes alone, whatever else the session has moved."""
    try:
        found = steer.ask(data, made, Margin())
        names = predict.prompts().names
    except SteerboardError as error:
        recovery.explain(
            "The model has not answered.", error, backend().runner.models, "concept-answer"
        )
        return
    (after,), before = found.steered, found.clean
    cards = (
        markup.card(kind, title, names[one.top], f"{one.probabilities[one.top]:.1%}")
        for kind, title, one in (("before", "Before", before), ("after", "After", after))
    )
    st.html(markup.versus(next(cards), "→", next(cards)))
    changed = before.top != after.top
    st.html(markup.verdict(steer.sentence(before, after, names), changed))
    if np.array_equal(before.logits, after.logits):
        st.caption("None of these units is active on this picture: nothing changed.")


def sentence(made: SteerSet) -> str:
    """What is done, unit by unit."""
    said = [units.said(edit) for edit in made.edits]
    more = f" and {len(said) - SAID} more" if len(said) > SAID else ""
    return markup.plain("; ".join(said[:SAID]) + more)


def take(named: Named, made: SteerSet) -> None:
    """Put the changes on the session, and go to the workbench."""
    act(Edited, edits=made.edits, origin=f"concept {named.name}")
    redraw()
    kind = {e.unit.kind for e in made.edits}.pop()
    some = f"{len(made.edits)} {kind}s are" if len(made.edits) > 1 else f"One {kind} is"
    tell(f"{some} steered by the concept “{named.name}”.")
    st.switch_page(st.session_state["pages"][0], query_params={"s": session()})
