"""What people call a feature and say of it: shown, and written down."""

from datetime import UTC

import streamlit as st

from services.ui import markup, recovery
from services.ui.backend import backend
from services.ui.explorer import pieces, reading
from steerboard.spec.catalogue import Kind, Labels, Said
from steerboard.spec.errors import SteerboardError

VOTES = ((1, "Right", ":material/thumb_up:"), (-1, "Wrong", ":material/thumb_down:"))


def read(dictionary: str, feature: int) -> tuple[Labels, tuple[Said, ...], SteerboardError | None]:
    """What holds, everything that was said, and why it cannot be read where it cannot."""
    try:
        return *backend().library.labels(dictionary, feature), None
    except SteerboardError as error:
        return Labels(), (), error


def show(
    dictionary: str,
    feature: int,
    labels: Labels,
    said: tuple[Said, ...],
    away: SteerboardError | None,
) -> None:
    """Name, votes, tags, notes; the boxes to say something; and the history."""
    st.html(pieces.section("What people say"))
    if away is not None:
        st.caption(f"This cannot be read or written now: {recovery.clause(away.message)}")
        return
    summary(labels)
    if problem := st.session_state.pop("ex-say-problem", ""):
        st.warning(problem)
    who, right = st.columns(2, vertical_alignment="bottom")
    who.text_input(
        "Your name", key="ex-author", max_chars=200, placeholder="who says so",
        value=st.session_state.get("author", ""), on_change=remember,
    )  # fmt: skip
    where = (dictionary, feature)
    with right:
        vote(where, labels)
    with st.form(f"ex-say-{feature}", clear_on_submit=True, border=False):
        name, tag = st.columns(2)
        name.text_input("What you would call it", key="ex-name", max_chars=200,
                        placeholder=labels.name or "a name of your own")  # fmt: skip
        tag.text_input("A tag", key="ex-new-tag", max_chars=60,
                       placeholder="a word to find it by")  # fmt: skip
        st.text_area("A note", key="ex-note", max_chars=10_000, height=68,
                     placeholder="what you saw")  # fmt: skip
        st.form_submit_button("Write down", on_click=written, args=where)
    history(said)


def summary(labels: Labels) -> None:
    """What holds."""
    if labels.name:
        votes = f"{labels.votes:+d}".replace("-", "−") if labels.votes else "no"
        st.markdown(
            f"**{markup.plain(labels.name)}**, named by {markup.plain(labels.named_by)}, {votes}"
            " votes"
        )
    if labels.tags:
        st.caption("Tags: " + ", ".join(markup.plain(tag) for tag in labels.tags))


def remember() -> None:
    """Who speaks, for the whole visit."""
    st.session_state["author"] = st.session_state["ex-author"].strip()


def vote(where: tuple[str, int], labels: Labels) -> None:
    """Is the name right?"""
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.caption("Is its name right?" if labels.name else "Is its label right?")
        for value, text, icon in VOTES:
            st.button(text, key=f"ex-vote-{value}", icon=icon, on_click=say,
                      args=(*where, "vote", "", value))  # fmt: skip


def written(dictionary: str, feature: int) -> None:
    """Write down whatever of the form is filled in."""
    kinds: tuple[tuple[str, Kind], ...] = (
        ("ex-name", "name"),
        ("ex-new-tag", "tag"),
        ("ex-note", "note"),
    )
    filled = [(k, st.session_state.get(key, "").strip()) for key, k in kinds]
    if not any(text for _, text in filled):
        st.session_state["ex-say-problem"] = "There is nothing to write down yet."
    for kind, text in filled:
        if text:
            say(dictionary, feature, kind, text)


def say(dictionary: str, feature: int, kind: Kind, text: str = "", value: int = 0) -> None:
    """Say one thing; what is wrong with it stands on the page."""
    author = st.session_state.get("ex-author", "").strip()
    try:
        backend().library.say(dictionary, feature, author, kind, text, value)
    except SteerboardError as error:
        st.session_state["ex-say-problem"] = f"Not written down. {recovery.sentence(error)}"
    else:
        reading.forget()


def history(said: tuple[Said, ...]) -> None:
    """Everything that was said, the latest first."""
    if said:
        with st.expander(f"Everything that was said ({len(said)})"):
            st.html(
                pieces.remarks(pieces.remark(s.author, when(s), what(s)) for s in reversed(said))
            )


def when(one: Said) -> str:
    """Its time."""
    return one.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def what(one: Said) -> str:
    """What was said, in words."""
    match one.kind:
        case "name":
            return f"called it “{one.text}”" if one.text else "took the name back"
        case "note":
            return f"noted: {one.text}"
        case "tag":
            return f"tagged it “{one.text}”"
        case "untag":
            return f"took the tag “{one.text}” away"
        case "vote":
            return {1: "thinks the name is right", -1: "thinks the name is wrong"}.get(
                one.value, "has no opinion any more"
            )
