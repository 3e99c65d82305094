"""Models on another device and in another precision: the same answers, and nothing left behind."""

import numpy as np
import pytest
import torch
from tagged_device import CUDA, playing

import steerboard
from steerboard.inprocess.config import read_config
from steerboard.inprocess.residence import Residence
from steerboard.inprocess.runner import LocalRunner, open_local
from steerboard.inprocess.served import serve
from steerboard.model.placement import HOST, Placement, choose
from steerboard.spec.edits import (
    Add,
    Condition,
    Direction,
    Edit,
    Feature,
    Head,
    Mask,
    Neuron,
    Remove,
    Scale,
    Set,
    SteerSet,
)
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.requests import (
    Attribute,
    Embed,
    Encode,
    Encoded,
    Margin,
    Pixels,
    Predict,
    Probe,
    Prompts,
    Steer,
)
from steerboard.spec.tensor import Tensor

WORDS = Prompts(prompts=("cat", "dog", "horse", "boat"), template="a {}")
RNG = np.random.default_rng(3)
PROBE = Probe(names=("a", "b"), weight=Tensor.of(RNG.normal(size=(2, 16))), bias=Tensor.of([0, 1]))
WAY = Direction(values=Tensor.of(RNG.normal(size=24)))
MIDDLE = Feature(dictionary="middle", index=3)
IF = Condition(unit=MIDDLE, when="above", tau=0.0, per="image")


def edit(site, unit, op, **more):
    return Edit(site=site, unit=unit, op=op, **more)


CELL = Mask(kind="patches", cells=((1, 2), (0, 0)))
SETS = tuple(
    SteerSet(edits=edits)
    for edits in (
        (),
        (edit("resid_post.1", MIDDLE, Scale(m=-1)),),
        (edit("resid_post.1", MIDDLE, Set(value=1.5), mask=CELL, condition=IF),),
        (edit("resid_post.2", Feature(dictionary="last", index=5), Scale(m=1)),),
        (edit("resid_pre.1", WAY, Add(alpha=2.0)), edit("head_out.2", Head(index=1), Scale(m=-1))),
        (edit("resid_post.1", WAY, Remove()), edit("resid_post.1", MIDDLE, Remove())),
        (edit("mlp_post.1", Neuron(index=7), Set(value=0.5, everywhere=True)),),
    )
)


def ask(runner, images):
    """Every kind of question; the numbers of the answers, flat."""
    pictures = (*(Encoded(data=data) for data in images[:2]), grey())
    common = {"model": "tiny", "images": pictures}
    targets = (Margin(index=0, against=1), Margin())
    out = [p.logits for p in runner.predict(Predict(**common, classifier=WORDS)).items]
    out += [p.logits for p in runner.predict(Predict(**common, classifier=PROBE)).items]
    request = Steer(**common, classifier=WORDS, steer_sets=SETS, targets=targets)
    for s in runner.steer(request).items:
        out += [s.clean.logits, *(p.logits for p in s.steered), s.predicted, s.measured]
    for name in ("middle", "last"):
        out += attributed(runner, common, name, targets)
        out += [code.dense() for code in runner.encode(Encode(**common, dictionary=name)).items]
    out += [e.values for e in runner.embed(Embed(**common)).items]
    out += [e.values for e in runner.embed(Embed(model="tiny", texts=("a cow", "a cat"))).items]
    return out


def attributed(runner, common, name, targets):
    """By feature, so that two that are equally strong may change places."""
    request = Attribute(
        **common, classifier=WORDS, dictionary=name, targets=targets, top_k=500, maps=True
    )
    out = []
    for per_target in runner.attribute(request).items:
        for a in per_target:
            order = np.argsort(a.features)
            out += [a.scores[order], a.activations[order], a.peaks[order], a.maps[order]]
            out += [np.array([a.value, a.rest, a.error, a.bias, a.total])]
    return out


def grey():
    return Pixels(tensor=Tensor.of(np.full((3, 32, 32), 0.25)))


def house(tiny_house, placement, residence=None):
    config, base = read_config(tiny_house)
    residence = residence or Residence()
    served = serve("tiny", config.models["tiny"], base, "test", placement, residence)
    return LocalRunner({"tiny": served}, residence=residence)


@pytest.fixture(scope="module")
def told(tiny_house, tiny_images):
    """What the CPU says in float32."""
    return ask(house(tiny_house, HOST), tiny_images)


