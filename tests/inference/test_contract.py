"""One contract, two runners: in this process and over gRPC they are indistinguishable."""

from dataclasses import fields

import numpy as np
import pytest

import steerboard as sb
from steerboard.spec.answers import Answer, Steered
from steerboard.spec.edits import Add, Direction, Edit, Head, Mask, Neuron, Part, Remove, Scale, Set
from steerboard.spec.errors import (
    BadImage,
    EmptyMask,
    ImageNotCached,
    InvalidRequest,
    NotFound,
    OverlappingEdits,
    SteerboardError,
)
from steerboard.spec.requests import Cosine, LogProb, ProbeOutput, UnitActivation
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor

PROMPTS = sb.Prompts(prompts=("cat", "dog", "horse", "boat"), template="a {}")
NO_PICTURE = sb.Encoded(data=b"this is no picture")
OFF = sb.scale("resid_post.1", "middle", -1.0, 3)


@pytest.fixture
def images(tiny_images):
    return tuple(sb.Encoded(data=data) for data in tiny_images[:3])


TARGETS = (
    LogProb(),
    Cosine(index=2),
    ProbeOutput(weight=Tensor.of(np.linspace(-1, 1, 16)), bias=0.5),
    sb.Margin(against=1),
    UnitActivation(site="resid_post.2", unit=Neuron(index=3)),
)
ROW = Direction(values=Tensor.of(np.linspace(-1, 1, 24)))
EDITS = (
    *(
        Edit(site="resid_post.1", unit=ROW, op=op)
        for op in (Set(value=1.0), Add(alpha=0.2), Remove())
    ),
    *(Edit(site="mlp_post.1", unit=Neuron(index=5), op=op) for op in (Scale(m=1), Set(value=2.0))),
    Edit(site="head_out.1", unit=Head(index=1), op=Scale(m=-1)),
    *(
        Edit(site="resid_post.1", unit=Part(of=of, dictionary="middle"), op=Scale(m=-0.5))
        for of in ("code", "error")
    ),
    Edit(site="embedding", unit=Part(of="site"), op=Scale(m=0.1)),
)


def steer(images, *sets, targets=()):
    return sb.Steer(
        model="tiny", images=images, classifier=PROMPTS, steer_sets=sets, targets=targets
    )


def feature(index, dictionary="middle"):
    return sb.Feature(dictionary=dictionary, index=index)


def edit(index=3, site="resid_post.1", **other):
    return Edit(site=site, unit=feature(index), op=Scale(m=-1), **other)


def calls(images):
    """One question of each kind."""
    asked = {"model": "tiny", "images": images}
    return {
        "predict": sb.Predict(**asked, classifier=PROMPTS),
        "steer": steer(images, sb.SteerSet(), OFF, targets=(sb.Margin(), sb.Logit(index=2))),
        "attribute": sb.Attribute(
            **asked, classifier=PROMPTS, dictionary="middle", maps=True, steer=OFF
        ),
        "every target": sb.Attribute(
            **asked,
            classifier=PROMPTS,
            dictionary="middle",
            targets=TARGETS,
            steps=3,
            method="integrated_gradients",
            tokens=Mask(kind="patches", cells=((0, 1), (2, 2))),
        ),
        "heads": sb.Attribute(**asked, classifier=PROMPTS, units="head", site="head_out.1"),
        "neurons": sb.Attribute(**asked, classifier=PROMPTS, units="neuron", site="mlp_post.1"),
        "directions": sb.Attribute(
            **asked,
            classifier=PROMPTS,
            units="direction",
            site="resid_post.1",
            directions=Tensor.of(np.eye(24)[:3]),
            method="logit_lens",
            targets=(Cosine(index=2),),
        ),
        "every unit": steer(
            images, *(sb.SteerSet(edits=(e,)) for e in EDITS), targets=TARGETS[:-1]
        ),
        "encode": sb.Encode(**asked, dictionary="middle"),
        "codes and embeddings": sb.Encode(**asked, dictionary="middle", embed=True),
        "embed": sb.Embed(**asked),
    }


def test_both_are_runners(runner):
    assert isinstance(runner, Runner)


def test_models_are_told_alike(local_runner, remote_runner):
    assert remote_runner.models() == local_runner.models()
    assert remote_runner.model("tiny") == local_runner.model("tiny")


