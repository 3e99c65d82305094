"""How concepts lie to each other in the model, as a matrix and a tree, and beside other views."""

import csv
import io

import numpy as np
import numpy.typing as npt
import streamlit as st

from services.ui import markup
from services.ui.backend import backend, model
from services.ui.concepts import address, gathering, kinds
from services.ui.concepts.address import Address
from services.ui.concepts.pool import MOST_VALUES, attributes
from services.ui.recipes.pictures import facts_of
from steerboard.analysis.concept_map import ConceptMap, alike, cosines, figure, of_experts, of_texts
from steerboard.analysis.expertise import expertise
from steerboard.analysis.responses import Place
from steerboard.spec.catalogue import ImageCard
from steerboard.spec.digest import digest
from steerboard.spec.errors import InvalidRequest, SteerboardError

LEAST = 4  # pictures of a value
Floats = npt.NDArray[np.float64]


def asked(at: Address) -> str:
    """The attribute whose map is drawn, or nothing; a link to a map opens it."""
    if at.map_of:
        st.session_state["map-of"], st.session_state["map-draw"] = at.map_of, True
    return st.session_state.get("map-of", "") if st.session_state.get("map-draw") else ""


def show(cards: tuple[ImageCard, ...], where: Place) -> None:
    """The map of all values of one attribute."""
    known = {n: v for n, v in attributes(cards).items() if len(v) <= MOST_VALUES}
    digests = tuple(card.sha256 for card in cards)
    now = gathering.current(where, digests)
    if not known or not now.ready:
        return
    opened = bool(st.session_state.get("map-draw"))
    title = "Concept map: how they lie to each other in the model"
    with st.expander(title, key="concept-map", expanded=opened):
        names = sorted(known, key=lambda n: (n != "label", n))
        address.begin("map-of", "", names)
        name = st.selectbox(
            "Concepts are the values of", names, key="map-of", on_change=address.touched
        )
        values = tuple(sorted(v for v, n in known[name].items() if n >= LEAST))
        if len(values) < 3:
            st.caption(f"A map needs three values with {LEAST} pictures each.")
            return
        if st.toggle("Draw the map", key="map-draw", on_change=address.touched):
            draw(cards, where, name, values)


def draw(cards: tuple[ImageCard, ...], where: Place, name: str, values: tuple[str, ...]) -> None:
    """Matrix, tree, and what others say of the same concepts."""
    digests = tuple(card.sha256 for card in cards)
    own = tuple(facts_of(card).get(name, "") for card in cards)
    found = experts_map(digests, where, own, values)
    st.image(picture(found, f"{name}, by the {kinds.called(where)}"), width="stretch")
    beside(found, digests, own)


def experts_map(
    digests: tuple[str, ...], where: Place, own: tuple[str, ...], values: tuple[str, ...]
) -> ConceptMap:
    """Correlation of AP profiles, worked out once."""
    key = digest(digests, kinds.key(where), own, values, model().fingerprint)
    held: tuple[str, ConceptMap] | None = st.session_state.get("concept-map-of")
    if held is None or held[0] != key:
        places, rows = gathering.current(where, digests).matrix()
        said = np.array(own)[places]
        found = of_experts(values, [expertise(rows, said == v) for v in values])
        held = st.session_state["concept-map-of"] = (key, found)
    return held[1]


def picture(found: ConceptMap, title: str) -> bytes:
    """The drawing as PNG."""
    out = io.BytesIO()
    figure(found, title).savefig(out, dpi=110, format="png")
    return out.getvalue()


def beside(found: ConceptMap, digests: tuple[str, ...], own: tuple[str, ...]) -> None:
    """Agreement with plain embeddings and with people's similarities."""
    now = gathering.current(None, digests)
    if not now.ready:
        gathering.follow(now, "Embedding the pictures, to compare")
        return
    images = mean_embeddings(now, found.names, own)
    try:
        texts = of_texts(backend().runner, model().id, found.names).similarity
    except SteerboardError as error:
        st.caption(f"Not compared with texts: {markup.plain(error.message)}.")
        return
    views = {"experts": found.similarity, "image embeddings": images, "text embeddings": texts}
    lines = [
        f"{one} and {two} {alike(views[one], views[two]):.2f}"
        for one, two in (
            ("experts", "image embeddings"),
            ("experts", "text embeddings"),
            ("image embeddings", "text embeddings"),
        )
    ]
    st.caption(f"Agreement (Spearman, upper triangle): {'; '.join(lines)}.")
    people(found, views)


def mean_embeddings(
    now: gathering.Gathering, names: tuple[str, ...], own: tuple[str, ...]
) -> Floats:
    """Cosine of the mean embeddings of each concept's pictures ``[c, c]``."""
    places, rows = now.matrix()
    table, said = np.asarray(rows.todense(), np.float64), np.array(own)[places]
    return cosines(np.array([table[said == name].mean(0) for name in names]))


def people(found: ConceptMap, views: dict[str, Floats]) -> None:
    """A matrix of similarities that people gave, set beside the model's."""
    file = st.file_uploader(
        "Similarities that people gave: CSV with the names in its first line and first column",
        type=["csv"],
        key="map-people",
    )
    if file is None:
        return
    try:
        given = read(file.getvalue(), found.names)
        lines = [f"{name} {alike(given, view):.2f}" for name, view in views.items()]
    except InvalidRequest as error:
        st.error(f"{markup.plain(file.name)} is not used: {markup.plain(error.message)}.")
        return
    st.caption(f"Agreement with people: {'; '.join(lines)}.")


def read(data: bytes, names: tuple[str, ...]) -> Floats:
    """Similarities ``[c, c]`` in the order of ``names``; raises InvalidRequest."""
    try:
        head, *rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))
        columns = [name.strip() for name in head[1:]]
        table = {row[0].strip(): dict(zip(columns, row[1:], strict=True)) for row in rows if row}
        return np.array([[float(table[a][b]) for b in names] for a in names])
    except KeyError as error:
        raise InvalidRequest(
            f"it lacks {error}: give a line and a column to each concept"
        ) from error
    except (ValueError, UnicodeDecodeError) as error:
        raise InvalidRequest("it is no table of numbers with names around it") from error
