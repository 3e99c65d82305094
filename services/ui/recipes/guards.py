"""Warnings before a change is believed: beside the slider, and beside a recipe's evidence.

What the workbench warns of is measured behind the page, as the other pictures are: a slider never
waits for it.
"""

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import streamlit as st

from services.ui import markup
from services.ui.backend import Backend, backend, model
from services.ui.recipes import words
from services.ui.recipes.shelf import shelf
from steerboard.analysis.evidence.answers import readout
from steerboard.recipe.guards import Guarded, Maxima, embeddings_of, guard
from steerboard.spec.base import Spec
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.catalogue import name_of
from steerboard.spec.digest import digest
from steerboard.spec.edits import Feature, SteerSet
from steerboard.spec.errors import SteerboardError
from steerboard.spec.evidence import Evidence
from steerboard.spec.requests import Classifier, Margin
from steerboard.store.recipe_rows import Saved

_LOG = logging.getLogger(__name__)
LOOK_S = 0.6
KEPT = 16
LEAST = 20  # pictures below which nothing is said of where pictures lie


class Question(Spec):
    """What the warnings are about."""

    fingerprint: str
    classifier: Classifier
    steer: SteerSet
    picture: str
    target: Margin


@dataclass(frozen=True)
class Open:
    """The open picture."""

    key: str
    data: bytes
    label: str = ""

    @property
    def attributes(self) -> dict[str, str | float | None]:
        """Nothing is known of it."""
        return {}


@dataclass
class Watched:
    """One question and what is known of it."""

    found: Guarded | None = None
    done: bool = False


def show(
    data: bytes, picture: str, classifier: Classifier, steer: SteerSet, target: Margin
) -> None:
    """The warnings about these edits on the open picture, once they are known."""
    if not steer.edits:
        return
    asked = Question(
        fingerprint=model().fingerprint,
        classifier=classifier,
        steer=steer,
        picture=picture,
        target=target,
    )
    now = current(asked, data)
    if now.done:
        draw(now)
        return

    def look() -> None:
        if now.done:
            draw(now)

    st.fragment(look, run_every=LOOK_S)()


def draw(now: Watched) -> None:
    """Each warning in a sentence; nothing where all is well."""
    for text in sentences(now.found) if now.found else ():
        st.html(markup.caution(text))


def sentences(found: Guarded) -> Iterator[str]:
    """What a person should know before believing the change."""
    for one in found.beyond:
        yield (
            f"Over-steering: {one.dictionary} #{one.feature} is set to {one.value:.1f}; the largest"
            f" activation ever seen of it is {one.maximum:.1f}."
        )
    if found.far:
        yield (
            f"Over-steering: the picture's embedding now lies {found.nearest:.3f} from that of any"
            f" other picture; 95 % of pictures have one within {found.spread:.3f}."
        )
    if rivals := found.strong_rivals:
        names = " and ".join(f"{r.name} ({markup.change(r.change)})" for r in rivals)
        yield (
            f"Controls as strong as the edit: a change of the same size in {names} moves the margin"
            f" as far as these edits do ({markup.change(found.change)})."
        )
    for term in found.leaning:
        yield (
            f"Much of this decision is in the error term of {term.name}: without it the margin"
            f" would be {markup.change(found.margin + term.change)} instead of"
            f" {markup.change(found.margin)}. Features are not the whole cause here."
        )


def current(asked: Question, data: bytes) -> Watched:
    """The page's view of a question; begun now if it is new."""
    held: dict[str, Watched] = st.session_state.setdefault("guards", {})
    key = digest(asked)
    if key not in held:
        held[key] = Watched()
        backend().probes.submit(work, held[key], backend(), model(), asked, data)
        while len(held) > KEPT:
            del held[next(iter(held))]
    return held[key]


def work(now: Watched, services: Backend, info: ModelInfo, asked: Question, data: bytes) -> None:
    """Fill in what is found; without an answer there is no warning."""
    try:
        head = readout(services.runner, info, asked.classifier)
        others = elsewhere(services, info, asked.classifier.names, asked.picture)
        opened = Open(asked.picture, data)
        maxima = largest(services, asked.steer, info.id)
        now.found = guard(
            services.runner, info, head, asked.steer, opened, asked.target, maxima, others
        )
    except SteerboardError as error:
        _LOG.info("guard rails: %s", error.message)
    except Exception:
        _LOG.exception("guard rails of %s", info.id)
    finally:
        now.done = True


_ELSEWHERE: dict[tuple[str, tuple[str, ...]], tuple[tuple[str, ...], npt.NDArray[np.float64]]] = {}
_TURN = threading.Lock()


def elsewhere(
    services: Backend, info: ModelInfo, names: tuple[str, ...], without: str
) -> npt.NDArray[np.float64]:
    """Embeddings ``[n, e]`` of the probe set but for one picture; asked once a model."""
    key = (info.fingerprint, names)
    with _TURN:
        if key not in _ELSEWHERE:
            cases = [case.key for case in services.deck.get(names)]
            held = services.album.get(cases)
            pictures = [Open(name, held[name]) for name in cases if name in held]
            _ELSEWHERE.clear()
            found = embeddings_of(services.runner, info, pictures)
            _ELSEWHERE[key] = tuple(p.key for p in pictures), found
    keys, found = _ELSEWHERE[key]
    return found[[i for i, name in enumerate(keys) if name != without]]


def largest(services: Backend, steer: SteerSet, own: str) -> Maxima:
    """The catalogue's maxima of edited features of a model; none while the library is away."""
    wanted: dict[str, set[int]] = {}
    for edit in steer.edits:
        if isinstance(edit.unit, Feature):
            wanted.setdefault(edit.unit.dictionary, set()).add(edit.unit.index)
    try:
        library = services.library
        cards = [c for d, f in wanted.items() for c in library.features(name_of(d, own), sorted(f))]
    except SteerboardError:
        return {}
    return {(card.dictionary, card.feature): card.maximum for card in cards}


@st.cache_data(max_entries=64, show_spinner=False)
def whole(name: str, version: int, run: str) -> Evidence:
    """A run that is kept; raises a SteerboardError."""
    return shelf().evidence((name, version), run)[0]


def of_evidence(saved: Saved) -> Iterator[str]:
    """What a recipe's latest run warns of."""
    here = [ran.note for ran in saved.runs if ran.net]
    if not here:
        return
    note = here[-1]
    evidence = whole(saved.recipe.name, saved.recipe.version, note.digest)
    if note.verdict == "harmful":
        yield f"Harmful: on {note.image_set} it breaks more than it fixes, beyond chance."
    if note.chosen_here:
        yield "The latest run is on pictures that the recipe was made on: it proves nothing."
    strong = [c for c in evidence.controls if c.fix_rate.high >= evidence.failing.low]
    if strong and evidence.failing.hits:
        told = ", ".join(f"{c.name} {words.percent(c.fix_rate)}" for c in strong)
        yield (
            "Controls of the same size may do as much: the recipe fixes"
            f" {words.percent(evidence.failing)}, {told}."
        )
    weak = [f for d in evidence.downstream for f in d.forecasts if not f.informative]
    if weak and evidence.downstream:
        yield (
            "The forecast of ripple is not informative here (Spearman"
            f" {max(f.spearman for f in weak):.2f}): trust what was measured."
        )
