"""The catalogue's explorer: find a feature, look at it, open it in the workbench."""

import streamlit as st

from services.ui import markup, recovery
from services.ui.backend import backend
from services.ui.explorer import browse, controls, feature, links, pieces, reading
from services.ui.explorer.address import here, passed_over
from steerboard.spec.errors import SteerboardError


def show() -> None:
    """All features, or the page of the one that the address names."""
    st.html(f"<style>{pieces.STYLE}</style>")
    links.turn()
    if here().feature is None:
        listed()
    else:
        shown()
    links.listen()


@st.fragment(key=controls.LISTED)
def listed() -> None:
    """All features. What narrows them runs this part of the page alone, not the page."""
    shown()


def shown() -> None:
    """What the address names."""
    at = here()
    if wrong := passed_over(st.query_params.to_dict()):
        st.caption(f"Passed over in the address: {markup.plain(', '.join(wrong))}.")
    try:
        fit = reading.meant(reading.catalogues(), at.dictionary)
        if at.dictionary and len(fit) > 1:
            browse.several(at, fit)
            return
        info = reading.catalogue(at.dictionary)
        if not at.dictionary:  # so that the address stays that of this view
            st.query_params["dictionary"] = info.key
        if info.trouble:
            browse.unfit(info)
        elif at.feature is None:
            browse.show(at, info)
        else:
            feature.show(at, info, at.feature)
    except SteerboardError as error:
        recovery.explain(
            "The catalogue cannot be shown now.", error, backend().library.catalogues, "catalogue"
        )
