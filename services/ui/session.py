"""The session behind the page: events go to the store first, the page shows their fold."""

from typing import cast

import streamlit as st

from services.ui.backend import backend
from steerboard.spec.errors import NotFound
from steerboard.store.events import Event, WorkbenchState, after, fold

KEY = "s"  # the query parameter that holds the session's id


def begin() -> WorkbenchState:
    """The state of the session that the URL names, or of a new one."""
    name = st.query_params.get(KEY)
    if name and st.session_state.get("session") == name:
        return state()
    store = backend().store
    try:
        found = fold(store.events(name)) if name else WorkbenchState()
    except NotFound:
        st.warning("The session that this address names is not known here; a new one was begun.")
        name, found = None, WorkbenchState()
    st.session_state["session"] = name or store.open()
    st.session_state["state"] = found
    st.query_params[KEY] = st.session_state["session"]
    return found


def state() -> WorkbenchState:
    """Where the session stands."""
    return cast(WorkbenchState, st.session_state["state"])


def record(event: Event) -> None:
    """Write an event down, then let the page show it."""
    backend().store.append(st.session_state["session"], event)
    st.session_state["state"] = after(state(), event)
