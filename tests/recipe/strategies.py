"""Steer sets over every op, unit, mask, condition and site of the tiny house's model."""

import numpy as np
from hypothesis import strategies as st

from steerboard.spec.edits import (
    Add,
    Condition,
    Direction,
    Edit,
    Feature,
    Head,
    Mask,
    Neuron,
    Part,
    Remove,
    Scale,
    Set,
    SteerSet,
)
from steerboard.spec.tensor import Tensor

WIDTH, HEADS, SIZE, GRID = 24, 3, 48, 4
DICTIONARIES = {"resid_post.1": "middle", "resid_post.2": "last"}
SITES = {
    **dict.fromkeys(["resid_pre.1", "resid_post.0", "resid_post.1", "resid_post.2"], WIDTH),
    **dict.fromkeys(["head_out.0", "head_out.2"], WIDTH),
    "mlp_post.1": 4 * WIDTH,
    "embedding": 16,
}
numbers = st.floats(-2, 2, width=32)
cells = st.lists(
    st.tuples(st.integers(0, GRID - 1), st.integers(0, GRID - 1)), min_size=1, max_size=4
)
masks = st.one_of(
    st.just(Mask()),
    st.just(Mask(kind="prefix")),
    cells.map(lambda c: Mask(kind="patches", cells=tuple(c))),
)


def direction(width: int, seed: int) -> Direction:
    return Direction(values=Tensor.of(np.random.default_rng(seed).normal(size=width)))


def units(site: str) -> st.SearchStrategy:
    own = [
        st.builds(Neuron, index=st.integers(0, SITES[site] - 1)),
        st.integers(0, 3).map(lambda seed: direction(SITES[site], seed)),
    ]
    if site in DICTIONARIES:
        name = st.just(DICTIONARIES[site])
        own += [st.builds(Feature, dictionary=name, index=st.integers(0, SIZE - 1))] * 2
    return st.one_of(own)


@st.composite
def edits(draw: st.DrawFn) -> Edit:
    site = draw(st.sampled_from(sorted(SITES)))
    unit = draw(units(site))
    ops = [
        st.builds(Scale, m=numbers),
        st.builds(Set, value=numbers, everywhere=st.booleans()),
        st.builds(Add, alpha=numbers),
    ]
    if not isinstance(unit, Neuron):
        ops.append(st.just(Remove()))
    op = draw(st.one_of(ops))
    if site.startswith("head_out") and draw(st.booleans()):
        unit, op = Head(index=draw(st.integers(0, HEADS - 1))), Scale(m=draw(numbers))
    if site in DICTIONARIES and draw(st.integers(0, 4)) == 0:
        of = draw(st.sampled_from(["code", "error", "site"]))
        unit = Part(of=of, dictionary="" if of == "site" else DICTIONARIES[site])
        op = Scale(m=draw(numbers))
    condition = None
    if draw(st.booleans()):
        condition = Condition(
            unit=draw(units(site)),
            when=draw(st.sampled_from(["above", "below"])),
            # Away from zero: an activation that is zero but for rounding decides nothing here.
            tau=draw(st.sampled_from([-0.37, 0.21, 0.73])),
            per=draw(st.sampled_from(["token", "image"])),
        )
    return Edit(site=site, unit=unit, op=op, mask=draw(masks), condition=condition)


steer_sets = st.lists(edits(), min_size=1, max_size=4).map(lambda e: SteerSet(edits=tuple(e)))
