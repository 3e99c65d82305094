"""Among whom experts are looked for: features of a dictionary, neurons or heads, directions.

Features to begin with, on all tokens; whoever wants another kind of unit chooses it in one line.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import cast

import numpy as np
import numpy.typing as npt
import streamlit as st

from services.ui import directions, locating, markup, predict, region
from services.ui import units as units_
from services.ui.backend import backend, model
from services.ui.concepts import address
from services.ui.concepts.address import Address
from services.ui.directions import EMBEDDING
from services.ui.session import state
from steerboard.analysis.responses import Place
from steerboard.spec.capabilities import ModelInfo, SiteInfo
from steerboard.spec.digest import digest
from steerboard.spec.edits import Mask
from steerboard.spec.requests import MAX_TOP_K, Embed, UnitKind
from steerboard.spec.tensor import Tensor

KINDS = {
    "feature": "Features",
    "neuron": "Neurons",
    "head": "Heads",
    "direction": "Directions of words",
}
MOST_WORDS = 128
TOKENS = {"all": "all tokens", "prefix": "the class token", "patches": "the patches"}


def known(info: ModelInfo) -> list[str]:
    """The kinds of units that a model has."""
    return [k for k in KINDS if (info.dictionaries if k == "feature" else places(info, k))]


def places(info: ModelInfo, units: str) -> list[SiteInfo]:
    """Where such units stand, few enough to be asked about at once."""
    found = [s for s in info.sites if units in s.units]
    if units == "direction":
        return [s for s in found if s.name == EMBEDDING]
    if units == "neuron":
        found = [s for s in found if s.name.startswith("mlp_post") and s.width <= MAX_TOP_K]
    return found


def choose(at: Address) -> Place:
    """Kind, dictionary or place, and tokens: in a line."""
    kind, where, tokens = st.columns([1.3, 1.7, 1], vertical_alignment="bottom")
    options = known(model())
    with kind:
        address.begin("concept-units", at.units, options)
        units = st.segmented_control(
            "Experts among the",
            options,
            required=True,
            format_func=KINDS.__getitem__,
            key="concept-units",
            on_change=address.touched,
        )
    with where:
        if units == "direction":
            found = directed(at)
        else:
            found = dictionary(at) if units == "feature" else site(str(units), at)
    with tokens:
        mask = which_tokens(found, at)
    return replace(found, tokens=mask)


def dictionary(at: Address) -> Place:
    """Through which dictionary; the session's to begin with."""
    labels = {d.id: f"{d.id}: {d.site}, {d.tokens} tokens" for d in model().dictionaries}
    if "concept-dictionary" not in st.session_state and state().dictionary in labels:
        st.session_state["concept-dictionary"] = state().dictionary
    address.begin("concept-dictionary", at.dictionary, list(labels))
    return Place(
        st.selectbox(
            "Dictionary",
            list(labels),
            format_func=labels.__getitem__,
            key="concept-dictionary",
            on_change=address.touched,
        )
    )


def site(units: str, at: Address) -> Place:
    """At which place of the model; beside the dictionary to begin with."""
    labels = {s.name: label(s, units) for s in places(model(), units)}
    key = f"concept-site-{units}"
    if key not in st.session_state:
        st.session_state[key] = usual(units)
    address.begin(key, at.site, list(labels))
    name = st.selectbox(
        "Place",
        list(labels),
        format_func=labels.__getitem__,
        key=key,
        on_change=address.touched,
    )
    return Place(units=cast(UnitKind, units), site=name)


def directed(at: Address) -> Place:
    """Directions that the text tower gives to words; to begin with, to the prompts."""
    if at.along:
        st.session_state["concept-along"] = "\n".join(split(at.along))
    st.session_state.setdefault("concept-along", "\n".join(usual_words()))
    text = st.text_area(
        "Words, one a line",
        key="concept-along",
        height=100,
        on_change=address.touched,
        help="The text tower gives a direction to each; a picture answers by how far its embedding"
        " reaches along it.",
    )
    words = split(text.replace("\n", "|")) or usual_words()
    rows = rows_of(model().id, model().fingerprint, words)
    units_.know(words, rows)
    st.session_state["concept-names"] = words
    return Place(units="direction", site=EMBEDDING, directions=Tensor.of(rows))


