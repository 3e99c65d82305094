"""Choosing a picture: from an image set, or one's own file."""

from collections.abc import Sequence

import streamlit as st

from services.ui import markup, predict, recovery, sets
from services.ui.backend import AWAY, backend, cards, image_sets, model
from services.ui.deck import TOLD_OF, chosen
from services.ui.pictures import thumbnail
from services.ui.session import record, session, state
from steerboard.api.convert_library import ImageSet
from steerboard.spec.catalogue import ImageCard
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import SteerboardError
from steerboard.store.events import PictureChosen, PictureUploaded

COLUMNS, ROWS = 8, 2
SIDE = 128


def show() -> None:
    """The shelf and the upload; closed once a picture is open."""
    if state().picture and not st.session_state.get("choosing"):
        st.button(
            "Choose another picture", key="choose", icon=":material/photo_library:", on_click=choose
        )
        return
    with st.container(border=True, key="picker"):
        title, close = st.columns([6, 1], vertical_alignment="center")
        title.markdown("**Choose a picture**")
        if state().picture:
            close.button("Close", key="close", on_click=choose, args=(False,), width="stretch")
        shelf, upload = st.tabs(["From the image set", "Upload your own"])
        with shelf:
            try:
                show_sets()
            except SteerboardError as error:
                recovery.explain(
                    "The image sets cannot be shown. You can still upload a picture.",
                    error,
                    lambda: backend().library.image_sets(),
                    "shelf",
                )
        with upload:
            show_upload()


def choose(opened: bool = True) -> None:
    """Open or close the shelf."""
    st.session_state["choosing"] = opened


def show_sets() -> None:
    """Every set's splits and groups, and one page of the chosen one."""
    for found in image_sets():
        if not say(found):
            continue
        split, group = found.splits[0] if found.splits else "", ""
        with st.container(horizontal=True, vertical_alignment="center", key=f"part-{found.id}"):
            if found.groups:
                group = one_of("Group of pictures", found.groups, f"group-{found.id}")
            if len(found.splits) > 1:
                split = one_of("Split", by_use(found), f"split-{found.id}")
        if split == TOLD_OF and len(found.splits) > 1:
            st.caption(
                "What is chosen by looking at these pictures cannot be told of them: evidence for a"
                " recipe leaves out those that you open. Choose on another split."
            )
        # Sets may have groups of one name: only those of the first need no more than that.
        own = group if found.id == image_sets()[0].id else f"{found.id}-{group}"
        show_page(found.id, split, group, own)


def say(found: ImageSet) -> bool:
    """What a set is called and what is amiss with it; whether it has pictures to show."""
    if not found.size:
        with st.container(key=f"empty-{found.id}"):
            st.warning(f"Image set {sets.line(found)}")
            st.button("Look again", key=f"look-{found.id}", on_click=image_sets.clear)
        return False
    how = (
        "These pictures cannot be read and are nowhere shown or counted."
        " `steerboard check config` names each of them with the reason."
    )
    st.caption(sets.line(found), help=how if sets.broken(found) else None)
    return True


def by_use(found: ImageSet) -> list[str]:
    """The splits of a set: first that to choose on, last that which results are told of."""
    return sorted(found.splits, key=lambda s: (s == TOLD_OF, s != chosen(found)))


def one_of(label: str, options: Sequence[str], key: str) -> str:
    """A choice in a line; nothing to choose, nothing drawn."""
    if len(options) < 2:
        return options[0]
    return st.segmented_control(
        label,
        options,
        default=options[0],
        required=True,
        format_func=str.capitalize,
        key=key,
        label_visibility="collapsed",
    )


def show_page(image_set: str, split: str, group: str, own: str) -> None:
    """One page of thumbnails, each with its button; ``own`` tells it from other sets' pages."""
    key = f"page-{image_set}-{split}-{group}"
    page, size = st.session_state.get(key, 0), COLUMNS * ROWS
    found, total = cards(image_set, split, group, page, size)
    held = backend().album.get(c.sha256 for c in found)
    for start in range(0, len(found), COLUMNS):
        columns = st.columns(COLUMNS, gap="small")
        for i, card in enumerate(found[start : start + COLUMNS]):
            with columns[i]:
                show_card(image_set, own, start + i, card, held.get(card.sha256))
    last = max(0, (total - 1) // size)
    if last:
        pager(key, page, last, total)
    if not total:
        st.info("There are no pictures here.")


def show_card(image_set: str, own: str, place: int, card: ImageCard, data: bytes | None) -> None:
    """A thumbnail over the button that opens it."""
    if data is not None:
        st.html(
            f'<img src="{thumbnail(data, SIDE)}" alt="" style="width:100%;border-radius:.4rem">'
        )
    st.button(
        markup.plain(card.label) or f"Picture {place + 1}",
        key=f"pick-{own}-{place}",
        type="primary" if card.sha256 == state().picture else "secondary",
        width="stretch",
        on_click=take,
        args=(PictureChosen(sha256=card.sha256, origin=f"{image_set}/{card.path}"),),
    )


def take(event: PictureChosen | PictureUploaded) -> None:
    """Open a picture and close the shelf."""
    record(event)
    st.session_state["taken"] = st.session_state.get("taken", 0) + 1
    choose(False)


def pager(key: str, page: int, last: int, total: int) -> None:
    """Where in the group one is, and the ways on."""
    before, where, after = st.columns([1, 3, 1], vertical_alignment="center")
    before.button(
        "Earlier",
        key=f"earlier-{key}",
        disabled=page == 0,
        on_click=turn,
        args=(key, page - 1),
        width="stretch",
    )
    with where.container(horizontal_alignment="center"):
        st.caption(f"Page {page + 1} of {last + 1}, {total} pictures", text_alignment="center")
    after.button(
        "Later",
        key=f"later-{key}",
        disabled=page == last,
        on_click=turn,
        args=(key, page + 1),
        width="stretch",
    )


def turn(key: str, page: int) -> None:
    """Go to another page of the shelf."""
    st.session_state[key] = page


def show_upload() -> None:
    """A file of one's own; refused with a sentence before it enters the session."""
    file = st.file_uploader(
        "A picture: JPEG, PNG, WebP, the first frame of a GIF",
        key=f"upload-{st.session_state.get('taken', 0)}",  # a new one after each picture
        max_upload_size=upload_limit(),
    )
    if file is None:
        return
    try:
        upload(file.getvalue(), file.name)
    except SteerboardError as error:
        error.message = error.message.replace("picture 1", f"“{file.name}”", 1)
        recovery.explain(
            "This file is not opened." if not isinstance(error, AWAY) else "Not opened yet.",
            error,
            lambda: backend().runner.models(),
            "upload",
        )
    else:
        st.rerun()


def upload_limit() -> int:
    """MiB that the model's service takes; its usual limit while it is away."""
    try:
        return max(1, model().limits.max_image_bytes >> 20)
    except SteerboardError:
        return 20


def upload(data: bytes, name: str) -> None:
    """Keep a picture that the model can read, and open it; raises a SteerboardError."""
    predict.ask(data)
    backend().store.keep(session(), data)
    take(PictureUploaded(sha256=image_digest(data), name=name))
