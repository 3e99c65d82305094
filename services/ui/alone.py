"""Parts of the page that run alone: a moved slider draws the answer and its own row, no more.

Streamlit draws the whole page at each step, which costs a dozen times what one slider does. A part
is a fragment with a name; a callback that knows which parts show what it changed names them.
"""

from collections.abc import Callable
from contextlib import suppress

import streamlit as st
from streamlit.errors import StreamlitAPIException

from services.ui import recovery
from services.ui.session import named, noticed
from steerboard.api.speaking import speak_for

ANSWER = "answer"


def part(name: str, draw: Callable[[], None]) -> None:
    """Draw a part now, and again whenever ``only`` names it.

    Args:
        name: Of the part, one on a page.
        draw: Reads the session's state anew each time; all else is as the page was drawn.
    """

    def run() -> None:
        speak_for(named())
        with recovery.caught(name):
            draw()

    st.fragment(run, key=name)()


def only(*names: str) -> None:
    """For callbacks: draw these parts in this order, and nothing else.

    The whole page where there is something to say at its top, or where a part is gone.
    """
    if not noticed():
        recovery.forget()
        with suppress(StreamlitAPIException):
            st.rerun(list(names))
    whole()


def whole() -> None:
    """For callbacks of what is drawn in a part: draw the page."""
    st.rerun()
