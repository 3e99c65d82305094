"""Sampled Shapley values against exact enumeration, over a game and over a model."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from steerboard.analysis.ablated import ablation
from steerboard.analysis.measuring import measure
from steerboard.analysis.methods import METHODS, locate
from steerboard.analysis.shapley import enumerated, remembered, sampled, shapley, worth
from steerboard.attribution.registry import METHODS as INSIDE
from steerboard.inprocess.runner import LocalRunner, open_local
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.requests import Attribute, Encoded, LogProb, Prompts


@pytest.fixture(scope="module")
def runner(tiny_house: Path) -> Iterator[LocalRunner]:
    found = open_local(tiny_house, "")
    yield found
    found.close()


@pytest.fixture
def asked(tiny_images: list[bytes]) -> Attribute:
    return Attribute(
        model="tiny",
        images=(Encoded(data=tiny_images[0]),),
        classifier=Prompts(prompts=("cat", "dog", "horse", "boat")),
        dictionary="middle",
        top_k=8,
    )


def game(coalitions: Sequence[frozenset[int]]) -> np.ndarray:
    """Weights, and a bonus where players 0 and 1 are both there: worth half of it to each."""
    weights = np.array([1.0, -2.0, 3.0, 0.5])
    return np.array([weights[list(c)].sum() + 4.0 * ({0, 1} <= c) for c in coalitions])


def test_a_game_that_is_known_by_hand() -> None:
    np.testing.assert_allclose(enumerated(game, 4), [3.0, 0.0, 3.0, 0.5])
    means, errors = sampled(game, 4, 200, 0)
    np.testing.assert_allclose(means, [3.0, 0.0, 3.0, 0.5], atol=0.5)
    assert errors[2] == 0 and means.sum() == pytest.approx(6.5)


def test_sampling_lies_within_three_standard_errors_of_enumeration(
    runner: LocalRunner, asked: Attribute
) -> None:
    one = measure(runner, asked)
    players = one.attribution().features
    ask = remembered(worth(one, players))
    exact = enumerated(ask, len(players))
    means, errors = sampled(ask, len(players), 32, 0)
    assert np.all(np.abs(means - exact) <= 3 * errors + 1e-6)
    found = shapley(runner, asked, pairs=32)
    assert found.errors is not None and found.units.tolist() != []
    by_unit = dict(zip(found.units.tolist(), found.scores, strict=True))
    np.testing.assert_allclose([by_unit[p] for p in players.tolist()], means, atol=1e-5)
    off = float(one.changes([one.scaled(-1.0, *players.tolist())])[0])
    assert found.rows["total"] == pytest.approx(-off, abs=1e-4)
    assert found.value - found.rows["baseline"] == pytest.approx(-off, abs=1e-4)


@pytest.mark.parametrize(
    "units",
    [
        {},
        {"dictionary": "", "units": "head", "site": "head_out.1"},
        {"dictionary": "", "units": "neuron", "site": "mlp_post.1"},
    ],
)
def test_ablation_as_a_method_is_one_unit_off_at_a_time(
    runner: LocalRunner, asked: Attribute, units: dict[str, str]
) -> None:
    asked = Attribute.model_validate(
        asked.model_copy(update={**units, "targets": (LogProb(),)}).model_dump()
    )
    found = ablation(runner, asked)
    one = measure(runner, asked)
    each = [float(one.changes([one.scaled(-1.0, int(u))])[0]) for u in found.units]
    np.testing.assert_allclose(found.scores, [-c for c in each], atol=1e-5)
    assert np.all(np.diff(np.abs(found.scores)) <= 1e-9)


def test_every_method_beside_the_model_is_listed_and_locates(
    runner: LocalRunner, asked: Attribute
) -> None:
    composed_of = {"peak"}  # what probe and expertise read of each picture
    assert {n for n, m in METHODS.items() if m.side == "model"} == set(INSIDE) - composed_of
    for name, method in METHODS.items():
        request = asked.model_copy(update={"method": name, "top_k": 4})
        if method.side == "set":
            with pytest.raises(InvalidRequest, match=r"labelled pictures|name it as the target"):
                locate(runner, request)
        else:
            assert len(locate(runner, request).units) == 4


def test_several_pictures_at_once_are_refused(runner: LocalRunner, asked: Attribute) -> None:
    with pytest.raises(InvalidRequest, match="one picture"):
        measure(runner, asked.model_copy(update={"images": asked.images * 2}))