def split(text: str) -> tuple[str, ...]:
    """Words between bars, each once."""
    found: Iterable[str] = (word.strip() for word in text.split("|"))
    return tuple(dict.fromkeys(word for word in found if word))[:MOST_WORDS]


def usual_words() -> tuple[str, ...]:
    """What the model is asked about."""
    return (predict.words()[0] or ("a thing",))[:MOST_WORDS]


@st.cache_data(max_entries=64, show_spinner=False)
def rows_of(name: str, fingerprint: str, words: tuple[str, ...]) -> npt.NDArray[np.float32]:
    """``[n, d]`` of a model's texts; raises a SteerboardError."""
    texts = tuple(directions.TEMPLATE.replace("{}", word) for word in words)
    found = backend().runner.embed(Embed(model=name, texts=texts)).results()
    return np.array([one.values for one in found], np.float32)


def label(found: SiteInfo, units: str) -> str:
    """A place with how many units it has."""
    count = found.heads if units == "head" else found.width
    return f"{found.name}: {count} {units}s"


def usual(units: str) -> str:
    """The place in the block of the session's dictionary, else in the last one."""
    names = [s.name for s in places(model(), units)]
    block = locating.dictionary().site.rpartition(".")[2] if model().dictionaries else ""
    return next((n for n in names if n.endswith(f".{block}")), names[-1])


def which_tokens(where: Place, at: Address) -> Mask:
    """On which tokens a response counts, and steering acts."""
    book = model().dictionary(where.dictionary)
    place = model().site(book.site if book else where.site or "")
    if place is None:
        return Mask()
    options = [c for c in region.choices(place, book) if c in TOKENS]
    if len(options) < 2:
        return Mask()
    key = f"concept-tokens-{place.name}"
    address.begin(key, at.tokens, options)
    name = st.selectbox(
        "Tokens",
        options,
        format_func=TOKENS.__getitem__,
        key=key,
        on_change=address.touched,
        help="A picture counts by a unit's largest response on these; steering acts on these.",
    )
    return region.begun(name, model().grid)


def said(where: Place) -> Address:
    """The same as an address holds it; what is usual is left out."""
    features, tokens = where.units == "feature", where.tokens.kind
    if where.units == "direction":
        words = st.session_state["concept-names"]
        return Address(units="direction", along="" if words == usual_words() else "|".join(words))
    return Address(
        dictionary=where.dictionary,
        units="" if features else where.units,
        site=where.site or "",
        tokens="" if tokens == "all" else tokens,
    )


def called(where: Place) -> str:
    """Such as ``neurons at mlp_post.3``."""
    if where.units == "direction":
        return "directions of words"
    of = f"of {where.dictionary}" if where.units == "feature" else f"at {where.site}"
    only = "" if where.tokens.kind == "all" else f", on {TOKENS[where.tokens.kind]}"
    return f"{where.units}s {of}{only}"


def title(where: Place, index: int, label: str = "") -> str:
    """A unit's heading."""
    if where.units == "direction":
        return f"“{st.session_state['concept-names'][index]}”"
    name = f"#{index}" if where.units == "feature" else f"{where.units} {index}"
    return f"{name} {label}".strip()


def key(where: Place) -> tuple[object, ...]:
    """What tells places apart, as JSON has it."""
    own = where.directions and digest(where.directions)
    return where.dictionary, where.units, where.site, own, where.tokens.model_dump(mode="json")


def plain(where: Place) -> str:
    """``called`` as markdown shows it."""
    return markup.plain(called(where))
