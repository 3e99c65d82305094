"""Experts, probes and maps: against scikit-learn, and over the tiny house."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from steerboard.analysis.concept_map import ConceptMap, alike, draw, of_experts, of_images, of_texts
from steerboard.analysis.concept_steering import aura, away, towards
from steerboard.analysis.concepts import (
    Concept,
    agreement,
    by_manifest,
    by_text,
    experts,
    half_splits,
)
from steerboard.analysis.expertise import Expertise, by_luck, expertise
from steerboard.analysis.probe import difference_of_means, logistic
from steerboard.analysis.responses import responses
from steerboard.inprocess.runner import LocalRunner, open_local
from steerboard.spec.edits import Scale, Set
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.requests import Embed, Encode, Encoded, Prompts, Steer


@pytest.fixture(scope="module")
def runner(tiny_house: Path) -> Iterator[LocalRunner]:
    found = open_local(tiny_house, "")
    yield found
    found.close()


@pytest.fixture(scope="module")
def images(tiny_images: list[bytes]) -> tuple[Encoded, ...]:
    return tuple(Encoded(data=data) for data in tiny_images)


@pytest.fixture
def drawn() -> tuple[sparse.csc_array, np.ndarray]:
    """Responses with many ties and much silence; some units never fire, one always."""
    rng = np.random.default_rng(0)
    dense = np.round(np.maximum(rng.normal(size=(120, 40)) - 0.4, 0), 1)
    dense[:, 7], dense[:, 8] = 0, 1 + np.round(rng.random(120), 1)
    labels = rng.random(120) < 0.3
    dense[labels, 9] += 2
    return sparse.csc_array(dense), labels


def test_average_precision_and_auroc_are_those_of_scikit_learn(
    drawn: tuple[sparse.csc_array, np.ndarray],
) -> None:
    answers, labels = drawn
    found = expertise(answers, labels)
    dense = answers.toarray()
    for f in range(dense.shape[1]):
        assert found.precision[f] == pytest.approx(average_precision_score(labels, dense[:, f]))
        assert found.auroc[f] == pytest.approx(roc_auc_score(labels, dense[:, f]))
    assert found.prevalence == labels.mean() and found.best(1).tolist() == [9]
    assert found.above(0.9).tolist() == [9]


def test_the_probes_are_those_of_scikit_learn(
    drawn: tuple[sparse.csc_array, np.ndarray],
) -> None:
    answers, labels = drawn
    weights, bias = logistic(answers, labels, c=0.5)
    theirs = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000).fit(answers, labels)
    np.testing.assert_allclose(weights, theirs.coef_[0], atol=1e-4)
    assert bias == pytest.approx(theirs.intercept_[0], abs=1e-4)
    dense = answers.toarray()
    np.testing.assert_allclose(
        difference_of_means(answers, labels), dense[labels].mean(0) - dense[~labels].mean(0)
    )


def test_labels_that_do_not_do_are_refused(drawn: tuple[sparse.csc_array, np.ndarray]) -> None:
    answers, labels = drawn
    for wrong, words in ((labels[:5], "120 pictures have 5"), (labels | True, "negative")):
        with pytest.raises(InvalidRequest, match=words):
            expertise(answers, wrong)
    with pytest.raises(InvalidRequest, match="no negatives"):
        Concept("x", (Encoded(data=b"x"),), ())


def test_a_real_concept_is_stable_and_noise_is_not(
    drawn: tuple[sparse.csc_array, np.ndarray],
) -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(200) < 80
    skill = rng.random(60) * 3
    dense = np.maximum(rng.normal(size=(200, 60)) + np.outer(labels, skill), 0)
    assert half_splits(sparse.csc_array(dense), labels).mean() > 0.9
    assert half_splits(sparse.csc_array(dense), rng.permutation(labels)).mean() < 0.5


def profile(*precision: float) -> Expertise:
    return Expertise(np.array(precision), np.full(len(precision), 0.5), 0.25)


def test_agreements_that_are_known_by_hand() -> None:
    one = profile(0.9, 0.5, 0.3, 0.7)
    assert agreement(one, one) == pytest.approx(1)
    assert agreement(one, profile(0.4, 0.8, 1.0, 0.6)) == pytest.approx(-1)
    # Deviations 3 -1 -3 1 and -1 -3 1 3, in tenths, are at right angles up to 0 / 20.
    assert agreement(one, profile(0.5, 0.3, 0.7, 0.9)) == pytest.approx(0)
    # 3 -1 -3 1 and -3 3 -1 1: -9 - 3 + 3 + 1 = -8 of 20.
    assert agreement(one, profile(0.3, 0.9, 0.5, 0.7)) == pytest.approx(-0.4)


def test_units_that_are_silent_in_both_do_not_agree_about_anything() -> None:
    """Both at the prevalence: many of them would make any two profiles alike."""
    silent = (0.25,) * 50
    one, two = profile(0.9, 0.5, 0.3, 0.7, *silent), profile(0.4, 0.8, 1.0, 0.6, *silent)
    assert agreement(one, two) == pytest.approx(-1)
    assert agreement(profile(*silent), profile(*silent)) == 0


def test_responses_are_the_largest_activation_over_tokens(
    runner: LocalRunner, images: tuple[Encoded, ...]
) -> None:
    found = responses(runner, "tiny", "middle", images)
    asked = Encode(model="tiny", images=images, dictionary="middle")
    dense = [np.maximum(c.dense().max(0), 0) for c in runner.encode(asked).results()]
    np.testing.assert_array_equal(found.toarray(), dense)


def test_concepts_by_manifest_and_by_text(runner: LocalRunner, images: tuple[Encoded, ...]) -> None:
    rows = [({"label": "cat" if i % 4 == 0 else "dog", "n": i}, im) for i, im in enumerate(images)]
    cats = by_manifest("cats", rows, {"label": "cat"})
    assert cats.positives == images[::4] and len(cats.negatives) == 12
    narrow = by_manifest("cats", rows, {"label": "cat"}, {"n": 1})
    assert narrow.negatives == (images[1],) and narrow.labels.tolist() == [True] * 4 + [False]
    near = by_text(runner, "tiny", "a cat", images, 3)
    assert len(near.positives) == 3 == len(near.negatives)
    assert not set(near.positives) & set(near.negatives)
    with pytest.raises(InvalidRequest, match="at most 8"):
        by_text(runner, "tiny", "a cat", images, 9)


def embedded(runner: LocalRunner, **asked: tuple[object, ...]) -> np.ndarray:
    """Embeddings ``[n, e]`` of unit length."""
    answer = runner.embed(Embed.model_validate({"model": "tiny", **asked}))
    return np.array([found.values for found in answer.results()], float)


def test_a_text_takes_the_nearest_pictures_for_its_own_and_the_farthest_for_others(
    runner: LocalRunner, images: tuple[Encoded, ...]
) -> None:
    """Route two: every picture's cosine with the text."""
    near = embedded(runner, images=images) @ embedded(runner, texts=("a cat",))[0]
    cosines = dict(zip(images, near.tolist(), strict=True))
    assert len(set(cosines.values())) == len(images)
    found = by_text(runner, "tiny", "a cat", images, 5)
    rest = set(images) - set(found.positives) - set(found.negatives)
    own, others = ([cosines[i] for i in part] for part in (found.positives, found.negatives))
    left = [cosines[i] for i in rest]
    assert min(own) > max(left) > min(left) > max(others) and len(left) == 6
    assert own == sorted(own, reverse=True)


