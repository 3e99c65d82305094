"""Step 3 on request: the fewest features whose absence changes the answer, and other ways."""

import logging
from dataclasses import dataclass

import streamlit as st

from services.ui import markup, predict, recovery
from services.ui.backend import Backend, backend, model
from services.ui.locating import dictionary
from services.ui.session import act, record, redraw, state
from steerboard.analysis.flip import Question
from steerboard.analysis.suggestions import Suggestion, Suggestions, suggest
from steerboard.spec.digest import digest, image_digest
from steerboard.spec.errors import Internal, SteerboardError
from steerboard.spec.requests import Encoded
from steerboard.store.events import FeatureMoved, Reset, Suggested

_LOG = logging.getLogger(__name__)
WAYS, PROBES = 3, 48
LOOK_S = 0.4


@dataclass
class Search:
    """One search for ways, and what it found; ``key`` is its question's."""

    key: str
    found: Suggestions | None = None
    trouble: SteerboardError | None = None

    @property
    def done(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.found is not None or self.trouble is not None


def question() -> Question:
    """What ways are looked for in."""
    through = dictionary()
    return Question(model().id, predict.prompts(), through.id, through.site)


def show(data: bytes, names: tuple[str, ...]) -> None:
    """The button; behind it the ways that were found for this very question."""
    try:
        asked = question()
    except SteerboardError:
        return  # What is missing is said where features are ranked.
    key = digest(model().fingerprint, state().picture, asked.classifier, asked.dictionary)
    now: Search | None = st.session_state.get("search")
    if now is None or now.key != key:
        st.button(
            "Suggest what to turn off",
            key="suggest",
            icon=":material/lightbulb:",
            on_click=begin,
            args=(key, asked, data),
            help="Looks for the fewest features whose absence changes the answer.",
        )
        return
    if now.done:
        draw(now, names)  # Outside a fragment: its buttons are for the whole page.
        return

    def look() -> None:
        if now.done:
            st.rerun()
        st.html(markup.busy("Looking for the fewest features whose absence changes the answer"))

    st.fragment(look, run_every=LOOK_S)()


def begin(key: str, asked: Question, data: bytes) -> None:
    """Look for ways behind the page."""
    now = st.session_state["search"] = Search(key)
    backend().threads.submit(work, now, backend(), asked, data)


def work(now: Search, services: Backend, asked: Question, data: bytes) -> None:
    """Fill in what is found."""
    try:
        probes = others(services, asked.classifier.names, image_digest(data))
        now.found = suggest(services.runner, asked, Encoded(data=data), ways=WAYS, probes=probes)
    except SteerboardError as error:
        now.trouble = error
    except Exception:
        _LOG.exception("suggestions")
        now.trouble = Internal("the log of the page says why")


def others(services: Backend, names: tuple[str, ...], own: str) -> list[Encoded]:
    """Pictures on which each way's side effect is counted; none while the library is away."""
    try:
        cases = [case.key for case in services.deck.get(names) if case.key != own]
        drawn = cases[:: max(1, len(cases) // PROBES)][:PROBES]
        return [Encoded(data=held) for held in services.album.get(drawn).values()]
    except SteerboardError:
        return []


def draw(now: Search, names: tuple[str, ...]) -> None:
    """What was found, each way with its button."""
    if now.trouble is not None:
        st.caption(f"No suggestion: {recovery.clause(now.trouble.message)}")
        st.button("Look again", key="suggest-again", on_click=forget)
    elif now.found is not None and not now.found.ways:
        st.caption("No few features of this dictionary change the answer when they are off.")
    elif now.found is not None:
        note(now.found)
        with st.container(border=True, key="ways"):
            for number, way in enumerate(now.found.ways):
                show_way(number, way, names)


def show_way(number: int, way: Suggestion, names: tuple[str, ...]) -> None:
    """One way in words, and the button that takes it."""
    text, button = st.columns([3.2, 1], vertical_alignment="center")
    features = " ".join(f"#{feature}" for feature in way.features)
    text.html(markup.way(features, names[way.says], aside(way)))
    button.button(
        "Try", key=f"way-{number}", on_click=take, args=(dictionary().id, way), width="stretch"
    )


def aside(way: Suggestion) -> str:
    """What the way does to other pictures."""
    changed = way.changed
    if not changed.n:
        return "not tried on other pictures"
    return f"changes the answer on {changed.hits} of {changed.n} other pictures"


def take(name: str, way: Suggestion) -> None:
    """Turn off the features of a way, and nothing else."""
    redraw()
    record(Reset())
    for feature in way.features:
        act(FeatureMoved, dictionary=name, feature=feature, m=-1.0)


def forget() -> None:
    """Begin anew at the next press."""
    st.session_state.pop("search", None)


def note(found: Suggestions) -> None:
    """Write down, once, what was suggested."""
    ways = tuple(way.features for way in found.ways)
    if st.session_state.get("suggested") != ways:
        st.session_state["suggested"] = ways
        record(Suggested(dictionary=dictionary().id, ways=ways))
