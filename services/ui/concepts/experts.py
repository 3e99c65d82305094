"""The units that know a concept, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st
from scipy import sparse

from services.ui import markup
from services.ui.backend import backend
from services.ui.concepts import background, holding, kinds, steering
from services.ui.concepts.address import Address
from services.ui.concepts.gathering import Gathering
from services.ui.concepts.holding import Asked
from services.ui.concepts.naming import Named, told_apart
from services.ui.concepts.pool import Pool
from services.ui.pictures import thumbnail
from services.ui.ranking import known_features
from services.ui.session import feature_address
from steerboard.analysis.concepts import half_splits
from steerboard.analysis.expertise import Expertise, Labels, by_luck, expertise
from steerboard.analysis.responses import Place
from steerboard.spec.catalogue import FeatureCard
from steerboard.spec.digest import digest
from steerboard.spec.errors import SteerboardError

ROWS, PICTURES, SIDE = 8, 6, 84
FEW = 8  # positives, below which nothing is certain
SURE = 0.9  # agreement of halves that leaves nothing to explain
SETTLED = 100  # positives, below which halves disagree about any concept (docs/methods.md, Experts)
MEANS = (
    "*AP* (average precision) sorts the pictures by the unit's largest response: 1 where all that"
    " show the concept come first, and by chance their share of all pictures. *AUROC* is the chance"
    " that a picture which shows it answers more strongly than one which does not: 0.5 by luck."
    " Both say that a unit can tell the concept, not that the model decides by it: steer, and see."
    " Negatives that are too easy make both look good."
)


@dataclass(frozen=True)
class Halves:
    """What half of the pictures says of the other half's.

    ``stability`` correlates the profiles of AP of two halves, ``held`` is the AP that the best
    unit of one half has on the other, ``luck`` what one of 20 units exceeds there that answer at
    random; None where a half would lack pictures.
    """

    stability: float | None = None
    held: float | None = None
    luck: float | None = None


def halves(rows: sparse.csc_array, labels: Labels) -> Halves:
    """How far two halves agree; nothing where they would lack pictures."""
    if min(labels.sum(), (~labels).sum()) < 4:
        return Halves()
    half = halved(labels)
    stability = float(half_splits(rows, labels, splits=4).mean())
    return Halves(stability, other_half(rows, labels, half), by_luck(labels[half]))


def halved(labels: Labels) -> Labels:
    """A half ``[n]`` of the pictures of each kind, drawn."""
    rng = np.random.default_rng(0)
    half = np.zeros(len(labels), bool)
    for kind in (labels, ~labels):
        members = rng.permutation(np.flatnonzero(kind))
        half[members[: len(members) // 2]] = True
    return half


def other_half(rows: sparse.csc_array, labels: Labels, half: Labels) -> float:
    """AP on one half of the best unit of the other, the mean of both ways."""
    table = rows.tocsr()
    one, two = (expertise(table[part].tocsc(), labels[part]) for part in (half, ~half))
    return float(two.precision[one.best(1)[0]] + one.precision[two.best(1)[0]]) / 2


def show(named: Named, rule: Address, where: Place, pool: Pool, now: Gathering) -> None:
    """The best detectors, how sure that is, and the ways to steer by them."""
    key = digest(named.name, named.marks, now.key, len(now.rows))
    skill = background.begun("concept-skill", key, lambda: expertise(*told_apart(named, now)))
    if skill.trouble is not None:
        st.info(f"No experts yet: {markup.plain(skill.trouble.message)}.")
        return
    if skill.found is None:
        background.follow(skill, f"Comparing what all {now.width:,} {where.units}s say")
        return
    split = background.begun("concept-halves", key, lambda: halves(*told_apart(named, now)))
    # Two fixed places: what stands below is drawn where it was once halves were compared.
    line, below = st.container(key="concept-line"), st.container(key="concept-experts")
    with line:
        st.html(certain(named, skill.found, where, split.found))
        if not split.done:
            background.follow(split, "Comparing halves of the pictures")
    with below:
        st.html(table(skill.found, where, now))
        with st.expander("What AP and AUROC say, and what they do not", key="concept-means"):
            st.markdown(MEANS)
        steering.show(named, where, pool, skill.found)
        stability = split.found.stability if split.found else None
        holding.show(Asked(named, rule, where, pool, now, skill.found, stability))


def glance(named: Named, where: Place, now: Gathering) -> None:
    """A first list, from the pictures that were looked at so far."""
    rows, labels = told_apart(named, now)
    if len(set(labels.tolist())) == 2:
        st.caption(f"So far, from {int(labels.sum())} pictures that show it:")
        st.html(table(expertise(rows, labels), where, now))


def certain(named: Named, skill: Expertise, where: Place, found: Halves | None) -> str:
    """How sure one may be, in a sentence or two."""
    shows, lacks = named.count
    said = [f"{shows} pictures show it, {lacks} do not; by chance AP is {skill.prevalence:.2f}."]
    if found is not None and found.held is not None and found.stability is not None:
        said.append(
            f"Halves of the pictures agree by {found.stability:.2f} (correlation of AP profiles);"
            f" the best {where.units} of one half has AP {found.held:.2f} on the other."
        )
        if found.luck is not None and found.held <= found.luck:
            said.append(
                f"One in 20 {where.units}s that answer at random has more than {found.luck:.2f}"
                " there: none is seen to know the concept."
            )
        if shows < SETTLED and found.stability < SURE:
            said.append(
                f"With fewer than {SETTLED} pictures that show it the first figure is low for any"
                " concept, and says nothing about this one: go by the second."
            )
    if shows < FEW:
        said.append(f"With fewer than {FEW} pictures that show it, a high AP can be luck.")
    return markup.about(" ".join(said))


def table(skill: Expertise, where: Place, now: Gathering) -> str:
    """The best, a row each: name, AP as a bar, AUROC, the pictures that it answers to most."""
    best = skill.best(ROWS).tolist()
    features = where.units == "feature"
    cards = {c.feature: c for c in known_features(where.dictionary, best)} if features else {}
    shown = {unit: pictures(unit, cards.get(unit), now) for unit in best}
    try:
        held = backend().album.get(p for own in shown.values() for p in own)
    except SteerboardError:
        held = {}
    rows = (
        markup.expert(
            kinds.title(where, unit, cards[unit].label if unit in cards else ""),
            feature_address(where.dictionary, unit) if features else "",
            float(skill.precision[unit]),
            float(skill.auroc[unit]),
            [thumbnail(held[p], SIDE) for p in shown[unit] if p in held],
        )
        for unit in best
    )
    return f'<div class="sb-experts">{"".join(rows)}</div>'


def pictures(unit: int, card: FeatureCard | None, now: Gathering) -> Sequence[str]:
    """What it answers to most: in the catalogue, else among the pictures that were looked at."""
    if card is not None:
        return [r.image for r in card.references[:PICTURES]]
    places, rows = now.matrix()
    own = rows[:, [unit]].tocoo()
    order = np.argsort(-own.data, kind="stable")[:PICTURES]
    return [now.pictures[places[i]] for i in own.row[order]]


def follow(named: Named | None, where: Place, now: Gathering, enough: int, look_s: float) -> None:
    """How many pictures were looked at, and who knows the concept among these."""

    def look() -> None:
        now.looked_at()
        if now.done:
            st.rerun()
        count = f"{len(now.rows)} of {len(now.pictures)}"
        st.html(markup.busy(f"Asking the {kinds.called(where)} about the pictures: {count}"))
        if named is not None and len(now.rows) >= enough:
            glance(named, where, now)

    st.fragment(look, run_every=look_s)()
