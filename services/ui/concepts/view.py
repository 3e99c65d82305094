"""The page of concepts: name one, see who knows it, steer by it, and see how they lie together."""

from dataclasses import replace

import streamlit as st

from services.ui import markup, recovery
from services.ui.backend import backend, image_sets, model
from services.ui.concepts import address, experts, gathering, mapping, naming
from services.ui.concepts.address import Address
from services.ui.concepts.naming import Named
from services.ui.deck import chosen
from services.ui.pictures import thumbnail
from services.ui.recipes.pictures import all_cards
from services.ui.session import state
from steerboard.spec.catalogue import ImageCard
from steerboard.spec.errors import SteerboardError

MOST = 2000  # pictures of a set that are asked about
SHOWN, SIDE = 8, 72
ENOUGH, LOOK_S = 160, 2.0  # pictures after which a first list is shown, and how often it is drawn


def show() -> None:
    """The whole page below its head."""
    st.subheader("Concepts")
    st.caption(
        "Name a concept by pictures that show it and pictures that do not. The features that tell"
        " them apart are its experts, and can be steered."
    )
    at = address.asked()
    try:
        where = choose_set(at)
        cards = pictures(where)
    except SteerboardError as error:
        recovery.explain(
            "The pictures cannot be had now.", error, backend().library.image_sets, "concepts"
        )
        return
    if not cards:
        st.info("No image set is served: name one under image_sets in steerboard.yaml.")
        return
    if not model().dictionaries:
        st.info("This model has no dictionary: name one in steerboard.yaml.")
        return
    if at.model not in ("", model().id):
        st.warning(f"The address of this page is about the model {markup.plain(at.model)}; here"
                   f" {markup.plain(model().id)} is served.")  # fmt: skip
    dictionary = choose_dictionary(at)
    with st.container(border=True, key="naming"):
        named, rule = naming.show(cards, at)
        if named is not None:
            preview(named, cards)
    drawn = mapping.asked(at)
    address.keep(
        replace(rule, model=model().id, pictures=where, dictionary=dictionary, map_of=drawn)
    )
    show_experts(named, cards, dictionary)
    mapping.show(cards, dictionary)


def choose_set(at: Address) -> str:
    """The image set whose pictures name concepts; nothing where none is served."""
    known = [found.id for found in image_sets() if found.size]
    if not known:
        return ""
    address.begin("concept-set", at.pictures, known)
    if len(known) > 1:
        st.selectbox("Pictures of", known, key="concept-set", on_change=address.touched)
    return str(st.session_state["concept-set"])


def pictures(image_set: str) -> tuple[ImageCard, ...]:
    """The pictures of a set: of its validation split, where it has one.

    In the order of their digests, so that the first ones are a fair draw of all.
    """
    found = next((s for s in image_sets() if s.id == image_set), None)
    if found is None:
        return ()
    # Experts are chosen on one split, so that they can be tried on another.
    split = chosen(found)
    cards = sorted(all_cards(found.id, split), key=lambda card: card.sha256)
    return tuple(cards[:MOST])


def choose_dictionary(at: Address) -> str:
    """Through which dictionary; the session's to begin with."""
    labels = {d.id: f"{d.id}: {d.site}, {d.tokens} tokens" for d in model().dictionaries}
    if "concept-dictionary" not in st.session_state and state().dictionary in labels:
        st.session_state["concept-dictionary"] = state().dictionary
    address.begin("concept-dictionary", at.dictionary, list(labels))
    found: str = st.selectbox(
        "Dictionary",
        list(labels),
        format_func=labels.__getitem__,
        key="concept-dictionary",
        on_change=address.touched,
    )
    return found


def preview(named: Named, cards: tuple[ImageCard, ...]) -> None:
    """Some pictures that show it, and some that do not."""
    for wanted, title in ((1, "Shows it"), (0, "Does not")):
        own = [c.sha256 for c, mark in zip(cards, named.marks, strict=True) if mark == wanted]
        step = max(1, len(own) // SHOWN)
        held = backend().album.get(own[::step][:SHOWN])
        shown = [thumbnail(data, SIDE) for data in held.values()]
        st.html(markup.some(f"{title}: {len(own)}", shown))


def show_experts(named: Named | None, cards: tuple[ImageCard, ...], dictionary: str) -> None:
    """Who knows it, once every picture was looked at."""
    digests = tuple(card.sha256 for card in cards)
    now = gathering.current("code", dictionary, digests)
    st.html(markup.aside("Experts", f"the features of {dictionary} that tell them apart best"))
    if now.trouble is not None:
        recovery.explain(
            "The pictures were not looked at.", now.trouble, backend().runner.models, "gather"
        )
    elif not now.done:
        so_far(named, now, dictionary)
    elif named is None:
        st.caption("Name a concept above.")
    elif now.ready:
        if now.failed:
            st.caption(f"{now.failed} pictures could not be looked at and are left out.")
        places, answers = now.matrix()
        experts.show(named, dictionary, digests, places, answers)


def so_far(named: Named | None, now: gathering.Gathering, dictionary: str) -> None:
    """How many pictures were looked at, and who knows the concept among these."""

    def follow() -> None:
        if now.done:
            st.rerun()
        count = f"{len(now.rows)} of {len(now.pictures)}"
        st.html(markup.busy(f"Looking at the pictures of the set through {dictionary}: {count}"))
        if named is not None and len(now.rows) >= ENOUGH:
            experts.glance(named, dictionary, *now.matrix())

    st.fragment(follow, run_every=LOOK_S)()
