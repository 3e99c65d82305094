"""Responses of all kinds of units, against plain hooks on the torch model; who is an expert."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from steerboard.analysis.concept_steering import away, towards
from steerboard.analysis.concepts import Concept, experts
from steerboard.analysis.expertise import expertise
from steerboard.analysis.probe import difference_of_means, logistic
from steerboard.analysis.responses import Place, responses
from steerboard.inprocess.runner import LocalRunner, open_local
from steerboard.model.load import LoadedModel, load
from steerboard.spec.edits import Mask, Set
from steerboard.spec.errors import EmptyMask, InvalidRequest, NotFound
from steerboard.spec.requests import Encode, Encoded, Prompts, Steer
from steerboard.spec.tensor import Tensor

ROWS = np.random.default_rng(5).normal(size=(6, 24)).astype(np.float32)
CELLS = ((0, 1), (2, 2), (3, 0))
MASKS = {
    "all": (Mask(), slice(None)),
    "prefix": (Mask(kind="prefix"), slice(0, 1)),
    "patches": (
        Mask(kind="patches", cells=tuple((i // 4, i % 4) for i in range(16))),
        slice(1, None),
    ),
    "region": (Mask(kind="patches", cells=CELLS), [1 + 4 * row + column for row, column in CELLS]),
}
PLACES = {
    "neurons": Place(units="neuron", site="mlp_post.1"),
    "neurons of the stream": Place(units="neuron", site="resid_post.1"),
    "heads": Place(units="head", site="head_out.1"),
    "directions": Place(units="direction", site="resid_post.1", directions=Tensor.of(ROWS)),
}
LAST = Place(units="neuron", site="mlp_post.2")


@pytest.fixture(scope="module")
def runner(tiny_house: Path) -> Iterator[LocalRunner]:
    found = open_local(tiny_house, "")
    yield found
    found.close()


@pytest.fixture(scope="module")
def loaded(tiny_house: Path) -> LoadedModel:
    return load(tiny_house / "model")


@pytest.fixture(scope="module")
def images(tiny_images: list[bytes]) -> tuple[Encoded, ...]:
    return tuple(Encoded(data=data) for data in tiny_images)


def hooked(loaded: LoadedModel, images: tuple[Encoded, ...], where: Place) -> np.ndarray:
    """Activations ``[n, t, f]`` as a plain forward pass of open_clip has them."""
    block = loaded.clip.visual.transformer.resblocks[int(str(where.site)[-1])]
    seen: list[torch.Tensor] = []
    inner: dict[str, torch.nn.Module] = {"mlp": block.mlp.gelu, "hea": block.ln_1, "res": block}
    handle = inner[str(where.site)[:3]].register_forward_hook(lambda *a: seen.append(a[2]))
    try:
        with torch.no_grad():
            loaded.clip.encode_image(torch.stack([loaded.pixels(i.data) for i in images]))
    finally:
        handle.remove()
    (x,) = seen
    if where.units == "head":
        x = head_norms(block.attn, x)
    if where.units == "direction":
        x = x @ torch.nn.functional.normalize(torch.from_numpy(ROWS), dim=-1).T
    return x.detach().numpy()


def head_norms(attention: torch.nn.MultiheadAttention, x: torch.Tensor) -> torch.Tensor:
    """Norms ``[n, t, h]`` of what each head reads, by the formula of attention."""
    with torch.no_grad():
        q, k, v = (
            part.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
            for part in (x @ attention.in_proj_weight.T + attention.in_proj_bias).chunk(3, dim=-1)
        )
        weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
        return (weights @ v).norm(dim=-1).transpose(1, 2)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("place", PLACES)
def test_responses_are_the_largest_hooked_activation_over_the_tokens_that_count(
    runner: LocalRunner,
    loaded: LoadedModel,
    images: tuple[Encoded, ...],
    place: str,
    mask: str,
) -> None:
    tokens, counted = MASKS[mask]
    where = PLACES[place]
    found = responses(runner, "tiny", replace(where, tokens=tokens), images).toarray()
    plain = hooked(loaded, images, where)[:, counted].max(1)
    np.testing.assert_allclose(found, plain, atol=1e-5)
    if where.units in ("neuron", "direction") and mask == "prefix":
        assert (plain < 0).any()  # a response has a sign


def test_at_the_last_block_the_patches_answer_too(
    runner: LocalRunner, loaded: LoadedModel, images: tuple[Encoded, ...]
) -> None:
    found = responses(runner, "tiny", LAST, images).toarray()
    np.testing.assert_allclose(found, hooked(loaded, images, LAST).max(1), atol=1e-5)


@pytest.mark.parametrize("mask", ["prefix", "patches", "region"])
def test_features_answer_where_tokens_count(
    runner: LocalRunner, images: tuple[Encoded, ...], mask: str
) -> None:
    tokens, counted = MASKS[mask]
    found = responses(runner, "tiny", Place("middle", tokens=tokens), images).toarray()
    asked = Encode(model="tiny", images=images, dictionary="middle")
    dense = [np.maximum(c.dense()[counted].max(0), 0) for c in runner.encode(asked).results()]
    np.testing.assert_allclose(found, dense, atol=1e-6)
    everywhere = responses(runner, "tiny", "middle", images).toarray()
    assert (found <= everywhere + 1e-6).all() and not np.allclose(found, everywhere)


@pytest.mark.parametrize("place", PLACES)
def test_expertise_and_probe_are_those_of_scikit_learn_over_hooked_activations(
    runner: LocalRunner,
    loaded: LoadedModel,
    images: tuple[Encoded, ...],
    place: str,
) -> None:
    where = PLACES[place]
    concept = Concept("every other", images[::2], images[1::2])
    plain = hooked(loaded, concept.images, where).max(1)
    found = experts(runner, "tiny", where, concept)
    for unit, own in enumerate(plain.T):
        assert found.precision[unit] == pytest.approx(average_precision_score(concept.labels, own))
        assert found.auroc[unit] == pytest.approx(roc_auc_score(concept.labels, own))
    answers = responses(runner, "tiny", where, concept.images)
    weights, bias = logistic(answers, concept.labels)
    theirs = LogisticRegression(tol=1e-10, max_iter=10_000).fit(plain, concept.labels)
    np.testing.assert_allclose(weights, theirs.coef_[0], atol=1e-3)
    assert bias == pytest.approx(theirs.intercept_[0], abs=1e-3)
    yes, no = (plain[concept.labels == kind].mean(0) for kind in (True, False))
    np.testing.assert_allclose(difference_of_means(answers, concept.labels), yes - no, atol=1e-5)


def test_a_sign_or_another_zero_changes_no_skill() -> None:
    from scipy import sparse

    rng = np.random.default_rng(0)
    dense, labels = np.round(rng.normal(size=(80, 12)), 1), np.arange(80) < 30
    moved = [expertise(sparse.csc_array(dense + by), labels) for by in (0, -9, 9)]
    for other in moved[1:]:
        np.testing.assert_allclose(other.precision, moved[0].precision)
        np.testing.assert_allclose(other.auroc, moved[0].auroc)


@pytest.mark.parametrize("place", PLACES)
def test_experts_of_every_kind_are_steered_away_from(
    runner: LocalRunner, images: tuple[Encoded, ...], place: str
) -> None:
    where = PLACES[place]
    concept = Concept("every other", images[::2], images[1::2])
    found = experts(runner, "tiny", where, concept)
    down = away(runner, "tiny", where, found, found.best(3))
    assert {edit.site for edit in down.edits} == {where.site}
    assert {edit.unit.kind for edit in down.edits} == {where.units}
    asked = Steer(
        model="tiny", images=images[:1], classifier=Prompts(prompts=("a", "b")), steer_sets=(down,)
    )
    answer = runner.steer(asked).one()
    assert not np.allclose(answer.steered[0].logits, answer.clean.logits, atol=1e-6)


@pytest.mark.parametrize("place", ["neurons", "neurons of the stream", "directions"])
@pytest.mark.parametrize("mask", ["all", "region"])
def test_experts_are_set_to_their_median_over_the_tokens_where_they_are_positive(
    runner: LocalRunner,
    loaded: LoadedModel,
    images: tuple[Encoded, ...],
    place: str,
    mask: str,
) -> None:
    tokens, counted = MASKS[mask]
    where = replace(PLACES[place], tokens=tokens)
    concept = Concept("every other", images[::2], images[1::2])
    up = towards(runner, "tiny", where, concept, [4, 1])
    plain = hooked(loaded, concept.positives, where)[:, counted]
    assert len(up.edits) == 2
    for edit, unit in zip(up.edits, (4, 1), strict=True):
        own = plain[..., unit]
        assert isinstance(edit.op, Set) and edit.condition is not None
        assert edit.op.value == pytest.approx(float(np.median(own[own > 0])), rel=1e-4)
        assert (edit.mask, edit.condition.unit, edit.condition.tau) == (tokens, edit.unit, 0.0)
    asked = Steer(
        model="tiny", images=images[:1], classifier=Prompts(prompts=("a", "b")), steer_sets=(up,)
    )
    assert len(runner.steer(asked).one().steered) == 1


def test_heads_cannot_be_set(runner: LocalRunner, images: tuple[Encoded, ...]) -> None:
    concept = Concept("every other", images[::2], images[1::2])
    with pytest.raises(InvalidRequest, match="steer away from the concept"):
        towards(runner, "tiny", PLACES["heads"], concept, [0])


@pytest.mark.parametrize(
    ("where", "kind", "words"),
    [
        (Place(units="neuron"), InvalidRequest, "name the site"),
        (Place(units="direction", site="resid_post.1"), InvalidRequest, "directions are given"),
        (Place(units="neuron", site="resid_post.7"), NotFound, "no site"),
        (Place(units="head", site="mlp_post.1"), InvalidRequest, "no units of kind head"),
        (Place("nowhere"), NotFound, "nowhere"),
        (replace(LAST, tokens=Mask(kind="patches", cells=CELLS)), EmptyMask, "earlier site"),
        (replace(LAST, tokens=Mask(kind="patches")), EmptyMask, "mark at least one patch"),
    ],
)
def test_what_has_no_answer_is_refused_with_a_remedy(
    runner: LocalRunner,
    images: tuple[Encoded, ...],
    where: Place,
    kind: type[Exception],
    words: str,
) -> None:
    with pytest.raises(kind, match=words):
        responses(runner, "tiny", where, images)
