"""Guard rails over a Runner, each number by a second route."""

from pathlib import Path

import numpy as np
import pytest

import steerboard as sb
from steerboard.analysis.evidence.answers import readout
from steerboard.analysis.evidence.pictures import ManifestSet
from steerboard.recipe.guards import embeddings_of, guard, nearest, spread_of
from steerboard.spec.edits import Edit, Part, Scale, SteerSet
from steerboard.spec.requests import Encode, Margin
from steerboard.spec.runner import Runner

PROMPTS = sb.Prompts(prompts=("cat", "dog", "horse", "boat"), template="a {}")


@pytest.fixture
def images(tiny_house: Path) -> ManifestSet:
    folder = tiny_house / "images"
    return ManifestSet("tiny", folder, folder / "manifest.jsonl")


def test_warnings_rest_on_what_the_runner_answers(runner: Runner, images: ManifestSet) -> None:
    info = runner.model("tiny")
    picture, *rest = images
    others = embeddings_of(runner, info, rest)
    target = Margin(index=0, against=1)
    code = runner.encode(
        Encode(model="tiny", images=(sb.Encoded(data=picture.data),), dictionary="middle")
    ).one()
    peaks = code.dense().max(0)
    one, two = (int(f) for f in np.argsort(-peaks)[:2])
    steer = sb.scale("resid_post.1", "middle", 5.0, one, two)
    maxima = {
        ("middle", one): float(peaks[one]) * 6 - 0.01,
        ("middle", two): float(peaks[two]) * 6 + 0.01,
    }
    found = guard(
        runner, info, readout(runner, info, PROMPTS), steer, picture, target, maxima, others
    )
    ask = sb.Steer(
        model="tiny", images=(sb.Encoded(data=picture.data),), classifier=PROMPTS,
        steer_sets=(steer, without_error()),
    )  # fmt: skip
    answer = runner.steer(ask).one()
    margins = [p.logits[0] - p.logits[1] for p in (answer.clean, *answer.steered)]
    assert found.margin == pytest.approx(margins[0], abs=1e-4)
    assert found.change == pytest.approx(margins[1] - margins[0], abs=1e-4)
    (error,) = found.errors
    assert error.change == pytest.approx(margins[2] - margins[0], abs=1e-4)
    assert len(found.rivals) == 3
    assert [b.feature for b in found.beyond] == [one]
    assert found.beyond[0].value == pytest.approx(6 * peaks[one], rel=1e-5)


def without_error() -> SteerSet:
    unit = Part(of="error", dictionary="middle")
    return SteerSet(edits=(Edit(site="resid_post.1", unit=unit, op=Scale(m=-1.0)),))


def test_distances_are_those_counted_one_by_one() -> None:
    rng = np.random.default_rng(0)
    others = rng.standard_normal((40, 6))
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    one = rng.standard_normal((2, 6)) * 7
    slow = [min(1 - float(o @ x) / np.linalg.norm(x) for o in others) for x in one]
    assert nearest(one, others) == pytest.approx(slow)
    own = [min(1 - float(a @ b) for j, b in enumerate(others) if j != i) for i, a in
           enumerate(others)]  # fmt: skip
    assert spread_of(others) == pytest.approx(np.quantile(own, 0.95))
