"""What a person reads when a part is away, and how the page comes back by itself."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import streamlit as st

from services.ui.backend import AWAY, backend
from services.ui.markup import plain
from steerboard.spec.errors import DeadlineExceeded, SteerboardError

_LOG = logging.getLogger(__name__)
EVERY_S = 3.0
SLOWLY_S = 15.0  # a question that was too long is not asked again and again


def sentence(error: SteerboardError) -> str:
    """The error's message as a sentence, safe to show as markdown."""
    text = error.message.strip()
    return clause(text[:1].upper() + text[1:])


def clause(message: str) -> str:
    """The end of a sentence, safe to show as markdown."""
    text = message.strip()
    return plain(text if text.endswith((".", "?", "!")) else text + ".")


def forget() -> None:
    """A new run of the page: nothing was said yet."""
    st.session_state["said"] = False


@contextmanager
def caught(key: str) -> Iterator[None]:
    """Inside, whatever goes wrong becomes a sentence: nobody ever reads a traceback here.

    Args:
        key: Distinguishes the parts of a page that are drawn so.
    """
    try:
        yield
    except SteerboardError as error:
        explain("This cannot be shown now.", error, backend().runner.models, key)
    except Exception:
        _LOG.exception("session %s", st.query_params.get("s", ""))
        st.error(
            "Something went wrong here that should not have: the log of the page says what."
            " What you did is kept; reload the page, or begin a new session above."
        )


def explain(what: str, error: SteerboardError, check: Callable[[], object], key: str) -> None:
    """Say what cannot be had and why; where waiting helps, try again by itself.

    A part that is away is explained once a run; elsewhere the page says what is missing.

    Args:
        what: A sentence that begins the message.
        error: The reason.
        check: Raises a SteerboardError as long as trying again is useless.
        key: Distinguishes the places where this is shown.
    """
    if not isinstance(error, AWAY):
        st.error(f"{what} {sentence(error)}")
        return
    if st.session_state.get("said"):
        st.caption(what)
        return
    st.session_state["said"] = True
    st.warning(f"{what} {sentence(error)} What you did is kept.")
    every_s = SLOWLY_S if isinstance(error, DeadlineExceeded) else EVERY_S
    again(check, key, every_s)


def again(check: Callable[[], object], key: str, every_s: float = EVERY_S) -> None:
    """A line that says so, and a quiet look every few seconds; the page reruns once it helps."""
    began = time.monotonic()

    def look() -> None:
        line = st.container(horizontal=True, vertical_alignment="center", key=f"again-{key}")
        line.button("Try again now", key=f"now-{key}", on_click=lambda: None)
        line.caption(f"This page also tries by itself every {every_s:.0f} seconds.")
        # The first drawing is part of the run that has just failed.
        if time.monotonic() - began > 1.0 and helps(check):
            st.rerun()

    st.fragment(look, run_every=every_s)()


def helps(check: Callable[[], object]) -> bool:
    """Whether what was away is back."""
    try:
        check()
    except SteerboardError:
        return False
    return True
