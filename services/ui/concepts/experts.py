"""The features that know a concept, how sure that is, and steering by them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import streamlit as st
from scipy import sparse

from services.ui import markup
from services.ui.backend import backend, model
from services.ui.concepts.naming import Named
from services.ui.patient import Patient
from services.ui.pictures import thumbnail
from services.ui.ranking import known_features
from services.ui.session import act, feature_address, redraw, session, tell
from steerboard.analysis.concept_steering import away, towards
from steerboard.analysis.concepts import Concept, half_splits
from steerboard.analysis.expertise import Expertise, expertise
from steerboard.spec.digest import digest
from steerboard.spec.edits import SteerSet
from steerboard.spec.errors import InvalidRequest, SteerboardError
from steerboard.spec.requests import Encoded, ImageRef
from steerboard.store.events import Edited

Made = Callable[[], SteerSet]
ROWS, PICTURES, SIDE = 8, 6, 84
FEW = 8  # positives, below which nothing is certain
SETTLED = 100  # positives, below which halves disagree about any concept (docs/methods.md, Experts)
SOME = 64  # positives whose activations give the median


@dataclass(frozen=True)
class Known:
    """Every feature's skill, and what half of the pictures says of the other half's.

    ``stability`` correlates the profiles of AP of two halves, ``held`` is the AP that the best
    feature of one half has on the other; None where a half would lack pictures.
    """

    skill: Expertise
    stability: float | None
    held: float | None


def find(named: Named, places: npt.NDArray[np.int64], answers: sparse.csc_array) -> Known:
    """The skills; raises InvalidRequest where a kind of picture is missing."""
    marks = named.labels[places]
    rows, labels = answers.tocsr()[marks >= 0].tocsc(), marks[marks >= 0] == 1
    skill = expertise(rows, labels)
    if min(labels.sum(), (~labels).sum()) < 4:
        return Known(skill, None, None)
    stability = float(half_splits(rows, labels, splits=4).mean())
    return Known(skill, stability, other_half(rows, labels))


def other_half(rows: sparse.csc_array, labels: npt.NDArray[np.bool_]) -> float:
    """AP on one half of the best feature of the other, the mean of both ways."""
    rng = np.random.default_rng(0)
    half = np.zeros(len(labels), bool)
    for kind in (labels, ~labels):
        members = rng.permutation(np.flatnonzero(kind))
        half[members[: len(members) // 2]] = True
    table = rows.tocsr()
    one, two = (expertise(table[part].tocsc(), labels[part]) for part in (half, ~half))
    return float(two.precision[one.best(1)[0]] + one.precision[two.best(1)[0]]) / 2


def remembered(
    named: Named, dictionary: str, places: npt.NDArray[np.int64], answers: sparse.csc_array
) -> Known:
    """The same, worked out once a concept."""
    key = digest(named.name, named.marks, dictionary, answers.shape, float(answers.sum()))
    held: tuple[str, Known] | None = st.session_state.get("concept-known")
    if held is None or held[0] != key:
        held = st.session_state["concept-known"] = (key, find(named, places, answers))
    return held[1]


def show(
    named: Named,
    dictionary: str,
    pictures: tuple[str, ...],
    places: npt.NDArray[np.int64],
    answers: sparse.csc_array,
) -> None:
    """The best detectors, and the two ways to steer by them."""
    try:
        found = remembered(named, dictionary, places, answers)
    except InvalidRequest as error:
        st.info(f"No experts yet: {markup.plain(error.message)}.")
        return
    st.html(certain(named, found))
    st.html(table(found.skill, dictionary))
    steer(named, dictionary, pictures, found.skill)


def glance(
    named: Named, dictionary: str, places: npt.NDArray[np.int64], answers: sparse.csc_array
) -> None:
    """A first list, from the pictures that were looked at so far."""
    marks = named.labels[places]
    labels = marks[marks >= 0] == 1
    if len(set(labels.tolist())) == 2:
        skill = expertise(answers.tocsr()[marks >= 0].tocsc(), labels)
        st.caption(f"So far, from {int(labels.sum())} pictures that show it:")
        st.html(table(skill, dictionary))


def certain(named: Named, found: Known) -> str:
    """How sure one may be, in a sentence or two."""
    shows, lacks = named.count
    said = [
        f"{shows} pictures show it, {lacks} do not; by chance AP is {found.skill.prevalence:.2f}."
    ]
    if found.held is not None and found.stability is not None:
        said.append(
            f"Halves of the pictures agree by {found.stability:.2f} (correlation of AP profiles);"
            f" the best feature of one half has AP {found.held:.2f} on the other."
        )
        if shows < SETTLED:
            said.append(
                f"With fewer than {SETTLED} pictures that show it the first figure is low for any"
                " concept, and says nothing about this one: go by the second."
            )
    if shows < FEW:
        said.append(f"With fewer than {FEW} pictures that show it, a high AP can be luck.")
    return markup.about(" ".join(said))


def table(skill: Expertise, dictionary: str) -> str:
    """The best, a row each: number, label, AP as a bar, AUROC, reference pictures."""
    best = skill.best(ROWS)
    cards = {c.feature: c for c in known_features(dictionary, best.tolist())}
    wanted = [r.image for card in cards.values() for r in card.references[:PICTURES]]
    try:
        held = backend().album.get(wanted)
    except SteerboardError:
        held = {}
    rows = []
    for feature in best.tolist():
        card = cards.get(feature)
        pictures = [r.image for r in card.references[:PICTURES]] if card else []
        rows.append(
            markup.expert(
                f"#{feature} {card.label if card else ''}".strip(),
                feature_address(dictionary, feature),
                float(skill.precision[feature]),
                float(skill.auroc[feature]),
                [thumbnail(held[p], SIDE) for p in pictures if p in held],
            )
        )
    return f'<div class="sb-experts">{"".join(rows)}</div>'


def steer(named: Named, dictionary: str, pictures: tuple[str, ...], skill: Expertise) -> None:
    """Towards the concept or away from it, by as many experts as one likes."""
    count, to, fro = st.columns([1.6, 1, 1], vertical_alignment="bottom")
    k = int(count.slider("Experts to steer by", 1, ROWS, 3, key="concept-k"))
    features = skill.best(k).tolist()
    if to.button(
        "Steer towards it",
        key="towards",
        type="primary",
        help="Sets them, where they fire, to their median on the pictures that show it.",
        width="stretch",
    ):
        apply(named, lambda: set_to_median(named, dictionary, pictures, features))
    if fro.button(
        "Steer away from it",
        key="away",
        help="Dampens each by its own skill, m = −2 (AUROC − 0.5): AurA.",
        width="stretch",
    ):
        runner = backend().runner
        apply(named, lambda: away(runner, model().id, dictionary, skill, features))


def set_to_median(
    named: Named, dictionary: str, pictures: tuple[str, ...], features: list[int]
) -> SteerSet:
    """Experts at their median over the positives' tokens where they fire."""
    shows = [p for p, mark in zip(pictures, named.marks, strict=True) if mark == 1][:SOME]
    held = backend().album.get(shows)
    images: tuple[ImageRef, ...] = tuple(Encoded(data=data) for data in held.values())
    concept = Concept(named.name, images, images[:1])  # negatives take no part in the median
    return towards(Patient(backend().runner), model().id, dictionary, concept, features)


def apply(named: Named, made: Made) -> None:
    """Put the edits on the session, and go to the workbench."""
    try:
        with st.spinner("Measuring on the pictures that show it"):
            found = made()
    except SteerboardError as error:
        st.error(f"Not steered: {markup.plain(error.message)}.")
        return
    if not found.edits:
        st.warning("None of these features tells the concept better than chance.")
        return
    act(Edited, edits=found.edits, origin=f"concept {named.name}")
    redraw()
    tell(f"{len(found.edits)} features are steered by the concept “{named.name}”.")
    st.switch_page(st.session_state["pages"][0], query_params={"s": session()})
