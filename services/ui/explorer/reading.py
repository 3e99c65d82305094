"""What the explorer asks of the library, remembered for a while."""

import base64
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

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
    name_of,
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
    fit = meant(found, dictionary)
    if len(fit) == 1 or (fit and not dictionary):
        return fit[0]
    if fit:
        several = " and ".join(info.key for info in fit)
        raise NotFound(f"several models have a dictionary {dictionary!r}: choose {several}")
    names = ", ".join(info.key for info in found)
    raise NotFound(f"there is no catalogue of dictionary {dictionary!r}; there is {names}")


def meant(found: Sequence[CatalogueInfo], name: str) -> list[CatalogueInfo]:
    """The catalogues that a name may mean, which may leave the model open; without one: all."""
    if not name:
        return sorted(found, key=lambda info: bool(info.trouble))
    ways: tuple[Callable[[CatalogueInfo], str], ...] = (
        lambda info: info.key,
        lambda info: name_of(info.dictionary, info.model),
        lambda info: info.dictionary,
    )
    for key in ways:
        if fit := [info for info in found if key(info) == name]:
            return fit
    return []


def title(info: CatalogueInfo) -> str:
    """What a catalogue is called: its dictionary, and the model where others have one so called."""
    if info.trouble:  # what it says of itself is not what it is asked for as
        return info.key
    alike = [one for one in catalogues() if one.dictionary == info.dictionary]
    if len({one.model for one in alike}) > 1:
        return f"{info.dictionary} of {info.model}"
    return info.key


def titles() -> dict[str, str]:
    """Of all catalogues, by what they are asked for by."""
    return {info.key: title(info) for info in catalogues()}


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
