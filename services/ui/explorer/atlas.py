"""The map: every feature a point, what is alike close together; a click shows what it is.

Points are drawn by the browser on one canvas (``atlas.js``), for which tens of thousands are few;
they travel once, packed, and again only where others are asked for.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import streamlit as st

from services.ui.backend import backend
from services.ui.explorer import pieces, reading
from services.ui.explorer.address import Address, go, here, href
from steerboard.spec.answers import Floats
from steerboard.spec.catalogue import CatalogueInfo, FeatureCard, FeatureMap, FeatureQuery
from steerboard.spec.errors import SteerboardError

NAMED, FEWEST, HITS, PICTURES = 60, 3, 200, 4
SIDE, TONES, MOST_WORDS = 2**16 - 1, 8, 2**16 - 1
SCRIPT = Path(__file__).with_name("atlas.js").read_text()
PLACE = (
    '<div class="sb-map"><canvas tabindex="0" role="img" aria-label="Map of all features: arrows'
    ' move it, plus and minus zoom, Enter picks what is in the middle"></canvas>'
    '<div class="sb-map-tip" hidden></div><div class="sb-map-ways">'
    '<button data-do="closer" title="Closer">+</button>'
    '<button data-do="farther" title="Farther">−</button>'
    '<button data-do="whole" title="The whole map">⌂</button></div></div>'
)


def show(at: Address, info: CatalogueInfo, query: FeatureQuery) -> None:
    """The map beside the feature that was clicked."""
    found = reading.feature_map(info.key, f"{info.fingerprint} {info.pictures}")
    hits = reading.found(query, 0, HITS, 0).items if at.narrowed else ()
    place, beside = st.columns([2.6, 1], gap="medium")
    with place:
        draw(info.key, found, [row.feature for row in hits], at)
        words = "Drag to move, scroll to come closer, click a point to see what it is."
        if at.narrowed:
            words += f" Red: the {len(hits)} features that fit best."
        else:
            words += " Dark: its pictures differ; light: they are alike (clarity)."
        st.caption(words)
    with beside:
        panel(at, info, found, at.point)


def draw(name: str, found: FeatureMap, hits: list[int], at: Address) -> None:
    """The points; a click on one goes into the address.

    The point of an address that no click made is told to the browser, with all points: only then.
    """
    state = st.session_state
    if at.point != getattr(state.get("ex-map"), "picked", None):
        state["ex-map-told"] = at.point
    # Registered in each run: a component belongs to the server, which may have been started anew.
    canvas = st.components.v2.component("feature_map", html=PLACE, js=SCRIPT, isolate_styles=False)
    canvas(
        key="ex-map",
        data=packed(name, found, hits, at.narrowed, state.get("ex-map-told")),
        default={"picked": None},
        on_picked_change=clicked,
    )


def clicked() -> None:
    """Write the point into the address."""
    picked = st.session_state["ex-map"].picked
    go(replace(here(), point=picked if isinstance(picked, int) else None))


def packed(
    name: str, found: FeatureMap, hits: list[int], narrowed: bool, picked: int | None
) -> bytes:
    """What the canvas draws: the size of a head (uint32), the head in JSON, columns of all points.

    Columns, little-endian: feature (uint32), x, y in ``0..SIDE`` and the label's place among the
    words (uint16), the root of the firing rate in 255ths and one of ``TONES`` of clarity (uint8).
    """
    labels = np.where(found.labels < MOST_WORDS, found.labels, 0)
    tones = np.floor(np.clip(found.clarities, 0, 1) * (TONES - 1e-6))
    head = json.dumps(
        {
            "name": name, "count": len(found.features), "narrowed": narrowed, "hits": hits,
            "picked": picked,
            "words": found.words[:MOST_WORDS], "groups": groups(found),
        }
    ).encode()  # fmt: skip
    columns = (
        found.features.astype("<u4"),
        *scaled(found.places).astype("<u2").T,
        labels.astype("<u2"),
        np.rint(found.firing_rates**0.5 * 255).astype("u1"),
        tones.astype("u1"),
    )
    return b"".join([len(head).to_bytes(4, "little"), head, *(c.tobytes() for c in columns)])


def scaled(places: Floats) -> Floats:
    """``[n, 2]`` in [-1, 1] as steps of the plane, y downwards."""
    found: Floats = np.rint((places * [1, -1] + 1) / 2 * SIDE)
    return found


def groups(found: FeatureMap) -> list[tuple[str, int, int]]:
    """The commonest labels, each in the middle of its features, commonest first."""
    counts = np.bincount(found.labels, minlength=len(found.words))
    counts[0] = 0
    best = [i for i in np.argsort(-counts, kind="stable")[:NAMED] if counts[i] >= FEWEST]
    middles = [scaled(np.median(found.places[found.labels == i], axis=0)).tolist() for i in best]
    return [(found.words[i], int(x), int(y)) for i, (x, y) in zip(best, middles, strict=True)]


def panel(at: Address, info: CatalogueInfo, found: FeatureMap, picked: int | None) -> None:
    """The feature that was clicked, and those around it."""
    if picked is None or picked not in found.features:
        st.html(pieces.soft("Nothing is picked yet."))
        return
    try:
        known = backend().library.features(info.key, around(found, picked))
        cards = {c.feature: c for c in known}
        pictures = [r.image for r in cards[picked].references[:PICTURES]]
        first = [c.references[0].image for c in cards.values() if c.references]
        small = reading.thumbnails().get(info.key, [*first, *pictures])
    except SteerboardError as error:
        st.caption(f"This feature cannot be shown now: {error.message}.")
        return
    base = replace(at, dictionary=info.key)
    st.html(chosen(base, cards[picked], [small[d] for d in pictures if d in small]))
    st.html(pieces.small("around it on the map", [
        pieces.neighbour(href(replace(base, feature=f)), small.get(c.references[0].image, ""),
                       pieces.called(c), f"#{f}")
        for f, c in cards.items() if f != picked and c.references
    ]))  # fmt: skip


def chosen(base: Address, card: FeatureCard, pictures: list[str]) -> str:
    """The feature that was clicked, large; a click on it opens its page."""
    images = "".join(f'<img src="{src}" alt="">' for src in pictures)
    fires = f"#{card.feature} · fires on {pieces.share(card.firing_rate)}"
    mosaic = f'<span class="sb-mosaic">{images}</span>' if pictures else pieces.blank()
    text = f"{mosaic}<b>{pieces.called(card)}</b><small>{fires}</small>"
    return pieces.link(href(replace(base, feature=card.feature)), text, kind="sb-feature")


def around(found: FeatureMap, picked: int, count: int = 8) -> list[int]:
    """A feature and those next to it on the map."""
    own = found.places[np.flatnonzero(found.features == picked)[0]]
    order = np.argsort(((found.places - own) ** 2).sum(1), kind="stable")
    return [picked, *(int(f) for f in found.features[order[: count + 1]] if f != picked)][
        : count + 1
    ]