def test_all_is_computed_on_the_device_and_answers_come_home(tiny_house, tiny_images, told):
    with playing() as device:
        found = ask(house(tiny_house, Placement(CUDA)), tiny_images)
    assert device.seen > 1000  # the pass itself was there
    assert len(found) == len(told)
    for a, b in zip(found, told, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_model_that_left_the_device_is_no_longer_there_and_comes_back(tiny_house, tiny_images):
    with playing():
        residence = Residence()
        runner = house(tiny_house, Placement(CUDA), residence)
        served = runner._served["tiny"]
        weights = [*served.loaded.clip.parameters(), *served.books["middle"].tensors().values()]
        before = [w.data_ptr() for w in weights]
        assert {w.device.type for w in weights} == {"cuda"}
        asked = Predict(model="tiny", images=(Encoded(data=tiny_images[0]),), classifier=WORDS)
        first = runner.predict(asked).one().logits
        residence.release(served.weights)
        assert {w.device.type for w in weights} == {"cpu"}
        assert all(a != w.data_ptr() for a, w in zip(before, weights, strict=True))
        assert not runner.model("tiny").loaded and runner.model("tiny").sites
        other = asked.model_copy(update={"images": (Encoded(data=tiny_images[1]),)})
        assert np.abs(runner.predict(other).one().logits - first).max() > 0
        assert {w.device.type for w in weights} == {"cuda"} and runner.model("tiny").loaded


def half(tiny_house, precision):
    return house(tiny_house, Placement(torch.device("cpu"), precision))


@pytest.mark.parametrize(("precision", "eps"), [("bf16", 2**-8), ("fp16", 2**-11)])
def test_half_precision_answers_as_float32_does_within_its_own_rounding(
    tiny_house, tiny_images, told, precision, eps
):
    # Half a rounding at each of some ten steps, on unit embeddings under a scale of 14.
    found = half(tiny_house, precision)
    pictures = tuple(Encoded(data=data) for data in tiny_images[:3])
    request = Steer(model="tiny", images=pictures, classifier=WORDS, steer_sets=SETS)
    exact = house(tiny_house, HOST).steer(request).items
    for near, true in zip(found.steer(request).items, exact, strict=True):
        for a, b in zip((near.clean, *near.steered), (true.clean, *true.steered), strict=True):
            assert a.logits.dtype == np.float32
            bound = 10 * eps * found._served["tiny"].loaded.logit_scale
            assert 0 < np.abs(a.logits - b.logits).max() < bound


def test_in_half_precision_an_empty_steer_set_is_the_clean_answer_bit_for_bit(
    tiny_house, tiny_images
):
    pictures = tuple(Encoded(data=data) for data in tiny_images[:3])
    request = Steer(model="tiny", images=pictures, classifier=WORDS, steer_sets=SETS)
    for item in half(tiny_house, "bf16").steer(request).items:
        assert (item.steered[0].logits == item.clean.logits).all()
        assert any((p.logits != item.clean.logits).any() for p in item.steered[1:])


def test_only_the_image_tower_is_in_half_precision_and_its_name_says_so(tiny_house):
    plain, near = house(tiny_house, HOST), half(tiny_house, "bf16")
    served = near._served["tiny"]
    assert {p.dtype for p in served.loaded.tower.visual.parameters()} == {torch.bfloat16}
    assert served.loaded.clip.token_embedding.weight.dtype == torch.float32
    assert {t.dtype for b in served.books.values() for t in b.tensors().values()} == {torch.float32}
    one, other = plain.model("tiny"), near.model("tiny")
    assert (one.precision, other.precision) == ("float32", "bf16")
    assert one.fingerprint != other.fingerprint
    # Measured as it is served: sites have another median norm when they are rounded.
    assert any(a.n_bar != b.n_bar for a, b in zip(one.sites, other.sites, strict=True))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cuda:7", "float32"), "device cuda:7 is not here"),
        (("tpu", "float32"), "no device 'tpu'"),
        (("cpu", "int4"), "no precision 'int4'"),
        (("cuda:x", "float32"), "no device 'cuda:x'"),
    ],
)
def test_a_placement_that_is_not_here_is_refused(tiny_house, words, said):
    with pytest.raises(InvalidRequest, match=said):
        choose(*words)
    with pytest.raises(InvalidRequest, match=said):
        steerboard.local(tiny_house, device=words[0], precision=words[1])


def test_auto_is_the_cpu_where_there_is_no_gpu():
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    assert choose().device.type == kind


def test_a_runner_can_be_opened_on_a_device_of_choice(tiny_house):
    runner = open_local(tiny_house, "test", device="cpu", precision="bf16")
    assert runner.model("tiny").precision == "bf16" and runner.model("tiny").loaded


@pytest.mark.gpu
class TestOnARealGpu:
    """The same claims where there is CUDA."""

    def test_answers_are_those_of_the_cpu(self, tiny_house, tiny_images, told):
        found = ask(house(tiny_house, choose("cuda")), tiny_images)
        for a, b in zip(found, told, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)

    def test_half_precision_is_near(self, tiny_house, tiny_images):
        request = Predict(model="tiny", images=(Encoded(data=tiny_images[0]),), classifier=WORDS)
        exact = house(tiny_house, HOST).predict(request).one().logits
        near = house(tiny_house, choose("cuda", "bf16")).predict(request).one().logits
        assert np.abs(near - exact).max() < 10 * 2**-8 * 15

    def test_weights_leave_and_come_back(self, tiny_house):
        residence = Residence()
        runner = house(tiny_house, choose("cuda"), residence)
        weights = runner._served["tiny"].weights
        held = torch.cuda.memory_allocated()
        residence.release(weights)
        assert held - torch.cuda.memory_allocated() >= weights.size
