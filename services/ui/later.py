"""Circuits: which feature of a later dictionary is fed, to begin with one that speaks here."""

import streamlit as st

from services.ui import markup
from services.ui.backend import backend, model
from services.ui.predict import prompts
from services.ui.session import act, state
from steerboard.spec.capabilities import DictionaryInfo
from steerboard.spec.edits import Feature
from steerboard.spec.errors import SteerboardError
from steerboard.spec.requests import Attribute, Encoded, Margin, UnitActivation
from steerboard.store.events import HowChosen
from steerboard.store.how import How

SHOWN = 8


def dictionaries(own: DictionaryInfo) -> list[DictionaryInfo]:
    """Those that stand behind the one that is looked through."""
    order = [s.name for s in model().sites]
    return [d for d in model().dictionaries if order.index(d.site) > order.index(own.site)]


def first(own: DictionaryInfo, data: bytes, decision: Margin) -> UnitActivation | None:
    """What a circuit begins with: the later feature that says most about the decision."""
    found = dictionaries(own)
    if not found:
        return None
    return unit(found[0], next(iter(strongest(found[0], data, decision)), 0))


def unit(book: DictionaryInfo, index: int) -> UnitActivation:
    """A feature of a later dictionary as a target."""
    return UnitActivation(site=book.site, unit=Feature(dictionary=book.id, index=index))


def strongest(book: DictionaryInfo, data: bytes, decision: Margin) -> dict[int, float]:
    """Features with the largest scores by gradient, asked once a question; none where away."""
    question = (state().picture, prompts(), decision, model().fingerprint, book.fingerprint)
    held: tuple[object, dict[int, float]] | None = st.session_state.get("later-strongest")
    if held is not None and held[0] == question:
        return held[1]
    request = Attribute(
        model=model().id, images=(Encoded(data=data),), classifier=prompts(), dictionary=book.id,
        targets=(decision,), top_k=SHOWN,
    )  # fmt: skip
    try:
        (found,) = backend().runner.attribute(request).one()
    except SteerboardError:
        return {}
    scores = dict(zip(found.features.tolist(), found.scores.tolist(), strict=True))
    st.session_state["later-strongest"] = question, scores
    return scores


def show(now: How, own: DictionaryInfo, data: bytes, decision: Margin) -> None:
    """Which later feature the edges lead into: one that speaks here, or any by its number."""
    books = {d.id: d for d in dictionaries(own)}
    if not books or now.later is None or not isinstance(now.later.unit, Feature):
        st.caption("No dictionary stands behind this one: choose an earlier one.")
        return
    fed = now.later.unit
    book = books.get(fed.dictionary) or next(iter(books.values()))
    speaks, number = st.columns([2, 1])
    scores = strongest(book, data, decision)
    options = [*scores] if fed.index in scores else [fed.index, *scores]
    key = f"{book.id}-{fed.index}"
    speaks.selectbox(
        f"Which feature of {markup.plain(book.id)} is fed?",
        options,
        index=options.index(fed.index),
        format_func=lambda i: f"#{i}: {markup.change(scores[i])} R" if i in scores else f"#{i}",
        key=f"speaks-{key}",
        on_change=lambda: take(book, st.session_state[f"speaks-{key}"]),
        help="Those that say most about the decision on this picture, by gradient.",
    )
    number.number_input(
        "or its number",
        0,
        book.size - 1,
        min(fed.index, book.size - 1),
        key=f"later-{key}",
        on_change=lambda: take(book, int(st.session_state[f"later-{key}"])),
    )


def take(book: DictionaryInfo, index: int) -> None:
    """Write the fed feature down."""
    act(HowChosen, how=state().how.model_copy(update={"later": unit(book, index)}))