def test_experts_are_steered_by_median_and_by_aura(
    runner: LocalRunner, images: tuple[Encoded, ...]
) -> None:
    concept = Concept("first half", images[:8], images[8:])
    found = experts(runner, "tiny", "middle", concept)
    best = found.best(3).tolist()
    up, down = (
        towards(runner, "tiny", "middle", concept, best),
        away(runner, "tiny", "middle", found, best),
    )
    asked = Encode(model="tiny", images=concept.positives, dictionary="middle")
    values = np.stack([c.dense() for c in runner.encode(asked).results()])
    for edit in up.edits:
        own = values[..., edit.unit.index]  # type: ignore[union-attr]
        assert isinstance(edit.op, Set)
        assert edit.op.value == pytest.approx(float(np.median(own[own > 0])))
    for edit in down.edits:
        assert isinstance(edit.op, Scale)
        assert edit.op.m == aura(found.auroc[edit.unit.index])  # type: ignore[union-attr]
    assert (aura(1.0), aura(0.75), aura(0.5), aura(0.2)) == (-1.0, -0.5, 0.0, 0.0)
    steer = Steer(
        model="tiny", images=images[:1], classifier=Prompts(prompts=("a", "b")),
        steer_sets=(up, down),
    )  # fmt: skip
    assert len(runner.steer(steer).one().steered) == 2


