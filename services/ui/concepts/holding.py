"""How far experts hold: over another set of pictures, and in another model."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from services.ui import markup, recovery, region
from services.ui.backend import backend, model
from services.ui.concepts import background, gathering, kinds, naming
from services.ui.concepts.address import Address
from services.ui.concepts.gathering import Gathering
from services.ui.concepts.naming import Named, told_apart
from services.ui.concepts.pool import Pool, draw, others
from services.ui.deck import TOLD_OF
from steerboard.analysis.concepts import agreement
from steerboard.analysis.expertise import Expertise, expertise
from steerboard.analysis.responses import Place
from steerboard.analysis.stability import over_models
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.digest import digest
from steerboard.spec.errors import InvalidRequest, SteerboardError

CLOSE = 0.1  # below what halves agree, within which another set agrees as well
PAIRS = 2**25  # of units that are matched: a table of so many correlations a few times over


@dataclass(frozen=True)
class Asked:
    """What is held against other pictures and models.

    Attributes:
        named: The concept.
        rule: That names it.
        where: Whose skill.
        pool: The pictures.
        now: What the units say of them.
        skill: Of every unit.
        stability: What halves of the pictures agree by; None where that is not known.
    """

    named: Named
    rule: Address
    where: Place
    pool: Pool
    now: Gathering
    skill: Expertise
    stability: float | None


def show(asked: Asked) -> None:
    """Both questions, which cost a pass over many pictures each, and so are asked on request."""
    with st.expander("Does it hold elsewhere? On other pictures, in another model", key="holding"):
        over_sets(asked)
        try:
            known = [m for m in backend().runner.models() if m.id != model().id]
        except SteerboardError as error:
            st.caption(f"Other models cannot be asked now: {recovery.clause(error.message)}")
            return
        over_others(asked, known)


def over_sets(asked: Asked) -> None:
    """The same concept on the pictures of another set or split."""
    known = others(asked.pool)
    if not known:
        st.caption("There is no second image set here: name one under image_sets.")
        return
    if asked.rule.way == "hand":
        st.caption(
            "Other pictures: you ticked pictures of this set. Name the concept by what is known of"
            " them, or by words, and it can be looked for elsewhere."
        )
        return
    name = box("Also on the pictures of", "concept-also", list(known))
    if not name:
        return
    pool = draw(*known[name])
    if pool is None:
        return
    if pool.split == TOLD_OF:
        st.caption(
            "The test split is what results are told of: look at it once, and do not choose by it."
        )
    pool = pool.widened(asked.rule)
    there = named_there(asked, pool)
    if there is None:
        return
    now = gathering.current(asked.where, pool.digests)
    if waits(now, f"Asking the {kinds.called(asked.where)} about the pictures there"):
        return
    key = digest(now.key, there.marks, asked.now.key, asked.named.marks)
    found = background.begun("concept-there", key, lambda: expertise(*told_apart(there, now)))
    if found.trouble is not None:
        st.info(f"Not compared: {recovery.clause(found.trouble.message)}")
    elif found.found is None:
        background.follow(found, "Comparing")
    else:
        st.html(on_others(asked, there, found.found))


def box(title: str, key: str, options: list[str]) -> str:
    """One of several, nothing to begin with."""
    if st.session_state.get(key) not in (None, *options):
        del st.session_state[key]
    found = st.selectbox(title, options, index=None, key=key, placeholder="choose")
    return found or ""


def waits(now: Gathering, what: str) -> bool:
    """Whether pictures are still looked at, which the page then says."""
    if now.trouble is not None:
        recovery.explain(
            "The pictures were not looked at.", now.trouble, backend().runner.models, "holding"
        )
        return True
    if not now.ready:
        gathering.follow(now, what)
    return not now.ready


def named_there(asked: Asked, pool: Pool) -> Named | None:
    """The concept among other pictures; None while these are looked at."""
    if asked.rule.way == "facts":
        return naming.by_rule(pool.cards, asked.rule, asked.named.name)
    now = gathering.current(None, pool.digests)
    if waits(now, "Looking at the pictures there"):
        return None
    count = max(1, min(asked.rule.count, len(pool.cards) // 2))
    return naming.nearest(asked.rule.words, count, now)


def on_others(asked: Asked, there: Named, found: Expertise) -> str:
    """What another set says, in sentences."""
    agree, best = agreement(asked.skill, found), int(asked.skill.best(1)[0])
    shows, lacks = there.count
    said = [
        "1 would be that the same units know it equally well in both sets, 0 that one says nothing"
        f" of the other. There {shows} pictures show it, {lacks} do not; the best here,"
        f" {kinds.title(asked.where, best)}, has AP {found.precision[best]:.2f} there (by chance"
        f" {found.prevalence:.2f})."
    ]
    if asked.stability is not None:
        halves = f"halves of the pictures here agree by {asked.stability:.2f}"
        said.append(
            f"Another set can hardly agree more than another half does, and {halves}: it holds"
            " there as well as it does here."
            if agree >= asked.stability - CLOSE
            else f"That is less than the small number of pictures explains: {halves}. What differs"
            " is what shows the concept there, or what stands beside it."
        )
    return markup.stated(f"AP profiles agree by {agree:.2f}.", " ".join(said))


def over_others(asked: Asked, known: list[ModelInfo]) -> None:
    """The same pictures through units of another model."""
    if asked.where.units == "direction":
        return  # those of words are of this model's own text tower
    fit = {m.id: m for m in known if asked.where.units in kinds.known(m)}
    if not fit:
        st.caption(f"No second model with {asked.where.units}s is served here.")
        return
    which, at = st.columns([1, 1.4])
    with which:
        name = box("Also in the model", "concept-model", list(fit))
    if not name:
        return
    with at:
        where = same_kind(asked, fit[name])
    now = gathering.current(where, asked.pool.digests, fit[name])
    if waits(now, f"Asking {markup.plain(name)} about the pictures"):
        return
    key = digest(now.key, asked.now.key, asked.named.marks)
    found = background.begun("concept-models", key, lambda: across(asked, now))
    if found.trouble is not None:
        st.info(f"Not compared: {recovery.clause(found.trouble.message)}")
    elif found.found is None:
        background.follow(found, "Matching the units of the two models")
    else:
        st.html(in_another(asked, name, where, found.found))


def same_kind(asked: Asked, info: ModelInfo) -> Place:
    """Units of the same kind in another model; to begin with as deep in it."""
    units, tokens = asked.where.units, asked.where.tokens
    if units == "feature":
        options = [d.id for d in info.dictionaries]
        name = st.selectbox("Through its dictionary", options, key=f"concept-book-{info.id}")
        return Place(name)
    names = [s.name for s in kinds.places(info, units)]
    own = [s.name for s in kinds.places(model(), units)]
    deep = own.index(str(asked.where.site)) / max(1, len(own) - 1)
    near = round(deep * (len(names) - 1))
    site = st.selectbox("At its", names, index=near, key=f"concept-at-{info.id}-{units}")
    patches = tokens.kind == "patches"  # those of its own grid
    mask = region.begun("patches", info.grid) if patches else tokens
    return Place(units=units, site=site, tokens=mask)


def across(asked: Asked, now: Gathering) -> tuple[float, float]:
    """Agreement through matched units, and the AP of the other model's best unit.

    Raises:
        InvalidRequest: Too many units to match, or too few pictures.
    """
    (mine, own), (theirs, other) = asked.now.matrix(), now.matrix()
    if own.shape[1] * other.shape[1] > PAIRS:
        raise InvalidRequest(
            f"{own.shape[1]} and {other.shape[1]} units are too many to be matched here: compare"
            " neurons or heads"
        )
    both = np.intersect1d(mine, theirs)
    marks = asked.named.labels[both]
    rows = [
        table.tocsr()[np.searchsorted(places, both[marks >= 0])].tocsc()
        for places, table in ((mine, own), (theirs, other))
    ]
    labels = marks[marks >= 0] == 1
    best = float(expertise(rows[1], labels).precision.max())
    return float(over_models(rows[0], rows[1], labels, splits=2).mean()), best


def in_another(asked: Asked, name: str, where: Place, found: tuple[float, float]) -> str:
    """What another model says, in sentences."""
    agree, best = found
    here = float(asked.skill.precision.max())
    return markup.stated(
        f"AP profiles agree by {agree:.2f} through matched units.",
        "Units of two models do not correspond, so each is matched with the one that answers most"
        " like it on half of the pictures, and AP is compared on the rest. 1 would be the same"
        " model. Do not read it beside 0: a network with random weights sees colours, and agreed"
        " with the demo's model by about 0.3 on its objects and 0.7 on its backgrounds. Only what"
        " lies well above says that both have learnt the concept alike. The best of the"
        f" {kinds.called(where)} of {name} has AP {best:.2f} on these pictures; here it is"
        f" {here:.2f}.",
    )
