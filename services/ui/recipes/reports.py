"""The report of an evidence run on the page, and as files to take along."""

import io
import json

import streamlit as st

from services.ui import recovery
from services.ui.backend import backend
from services.ui.recipes.pictures import LibraryPicture
from services.ui.recipes.shelf import RUN, shelf
from steerboard.recipe.report import as_json, html, row_table, thumbnail
from steerboard.spec.errors import SteerboardError
from steerboard.spec.evidence import Evidence
from steerboard.spec.recipe import Recipe
from steerboard.store.recipe_rows import Saved


def show(saved: Saved) -> None:
    """The report that the address names, if it names one."""
    run = st.query_params.get(RUN, "")
    if not run:
        return
    try:
        evidence, rows = shelf().evidence((saved.recipe.name, saved.recipe.version), run)
    except SteerboardError as error:
        recovery.explain("This report cannot be shown.", error, shelf().latest, "report")
        st.button("Close", key="close-report", on_click=closed)
        return
    page = drawn(saved.recipe, evidence)
    with st.container(key="report"):
        title, close = st.columns([6, 1], vertical_alignment="center")
        title.html(
            f"<h4>Report: {evidence.source.image_set}, {evidence.source.split or 'all'}</h4>"
        )
        close.button("Close", key="close-report", width="stretch", on_click=closed)
        downloads(saved.recipe, evidence, rows, page)
        st.iframe(page, height="content")


def closed() -> None:
    """Put the report away; for callbacks."""
    del st.query_params[RUN]


@st.cache_data(max_entries=16, show_spinner="Drawing the report")
def page_of(_recipe: Recipe, _evidence: Evidence, digest: str, pictures: dict[str, str]) -> str:
    """The whole page, once a run."""
    return html(_recipe, _evidence, pictures)


def drawn(recipe: Recipe, evidence: Evidence) -> str:
    """The report with its pictures, as far as the library has them."""
    shown = {x.digest: x.key for x in (*evidence.best, *evidence.worst)}
    try:
        held = backend().album.get(shown)
    except SteerboardError:
        held = {}
    small = {
        key: thumbnail(LibraryPicture(key, sha256, "", {}))
        for sha256, key in shown.items()
        if sha256 in held
    }
    return page_of(recipe, evidence, evidence.digest, small)


def downloads(recipe: Recipe, evidence: Evidence, rows: list[dict[str, object]], page: str) -> None:
    """The same as files."""
    stem = f"{recipe.name}-v{recipe.version}-{evidence.source.image_set}"
    table = io.BytesIO()
    row_table(table, evidence, rows)
    record = json.dumps(as_json(recipe, evidence), indent=1) + "\n"
    files = (
        ("Report (HTML)", page, "html", "text/html"),
        ("Evidence (JSON)", record, "json", "application/json"),
        ("Rows (Parquet)", table.getvalue(), "parquet", "application/vnd.apache.parquet"),
    )
    with st.container(horizontal=True, key="report-files"):
        for label, data, suffix, mime in files:
            st.download_button(
                label,
                data,
                file_name=f"{stem}.{suffix}",
                mime=mime,
                key=f"get-{suffix}",
                icon=":material/download:",
                on_click="ignore",
            )
