"""The batched algebra against its float64 reference, over the whole algebra at once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steerboard.dictionary.sae import Sae
from steerboard.model import edits as edits_of
from steerboard.model.edits import Editor, Layout
from steerboard.model.reference import ReferenceDictionary, ReferenceSite, apply
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

WIDTH, SIZE, GRID, HEADS = 12, 30, (2, 3), 3
SITE = "head_out.0"
TOKENS = 1 + GRID[0] * GRID[1]


def arrays(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "W_enc": rng.normal(size=(WIDTH, SIZE)),
        "b_enc": rng.normal(size=SIZE) * 0.3,
        "W_dec": rng.normal(size=(SIZE, WIDTH)),
        "b_dec": rng.normal(size=WIDTH) * 0.3,
    }


KINDS = {
    "relu": {"architecture": "relu"},
    "patches": {"architecture": "relu", "tokens": "patches", "subtract_bias": False},
    "prefix": {"architecture": "topk", "k": 9, "tokens": "prefix"},
    "topk": {"architecture": "topk", "k": 7},
    "signed": {"architecture": "topk", "k": 7, "signed": True},
    "jump": {"architecture": "jumprelu", "threshold": np.full(SIZE, 0.8)},
    "batch": {"architecture": "batchtopk", "threshold": np.full(SIZE, 1.1)},
    "layer_norm": {"architecture": "relu", "normalize": "layer_norm"},
    "rescale": {"architecture": "topk", "k": 8, "normalize": "constant_norm_rescale"},
    "tanh": {"architecture": "tanh-relu"},
    "gated": {
        "architecture": "gated",
        "gain": np.linspace(0.5, 2, SIZE),
        "b_mag": np.linspace(-0.5, 0.5, SIZE),
    },
    "abstopk": {"architecture": "abstopk", "k": 6, "signed": True, "normalize": "layer_norm"},
    "groupmax": {"architecture": "groupmax", "k": 5},
    "pursuit": {"architecture": "matching_pursuit", "k": 6, "least": 1.0},
    "new only": {
        "architecture": "matching_pursuit",
        "k": 9,
        "stop_at_repeat": True,
        "normalize": "layer_norm",
    },
    "capped": {"architecture": "topk", "k": 9, "softcap": 1.5},
    "matryoshka": {
        "architecture": "batchtopk",
        "threshold": np.full(SIZE, 0.9),
        "groups": (10, SIZE - 10),
    },
}
REFERENCE = {
    n: ReferenceDictionary(**arrays(i), **{w: v for w, v in kind.items() if w != "groups"})
    for i, (n, kind) in enumerate(KINDS.items())
}
BOOKS = {
    n: Sae(
        **{k: torch.from_numpy(v) for k, v in arrays(i).items()},
        **{k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in kind.items()},
    )
    for i, (n, kind) in enumerate(KINDS.items())
}
EDITOR = Editor(Layout(1, GRID), BOOKS, {SITE: 2.5}, HEADS)
REFERENCE_SITE = ReferenceSite(SITE, 1, GRID, 2.5, HEADS, REFERENCE)

features = st.builds(
    Feature, dictionary=st.sampled_from(sorted(KINDS)), index=st.integers(0, SIZE - 1)
)
neurons = st.builds(Neuron, index=st.integers(0, WIDTH - 1))
directions = st.integers(0, 5).map(
    lambda seed: Direction(values=Tensor.of(np.random.default_rng(seed).normal(size=WIDTH)))
)
parts = st.one_of(
    st.just(Part(of="site")),
    st.builds(
        Part, of=st.sampled_from(["code", "error"]), dictionary=st.sampled_from(sorted(KINDS))
    ),
)
cells = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), min_size=1, max_size=5)
masks = st.one_of(
    st.just(Mask()),
    st.just(Mask(kind="prefix")),
    cells.map(lambda c: Mask(kind="patches", cells=tuple(c))),
)
conditions = st.one_of(
    st.none(),
    st.builds(
        Condition,
        unit=st.one_of(features, neurons, directions),
        when=st.sampled_from(["above", "below"]),
        tau=st.floats(-1, 2),
        per=st.sampled_from(["token", "image"]),
    ),
)
numbers = st.floats(-3, 3)
ops = st.one_of(
    st.builds(Scale, m=numbers),
    st.builds(Set, value=numbers, everywhere=st.booleans()),
    st.builds(Add, alpha=numbers),
)
edits = st.one_of(
    st.builds(
        Edit,
        site=st.just(SITE),
        unit=st.one_of(features, neurons, directions),
        op=ops,
        mask=masks,
        condition=conditions,
    ),
    st.builds(
        Edit,
        site=st.just(SITE),
        unit=st.one_of(features, directions),
        op=st.just(Remove()),
        mask=masks,
        condition=conditions,
    ),
    st.builds(
        Edit,
        site=st.just(SITE),
        unit=st.one_of(st.builds(Head, index=st.integers(0, HEADS - 1)), parts),
        op=st.builds(Scale, m=numbers),
        mask=masks,
        condition=conditions,
    ),
)
steer_sets = st.lists(edits, max_size=6).map(lambda e: SteerSet(edits=tuple(e)))


@settings(max_examples=400, deadline=None)
@given(sets=st.lists(steer_sets, min_size=1, max_size=4), seed=st.integers(0, 10_000))
def test_a_batch_of_mixed_rows_equals_the_reference(sets: list[SteerSet], seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(len(sets), TOKENS, WIDTH)) * 1.5
    batched = EDITOR.at(SITE, torch.from_numpy(x), sets).numpy()
    expected = np.stack([apply(REFERENCE_SITE, row, s) for row, s in zip(x, sets, strict=True)])
    np.testing.assert_allclose(batched, expected, atol=1e-9, rtol=1e-7)


@settings(max_examples=50, deadline=None)
@given(sets=st.lists(steer_sets, min_size=1, max_size=4), together=st.integers(1, 5))
def test_edits_taken_a_few_at_a_time_are_the_same(sets: list[SteerSet], together: int) -> None:
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(len(sets), TOKENS, WIDTH)))
    whole = EDITOR.at(SITE, x, sets)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edits_of, "TOGETHER", together * TOKENS * WIDTH)
        some = EDITOR.at(SITE, x, sets)
    torch.testing.assert_close(some, whole, atol=1e-12, rtol=1e-12)


def test_an_empty_set_beside_others_leaves_its_row_bit_for_bit() -> None:
    x = torch.randn(2, TOKENS, WIDTH)
    moved = SteerSet(edits=(Edit(site=SITE, unit=Neuron(index=0), op=Scale(m=5)),))
    out = EDITOR_32.at(SITE, x, [SteerSet(), moved])
    assert torch.equal(out[0], x[0]) and not torch.equal(out[1], x[1])


EDITOR_32 = Editor(Layout(1, GRID), {}, {SITE: 2.5}, HEADS)


def test_removed_directions_are_gone_even_when_dependent() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, WIDTH))
    sets = SteerSet(
        edits=tuple(
            Edit(site=SITE, unit=Direction(values=Tensor.of(v)), op=Remove())
            for v in (one, two, one + two)
        )
    )
    out = EDITOR.at(SITE, torch.from_numpy(rng.normal(size=(1, TOKENS, WIDTH))), [sets]).numpy()
    assert np.abs(out @ one).max() < 1e-5 and np.abs(out @ two).max() < 1e-5
