"""Where one is in the explorer: everything that a view shows stands in its address.

A link to a view is its address, and the way back is the browser's. What an address holds that is
no part of a view is passed over, for addresses are typed and cut short.
"""

from dataclasses import dataclass, replace
from typing import Any, cast, get_args
from urllib.parse import urlencode

import streamlit as st

from services.ui.session import KEY, named
from steerboard.spec.catalogue import Bound, FeatureQuery, Naming, PairSide, Statistic
from steerboard.spec.requests import Digest

PARAMETERS = (
    "feature", "image", "named", "sort", "up", "page", "look", "side", "floor", "view", "point",
)  # fmt: skip
LOOKS = ("cards", "table", "map", "compare")
VIEWS = ("fires", "close", "whole")  # of a reference picture
PAGE = 24
HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Address:
    """A view.

    Attributes:
        dictionary: Id; empty: the first one.
        feature: The feature whose page is open, or None.
        words: What is searched for.
        class_name: Only those that detect it.
        image: Digest of an example picture.
        naming: As to what they are called.
        tag: That people gave.
        bounds: Of statistics.
        sort: Statistic, or empty: what fits best.
        ascending: Smallest first.
        page: From 0.
        look: One of ``LOOKS``.
        other: The dictionary that it is compared with; empty: the next one.
        side: Which features of a comparison are listed.
        floor: Alikeness from which two features are partners, in hundredths; None: as usual.
        view: How a feature's pictures are shown, one of ``VIEWS``; empty: as suits the feature.
        point: The feature that is picked on the map, or None.
        image_set: In which pictures are looked for; empty: the first one.
        split: Of it; empty: all.
        group: Of it; empty: all.
    """

    dictionary: str = ""
    feature: int | None = None
    words: str = ""
    class_name: str = ""
    image: str = ""
    naming: str = "all"
    tag: str = ""
    bounds: tuple[Bound, ...] = ()
    sort: str = ""
    ascending: bool = False
    page: int = 0
    look: str = "cards"
    other: str = ""
    side: str = "matched"
    floor: int | None = None
    view: str = ""
    point: int | None = None
    image_set: str = ""
    split: str = ""
    group: str = ""

    def query(self, dictionary: str) -> FeatureQuery:
        """What is asked of the library."""
        return FeatureQuery(
            dictionary=dictionary,
            words=self.words,
            class_name=self.class_name,
            image=Digest(sha256=self.image) if self.image else None,
            naming=cast(Naming, self.naming),
            tag=self.tag,
            bounds=self.bounds,
            sort=cast(Statistic, self.sort) if self.sort else None,
            ascending=self.ascending,
        )

    @property
    def narrowed(self) -> bool:
        """Whether anything but all features is asked for."""
        kept = ("words", "class_name", "image", "naming", "tag", "bounds")
        return any(getattr(self, name) != getattr(NOWHERE, name) for name in kept)


NOWHERE = Address()


def read(given: dict[str, str]) -> Address:
    """The view of an address's parameters."""
    look, sort, naming = given.get("look", ""), given.get("sort", ""), given.get("named", "")
    image, side, view = given.get("image", ""), given.get("side", ""), given.get("view", "")
    floor = whole(given.get("floor", ""))
    return Address(
        dictionary=given.get("dictionary", "")[:200],
        feature=whole(given.get("feature", "")),
        words=given.get("q", "")[:200],
        class_name=given.get("class", "")[:200],
        image=image if len(image) == 64 and HEX.issuperset(image) else "",
        naming=naming if naming in get_args(Naming) else "all",
        tag=given.get("tag", "")[:60],
        bounds=tuple(b for s in get_args(Statistic) if (b := bound(s, given.get(f"by.{s}", "")))),
        sort=sort if sort in get_args(Statistic) else "",
        ascending=given.get("up") == "1",
        page=whole(given.get("page", "")) or 0,
        look=look if look in LOOKS else "cards",
        other=given.get("with", "")[:200],
        side=side if side in get_args(PairSide) else "matched",
        floor=floor if floor is None or floor <= 100 else None,
        view=view if view in VIEWS else "",
        point=whole(given.get("point", "")),
        image_set=given.get("set", "")[:200],
        split=given.get("split", "")[:200],
        group=given.get("group", "")[:200],
    )


def whole(text: str) -> int | None:
    """A number from 0, or None."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def passed_over(given: dict[str, str]) -> list[str]:
    """What an address says of a view that no view has, such as ``look=nothing``."""
    known = write(read(given))
    own = (*PARAMETERS, *(f"by.{s}" for s in get_args(Statistic)))
    usual = {
        "look": "cards",
        "named": "all",
        "side": "matched",
        "page": "0",
        "up": "0",
    }
    return [
        f"{name}={given[name][:40]}"
        for name in own
        if given.get(name) and name not in known and given[name] != usual.get(name)
    ]


def bound(statistic: Statistic, text: str) -> Bound | None:
    """Such as ``0.5..1`` or ``..3``; None for what is none."""
    low, between, high = text.partition("..")
    try:
        ends = [float(end) if end else None for end in (low, high)]
        given = any(end is not None for end in ends) and between
        return Bound(statistic=statistic, low=ends[0], high=ends[1]) if given else None
    except ValueError:
        return None


def write(at: Address) -> dict[str, str]:
    """The parameters of a view; what is as it is without them is left out."""
    shown = {
        "dictionary": at.dictionary,
        "feature": "" if at.feature is None else str(at.feature),
        "q": at.words,
        "class": at.class_name,
        "image": at.image,
        "named": "" if at.naming == "all" else at.naming,
        "tag": at.tag,
        "sort": at.sort,
        "up": "1" if at.ascending else "",
        "page": str(at.page) if at.page else "",
        "look": "" if at.look == "cards" else at.look,
        "with": at.other,
        "side": "" if at.side == "matched" else at.side,
        "floor": "" if at.floor is None else str(at.floor),
        "view": at.view,
        "point": "" if at.point is None else str(at.point),
        "set": at.image_set,
        "split": at.split,
        "group": at.group,
    }
    for one in at.bounds:
        shown[f"by.{one.statistic}"] = f"{end(one.low)}..{end(one.high)}"
    return {name: value for name, value in shown.items() if value}


def end(value: float | None) -> str:
    """An end of bounds."""
    return "" if value is None else f"{value:.6g}"


def here() -> Address:
    """The view that the address names now."""
    return read(st.query_params.to_dict())


def go(at: Address) -> None:
    """Make the address that of a view."""
    kept = {KEY: named()} if named() else {}
    st.query_params.from_dict({**write(at), **kept})


def change(**parts: Any) -> None:
    """Another view that differs in some parts; it begins with its first page."""
    go(replace(here(), **{"page": 0, **parts}))


def href(at: Address) -> str:
    """A link to a view, in this session."""
    kept = {KEY: named()} if named() else {}
    return "?" + urlencode({**write(at), **kept})
