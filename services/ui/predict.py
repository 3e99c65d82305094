"""Step 1, Predict: a picture, candidate prompts, and what the model says."""

import streamlit as st
from pydantic import ValidationError

from services.ui.backend import backend, cards, groups, model, picture
from services.ui.pictures import enlarged
from services.ui.session import record, state
from steerboard.spec.answers import Prediction
from steerboard.spec.digest import image_digest
from steerboard.spec.requests import Encoded, Predict, Prompts
from steerboard.store.events import PictureChosen, PromptsSet

SHELF = 12  # pictures a page
SHOWN = 6  # bars


def choose_picture() -> None:
    """The shelf: a set's pictures by group, or an upload."""
    shelf, upload = st.tabs(["From the image set", "Upload"])
    with shelf:
        sets = groups()
        for image_set, names in sets.items():
            group = st.segmented_control(
                "Group",
                names,
                default=names[0],
                key=f"group-{image_set}",
                label_visibility="collapsed",
            )
            show_shelf(image_set, group or names[0])
    with upload:
        file = st.file_uploader("A picture of your own", key="upload")
        if file is not None:
            take_upload(file.getvalue(), file.name)


def show_shelf(image_set: str, group: str) -> None:
    """One page of thumbnails, each with its button."""
    page = st.session_state.get(f"page-{group}", 0)
    found, total = cards(image_set, group, page, SHELF)
    columns = st.columns(SHELF // 2)
    for i, card in enumerate(found):
        with columns[i % len(columns)]:
            st.image(enlarged(picture(card.sha256), 96), width="stretch")
            chosen = card.sha256 == state().picture
            st.button(
                card.label,
                key=f"pick-{group}-{i}",
                type="primary" if chosen else "secondary",
                width="stretch",
                on_click=lambda c=card: record(
                    PictureChosen(sha256=c.sha256, origin=f"{image_set}/{c.path}")
                ),
            )
    last = max(0, (total - 1) // SHELF)
    before, where, after = st.columns([1, 2, 1])
    before.button(
        "Earlier", key=f"earlier-{group}", disabled=page == 0, on_click=turn, args=(group, page - 1)
    )
    where.caption(f"page {page + 1} of {last + 1}; {total} pictures")
    after.button(
        "Later", key=f"later-{group}", disabled=page == last, on_click=turn, args=(group, page + 1)
    )


def turn(group: str, page: int) -> None:
    """Go to another page of the shelf."""
    st.session_state[f"page-{group}"] = page


def take_upload(data: bytes, name: str) -> None:
    """Show an upload; whether it is a picture is for the inference service to say."""
    sha256 = image_digest(data)
    if st.session_state.get("last_upload") == sha256:
        return
    st.session_state["last_upload"] = sha256
    # Asked now, so that a file that is no picture is refused before it enters the session.
    ask(data)
    st.session_state.setdefault("uploads", {})[sha256] = data
    record(PictureChosen(sha256=sha256, origin=name))
    st.rerun()


def prompts() -> Prompts:
    """The session's prompts, or those that the model comes with."""
    now = state()
    return Prompts(
        prompts=now.prompts or model().prompts,
        template=now.template if now.prompts else model().template,
    )


def edit_prompts() -> None:
    """Free text, one prompt a line."""
    now = prompts_text()
    st.text_area(
        "Candidate prompts, one a line",
        value=now[0],
        key="prompts",
        height=180,
        on_change=set_prompts,
    )
    st.text_input("Template", value=now[1], key="template", on_change=set_prompts)


def prompts_text() -> tuple[str, str]:
    """What stands in the two fields."""
    now = state()
    names = now.prompts or model().prompts
    return "\n".join(names), now.template if now.prompts else model().template


def set_prompts() -> None:
    """Take the fields over if they make a classifier; else say what is wrong."""
    lines = tuple(line.strip() for line in st.session_state["prompts"].splitlines() if line.strip())
    try:
        Prompts(prompts=lines, template=st.session_state["template"])
    except ValidationError as error:
        st.session_state["prompt_error"] = "; ".join(
            e["msg"].removeprefix("Value error, ") for e in error.errors()
        )
        return
    st.session_state["prompt_error"] = ""
    record(PromptsSet(prompts=lines, template=st.session_state["template"]))


def ask(data: bytes) -> Prediction:
    """What the model says about a picture; raises a SteerboardError."""
    request = Predict(model=model().id, images=(Encoded(data=data),), classifier=prompts())
    return backend().runner.predict(request).one()


def bars(before: Prediction, names: tuple[str, ...], after: Prediction | None = None) -> None:
    """The most probable prompts as bars, before and (where there is one) after."""
    order = before.probabilities.argsort()[::-1]
    shown = list(order[:SHOWN])
    if after is not None and after.top not in shown:
        shown[-1] = after.top
    for i in shown:
        p = float(before.probabilities[i])
        now = f" → {float(after.probabilities[i]):.1%}" if after is not None else ""
        mark = " ◀" if after is not None and i == after.top else ""
        st.progress(
            p if after is None else float(after.probabilities[i]),
            text=f"**{names[i]}**  {p:.1%}{now}{mark}",
        )
