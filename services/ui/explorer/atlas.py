"""The map: every feature a point, what is alike close together; a click shows what it is."""

from dataclasses import replace
from typing import Any

import altair as alt
import numpy as np
import pyarrow as pa
import streamlit as st

from services.ui.explorer import pieces, reading
from services.ui.explorer.address import Address, href
from steerboard.spec.catalogue import CatalogueInfo, FeatureMap, FeatureQuery
from steerboard.spec.errors import SteerboardError

NAMED, FEWEST, HITS, PICTURES = 36, 3, 200, 4
HEIGHT = 640


def show(at: Address, info: CatalogueInfo, query: FeatureQuery) -> None:
    """The map beside the feature that was clicked."""
    found = reading.feature_map(info.dictionary, f"{info.fingerprint} {info.pictures}")
    hits = reading.found(query, 0, HITS, 0).items if at.narrowed else ()
    place, beside = st.columns([2.6, 1], gap="medium")
    with place:
        picked = draw(found, {row.feature for row in hits}, at.narrowed)
        words = "Drag to move, scroll to come closer, click a point to see what it is."
        if at.narrowed:
            words += f" Dark: the {len(hits)} features that fit best."
        st.caption(words)
    with beside:
        panel(at, info, found, picked)


def draw(found: FeatureMap, hits: set[int], narrowed: bool) -> int | None:
    """The points; the feature that was clicked, or None."""
    points = frame(found, hits)
    pick = alt.selection_point(name="pick", fields=["feature"], on="click", empty=False)
    shared = {
        "x": alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-1.05, 1.05])),
        "y": alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[-1.05, 1.05])),
    }
    colour: Any = alt.Color(
        "clarity:Q", scale=alt.Scale(scheme="viridis", domain=[0, 1], clamp=True),
        legend=alt.Legend(title="clarity", orient="bottom-left"),
    )  # fmt: skip
    faint = alt.condition("datum.hit", alt.value(0.95), alt.value(0.12))
    dots = (
        alt.Chart(points)
        .mark_circle()
        .encode(
            **shared,
            color=colour,
            size=alt.condition(pick, alt.value(260), alt.Size("size:Q", scale=None)),
            opacity=faint if narrowed else alt.value(0.75),
            tooltip=["feature:Q", "label:N", alt.Tooltip("fires:Q", format=".2%")],
        )
        .add_params(pick)
    )
    text = (
        alt.Chart(names(found))
        .mark_text(fontSize=12, fontWeight=600, color="#1c2733", stroke="white", strokeWidth=3,
                   strokeOpacity=0.85, strokeJoin="round")
        .encode(**shared, text="label:N")
    )  # fmt: skip
    over = (
        alt.Chart(names(found))
        .mark_text(fontSize=12, fontWeight=600, color="#1c2733")
        .encode(**shared, text="label:N")
    )
    chart = (dots + text + over).properties(height=HEIGHT).interactive()
    chart = chart.configure_view(stroke="#d9dfe6")
    event: Any = st.altair_chart(
        chart, width="stretch", key="ex-map", on_select="rerun", selection_mode="pick"
    )
    chosen = event.selection.get("pick") or []
    return int(chosen[0]["feature"]) if chosen else None


def frame(found: FeatureMap, hits: set[int]) -> pa.Table:
    """A row a feature; rare features are small points."""
    words = np.array(found.words, dtype=object)
    dense = max(1.0, (len(found.features) / 3000) ** 0.5)
    return pa.table(
        {
            "feature": found.features,
            "x": found.places[:, 0].round(4),
            "y": found.places[:, 1].round(4),
            "label": words[found.labels],
            "fires": found.firing_rates,
            "clarity": np.where(found.clarities > -2, found.clarities, 0).round(3),
            "size": (14 + 90 * found.firing_rates**0.5) / dense,
            "hit": np.isin(found.features, sorted(hits)),
        }
    )


def names(found: FeatureMap) -> pa.Table:
    """The commonest labels, each in the middle of its features."""
    counts = np.bincount(found.labels, minlength=len(found.words))
    counts[0] = 0
    best = [i for i in np.argsort(-counts, kind="stable")[:NAMED] if counts[i] >= FEWEST]
    middles = [np.median(found.places[found.labels == i], axis=0) for i in best]
    x, y = np.array(middles).reshape(-1, 2).T
    return pa.table({"label": [found.words[i] for i in best], "x": x, "y": y})


def panel(at: Address, info: CatalogueInfo, found: FeatureMap, picked: int | None) -> None:
    """The feature that was clicked, and those around it."""
    if picked is None or picked not in found.features:
        st.html(pieces.soft("Nothing is picked yet."))
        return
    near = around(found, picked)
    try:
        cards = {c.feature: c for c in (reading.card(info.dictionary, f) for f in near)}
        first = [c.references[0].image for c in cards.values() if c.references]
        mine = [r.image for r in cards[picked].references[:PICTURES]]
        small = reading.thumbnails().get(info.dictionary, [*first, *mine])
    except SteerboardError as error:
        st.caption(f"This feature cannot be shown now: {error.message}.")
        return
    base = replace(at, dictionary=info.dictionary)
    card = cards[picked]
    images = "".join(f'<img src="{small[d]}" alt="">' for d in mine if d in small)
    name = pieces.called(card)
    fires = f"#{picked} · fires on {pieces.share(card.firing_rate)}"
    text = f'<span class="sb-mosaic">{images}</span><b>{name}</b><small>{fires}</small>'
    st.html(pieces.link(href(replace(base, feature=picked)), text, kind="sb-feature"))
    st.html(pieces.small("around it on the map", [
        pieces.neighbour(href(replace(base, feature=f)), small.get(c.references[0].image, ""),
                       pieces.called(c), f"#{f}")
        for f, c in cards.items() if f != picked and c.references
    ]))  # fmt: skip


def around(found: FeatureMap, picked: int, count: int = 8) -> list[int]:
    """A feature and those next to it on the map."""
    own = found.places[np.flatnonzero(found.features == picked)[0]]
    order = np.argsort(((found.places - own) ** 2).sum(1), kind="stable")
    return [picked, *(int(f) for f in found.features[order[: count + 1]] if f != picked)][
        : count + 1
    ]