def close(one, other):
    """Alike in type and shape; numbers up to the noise of another batch."""
    assert isinstance(one, type(other)) or isinstance(other, type(one))
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype and one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-5)
    elif isinstance(one, tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            close(a, b)
    elif isinstance(one, SteerboardError):
        assert (one.message, one.field, one.details) == (other.message, other.field, other.details)
    elif hasattr(one, "__dataclass_fields__"):
        assert fields(one) == fields(other)
        for field in fields(one):
            close(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-4, abs=2e-5)
    else:
        assert one == other


@pytest.mark.parametrize(
    "name",
    [
        "predict",
        "steer",
        "every unit",
        "attribute",
        "every target",
        "heads",
        "neurons",
        "directions",
        "encode",
        "codes and embeddings",
        "embed",
    ],
)
def test_answers_are_alike_and_one_bad_image_fails_alone(local_runner, remote_runner, images, name):
    request = calls((images[0], NO_PICTURE, images[1]))[name]
    method = type(request).__name__.lower()
    here, there = (getattr(r, method)(request) for r in (local_runner, remote_runner))
    assert isinstance(there, Answer)
    assert isinstance(there.items[1], BadImage) and there.items[1].field == "images[1]"
    close(here.items, there.items)
    assert here.provenance == there.provenance
    assert there.timing.computed_ms > 0 and there.timing.batch_rows > 0


def test_texts_are_embedded_alike(local_runner, remote_runner):
    request = sb.Embed(model="tiny", texts=("a cat", "a dog"))
    close(local_runner.embed(request).items, remote_runner.embed(request).items)


def test_an_empty_steer_set_is_the_clean_answer_bit_for_bit(runner, images):
    for found in runner.steer(steer(images, OFF, sb.SteerSet())).results():
        assert isinstance(found, Steered)
        assert np.array_equal(found.steered[1].logits, found.clean.logits)
        assert not np.array_equal(found.steered[0].logits, found.clean.logits)


def test_pixels_and_probes_are_understood(runner, images):
    info = runner.model("tiny")
    rng = np.random.default_rng(0)
    pixels = sb.Pixels(tensor=Tensor.of(rng.standard_normal((3, *info.image_size))))
    weight = Tensor.of(rng.standard_normal((2, info.embedding_width)))
    probe = sb.Probe(names=("no", "yes"), weight=weight, bias=Tensor.of([0.0, 1.0]))
    found = runner.predict(sb.Predict(model="tiny", images=(pixels,), classifier=probe)).one()
    assert found.logits.shape == (2,)
    assert found.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_a_digest_that_nobody_sent_is_told(runner, images):
    unseen = sb.Digest(sha256="0" * 64)
    with pytest.raises(ImageNotCached) as caught:
        runner.predict(
            sb.Predict(model="tiny", images=(images[0], unseen), classifier=PROMPTS)
        ).results()
    assert caught.value.details["digests"] == unseen.sha256


WRONG = {
    "model": (lambda i: sb.Predict(model="none", images=i, classifier=PROMPTS), NotFound, "model"),
    "feature": (
        lambda i: steer(i, sb.SteerSet(edits=(edit(10**6),))),
        NotFound,
        "steer_sets[0].edits[0].unit",
    ),
    "site": (
        lambda i: steer(i, sb.SteerSet(edits=(edit(site="resid_post.77"),))),
        NotFound,
        "steer_sets[0].edits[0].site",
    ),
    "dictionary": (
        lambda i: sb.Encode(model="tiny", images=i, dictionary="none"),
        NotFound,
        "dictionary",
    ),
    "overlap": (
        lambda i: steer(i, OFF, sb.SteerSet(edits=(edit(), edit()))),
        OverlappingEdits,
        "steer_sets[1].edits[1]",
    ),
    "empty region": (
        lambda i: steer(i, sb.SteerSet(edits=(edit(mask=Mask(kind="patches")),))),
        EmptyMask,
        "steer_sets[0].edits[0].mask",
    ),
    "direction": (
        lambda i: steer(
            i,
            sb.SteerSet(
                edits=(
                    Edit(
                        site="resid_post.1",
                        unit=Direction(values=Tensor.of([1.0])),
                        op=Remove(),
                    ),
                )
            ),
        ),
        InvalidRequest,
        "steer_sets[0].edits[0].unit",
    ),
    "target": (
        lambda i: steer(i, OFF, targets=(sb.Logit(index=99),)),
        InvalidRequest,
        "targets[0]",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_alike_and_the_next_question_is_answered(
    local_runner, remote_runner, images, name
):
    make, kind, field = WRONG[name]
    request = make(images)
    method = type(request).__name__.lower()
    told = []
    for runner in (local_runner, remote_runner):
        with pytest.raises(SteerboardError) as caught:
            getattr(runner, method)(request)
        told.append(caught.value)
        assert type(caught.value) is kind
        assert caught.value.field == field
        assert len(runner.predict(calls(images)["predict"]).results()) == 3
    close(*told)
