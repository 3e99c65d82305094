"""The page of concepts: name one, see who knows it, steer by it, and see how they lie together."""

from dataclasses import replace

import streamlit as st

from services.ui import markup, recovery, sets
from services.ui.backend import backend, image_sets, model
from services.ui.concepts import address, experts, gathering, kinds, mapping, naming
from services.ui.concepts.address import Address
from services.ui.concepts.naming import Named
from services.ui.concepts.pool import Pool, draw
from services.ui.pictures import thumbnail
from steerboard.analysis.responses import Place
from steerboard.spec.catalogue import ImageCard
from steerboard.spec.errors import SteerboardError

SHOWN, SIDE = 8, 72
ENOUGH, LOOK_S = 160, 2.0  # pictures after which a first list is shown, and how often it is drawn


def show() -> None:
    """The whole page below its head."""
    st.subheader("Concepts")
    st.caption(
        "Name a concept by pictures that show it and pictures that do not. The features, neurons,"
        " heads or directions that tell them apart are its experts, and can be steered."
    )
    at = address.asked()
    try:
        pool = choose_set(at)
    except SteerboardError as error:
        recovery.explain(
            "The pictures cannot be had now.", error, backend().library.image_sets, "concepts"
        )
        return
    if pool is None or not pool.cards:
        st.info("No image set is served: name one under image_sets in steerboard.yaml.")
        return
    if not kinds.known(model()):
        st.info("This model has no units that can be told apart: name a dictionary of it.")
        return
    if at.model not in ("", model().id):
        st.warning(f"The address of this page is about the model {markup.plain(at.model)}; here"
                   f" {markup.plain(model().id)} is served.")  # fmt: skip
    try:
        where = kinds.choose(at)
    except SteerboardError as error:
        recovery.explain(
            "The units cannot be had now.", error, backend().runner.models, "concept-units"
        )
        return
    with st.container(border=True, key="naming"):
        named, rule = naming.show(pool, at)
        wide = pool.widened(rule)
        if named is not None:
            preview(named, wide.cards)
    drawn = mapping.asked(at)
    whose = kinds.said(where)
    rule = replace(rule, dictionary=whose.dictionary, units=whose.units, site=whose.site,
                   tokens=whose.tokens, along=whose.along)  # fmt: skip
    address.keep(replace(rule, model=model().id, pictures=pool.image_set, map_of=drawn))
    show_experts(named, rule, pool, wide, where)
    mapping.show(pool.cards, where)


def choose_set(at: Address) -> Pool | None:
    """The pictures of the set that names concepts; None where no set is served."""
    known = {found.id: sets.called(found) for found in image_sets() if found.size}
    if not known:
        return None
    address.begin("concept-set", at.pictures, list(known))
    if len(known) > 1:
        st.selectbox(
            "Pictures of",
            list(known),
            format_func=known.__getitem__,
            key="concept-set",
            on_change=address.touched,
        )
    return draw(str(st.session_state["concept-set"]))


def preview(named: Named, cards: tuple[ImageCard, ...]) -> None:
    """Some pictures that show it, and some that do not."""
    for wanted, title in ((1, "Shows it"), (0, "Does not")):
        own = [c.sha256 for c, mark in zip(cards, named.marks, strict=True) if mark == wanted]
        step = max(1, len(own) // SHOWN)
        held = backend().album.get(own[::step][:SHOWN])
        shown = [thumbnail(data, SIDE) for data in held.values()]
        st.html(markup.some(f"{title}: {len(own)}", shown))


def show_experts(named: Named | None, rule: Address, pool: Pool, wide: Pool, where: Place) -> None:
    """Who knows it, once every picture was looked at: of the draw, and then those of the rule."""
    now = gathering.current(where, pool.digests)
    st.html(markup.aside("Experts", f"the {kinds.called(where)} that tell them apart best"))
    if now.trouble is not None:
        recovery.explain(
            "The pictures were not looked at.", now.trouble, backend().runner.models, "gather"
        )
    elif not now.done:
        experts.follow(named, where, now, ENOUGH, LOOK_S)
    elif named is None:
        st.caption("Name a concept above.")
    elif now.ready:
        now = gathering.current(where, wide.digests)
        if not now.done:
            gathering.follow(now, "Looking at more pictures of this concept")
            return
        if now.failed:
            st.caption(f"{len(now.failed)} pictures could not be looked at and are left out.")
        experts.show(named, rule, where, wide, now)
