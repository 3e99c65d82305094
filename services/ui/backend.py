"""The services as the views see them: one connection a process, short timeouts, small caches."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache

import streamlit as st

from services.ui.deck import Deck
from services.ui.settings import read_settings
from steerboard.api.client import connect, missing_digests
from steerboard.api.convert_library import ImageSet
from steerboard.api.jobs_client import JobClient, LibraryClient
from steerboard.api.speaking import CarryingPool
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.catalogue import ImageCard
from steerboard.spec.errors import (
    DeadlineExceeded,
    ImageNotCached,
    NotFound,
    Overloaded,
    SteerboardError,
    Unavailable,
)
from steerboard.spec.runner import Runner
from steerboard.store.store import Store

RUNNER_S, DOOR_S = 5.0, 3.0
ASKED_EVERY_S, RETRIED_AFTER_S = 10.0, 2.0
SETS_S = 60.0  # for which it is not asked again what an image set holds: its files may change
_TURN = threading.Lock()
AWAY = (Unavailable, DeadlineExceeded, Overloaded)  # what waiting can mend


@dataclass(frozen=True)
class Backend:
    """Clients of the two services, the session store, and what is remembered of them."""

    runner: Runner
    jobs: JobClient
    library: LibraryClient
    store: Store
    known: "Known"
    album: "Album"
    deck: Deck
    threads: ThreadPoolExecutor
    probes: ThreadPoolExecutor


class Known:
    """The served model as it was last told, so that the page outlives the service for a while.

    Args:
        ask: Gives the model, or raises a SteerboardError.
    """

    def __init__(self, ask: Callable[[], ModelInfo]) -> None:
        self._ask = ask
        self._next = 0.0
        self._info: ModelInfo | None = None
        self._error: SteerboardError | None = None

    def model(self) -> ModelInfo:
        """Asked anew every few seconds; raises what was answered where nothing is known yet."""
        if time.monotonic() >= self._next:
            try:
                self._info, self._error = self._ask(), None
                self._next = time.monotonic() + ASKED_EVERY_S
            except SteerboardError as error:
                self._error = error
                self._next = time.monotonic() + RETRIED_AFTER_S
        if self._info is not None:
            return self._info
        raise self._error or Unavailable("the inference service has not answered yet")


@dataclass
class Album:
    """Bytes of the image sets' pictures by digest: read many at once, the latest kept."""

    library: LibraryClient
    capacity: int = 4000
    _away: SteerboardError | None = None
    _until: float = 0.0
    _held: OrderedDict[str, bytes] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, digests: Iterable[str]) -> dict[str, bytes]:
        """Those pictures that the library has; raises a SteerboardError where it is away."""
        wanted = list(dict.fromkeys(digests))
        with self._lock:
            found = {d: self._held[d] for d in wanted if d in self._held}
        fresh = self._read([d for d in wanted if d not in found])
        with self._lock:
            self._held.update(fresh)
            while len(self._held) > self.capacity:
                self._held.popitem(last=False)
        return found | fresh

    def _read(self, digests: list[str]) -> dict[str, bytes]:
        """From the library; one that is away is left in peace for a while."""
        if digests and self._away is not None and time.monotonic() < self._until:
            raise self._away
        try:
            found, self._away = read(self.library, digests), None
        except SteerboardError as error:
            self._away, self._until = error, time.monotonic() + RETRIED_AFTER_S
            raise
        return found


def read(library: LibraryClient, digests: list[str], tries: int = 8) -> dict[str, bytes]:
    """Pictures in one call; those that the library names as missing are left out."""
    for _ in range(tries):
        if not digests:
            break
        try:
            return library.get_images(digests)
        except ImageNotCached as error:
            missing = set(missing_digests(error))
            digests = [d for d in digests if d not in missing]
    return {}


def backend() -> Backend:
    """Opened once a process; channels reconnect by themselves.

    Not one of Streamlit's resources: a page asks for it some two hundred times.
    """
    with _TURN:
        return _opened()


@cache
def _opened() -> Backend:
    settings = read_settings()
    runner = connect(settings.inference, settings.token, RUNNER_S)
    library = LibraryClient(settings.jobs, settings.token, DOOR_S)
    return Backend(
        runner,
        JobClient(settings.jobs, settings.token, DOOR_S),
        library,
        Store(settings.store),
        Known(lambda: first(runner)),
        Album(library),
        Deck(library),
        CarryingPool(8, "asking"),
        CarryingPool(8, "probing"),
    )


def forget() -> None:
    """As after a restart of the page, for tests: what was opened, and what is remembered."""
    _opened.cache_clear()
    st.cache_resource.clear()
    st.cache_data.clear()


def first(runner: Runner) -> ModelInfo:
    """The first model that is served; raises NotFound where there is none."""
    models = runner.models()
    if not models:
        raise NotFound("the inference service serves no model: name one in steerboard.yaml")
    return models[0]


def model() -> ModelInfo:
    """The model that the page is about."""
    return backend().known.model()


@st.cache_data(ttl=SETS_S, max_entries=64, show_spinner=False)
def cards(
    image_set: str, split: str, group: str, page: int, size: int
) -> tuple[tuple[ImageCard, ...], int]:
    """One page of the pictures of a group, and how many there are."""
    found = backend().library.images(
        image_set, split=split, group=group, page_token=str(page * size), page_size=size
    )
    return found.items, found.total


@st.cache_data(ttl=SETS_S, show_spinner=False)
def image_sets() -> tuple[ImageSet, ...]:
    """All image sets."""
    return backend().library.image_sets()


def picture(session: str, sha256: str) -> bytes:
    """The bytes of a session's picture: an upload kept with it, or one of an image set.

    Raises:
        SteerboardError: It is nowhere, or whoever holds it is away.
    """
    held: dict[str, bytes] = st.session_state.setdefault("bytes", {})
    if sha256 not in held:
        data = backend().store.upload(session, sha256) or backend().album.get([sha256]).get(sha256)
        if data is None:
            raise NotFound("the picture of this session is no longer held: choose another one")
        held.clear()
        held[sha256] = data
    return held[sha256]
