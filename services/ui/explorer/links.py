"""Links within the page's HTML that do not load the page anew.

Every link has a real address, so that it can be opened in another tab, sent to somebody, and works
without JavaScript. Where there is some, a plain click goes to the script instead.
"""

from urllib.parse import parse_qsl

import streamlit as st

HOME = "./"
JS = """
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
  document.addEventListener("click", follow, true);
  return () => document.removeEventListener("click", follow, true);
}
"""


def follow() -> None:
    """Go where a link was clicked; first thing on a page that has soft links."""
    # Registered in each run: a component belongs to the server, which may have been started anew.
    listen = st.components.v2.component("soft_links", js=JS)
    clicked = listen(key="soft-links", on_gone_change=lambda: None).gone
    if not isinstance(clicked, str) or "?" not in clicked:
        return
    place, _, query = clicked.partition("?")
    wanted = dict(parse_qsl(query))
    if place == HOME:
        st.switch_page(st.session_state["pages"][0], query_params=wanted)
    st.query_params.from_dict(wanted)
