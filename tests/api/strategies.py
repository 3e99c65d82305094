"""Hypothesis strategies for the specs, shared by the tests of the wire."""

import numpy as np
from hypothesis import strategies as st

from steerboard.spec import edits as e
from steerboard.spec import requests as r
from steerboard.spec.tensor import Tensor

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(lambda s: s.strip())
INDEX = st.integers(0, 2**40)
SHA = st.text("0123456789abcdef", min_size=64, max_size=64)


@st.composite
def tensors(draw, shape=None, dtype=None):
    dtype = dtype or draw(st.sampled_from(["float32", "float16", "int64", "uint8"]))
    shape = draw(st.lists(st.integers(0, 4), max_size=3)) if shape is None else shape
    seed = draw(st.integers(0, 2**32 - 1))
    values = np.random.default_rng(seed).integers(1, 100, shape)
    return Tensor.of(values, dtype)


directions = st.builds(
    lambda n, k: e.Direction(values=Tensor.of(np.arange(n) + k)),
    st.integers(1, 5),
    st.integers(1, 9),
)
features = st.builds(e.Feature, dictionary=NAMES, index=INDEX)
neurons = st.builds(e.Neuron, index=INDEX)
parts = st.one_of(
    st.just(e.Part(of="site")),
    st.builds(e.Part, of=st.sampled_from(["code", "error"]), dictionary=NAMES),
)
scales = st.builds(e.Scale, m=st.floats(-100, 100))
ops = st.one_of(
    scales,
    st.builds(e.Set, value=st.floats(-1e4, 1e4), everywhere=st.booleans()),
    st.builds(e.Add, alpha=st.floats(-100, 100)),
)
masks = st.one_of(
    st.sampled_from([e.Mask(), e.Mask(kind="prefix")]),
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=4).map(
        lambda cells: e.Mask(kind="patches", cells=tuple(cells))
    ),
)
conditions = st.builds(
    e.Condition,
    unit=st.one_of(features, neurons, directions),
    when=st.sampled_from(["above", "below"]),
    tau=st.floats(-1e4, 1e4),
    per=st.sampled_from(["token", "image"]),
)
sites = st.sampled_from(["resid_post.3", "resid_pre.0", "mlp_post.11", "embedding"])
edits = st.one_of(
    st.builds(
        e.Edit,
        site=sites,
        unit=st.one_of(features, neurons, directions),
        op=ops,
        mask=masks,
        condition=st.none() | conditions,
    ),
    st.builds(
        e.Edit, site=sites, unit=st.one_of(features, directions), op=st.just(e.Remove()), mask=masks
    ),
    st.builds(e.Edit, site=st.just("head_out.2"), unit=st.builds(e.Head, index=INDEX), op=scales),
    st.builds(e.Edit, site=sites, unit=parts, op=scales),
)
steer_sets = st.builds(e.SteerSet, edits=st.lists(edits, max_size=3).map(tuple))
images = st.one_of(
    st.builds(r.Encoded, data=st.binary(max_size=20)),
    st.builds(r.Digest, sha256=SHA),
    st.builds(r.Pixels, tensor=tensors()),
)
image_tuples = st.lists(images, min_size=1, max_size=3).map(tuple)
prompts = st.builds(
    r.Prompts,
    prompts=st.lists(NAMES, min_size=2, max_size=4, unique=True).map(tuple),
    template=st.sampled_from(["{}", "a photo of {}."]),
)


@st.composite
def probes(draw):
    names = tuple(draw(st.lists(NAMES, min_size=2, max_size=4)))
    weight = draw(tensors(shape=[len(names), 3], dtype="float32"))
    return r.Probe(
        names=names, weight=weight, bias=draw(tensors(shape=[len(names)], dtype="float32"))
    )


classifiers = st.one_of(prompts, probes())
maybe = st.none() | st.integers(0, 10)
margins = st.one_of(
    st.builds(r.Margin, index=maybe, against=st.none()),
    st.builds(r.Margin, index=st.integers(0, 5), against=st.integers(6, 9)),
)
targets = st.one_of(
    st.builds(r.Logit, index=maybe),
    margins,
    st.builds(r.Cosine, index=maybe),
    st.builds(r.LogProb, index=maybe),
    st.builds(r.ProbeOutput, weight=tensors(shape=[3], dtype="float32"), bias=st.floats(-1e6, 1e6)),
    st.builds(r.UnitActivation, site=sites, unit=st.one_of(features, neurons, directions)),
)
methods = st.sampled_from(["gradient", "activation", "energy", "integrated_gradients", "mine"])
kinds_of_units = st.one_of(
    st.fixed_dictionaries({"dictionary": NAMES}),
    st.fixed_dictionaries({"site": sites, "units": st.sampled_from(["neuron", "head"])}),
    st.fixed_dictionaries(
        {
            "site": sites,
            "units": st.just("direction"),
            "directions": tensors(shape=[2, 3], dtype="float32"),
        }
    ),
)
asked = {"model": NAMES, "images": image_tuples}
requests = st.one_of(
    st.builds(r.Predict, **asked, classifier=classifiers),
    st.builds(
        r.Steer,
        **asked,
        classifier=classifiers,
        steer_sets=st.lists(steer_sets, min_size=1, max_size=3).map(tuple),
        targets=st.lists(targets, max_size=2).map(tuple),
    ),
    st.builds(
        lambda units, **other: r.Attribute(**units, **other),
        units=kinds_of_units,
        **asked,
        classifier=classifiers,
        targets=st.lists(targets, min_size=1, max_size=2).map(tuple),
        method=methods,
        top_k=st.integers(1, 4096),
        maps=st.booleans(),
        steer=steer_sets,
        tokens=masks,
        steps=st.integers(1, 256),
    ),
    st.builds(r.Encode, **asked, dictionary=NAMES, embed=st.booleans()),
    st.builds(r.Embed, **asked),
    st.builds(r.Embed, model=NAMES, texts=st.lists(NAMES, min_size=1, max_size=3).map(tuple)),
)
