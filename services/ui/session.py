"""The session behind the page: events go to the store first, the page shows their fold.

While the database does not answer, events are held here in their order and written as soon as it
does: the page goes on, and nothing that a person did is lost while it stays open.
"""

import logging
from collections import Counter
from typing import Any, cast
from urllib.parse import urlencode

import streamlit as st
from pydantic import ValidationError

from services.ui.backend import backend, model
from steerboard.spec.catalogue import name_of
from steerboard.spec.errors import NotFound, SteerboardError, Unavailable
from steerboard.store.events import Event, PictureChosen, WorkbenchState, after, fold

_LOG = logging.getLogger(__name__)
# Query parameters: the session's id, and a picture to open in it, with a feature to move.
KEY, PICTURE, ORIGIN, UNIT = "s", "picture", "from", "unit"


def named() -> str:
    """The session that the address names, or nothing."""
    return st.query_params.get(KEY, "")


def begin() -> None:
    """Take up the session that the URL names, or a new one; raises a SteerboardError."""
    name = named() or st.session_state.get("session", "")
    if name and st.session_state.get("session") == name:
        if not named():
            st.query_params[KEY] = name
        flush()
        follow()
        return
    store = backend().store
    try:
        found = fold(store.events(name)) if name else WorkbenchState()
    except NotFound:
        tell("The session that this address names is not known here; a new one was begun.")
        name, found = "", WorkbenchState()
    st.session_state["session"] = name or store.open()
    st.session_state["state"] = found
    st.session_state["unsaved"] = []
    st.query_params[KEY] = session()
    follow()


def link(picture: str, origin: str) -> str:
    """An address that opens a picture of an image set in this session."""
    return "?" + urlencode({KEY: session(), PICTURE: picture, ORIGIN: origin})


def page_address(path: str, **query: object) -> str:
    """The address of another page of this session; empty where there is no such page."""
    known = {page.url_path for page in st.session_state.get("pages", ())}
    return f"{path}?{urlencode({KEY: session(), **query})}" if path in known else ""


def feature_address(dictionary: str, feature: int) -> str:
    """The address of the page of a feature of this page's model; empty without an explorer."""
    name = name_of(dictionary, model().id)
    return page_address("features", dictionary=name, feature=feature)


def follow() -> None:
    """Open the picture that the address asks for, once."""
    wanted, origin = st.query_params.get(PICTURE, ""), st.query_params.get(ORIGIN, "")
    for name in (PICTURE, ORIGIN):
        if name in st.query_params:
            del st.query_params[name]
    if wanted and wanted != state().picture:
        act(PictureChosen, sha256=wanted, origin=origin)


def session() -> str:
    """The session's id."""
    return cast(str, st.session_state["session"])


def state() -> WorkbenchState:
    """Where the session stands."""
    return cast(WorkbenchState, st.session_state["state"])


def unsaved() -> list[Event]:
    """What is not written down yet, oldest first."""
    return cast(list[Event], st.session_state["unsaved"])


def record(event: Event) -> None:
    """Write an event down, and let the page show it; never raises, for callbacks call it."""
    unsaved().append(event)
    st.session_state["state"] = after(state(), event)
    flush()


def act(kind: type[Event], **fields: Any) -> None:
    """The same for an event that is yet to be checked; a wrong one becomes a sentence."""
    try:
        event = kind(**fields)
    except ValidationError as error:
        tell(f"This step was not taken: {'; '.join(e['msg'] for e in error.errors())}.")
        redraw()
    else:
        record(event)


def flush() -> None:
    """Write down what is held; it stays held while the database does not answer."""
    while unsaved():
        try:
            backend().store.append(session(), unsaved()[0])
        except Unavailable as error:
            _LOG.warning("%d steps are held: %s", len(unsaved()), error.message)
            return
        except SteerboardError as error:
            tell(f"This step was not written down: {error.message}.")
        unsaved().pop(0)


def tell(sentence: str) -> None:
    """Leave a sentence for the top of the page."""
    st.session_state["notice"] = sentence


def noticed() -> bool:
    """Whether a sentence waits there."""
    return "notice" in st.session_state


def told() -> str:
    """The sentence that was left, once."""
    return cast(str, st.session_state.pop("notice", ""))


def generation(of: str = "") -> str:
    """Part of the keys of widgets; another one where their values change from outside.

    Args:
        of: Whose widget it is, where its value may change alone.
    """
    counts = _generations()
    return f"{counts['']}.{counts[of]}"


def redraw(of: str = "") -> None:
    """Let all sliders take their values from the session again, or one."""
    _generations()[of] += 1


def _generations() -> Counter[str]:
    """How often each widget's value has changed from outside; of all of them together by ``""``."""
    return cast(Counter[str], st.session_state.setdefault("generations", Counter()))
