"""Where one is among the concepts: model, pictures, dictionary and rule stand in the address.

The boxes of the page hold what is chosen; the address is written from them, and where it names
something else than what was written last, because somebody followed a link or went back, the boxes
begin with what it names.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import streamlit as st

from services.ui import markup
from services.ui.session import KEY, named

Way = Literal["facts", "words", "hand"]  # how a concept is named
HAND, LOOKED = "concept-hand", "concept-looked"  # digests that are ticked; pages that were opened
SHORT = 12  # letters of a digest that name a picture within a set
LONG = {"along": 2000}  # characters of a field, where it may have more than 200
WRITTEN, TOUCHED = "concept-address", "concept-touched"


@dataclass(frozen=True)
class Address:
    """What is named; empty: as the page begins.

    Attributes:
        model: Id, to say so where another one is served.
        pictures: Id of the image set.
        dictionary: Id.
        units: Kind of the units; empty: features.
        site: Place of those that are no features.
        tokens: Which count; empty: all.
        along: Words that give directions, between bars; empty: the prompts.
        way: How the concept is named.
        of: Attribute of the manifest.
        shows: Its value.
        instead: The value of pictures that do not show it; empty: all others.
        among: Group; empty: all.
        words: That the pictures are nearest to.
        count: How many of them.
        name: Of a concept that was ticked by hand.
        ticked: Beginnings of the digests of its pictures.
        looked: Pages that were looked at.
        map_of: The attribute whose values are drawn as a map.
    """

    model: str = ""
    pictures: str = ""
    dictionary: str = ""
    units: str = ""
    site: str = ""
    tokens: str = ""
    along: str = ""
    way: Way = "facts"
    of: str = ""
    shows: str = ""
    instead: str = ""
    among: str = ""
    words: str = ""
    count: int = 0
    name: str = ""
    ticked: tuple[str, ...] = ()
    looked: tuple[int, ...] = ()
    map_of: str = ""


# Parameter of the address to the field that it holds as it is.
TEXTS = {
    "model": "model", "set": "pictures", "dictionary": "dictionary", "of": "of", "is": "shows",
    "not": "instead", "among": "among", "q": "words", "name": "name", "map": "map_of",
    "units": "units", "at": "site", "tokens": "tokens", "along": "along",
}  # fmt: skip


def read(given: dict[str, str]) -> Address:
    """The concept of an address's parameters; what is none of them is passed over."""
    way = given.get("by", "")
    return Address(
        **{field: given.get(key, "")[: LONG.get(field, 200)] for key, field in TEXTS.items()},
        way=cast(Way, way) if way in get_args(Way) else "facts",
        count=next(iter(numbers(given.get("n", ""))), 0),
        ticked=tuple(t for t in given.get("pictures", "").split(".") if len(t) == SHORT),
        looked=numbers(given.get("pages", "")),
    )


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers between dots."""
    return tuple(int(t) for t in text.split(".") if t.isascii() and t.isdecimal() and len(t) < 7)


def write(at: Address) -> dict[str, str]:
    """The parameters of a concept; what is as it is without them is left out."""
    shown = {key: getattr(at, field) for key, field in TEXTS.items()} | {
        "by": "" if at.way == "facts" else at.way,
        "n": str(at.count or ""),
        "pictures": ".".join(at.ticked),
        "pages": ".".join(map(str, at.looked)),
    }
    return {key: value for key, value in shown.items() if value}


def asked() -> Address:
    """What the address names, where that is not what this page wrote last; else nothing.

    Nor where a box was just used: who is quicker than the browser sends the address of before.
    """
    at, used = read(st.query_params.to_dict()), st.session_state.pop(TOUCHED, False)
    return Address() if used or at == st.session_state.get(WRITTEN) else at


def touched() -> None:
    """A box was used: what it holds comes before what the address names."""
    st.session_state[TOUCHED] = True


def keep(at: Address) -> None:
    """Make the address that of a concept."""
    st.session_state[WRITTEN] = read(write(at))
    wanted = {**write(at), **({KEY: named()} if named() else {})}
    if wanted != st.query_params.to_dict():
        st.query_params.from_dict(wanted)


def begin(key: str, wanted: str, options: Sequence[str]) -> None:
    """Let a box begin with what the address names; what is not here is said, and passed over."""
    if wanted in options:
        st.session_state[key] = wanted
    elif wanted:
        st.warning(f"The address of this page names {markup.plain(wanted)}, which is not here.")
    if st.session_state.get(key) not in options:
        st.session_state[key] = options[0]


def tick(at: Address, digests: Collection[str]) -> None:
    """Let the boxes under the pictures begin with those that the address names."""
    if not at.ticked:
        return
    st.session_state[HAND] = {d for d in digests if d[:SHORT] in at.ticked}
    st.session_state[LOOKED] = set(at.looked)
    for digest in digests:
        st.session_state.pop(f"tick-{digest[:SHORT]}", None)
