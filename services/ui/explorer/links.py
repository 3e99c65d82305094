"""Links within the page's HTML that do not load the page anew, and a history that Back can walk.

Every link has a real address, so that it can be opened in another tab, sent to somebody, and works
without JavaScript. Where there is some, a plain click goes to the script instead.
"""

from urllib.parse import parse_qsl

import streamlit as st

HOME = "./"
KEY, CLICKED = "soft-links", "soft-clicked"
# Streamlit adds an entry to the browser's history for each parameter that the script sets on the
# way to another page, and Back would stop at all of them: a person's act adds one at most.
JS = """
const oneEntryAnAct = () => {
  if (window.oneEntryAnAct) return;
  window.oneEntryAnAct = true;
  const push = window.history.pushState.bind(window.history);
  let acted = false;
  for (const act of ["pointerdown", "keydown", "click"])
    document.addEventListener(act, () => { acted = true; }, true);
  window.addEventListener("popstate", () => { acted = false; }, true);
  window.history.pushState = (...entry) => {
    if (acted) push(...entry); else window.history.replaceState(...entry);
    acted = false;
  };
};

export default function ({ setTriggerValue }) {
  const follow = (event) => {
    const link = event.target.closest && event.target.closest("a[data-soft]");
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey;
    if (!link || !plain) return;
    event.preventDefault();
    setTriggerValue("gone", link.getAttribute("href"));
    if (link.dataset.soft === "top") window.scrollTo(0, 0);
    const main = document.querySelector('[data-testid="stMain"]');
    if (main && link.dataset.soft === "top") main.scrollTo(0, 0);
  };
  oneEntryAnAct();
  document.addEventListener("click", follow, true);
  return () => document.removeEventListener("click", follow, true);
}
"""


def turn() -> None:
    """Go where a link was clicked; first thing on a page that has soft links."""
    clicked = st.session_state.pop(CLICKED, "")
    place, asked, query = clicked.partition("?")
    if not asked:
        return
    wanted = dict(parse_qsl(query))
    if place == HOME:
        st.switch_page(st.session_state["pages"][0], query_params=wanted)
    st.query_params.from_dict(wanted)


def listen() -> None:
    """Hear clicks; the last thing on such a page, so that it holds up nothing that is seen."""
    # Registered in each run: a component belongs to the server, which may have been started anew.
    ear = st.components.v2.component("soft_links", js=JS)
    ear(key=KEY, on_gone_change=heard)


def heard() -> None:
    """Leave a click for the run that it begins."""
    gone = st.session_state[KEY].get("gone")
    st.session_state[CLICKED] = gone if isinstance(gone, str) else ""