def test_a_map_agrees_with_itself_and_is_drawn(
    runner: LocalRunner, images: tuple[Encoded, ...], tmp_path: Path
) -> None:
    names = ("one", "two", "three", "four")
    concepts = [
        Concept(n, images[i :: len(names)], images[i + 1 :: 4]) for i, n in enumerate(names[:3])
    ]
    concepts.append(Concept("four", images[3::4], images[:3]))
    own = of_experts(names, [experts(runner, "tiny", "middle", c) for c in concepts])
    assert own.similarity.shape == (4, 4) and alike(own.similarity, own.similarity) == 1.0
    for plain in (of_images(runner, "tiny", concepts), of_texts(runner, "tiny", names)):
        np.testing.assert_allclose(np.diag(plain.similarity), 1, atol=1e-6)
        assert -1 <= alike(own.similarity, plain.similarity) <= 1
    draw(own, tmp_path / "map.png", "four concepts")
    assert (tmp_path / "map.png").stat().st_size > 5000
    with pytest.raises(InvalidRequest, match="same order"):
        alike(own.similarity, ConceptMap(("a",), np.eye(1)).similarity)


def symmetric(above: list[float], diagonal: list[float]) -> np.ndarray:
    """A matrix with these numbers above its diagonal, row by row."""
    found = np.diag(np.array(diagonal, float))
    found[np.triu_indices(4, 1)] = above
    return found + np.triu(found, 1).T


def test_matrices_agree_by_the_ranks_above_their_diagonals() -> None:
    one = symmetric([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [1, 1, 1, 1])
    turned = symmetric([0.6, 0.5, 0.4, 0.3, 0.2, 0.1], [1, 1, 1, 1])
    assert alike(one, turned) == pytest.approx(-1)
    # Two neighbours change places: 1 - 6 (1 + 1) / (6 (36 - 1)).
    swapped = symmetric([0.1, 0.3, 0.2, 0.4, 0.5, 0.6], [1, 1, 1, 1])
    assert alike(one, swapped) == pytest.approx(1 - 12 / 210) == alike(swapped, one)
    # Only ranks count, and a concept's likeness to itself says nothing.
    bent = symmetric([0.1**k for k in range(6)], [9, -9, 3, 0])
    assert alike(one, bent) == pytest.approx(-1)
    assert alike(turned, bent) == pytest.approx(1)


def test_plain_maps_are_cosines_of_mean_embeddings_and_of_sentences(
    runner: LocalRunner, images: tuple[Encoded, ...]
) -> None:
    names, parts = ("cat", "dog", "boat"), (images[:4], images[4:9], images[9:11])
    concepts = [Concept(n, own, images[12:]) for n, own in zip(names, parts, strict=True)]
    seen = of_images(runner, "tiny", concepts)
    told = of_texts(runner, "tiny", names)
    assert seen.names == told.names == names
    centres = [embedded(runner, images=own).sum(0) for own in parts]
    sentences = embedded(runner, texts=tuple(f"a photo of a {name}." for name in names))
    for found, rows in ((seen.similarity, centres), (told.similarity, list(sentences))):
        for i, one in enumerate(rows):
            for j, two in enumerate(rows):
                cosine = one @ two / np.sqrt((one @ one) * (two @ two))
                assert found[i, j] == pytest.approx(cosine, abs=1e-6)


def test_a_map_of_experts_correlates_profiles() -> None:
    found = of_experts(
        ("one", "two", "three"),
        [profile(0.9, 0.5, 0.3, 0.7), profile(0.4, 0.8, 1.0, 0.6), profile(0.3, 0.9, 0.5, 0.7)],
    )
    expected = [[1, -1, -0.4], [-1, 1, 0.4], [-0.4, 0.4, 1]]
    np.testing.assert_allclose(found.similarity, expected, atol=1e-12)


@pytest.mark.parametrize(("positives", "count"), [(4, 40), (30, 100), (50, 60)])
def test_one_in_twenty_units_that_answer_at_random_has_more_than_luck(
    positives: int, count: int
) -> None:
    labels = np.arange(count) < positives
    bound = by_luck(labels)
    others = sparse.csc_array(np.random.default_rng(1).random((count, 4000)))
    exceeded = (expertise(others, labels).precision > bound).mean()
    # The bound is the quantile of 1,000 units: three of its standard errors are 0.02.
    assert exceeded == pytest.approx(0.05, abs=0.025)
    perfect = expertise(sparse.csc_array(labels[:, None].astype(float)), labels).precision
    assert positives / count < bound < perfect[0] == 1
