"""The services as the views see them: one connection a process, short timeouts, small caches."""

from dataclasses import dataclass

import streamlit as st

from services.ui.settings import read_settings
from steerboard.api.client import connect
from steerboard.api.jobs_client import JobClient, LibraryClient
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.catalogue import ImageCard
from steerboard.spec.runner import Runner
from steerboard.store.store import Store


@dataclass(frozen=True)
class Backend:
    """Clients of the two services, and the session store."""

    runner: Runner
    jobs: JobClient
    library: LibraryClient
    store: Store


@st.cache_resource(show_spinner=False)
def backend() -> Backend:
    """Opened once a process; channels reconnect by themselves."""
    settings = read_settings()
    return Backend(
        connect(settings.inference, settings.token),
        JobClient(settings.jobs, settings.token),
        LibraryClient(settings.jobs, settings.token),
        Store(settings.store),
    )


@st.cache_data(ttl=10, show_spinner=False)
def model() -> ModelInfo:
    """The first model that is served."""
    return backend().runner.models()[0]


@st.cache_data(ttl=300, max_entries=64, show_spinner=False)
def cards(image_set: str, group: str, page: int, size: int) -> tuple[tuple[ImageCard, ...], int]:
    """One page of the test pictures of a group, and how many there are."""
    found = backend().library.images(
        image_set, split="test", group=group, page_token=str(page * size), page_size=size
    )
    return found.items, found.total


@st.cache_data(ttl=300, show_spinner=False)
def groups() -> dict[str, tuple[str, ...]]:
    """Groups by image set."""
    return {s.id: s.groups for s in backend().library.image_sets()}


@st.cache_data(ttl=3600, max_entries=4000, show_spinner=False)
def picture(sha256: str) -> bytes:
    """The bytes of a picture; an upload is remembered here until the job door holds it."""
    held: dict[str, bytes] = st.session_state.get("uploads", {})
    return held[sha256] if sha256 in held else backend().library.get_images([sha256])[sha256]
