"""A traced pass is the tower's own, bit for bit, for any number of rows; else the tower runs."""

import threading
from dataclasses import replace

import pytest
import torch

import steerboard as sb
from steerboard.inprocess.config import read_config
from steerboard.inprocess.kernel import DirectKernel, Row
from steerboard.inprocess.served import serve
from steerboard.inprocess.traced import SMALL, Traced, rest, traced
from steerboard.spec.edits import Edit, Neuron, Scale, SteerSet


@pytest.fixture(scope="module")
def served(tiny_house):
    config, base = read_config(tiny_house)
    return serve("tiny", config.models["tiny"], base, "test")


@pytest.fixture
def swift(served):
    return replace(served, traced=Traced(served.loaded.tower))


def pixels(served, count, seed=0):
    shape = (count, 3, *served.loaded.tower.image_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_it_is_the_tower_s_own_pass_from_every_block(served, swift, rows):
    tower = served.loaded.tower
    x = tower.start(pixels(served, rows))
    assert torch.equal(swift.traced.start(pixels(served, rows)), x)
    for first in range(len(tower.blocks)):
        assert torch.equal(swift.traced.rest(x, first), rest(tower, x, first))
        x = tower.block(x, first)


def test_it_is_traced_indeed(swift, served):
    with torch.inference_mode():
        x = swift.traced.start(pixels(served, 2))
        swift.traced.rest(x, 0)
        swift.traced.rest(x, 1)
    stages = list(swift.traced._known.values())
    assert len(stages) == 3 and all(isinstance(s, torch.jit.ScriptFunction) for s in stages)


def neuron(site):
    return SteerSet(edits=(Edit(site=site, unit=Neuron(index=1), op=Scale(m=2.0)),))


SETS = (
    SteerSet(),
    *map(neuron, ("resid_pre.1", "mlp_post.1", "resid_post.1", "resid_pre.2", "embedding")),
    sb.scale("resid_post.1", "middle", -1.0, 3, 4),
)


def test_rows_with_and_without_edits_come_out_as_without_it(served, swift):
    rows = [
        Row(f"{i} {k}", one, steer)
        for i, one in enumerate(pixels(served, 3))
        for k, steer in enumerate(SETS)
    ]
    for asked in (rows, rows[:1], rows[3:4], rows[1:2], rows[4:6]):
        found, right = (DirectKernel().embed(one, asked) for one in (swift, served))
        assert torch.equal(found, right)


def test_many_threads_may_be_the_first(served, swift):
    x, found = pixels(served, 4), []

    def ask():
        with torch.inference_mode():
            found.append(swift.traced.start(x))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and all(torch.equal(one, found[0]) for one in found)
    assert len(swift.traced._known) == 1


@torch.inference_mode()
def test_what_depends_on_how_many_there_are_runs_as_it_is():
    def stage(x):
        return x * len(x)  # a number in the trace

    found = traced(stage, torch.ones(2, 3))
    assert torch.equal(found(torch.ones(5, 3)), torch.full((5, 3), 5.0))


@torch.inference_mode()
def test_what_cannot_be_traced_runs_as_it_is():
    def stage(x):
        return torch.from_numpy(x.numpy() + 1) if isinstance(x, torch.Tensor) and id(x) else None

    assert torch.equal(traced(stage, torch.ones(2, 3))(torch.zeros(4, 3)), torch.ones(4, 3))


def test_large_towers_and_their_parts(served):
    tower = served.loaded.tower
    cost = tower.tokens * tower.width**2
    assert Traced(tower).takes() == (cost * len(tower.blocks) <= SMALL)

    class Large:
        tokens, width, blocks = 197, 768, range(12)

    assert not Traced(Large()).takes()
    assert Traced(Large()).takes(12)
