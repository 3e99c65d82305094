"""Cores that each take rows of a batch: the same answers, cut where it pays."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

import steerboard
from steerboard.inprocess import climb
from steerboard.inprocess.between import Step
from steerboard.inprocess.crew import Crew, Gang, Worker
from steerboard.inprocess.kernel import DirectKernel, Row
from steerboard.inprocess.runner import LocalRunner
from steerboard.inprocess.served import ServedModel
from steerboard.spec.edits import Edit, Neuron, Scale, SteerSet

ALWAYS = Crew(piece=1, worth=1)
NEVER = Crew(worth=2**62)
SITES = ("resid_pre.0", "head_out.1", "mlp_post.1", "resid_post.1", "resid_post.2", "embedding")


@pytest.fixture(autouse=True)
def _three_cores():
    """As if there were three: cutting is about threads, not about what the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tiny(tiny_house: Path):
    opened = steerboard.local(tiny_house)
    assert isinstance(opened, LocalRunner)
    yield opened._served["tiny"]
    opened.close()


def rows(served: ServedModel, count: int) -> list[Row]:
    """Pictures under sets that begin everywhere, some picture in several rows."""
    drawn = torch.from_numpy(
        np.random.default_rng(3).normal(size=(count, 3, *served.info.image_size))
    ).float()
    sets = [SteerSet()] + [
        SteerSet(edits=(Edit(site=site, unit=Neuron(index=1), op=Scale(m=m)),))
        for site in SITES
        for m in (-1.0, 0.5)
    ]
    return [Row(f"{i // 2}", drawn[i // 2], sets[i % len(sets)]) for i in range(count)]


@pytest.mark.parametrize("cache", [0, 2**24])
def test_a_cut_batch_answers_as_a_whole_one(tiny: ServedModel, cache: int) -> None:
    asked = rows(tiny, 41)
    whole = DirectKernel(cache, crew=NEVER).embed(tiny, asked)
    cut = DirectKernel(cache, crew=ALWAYS)
    for _ in range(2):  # The second time much of it comes from the cache.
        assert torch.allclose(cut.embed(tiny, asked), whole, atol=1e-6)


@pytest.mark.parametrize("site", ["resid_pre.2", "mlp_post.1", "resid_post.1"])
def test_what_is_read_and_differentiated_is_the_same(tiny: ServedModel, site: str) -> None:
    asked = rows(tiny, 14)
    readouts = torch.randn(len(asked), tiny.info.embedding_width)
    kernels = [DirectKernel(crew=crew) for crew in (NEVER, ALWAYS)]
    one, other = (kernel.read(tiny, asked, site) for kernel in kernels)
    assert torch.allclose(one, other, atol=1e-5)
    (whole, cut) = (kernel.sense(tiny, asked, [site], readouts)[site] for kernel in kernels)
    assert torch.allclose(whole.x, cut.x, atol=1e-5)
    assert torch.allclose(whole.gradient, cut.gradient, atol=1e-5)


def test_every_row_is_in_one_piece_and_pieces_cost_alike(tiny: ServedModel) -> None:
    for count in (2, 3, 7, 50, 128):
        costs = [1.0 + 5 * (i % 3 == 0) for i in range(count)]
        sizes = ALWAYS.cut(costs, tiny)
        assert sum(sizes) == count and min(sizes) > 0


def test_rows_that_begin_late_count_less(tiny: ServedModel) -> None:
    costs = [6.0] * 4 + [1.0] * 24
    sizes = Crew(piece=10**9, worth=1).cut(costs, tiny)
    ends = np.cumsum(sizes)
    shares = [sum(costs[end - size : end]) for end, size in zip(ends, sizes, strict=True)]
    assert len(sizes) == 3 and max(shares) <= sum(costs) / 3 + 6


def test_small_batches_are_not_cut(tiny: ServedModel) -> None:
    work = 4 * tiny.loaded.tower.tokens * tiny.loaded.tower.width**2
    assert Crew(worth=work + 1).cut([1.0] * 4, tiny) == [4]
    assert len(Crew(worth=work).cut([1.0] * 4, tiny)) == 3
    torch.set_num_threads(1)
    assert Crew(worth=work).cut([1.0] * 4, tiny) == [4]


def test_other_threads_keep_their_cores(tiny: ServedModel) -> None:
    DirectKernel(crew=ALWAYS).embed(tiny, rows(tiny, 9))
    seen = [torch.get_num_threads()]
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [3, 3]


def test_a_core_is_one_core_also_after_its_first_work() -> None:
    def work(_: int, step: Step) -> torch.Tensor:
        torch.randn(200, 200) @ torch.randn(200, 200)
        return torch.tensor(torch.get_num_threads())

    assert {int(count) for _ in range(3) for count in ALWAYS.map(work, range(6))} == {1}


def test_a_piece_that_fails_is_heard_after_the_others_ended() -> None:
    ended: list[int] = []

    def call(number: int, step: Step) -> torch.Tensor:
        if number == 0:
            raise MemoryError("no room")
        ended.append(number)
        return torch.zeros(1)

    with pytest.raises(MemoryError, match="no room"):
        ALWAYS.map(call, [0, 1, 2, 3, 4])
    assert sorted(ended) == [1, 2, 3, 4]


class Uneven(Crew):
    """Two pieces for three cores: one has nothing to do from the beginning."""

    def cut(self, costs, served):
        return [1, len(costs) - 1] if len(costs) > 1 else [1]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each try to give rows away found an idle core; one row is worth it."""
    found: list[bool] = []
    give = Worker.give

    def seen(worker: Worker, own) -> bool:
        found.append(give(worker, own))
        return found[-1]

    monkeypatch.setattr(Worker, "give", seen)
    monkeypatch.setattr(climb, "TAKEN", 1)
    return found


def test_rows_that_an_idle_core_takes_are_answered_as_if_it_had_not(
    tiny: ServedModel, given: list[bool]
) -> None:
    # Rows are given away when all of the piece have entered: these do before block 2.
    asked = [r for r in rows(tiny, 50) if all(e.site in SITES[:3] for e in r.steer.edits)]
    whole = DirectKernel(0, crew=NEVER).embed(tiny, asked)
    for _ in range(5):
        shared = DirectKernel(0, crew=Uneven(shares=True)).embed(tiny, asked)
        assert torch.allclose(shared, whole, atol=1e-6)
    assert sum(given) >= 5
    given.clear()
    DirectKernel(0, crew=Uneven()).embed(tiny, asked)
    assert not given, "unless cores share, an answer is the same to its last bit"


def test_what_was_given_away_comes_back_in_order_however_often() -> None:
    """A piece halves what it has as often as it finds a core idle; one is from the beginning."""

    def piece(numbers: torch.Tensor):
        def own(step: Step) -> torch.Tensor:
            mine = numbers
            for _ in range(10):
                half = (len(mine) + 1) // 2
                if isinstance(step, Worker) and len(mine) > 1 and step.give(piece(mine[half:])):
                    mine = mine[:half]
            return mine

        return own

    for _ in range(20):
        one, rest = Gang(lambda own, step: own(step)).map(
            [piece(torch.zeros(1)), piece(torch.arange(24))]
        )
        assert one.tolist() == [0] and rest.tolist() == list(range(24))


def test_rows_given_away_that_fail_are_heard_when_all_have_ended() -> None:
    ended = threading.Event()

    def failing(step: Step) -> torch.Tensor:
        raise MemoryError("no room")

    def giving(step: Step) -> torch.Tensor:
        assert isinstance(step, Worker) and step.give(failing)
        ended.set()
        return torch.zeros(1)

    with pytest.raises(MemoryError, match="no room"):
        Gang(lambda own, step: own(step)).map([giving])
    assert ended.is_set()


def test_what_is_given_away_is_watched_like_the_rest() -> None:
    from services.inference.engine.memory import Tally

    held = []

    def taken(step: Step) -> torch.Tensor:
        held.append(torch.ones(1000))
        return torch.zeros(1)

    def giving(number: int, step: Step) -> torch.Tensor:
        if number and isinstance(step, Worker):
            assert step.give(taken)
        return torch.zeros(1)

    with Tally() as tally:
        Crew(shares=True).map(giving, [0, 1])
    assert tally.top >= 4000
