"""Sums that take seconds, done behind the page: one for each slot of it, by what is asked."""

import logging
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import streamlit as st

from services.ui import markup
from services.ui.backend import backend
from steerboard.spec.errors import Internal, SteerboardError

_LOG = logging.getLogger(__name__)
T = TypeVar("T")
GLANCE_S, LOOK_S = 0.4, 0.5  # what is found at once is shown at once


@dataclass
class Work(Generic[T]):
    """One question and what came of it."""

    key: str
    found: T | None = None
    trouble: SteerboardError | None = None

    @property
    def done(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.found is not None or self.trouble is not None


def begun(slot: str, key: str, task: Callable[[], T]) -> Work[T]:
    """The work of a slot; begun now where its question is another one than before."""
    held = cast("Work[T] | None", st.session_state.get(slot))
    if held is not None and held.key == key:
        return held
    now = st.session_state[slot] = Work[T](key)
    wait([backend().threads.submit(run, now, task)], GLANCE_S)
    return now


def run(now: Work[T], task: Callable[[], T]) -> None:
    """Fill in what is found, or why nothing is."""
    try:
        now.found = task()
    except SteerboardError as error:
        now.trouble = error
    except Exception:
        _LOG.exception("behind the page of concepts")
        now.trouble = Internal("the log of the page says why")


def follow(now: Work[T], text: str) -> None:
    """A line that says what is being done, until the page can be drawn with it."""

    def look() -> None:
        if now.done:
            st.rerun()
        st.html(markup.busy(text))

    st.fragment(look, run_every=LOOK_S)()


def forget(slot: str) -> None:
    """Ask anew the next time."""
    st.session_state.pop(slot, None)
