"""What the explorer asks of the library, remembered for a while."""

import base64
import threading
from collections import OrderedDict
from collections.abc import Iterable

import streamlit as st

from services.ui.backend import backend
from services.ui.pictures import Eye
from services.ui.pictures import eye as eye_of
from steerboard.api.jobs_client import FoundFeatures
from steerboard.spec.catalogue import (
    CatalogueInfo,
    ComparedFeatures,
    FeatureCard,
    FeatureMap,
    FeatureQuery,
    PairSide,
)
from steerboard.spec.errors import NotFound, SteerboardError

KEPT_S, HELD = 60, 6000


@st.cache_data(ttl=KEPT_S, show_spinner=False)
def catalogues() -> tuple[CatalogueInfo, ...]:
    """All of them; raises a SteerboardError."""
    return backend().library.catalogues()


def catalogue(dictionary: str) -> CatalogueInfo:
    """That of a dictionary, by default the first; raises NotFound."""
    found = catalogues()
    if not found:
        raise NotFound(
            "there is no catalogue here yet: build one with `steerboard catalogue build`"
        )
    for info in found:
        if info.dictionary == dictionary or not dictionary:
            return info
    names = ", ".join(info.dictionary for info in found)
    raise NotFound(f"there is no catalogue of dictionary {dictionary!r}; there is {names}")


def found(query: FeatureQuery, page: int, size: int, pictures: int) -> FoundFeatures:
    """One page of features; raises a SteerboardError."""
    return _found(query, query.model_dump_json(), page, size, pictures)


@st.cache_data(ttl=KEPT_S, max_entries=500, show_spinner=False)
def _found(_query: FeatureQuery, key: str, page: int, size: int, pictures: int) -> FoundFeatures:
    return backend().library.search(_query, str(page * size), size, pictures)


@st.cache_data(ttl=KEPT_S, max_entries=500, show_spinner=False)
def card(dictionary: str, feature: int) -> FeatureCard:
    """All that is known of a feature; raises NotFound where it never fired."""
    known = backend().library.features(dictionary, (feature,))
    if not known:
        raise NotFound(
            f"nothing is known of feature {feature}: it fired on no picture of the catalogue, or"
            f" dictionary {dictionary!r} has none of that number"
        )
    return known[0]


def eye(info: CatalogueInfo) -> Eye:
    """What a catalogue's model sees of a picture; the middle of it while nobody can be asked."""
    try:
        return _eye(info.model)
    except SteerboardError:
        rows, columns = (16 * max(side, 1) for side in info.grid)
        return Eye((rows, columns), "shortest")


@st.cache_data(ttl=600, max_entries=8, show_spinner=False)
def _eye(name: str) -> Eye:
    return eye_of(backend().runner.model(name))


@st.cache_data(ttl=600, max_entries=4, show_spinner=False)
def feature_map(dictionary: str, fingerprint: str) -> FeatureMap:
    """All features as points."""
    return backend().library.feature_map(dictionary)


@st.cache_data(ttl=KEPT_S, max_entries=100, show_spinner=False)
def compared(
    first: str, second: str, side: PairSide, floor: float, page: int, size: int, pictures: int
) -> ComparedFeatures:
    """One page of two catalogues side by side; raises a SteerboardError."""
    return backend().library.compare(
        first, second, side=side, floor=floor, page_token=str(page * size), page_size=size,
        pictures=pictures,
    )  # fmt: skip


class Thumbnails:
    """Small pictures as ``data:`` addresses; the latest are kept, for all who look."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, dictionary: str, digests: Iterable[str]) -> dict[str, str]:
        """Those that there are; raises a SteerboardError."""
        wanted = list(dict.fromkeys(digests))
        with self._lock:
            known = {d: self._held[d] for d in wanted if d in self._held}
        missing = [d for d in wanted if d not in known]
        if missing:
            read = backend().library.thumbnails(dictionary, missing)
            fresh = {d: address(data) for d, data in read.items()}
            with self._lock:
                self._held.update(fresh)
                while len(self._held) > HELD:
                    self._held.popitem(last=False)
            known |= fresh
        return known


def address(jpeg: bytes) -> str:
    """A JPEG for the ``src`` of an ``img``."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


@st.cache_resource(show_spinner=False)
def thumbnails() -> Thumbnails:
    """One a process."""
    return Thumbnails()


def forget() -> None:
    """After something was said: lists show it at once."""
    _found.clear()
