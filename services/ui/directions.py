"""Directions of a person's own: named in words at the embedding, or numbers from a file."""

import io
import re

import numpy as np
import numpy.typing as npt
import streamlit as st

from services.ui import markup
from services.ui.backend import backend, model
from services.ui.predict import prompts
from services.ui.session import act, state, tell
from steerboard.spec.errors import InvalidRequest, SteerboardError
from steerboard.spec.requests import Embed, Margin
from steerboard.spec.tensor import Tensor
from steerboard.store.events import HowChosen
from steerboard.store.how import How

EMBEDDING = "embedding"
MOST = 16
TEMPLATE = "a photo of {}"
FILED = re.compile(r".+\.npy \d+")


def begin(decision: Margin) -> None:
    """Directions towards the two answers that are weighed, at the embedding."""
    names = prompts().names
    take_words(tuple(names[i] for i in (decision.index, decision.against) if i is not None))


def take_words(words: tuple[str, ...]) -> None:
    """Directions that the text tower gives to these words; a sentence where it cannot."""
    texts = tuple(TEMPLATE.replace("{}", word) for word in words)
    try:
        found = backend().runner.embed(Embed(model=model().id, texts=texts)).results()
    except SteerboardError as error:
        tell(f"These words give no direction: {error.message}.")
        return
    take(np.array([e.values for e in found]), words, EMBEDDING)


def take(rows: npt.NDArray[np.float32], words: tuple[str, ...], site: str) -> None:
    """Write directions ``[n, d]`` down."""
    method = "gradient" if state().how.method == "circuit" else state().how.method
    changes = {
        "units": "direction",
        "site": site,
        "directions": Tensor.of(rows),
        "words": words,
        "method": method,
    }
    act(HowChosen, how=state().how.model_copy(update=changes))


def show(now: How) -> None:
    """Words at the embedding, or a file at any place."""
    # Names of a file's rows are no words: whoever edits the field begins with an empty one.
    filed = all(FILED.fullmatch(word) for word in now.words)
    text = "\n".join(now.words) if now.site == EMBEDDING and not filed else ""
    key = f"words-{hash(now.words)}"
    st.text_area(
        "Directions in words, one a line (at the embedding)",
        value=text,
        key=key,
        height=110,
        on_change=lambda: worded(st.session_state[key]),
        help="The text tower turns each into a direction that the model's answer can be moved on.",
    )
    if filed:
        st.caption(markup.plain(f"Now: {', '.join(now.words)}, at {now.site}."))
    with st.popover("Numbers from a file", icon=":material/upload_file:"):
        show_file()


def worded(text: str) -> None:
    """The lines of the field."""
    words = tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if words:
        take_words(words[:MOST])


def show_file() -> None:
    """A file of numbers, and the place that they belong to."""
    names = [s.name for s in model().sites]
    site = st.selectbox("Place", names, index=len(names) - 1, key="direction-site")
    file = st.file_uploader("NumPy file (.npy), [n, d] or [d]", type=["npy"], key="direction-file")
    if file is None or st.session_state.get("direction-taken") == (file.file_id, site):
        return
    st.session_state["direction-taken"] = (file.file_id, site)
    try:
        place = model().site(site)
        rows = numbers(file.getvalue(), place.width if place else 0, site)
    except InvalidRequest as error:
        st.error(f"{markup.plain(file.name)} is not used: {markup.plain(error.message)}.")
        return
    take(rows, tuple(f"{file.name} {i}" for i in range(len(rows))), site)
    st.rerun()


def numbers(data: bytes, width: int, site: str) -> npt.NDArray[np.float32]:
    """Rows ``[n, width]`` of a NumPy file, none of them unpickled; raises InvalidRequest."""
    try:
        found = np.load(io.BytesIO(data), allow_pickle=False)
        rows = np.atleast_2d(np.asarray(found, np.float32))
    except (ValueError, EOFError, OSError, TypeError) as error:
        raise InvalidRequest("it holds no array of numbers: save one with numpy.save") from error
    if rows.ndim != 2 or rows.shape[1] != width or not 1 <= len(rows) <= MOST:
        raise InvalidRequest(
            f"its shape {list(np.shape(found))} is not [n, {width}] with 1 to {MOST} rows, as"
            f" {site} needs"
        )
    if not np.isfinite(rows).all() or not rows.any(axis=1).all():
        raise InvalidRequest("a direction is finite and not zero: take out the rows that are not")
    return rows
