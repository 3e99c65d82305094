"""Edges between two dictionaries, composed of the runner's answers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from steerboard.analysis.circuit import circuit
from steerboard.inprocess.runner import LocalRunner, open_local
from steerboard.spec.edits import Feature
from steerboard.spec.requests import Attribute, Encode, Encoded, Prompts, UnitActivation


@pytest.fixture(scope="module")
def runner(tiny_house: Path) -> Iterator[LocalRunner]:
    found = open_local(tiny_house, "")
    yield found
    found.close()


def test_each_later_unit_has_its_own_edges(runner: LocalRunner, tiny_images: list[bytes]) -> None:
    image = Encoded(data=tiny_images[0])
    later = runner.encode(Encode(model="tiny", images=(image,), dictionary="last")).one()
    units = [
        UnitActivation(site="resid_post.2", unit=Feature(dictionary="last", index=int(f)))
        for f in later.features[:3]
    ]
    asked = Attribute(
        model="tiny",
        images=(image,),
        classifier=Prompts(prompts=("a", "b")),
        dictionary="middle",
        top_k=10,
    )
    found = circuit(runner, asked, units)
    assert [e.into for e in found] == units
    for edges, value in zip(found, later.values[:3], strict=True):
        assert edges.edges.value == pytest.approx(float(value), rel=1e-4)
        assert len(edges.edges.units) == 10 and np.abs(edges.edges.scores).max() > 0
    assert not np.allclose(found[0].edges.scores, found[1].edges.scores)


def test_a_silent_unit_has_no_edges(runner: LocalRunner, tiny_images: list[bytes]) -> None:
    image = Encoded(data=tiny_images[0])
    later = runner.encode(Encode(model="tiny", images=(image,), dictionary="last")).one()
    silent = int(np.setdiff1d(np.arange(48), later.features)[0])
    unit = UnitActivation(site="resid_post.2", unit=Feature(dictionary="last", index=silent))
    asked = Attribute(
        model="tiny", images=(image,), classifier=Prompts(prompts=("a", "b")), dictionary="middle"
    )
    (edges,) = circuit(runner, asked, [unit])
    assert edges.edges.value == 0 and not edges.edges.scores.any()
