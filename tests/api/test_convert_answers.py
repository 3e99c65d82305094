"""Answers, capabilities, jobs and cards survive the wire unchanged."""

import copy
import pickle
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import INDEX, NAMES, SHA, classifiers, kinds_of_units, masks, probes, targets

from steerboard.api import convert_answers as c
from steerboard.api import convert_jobs as j
from steerboard.api import convert_library as lib
from steerboard.api import convert_models as m
from steerboard.spec import answers as a
from steerboard.spec import capabilities as cap
from steerboard.spec import jobs
from steerboard.spec.catalogue import Detected, FeatureCard, ImageCard, Neighbour
from steerboard.spec.edits import Neuron, scale
from steerboard.spec.errors import BadImage
from steerboard.spec.evidence_job import EvidenceJob, EvidencePicture
from steerboard.spec.recipe import Recipe, RecipeProvenance
from steerboard.spec.requests import Digest, Prompts, UnitActivation

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SMALL = st.floats(width=32, allow_nan=False, allow_infinity=False)
COUNT = st.integers(0, 2**40)
seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)
tokens = st.sampled_from(["prefix", "patches", "all"])


def floats(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def ints(rng, n):
    return rng.integers(0, 2**31, n).astype(np.int64)


def prediction(rng, classes):
    return a.Prediction(floats(rng, classes), floats(rng, classes))


def steered(rng):
    k, n = rng.integers(0, 4, 2)
    kinds = ("logit", "cosine", "log_prob", "probe", "unit")
    frozen = tuple(
        a.ResolvedTarget(int(i), None if i % 2 else 5, kinds[rng.integers(5)]) for i in range(n)
    )
    sets = tuple(prediction(rng, 3) for _ in range(k))
    return a.Steered(prediction(rng, 3), sets, frozen, floats(rng, k, n), floats(rng, k, n))


def attributions(rng):
    n = int(rng.integers(0, 4))
    five = [floats(rng, n) for _ in range(4)]
    maps = floats(rng, int(rng.integers(0, 2)) * n, 2, 3)
    sums = (0.1, 0.2, 0.3, 0.4)
    base = rng.choice([None, -0.5])
    one = a.Attribution(a.ResolvedTarget(1, 0), 0.5, ints(rng, n), *five, *sums, maps, base)
    return (one,) * int(rng.integers(1, 3))


def code(rng):
    n = int(rng.integers(0, 5))
    embedding = floats(rng, 6) if n % 2 else None
    return a.Code((50, 2**20), ints(rng, n), ints(rng, n), floats(rng, n), embedding)


WAYS = [
    (lambda rng: prediction(rng, 4), c.predictions_to_message, c.predictions_from_message),
    (steered, c.steered_to_message, c.steered_from_message),
    (attributions, c.attributions_to_message, c.attributions_from_message),
    (code, c.codes_to_message, c.codes_from_message),
    (lambda rng: a.Embedding(floats(rng, 6)), c.embeddings_to_message, c.embeddings_from_message),
]


def same(one, other):
    """Equal in type, shape, dtype and every bit."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and np.array_equal(one, other)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, BadImage):
        return (type(one), one.message, one.field) == (type(other), other.message, other.field)
    if hasattr(one, "__dataclass_fields__"):
        names = [f.name for f in fields(one)]
        return names == [f.name for f in fields(other)] and all(
            same(getattr(one, name), getattr(other, name)) for name in names
        )
    return one == other


@settings(deadline=None)
@given(st.sampled_from(WAYS), seeds, FLOATS, COUNT)
def test_an_answer_comes_back_as_it_went(way, rng, ms, rows):
    make, there, back = way
    items = (make(rng), BadImage("not a picture", field="images.1"), make(rng))
    answer = a.Answer(
        items, a.Provenance("m", "f" * 64, "d", version="1"), a.Timing(ms, 2.5, 3, rows)
    )
    message = there(answer)
    assert same(back(type(message).FromString(message.SerializeToString())), answer)


def test_what_was_received_is_an_attribution_in_every_way():
    sent = attributions(np.random.default_rng(0))[:1]
    message = c.attributions_to_message(a.Answer((sent,)))

    def received():
        return c.attributions_from_message(message).items[0][0]

    assert isinstance(received(), a.Attribution)
    for again in (
        pickle.loads(pickle.dumps(received())),
        copy.deepcopy(received()),
        replace(received(), value=sent[0].value),
    ):
        assert same(again, sent[0])
    assert repr(received()).endswith(repr(sent[0]).partition("(")[2])
    with pytest.raises(AttributeError, match="nothing_of_it"):
        _ = received().nothing_of_it
    with pytest.raises(AttributeError, match="assign"):
        received().value = 1.0


quality = st.builds(
    cap.Quality,
    tokens=tokens,
    **{n: FLOATS for n in ("explained_variance", "per_dimension", "cosine", "l0", "dead")},
)
dictionary = st.builds(
    cap.DictionaryInfo,
    **{n: NAMES for n in ("id", "fingerprint", "site", "architecture")},
    tokens=tokens,
    size=st.integers(1, 10**6),
    quality=st.lists(quality, max_size=2).map(tuple),
)
site = st.builds(
    cap.SiteInfo,
    name=NAMES,
    width=st.integers(1, 9999),
    tokens=st.integers(1, 9999),
    units=st.lists(st.sampled_from(["feature", "neuron", "head", "direction"])).map(tuple),
    heads=COUNT,
    n_bar=st.floats(0, 1e6),
    patches_read=st.booleans(),
    prefix_unread=st.booleans(),
)
limits = st.builds(cap.Limits, **{name: COUNT for name in cap.Limits.model_fields})
model = st.builds(
    cap.ModelInfo,
    **{
        n: NAMES
        for n in ("id", "fingerprint", "architecture", "precision", "template", "server_version")
    },
    image_size=st.tuples(COUNT, COUNT),
    grid=st.tuples(COUNT, COUNT),
    prefix_tokens=COUNT,
    pooled_from=st.sampled_from(["prefix", "patches"]),
    resize_mode=st.sampled_from(["shortest", "longest", "squash"]),
    embedding_width=COUNT,
    logit_scale=FLOATS,
    sites=st.lists(site, max_size=2).map(tuple),
    dictionaries=st.lists(dictionary, max_size=2).map(tuple),
    prompts=st.lists(NAMES, max_size=3).map(tuple),
    probe=st.none() | probes(),
    limits=limits,
    loaded=st.booleans(),
    bytes=COUNT,
)


@settings(deadline=None)
@given(model)
def test_capabilities_come_back_as_they_went(info):
    assert m.model_from_message(m.model_to_message(info)) == info


refs = st.builds(Digest, sha256=SHA)
RECIPE = Recipe(
    name="no-strip",
    steer=scale("resid_post.1", "middle", -1.0, 3),
    classifier=Prompts(prompts=("cat", "dog")),
    provenance=RecipeProvenance(model="tiny", model_fingerprint="f" * 64),
)
PLACES = kinds_of_units.map(lambda units: {"dictionary": "", **units})
LATER = st.builds(UnitActivation, site=st.just("resid_post.3"), unit=st.builds(Neuron, index=INDEX))
ASKED = st.fixed_dictionaries(
    {
        "model": NAMES,
        "classifier": classifiers,
        "method": st.sampled_from(["gradient", "energy", "integrated_gradients", "mine"]),
        "top_k": st.integers(1, 256),
        "tokens": masks,
        "steps": st.integers(1, 256),
    }
)
EDGES = st.sampled_from([{"method": "circuit"}])
LABELLED = {
    "method": "probe",
    "dictionary": "d",
    "labels": (True, False),
    "images": tuple(Digest(sha256=c * 64) for c in "ab"),
}


def attribution_job(kind, *parts):
    return st.tuples(*parts).map(lambda found: kind(**{k: v for p in found for k, v in p.items()}))


one_picture = st.fixed_dictionaries(
    {"image": refs, "verify": st.integers(0, 64), "references": st.integers(0, 64)}
)
pictures = st.lists(refs, min_size=1, max_size=3).map(tuple)
many_targets = st.lists(targets, min_size=1, max_size=3).map(tuple)
attribution_jobs = st.one_of(
    attribution_job(
        jobs.AttributeJob, ASKED, PLACES, one_picture, st.fixed_dictionaries({"target": targets})
    ),
    attribution_job(
        jobs.AttributeJob,
        *(ASKED, PLACES, EDGES, one_picture, st.fixed_dictionaries({"target": LATER})),
    ),
    attribution_job(
        jobs.AttributeSetJob,
        *(ASKED, PLACES, st.fixed_dictionaries({"images": pictures, "targets": many_targets})),
    ),
    attribution_job(jobs.AttributeSetJob, ASKED, st.just(LABELLED)),
)
job_specs = st.one_of(
    attribution_jobs,
    st.builds(
        jobs.CatalogueJob,
        model=NAMES,
        images=st.lists(refs, min_size=2, max_size=2).map(tuple),
        dictionary=NAMES,
        facts=st.just(()) | st.tuples(*[st.lists(NAMES, max_size=2).map(tuple)] * 2),
        words=st.lists(NAMES, max_size=3).map(tuple),
        references=st.integers(1, 64),
    ),
    st.builds(
        EvidenceJob,
        recipe=st.just(RECIPE),
        image_set=NAMES,
        split=st.just("") | NAMES,
        images=st.lists(
            st.builds(
                EvidencePicture,
                sha256=SHA,
                key=NAMES,
                label=NAMES,
                facts=st.lists(NAMES, max_size=2).map(tuple),
            ),
            min_size=1,
            max_size=3,
            unique_by=lambda picture: picture.key,
        ).map(tuple),
        vocabulary=st.lists(NAMES, max_size=3).map(tuple),
        seed=st.integers(0, 99),
    ),
)
statuses = st.builds(
    jobs.JobStatus,
    id=NAMES,
    state=st.sampled_from(["queued", "running", "done", "failed", "cancelled"]),
    done=COUNT,
    total=COUNT,
    rate=st.none() | FLOATS,
    seconds_left=st.none() | FLOATS,
    message=NAMES,
    cached=st.booleans(),
    joined=st.booleans(),
    kind=NAMES,
    pictures=COUNT,
    priority=st.integers(-1, 1),
    submitted=st.none() | FLOATS,
)
heats = st.just(()) | st.lists(st.tuples(SMALL, SMALL), min_size=1, max_size=3).map(tuple)
references = st.builds(jobs.Reference, image=SHA, activation=FLOATS, heat=heats)
some = st.lists(references, max_size=2).map(tuple)
maybe = st.none() | FLOATS
ranked = st.builds(
    jobs.RankedFeature,
    feature=INDEX,
    score=FLOATS,
    activation=FLOATS,
    peak=FLOATS,
    heat=heats,
    measured=maybe,
    standard_error=maybe,
    firing_rate=maybe,
    maximum=maybe,
    references=some,
    label=st.just("") | NAMES,
)
results = st.builds(
    jobs.AttributeResult,
    kind=st.sampled_from(["logit", "cosine", "probe", "unit"]),
    baseline=st.none() | FLOATS,
    index=COUNT,
    against=st.none() | COUNT,
    **{n: FLOATS for n in ("value", "rest", "error", "bias", "total")},
    features=st.lists(ranked, max_size=2).map(tuple),
    provenance=st.dictionaries(NAMES, NAMES | st.integers() | FLOATS, max_size=3),
)


@settings(deadline=None)
@given(job_specs, statuses, results)
def test_jobs_come_back_as_they_went(spec, status, result):
    assert j.job_from_message(j.job_to_message(spec)) == spec
    assert j.job_status_from_message(j.job_status_to_message(status)) == status
    assert j.job_result_from_message(j.job_result_to_message(result)) == result


@settings(deadline=None)
@given(st.dictionaries(NAMES, st.none() | NAMES | st.integers() | FLOATS))
def test_a_result_of_another_kind_travels_as_json(result):
    assert j.job_result_from_message(j.job_result_to_message(result)) == result


near = st.lists(st.builds(Neighbour, feature=INDEX, value=FLOATS), max_size=2).map(tuple)
cards = st.builds(
    FeatureCard,
    dictionary=NAMES,
    feature=INDEX,
    firing_rate=FLOATS,
    maximum=FLOATS,
    references=some,
    mean=st.none() | FLOATS,
    label=NAMES,
    label_score=st.none() | FLOATS,
    clarity=st.none() | FLOATS,
    polysemanticity=st.none() | FLOATS,
    redundancy=st.none() | FLOATS,
    histogram=st.lists(COUNT, max_size=3).map(tuple),
    classes=st.lists(
        st.builds(Detected, name=NAMES, ap=FLOATS, auroc=FLOATS, lift=FLOATS, positives=COUNT),
        max_size=2,
    ).map(tuple),
    neighbours=near,
    coactive=near,
    sample=some,
)
pictures = st.builds(
    ImageCard,
    sha256=SHA,
    path=NAMES,
    split=NAMES,
    group=NAMES,
    label=NAMES,
    attributes=st.dictionaries(NAMES, st.none() | NAMES | FLOATS, max_size=3),
)
sets = st.builds(
    lib.ImageSet,
    id=NAMES,
    title=NAMES,
    size=COUNT,
    splits=st.lists(NAMES).map(tuple),
    groups=st.lists(NAMES).map(tuple),
)


@settings(deadline=None)
@given(cards, pictures, sets)
def test_cards_come_back_as_they_went(card, picture, image_set):
    assert lib.feature_card_from_message(lib.feature_card_to_message(card)) == card
    assert lib.image_card_from_message(lib.image_card_to_message(picture)) == picture
    assert lib.image_set_from_message(lib.image_set_to_message(image_set)) == image_set
