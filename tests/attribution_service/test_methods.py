"""Every method, unit and target as a job: what comes out is what the library says alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from services.attribution import labelled
from services.attribution.desk import Desk
from services.attribution.hands import Hands
from services.attribution.library import Library
from steerboard.analysis.circuit import circuit
from steerboard.analysis.concepts import Concept, experts
from steerboard.analysis.methods import METHODS, locate
from steerboard.analysis.probe import difference_of_means, logistic
from steerboard.analysis.responses import Place, responses
from steerboard.api.tokens import Identity
from steerboard.inprocess.runner import LocalRunner
from steerboard.spec.digest import image_digest
from steerboard.spec.edits import Feature, Mask
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.jobs import AttributeJob, AttributeResult, AttributeSetJob
from steerboard.spec.methods import Method, is_composed
from steerboard.spec.requests import (
    Attribute,
    Cosine,
    Digest,
    Encoded,
    Logit,
    LogProb,
    Margin,
    ProbeOutput,
    Prompts,
    UnitActivation,
)
from steerboard.spec.tensor import Tensor
from tests.attribution_service.pool import work

PROMPTS = Prompts(prompts=("cat", "dog", "horse", "boat"))
ANN = Identity(subject="ann")
RNG = np.random.default_rng(3)
FEATURES = {"dictionary": "middle"}
NEURONS = {"site": "mlp_post.1", "units": "neuron"}
HEADS = {"site": "head_out.1", "units": "head"}
DIRECTIONS = {
    "site": "resid_post.1",
    "units": "direction",
    "directions": Tensor.of(RNG.normal(size=(5, 24)).astype(np.float32)),
}
REGION = Mask(kind="patches", cells=((0, 1), (2, 2)))
TARGETS = (
    Logit(index=2),
    Margin(),
    Cosine(),
    LogProb(index=1),
    ProbeOutput(weight=Tensor.of(RNG.normal(size=16).astype(np.float32)), bias=0.5),
)
LATER = UnitActivation(site="resid_post.2", unit=Feature(dictionary="last", index=3))
ONE_PICTURE = [n for n, m in METHODS.items() if m.side != "set"]
# What no one can answer, and why; every other method scores every other kind of unit.
REFUSED = {
    ("logit_lens", "neuron"): "reads the residual stream, which mlp_post.1 is not",
    ("logit_lens", "head"): "a head has no direction of its own",
}


@pytest.fixture
def hands(desk: Desk, runner: LocalRunner, library: Library) -> Hands:
    return Hands(desk.records, desk.results, library, lambda who, lane: runner, 1.0)


def ref(data: bytes) -> Digest:
    return Digest(sha256=image_digest(data))


def single(desk: Desk, hands: Hands, data: bytes, **more: Any) -> AttributeResult:
    plain = {"model": "tiny", "image": ref(data), "classifier": PROMPTS, "top_k": 4, **more}
    opened = desk.submit(AttributeJob.model_validate(plain), [], ANN)
    work(desk, hands, opened.id)
    _, (found,), _ = desk.results_page(opened.id, "", 0, ANN)
    assert isinstance(found, AttributeResult)
    return found


def over_a_set(desk: Desk, hands: Hands, images: list[bytes], **more: Any) -> list[dict[str, Any]]:
    plain = {"model": "tiny", "images": tuple(map(ref, images)), "classifier": PROMPTS, "top_k": 4}
    opened = desk.submit(AttributeSetJob.model_validate({**plain, **more}), [], ANN)
    work(desk, hands, opened.id)
    assert desk.status(opened.id, ANN).state == "done", desk.status(opened.id, ANN).message
    return desk.results_page(opened.id, "", 0, ANN)[1]  # type: ignore[return-value]


def asked(data: bytes, **more: Any) -> Attribute:
    return Attribute.model_validate(
        {
            "model": "tiny",
            "images": (Encoded(data=data),),
            "classifier": PROMPTS,
            "top_k": 4,
            **more,
        }
    )


def check(found: AttributeResult | dict[str, Any], truth: Any) -> None:
    """The same units with the same scores, in the same order."""
    if isinstance(found, dict):
        units, scores, errors = found["features"], found["scores"], found.get("errors")
        value = found["value"]
    else:
        units = [row.feature for row in found.features]
        scores = [row.score for row in found.features]
        errors = [row.standard_error for row in found.features]
        value = found.value
    assert units == truth.units.tolist()
    assert scores == pytest.approx(truth.scores.tolist(), rel=1e-4, abs=1e-5)
    assert value == pytest.approx(truth.value, rel=1e-5)
    if truth.errors is not None:
        assert errors == pytest.approx(truth.errors.tolist(), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("method", ONE_PICTURE)
@pytest.mark.parametrize(
    "place", [FEATURES, NEURONS, HEADS, DIRECTIONS], ids=lambda p: str(p.get("units"))
)
def test_every_method_and_unit_over_one_picture_and_a_set(
    desk: Desk,
    hands: Hands,
    runner: LocalRunner,
    tiny_images: list[bytes],
    method: str,
    place: dict[str, Any],
) -> None:
    images = tiny_images[: 1 if is_composed(method) else 2]
    if words := REFUSED.get((method, str(place.get("units")))):
        with pytest.raises(InvalidRequest, match=words) as refused:
            locate(runner, asked(tiny_images[0], method=method, **place))
        plain = {"model": "tiny", "image": ref(tiny_images[0]), "classifier": PROMPTS, **place}
        opened = desk.submit(AttributeJob.model_validate({**plain, "method": method}), [], ANN)
        work(desk, hands, opened.id)
        with pytest.raises(InvalidRequest) as said:
            desk.results_page(opened.id, "", 0, ANN)
        assert said.value.message == refused.value.message
        return
    truth = [locate(runner, asked(d, method=method, **place)) for d in images]
    one = single(desk, hands, tiny_images[0], method=method, verify=2, **place)
    check(one, truth[0])
    assert sum(row.measured is not None for row in one.features) >= 2
    assert one.provenance["spec"]["method"] == method
    total, *rows = over_a_set(desk, hands, images, method=method, **place)
    for row, true in zip(rows, truth, strict=True):
        check(row, true)
    assert total["pictures"] == len(images)


COMPOSED = '''
import numpy as np
from steerboard.analysis.located import by_size

def last(runner, request):
    """Minus the gradient of four units that few would list."""
    asked = request.model_copy(update={"method": "gradient", "top_k": 12})
    (found,) = runner.attribute(asked).one()
    return by_size("last", found.features[-4:], -found.scores[-4:].astype(np.float64), found.value)
'''
BESIDE = '''
from dataclasses import replace
from steerboard.attribution.gradient import gradient

def halved(scene):
    """Half of the gradient."""
    found = gradient(scene)
    return replace(found, token_scores=found.token_scores / 2)
'''
ADDED = [
    ("last", COMPOSED, Method("last", "runner", "What?", "none", "always", "last:last")),
    ("halved", BESIDE, Method("halved", "model", "What?", "none", "always", "halved:halved")),
]


@pytest.mark.parametrize(("name", "text", "line"), ADDED, ids=["composed", "beside the model"])
@pytest.mark.parametrize("place", [FEATURES, NEURONS], ids=["features", "neurons"])
def test_a_method_that_is_one_file_and_one_line_is_located_and_worked_on(
    desk: Desk,
    hands: Hands,
    runner: LocalRunner,
    tiny_images: list[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    text: str,
    line: Method,
    place: dict[str, Any],
) -> None:
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(METHODS, name, line)
    truth = [locate(runner, asked(d, method=name, **place)) for d in tiny_images[:2]]
    usual = [locate(runner, asked(d, top_k=12, **place)) for d in tiny_images[:2]]
    scores = dict(zip(usual[0].units.tolist(), usual[0].scores.tolist(), strict=True))
    factor = -1.0 if line.side == "runner" else 0.5
    mine = {u: factor * scores[u] for u in truth[0].units.tolist()}
    assert truth[0].scores.tolist() == pytest.approx(list(mine.values()), rel=1e-4)
    one = single(desk, hands, tiny_images[0], method=name, verify=2, **place)
    check(one, truth[0])
    everything = asked(tiny_images[0], top_k=256, **place)
    (known,) = runner.attribute(everything).one()
    activations = dict(zip(known.features.tolist(), known.activations.tolist(), strict=True))
    for row in one.features:
        assert row.activation == pytest.approx(activations[row.feature], rel=1e-4)
    total, *rows = over_a_set(desk, hands, tiny_images[:2], method=name, **place)
    for row, true in zip(rows, truth, strict=True):
        check(row, true)
    assert (total["pictures"], total["failed"]) == (2, 0)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.kind)
@pytest.mark.parametrize("method", ["gradient", "ablation"])
def test_every_target(
    desk: Desk,
    hands: Hands,
    runner: LocalRunner,
    tiny_images: list[bytes],
    method: str,
    target: Any,
) -> None:
    place = {**FEATURES, "targets": (target,), "method": method}
    truth = locate(runner, asked(tiny_images[0], **place))
    one = single(desk, hands, tiny_images[0], target=target, method=method, **FEATURES)
    check(one, truth)
    assert one.kind == ("logit" if target.kind == "margin" else target.kind)
    exact = locate(runner, asked(tiny_images[0], **{**place, "method": "ablation"}))
    true = dict(zip(exact.units.tolist(), exact.scores.tolist(), strict=True))
    measured = {row.feature: row.measured for row in one.features}
    assert measured == pytest.approx(true, rel=1e-4, abs=1e-5)
    _, row = over_a_set(desk, hands, tiny_images[:1], **place)
    check(row, truth)


def test_edges_of_a_circuit_over_a_picture_and_a_set(
    desk: Desk, hands: Hands, runner: LocalRunner, tiny_images: list[bytes]
) -> None:
    (truth,) = circuit(runner, asked(tiny_images[0], **FEATURES), [LATER])
    one = single(desk, hands, tiny_images[0], target=LATER, method="circuit", **FEATURES)
    check(one, truth.edges)
    assert one.kind == "unit" and all(row.measured is None for row in one.features)
    place = {**FEATURES, "targets": (LATER,), "method": "circuit"}
    check(over_a_set(desk, hands, tiny_images[:1], **place)[1], truth.edges)


def test_only_the_tokens_that_were_named_count(
    desk: Desk, hands: Hands, runner: LocalRunner, tiny_images: list[bytes]
) -> None:
    tokens = {"kind": "patches", "cells": [(0, 1), (2, 2)]}
    truth = locate(runner, asked(tiny_images[0], method="ablation", tokens=tokens, **FEATURES))
    elsewhere = locate(runner, asked(tiny_images[0], method="ablation", **FEATURES))
    one = single(desk, hands, tiny_images[0], method="ablation", tokens=tokens, **FEATURES)
    check(one, truth)
    assert [r.score for r in one.features] != pytest.approx(elsewhere.scores.tolist(), rel=1e-3)


@pytest.mark.parametrize("method", ["expertise", "probe"])
@pytest.mark.parametrize(
    "place",
    [
        FEATURES,
        {**FEATURES, "tokens": Mask(kind="prefix")},
        NEURONS,
        {**NEURONS, "tokens": REGION},
        HEADS,
        DIRECTIONS,
    ],
    ids=["features", "features, CLS", "neurons", "neurons, region", "heads", "directions"],
)
def test_labelled_pictures_are_told_apart(
    desk: Desk,
    hands: Hands,
    runner: LocalRunner,
    tiny_images: list[bytes],
    method: str,
    place: dict[str, Any],
) -> None:
    bad = b"no picture"
    desk.library.keep(bad, "default")
    images = [*tiny_images[:8], bad, *tiny_images[8:]]  # two chunks
    labels = tuple(i % 3 == 0 for i in range(len(images)))
    total, *rows = over_a_set(desk, hands, images, method=method, labels=labels, **place)
    assert (total["pictures"], total["failed"], rows[8]["reason"]) == (16, 1, "BAD_IMAGE")
    good = [(Encoded(data=d), y) for d, y in zip(images, labels, strict=True) if d != bad]
    values = {row["feature"]: row for row in total["features"]}
    where = Place(**place)
    if method == "expertise":
        parts = [tuple(i for i, y in good if y is wanted) for wanted in (True, False)]
        truth = experts(runner, "tiny", where, Concept("every third", *parts))
        columns = {"precision": truth.precision, "auroc": truth.auroc}
        assert total["prevalence"] == truth.prevalence
    else:
        found = responses(runner, "tiny", where, [i for i, _ in good])
        mask = np.array([y for _, y in good])
        columns = {
            "weight": logistic(found, mask)[0],
            "difference": difference_of_means(found, mask),
        }
    for name, column in columns.items():
        mine = np.array([values[f][name] for f in range(len(column))])
        np.testing.assert_allclose(mine, column, rtol=1e-3, atol=1e-5)
    first = next(iter(columns))
    sizes = [abs(row[first]) for row in total["features"]]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("method", ["expertise", "probe"])
@pytest.mark.parametrize("place", [FEATURES, NEURONS], ids=["features", "neurons"])
def test_only_the_tokens_that_were_named_tell_pictures_apart(
    desk: Desk, hands: Hands, tiny_images: list[bytes], method: str, place: dict[str, Any]
) -> None:
    asked = {"method": method, "labels": tuple(i % 3 == 0 for i in range(16)), **place}
    said = []
    for tokens in (Mask(), Mask(kind="prefix"), REGION):
        total, *_ = over_a_set(desk, hands, tiny_images, tokens=tokens, **asked)
        said.append([list(row.values()) for row in total["features"]])
    assert said[0] != said[1] != said[2] != said[0]


def test_too_many_answers_to_be_put_together_are_refused_with_their_number(
    desk: Desk,
    hands: Hands,
    tiny_images: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(labelled, "MOST", 96 * 10)
    plain = {"model": "tiny", "classifier": PROMPTS, "method": "probe", **NEURONS}
    images, labels = tuple(map(ref, tiny_images)), tuple(i < 3 for i in range(16))
    spec = AttributeSetJob.model_validate({**plain, "images": images, "labels": labels})
    opened = desk.submit(spec, [], ANN)
    work(desk, hands, opened.id)
    with pytest.raises(InvalidRequest, match=r"96 neurons of 16 pictures .* at most 10 pictures"):
        desk.results_page(opened.id, "", 0, ANN)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"method": "expertise", **FEATURES}, "ask it of a set, with labels"),
        ({"method": "circuit", **FEATURES}, "name it as the target"),
        ({"method": "shapley", "target": LATER, **FEATURES}, "reached by gradient"),
        ({"units": "neuron", **FEATURES}, "name the one and leave out the other"),
    ],
)
def test_a_question_that_no_step_could_answer_is_refused(
    tiny_images: list[bytes], more: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        AttributeJob.model_validate(
            {"model": "tiny", "image": ref(tiny_images[0]), "classifier": PROMPTS, **more}
        )


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"method": "probe"}, "need them"),
        ({"labels": (True, False)}, "labels belong to"),
        ({"method": "probe", "labels": (True,)}, "1 labels for 2 pictures"),
        ({"method": "probe", "labels": (True, True)}, "and one as not"),
        ({"method": "probe", "labels": (True, False), "units": "neuron"}, "name the one"),
    ],
)
def test_labels_that_cannot_be_are_refused(
    tiny_images: list[bytes], more: dict[str, Any], words: str
) -> None:
    images = tuple(map(ref, tiny_images[:2]))
    plain = {"model": "tiny", "images": images, "classifier": PROMPTS, **FEATURES}
    with pytest.raises(ValidationError, match=words):
        AttributeSetJob.model_validate({**plain, **more})
