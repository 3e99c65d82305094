"""The catalogue's explorer: find a feature, look at it, open it in the workbench."""

import streamlit as st


def show() -> None:
    """What is known of every feature."""
    st.title("Features")
