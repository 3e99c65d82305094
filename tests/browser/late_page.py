"""Two pages for Streamlit: a timer of the first one fires while the second one is being drawn."""

import streamlit as st
from streamlit.runtime.fragment import MemoryFragmentStorage
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData

from services.ui import latecomers


def timer_fires(left: str) -> None:
    """Put into the queue what the browser sends while it still shows the page that is left."""
    here = get_script_run_ctx()
    assert here is not None and here.script_requests is not None
    held = here.fragment_storage
    assert isinstance(held, MemoryFragmentStorage)
    (timer,) = held._fragments
    here.script_requests.request_rerun(RerunData(page_script_hash=left, fragment_id=timer))


def first() -> None:
    """A page with a timer, and a way to the other one."""
    st.fragment(lambda: st.write("a timer"), run_every=600)()
    if st.button("Go"):
        st.session_state["left"] = FIRST._script_hash
        st.switch_page(SECOND)


def second() -> None:
    """A page that is about to be cleared."""
    st.write("the second page")
    if left := st.session_state.pop("left", ""):
        timer_fires(left)


FIRST, SECOND = st.Page(first, default=True), st.Page(second)
latecomers.install()
st.navigation([FIRST, SECOND], position="hidden").run()
