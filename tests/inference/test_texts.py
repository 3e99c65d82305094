"""Texts wait like pictures do: with a cost, a lane, a deadline; each is read by its model once."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from patience import wait_until

import steerboard as sb
from services.inference.engine.batching import BatchingKernel
from services.inference.engine.ticket import Ticket, carrying
from steerboard.inprocess.config import read_config
from steerboard.inprocess.kernel import DirectKernel
from steerboard.inprocess.runner import LocalRunner
from steerboard.inprocess.served import serve
from steerboard.spec.errors import Cancelled, DeadlineExceeded


class Counting(DirectKernel):
    """Says what it computed, in order; has memory for ``room`` texts."""

    def __init__(self):
        super().__init__()
        self.log = []
        self.room = 10**6

    def texts(self, served, tokens, between=None):
        if len(tokens) > self.room:
            raise torch.OutOfMemoryError("no room")
        self.log.append(("texts", len(tokens)))
        return super().texts(served, tokens, between)

    def embed(self, served, rows, between=None):
        self.log.append(("pictures", len(rows)))
        return super().embed(served, rows, between)


@pytest.fixture(scope="module")
def served(tiny_house):
    config, base = read_config(tiny_house)
    return serve("tiny", config.models["tiny"], base, "test")


@pytest.fixture
def inner():
    return Counting()


@pytest.fixture
def engine(inner):
    engine = BatchingKernel(inner, batch_s=1e9)
    yield engine
    engine.close()


@pytest.fixture
def runner(served, engine):
    runner = LocalRunner({"tiny": served}, engine)
    yield runner
    runner.close()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as pool:
        yield pool


def embed(runner, texts, ticket=None):
    with carrying(ticket or Ticket()):
        answer = runner.embed(sb.Embed(model="tiny", texts=tuple(texts)))
        return (ticket or Ticket()).stamp(answer)


def words(start, count):
    return [f"word {i}" for i in range(start, start + count)]


def test_texts_of_several_callers_share_a_batch_and_each_gets_its_own(
    served, runner, engine, inner, pool
):
    with engine.paused():
        asked = [pool.submit(embed, runner, words(10 * i, 3 + i)) for i in range(4)]
        wait_until(lambda: engine.waiting == 4)
    for i, future in enumerate(asked):
        found = np.stack([item.values for item in future.result(30).items])
        wanted = served.loaded.text(words(10 * i, 3 + i)).numpy()
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert inner.log == [("texts", 18)]


def test_sixteen_texts_cost_what_a_picture_costs_and_the_queue_is_told(runner, engine, pool):
    ticket = Ticket()
    with engine.paused():
        asked = pool.submit(embed, runner, words(0, 33), ticket)
        wait_until(lambda: engine.waiting == 1)
        assert engine._scheduler.cost == 3
        time.sleep(0.01)
    timing = asked.result(30).timing
    assert timing.queued_ms >= 10 and timing.computed_ms > 0 and timing.batch_rows == 3


def test_texts_that_nobody_waits_for_are_not_read(runner, engine, inner, pool):
    gone, late = Ticket(), Ticket(deadline=time.monotonic() + 0.05)
    with engine.paused():
        asked = [pool.submit(embed, runner, words(i, 2), t) for i, t in enumerate((gone, late))]
        wait_until(lambda: engine.waiting == 2)
        gone.cancelled = True
        wait_until(lambda: time.monotonic() > late.deadline)
    with pytest.raises(Cancelled):
        asked[0].result(30)
    with pytest.raises(DeadlineExceeded):
        asked[1].result(30)
    assert inner.log == []


def test_a_person_s_new_prompts_go_before_the_texts_of_a_set(
    runner, engine, inner, pool, tiny_images
):
    classifier = sb.Prompts(prompts=("a boat", "a horse"))
    one = sb.Predict(model="tiny", images=(sb.Encoded(data=tiny_images[0]),), classifier=classifier)

    def predict():
        with carrying(Ticket(caller="ada")):
            return runner.predict(one).one()

    with engine.paused():
        bulk = pool.submit(embed, runner, words(0, 40), Ticket(lane="bulk", caller="set"))
        wait_until(lambda: engine.waiting == 1)
        person = pool.submit(predict)
        wait_until(lambda: engine.waiting == 2)
    assert person.result(30).logits.shape == (2,) and len(bulk.result(30).items) == 40
    # Of one kind, both lanes are still apart: hers first, and then the set's.
    assert inner.log[0] == ("texts", 2) and ("texts", 40) in inner.log


def test_only_prompts_that_are_new_are_read(runner, inner, tiny_images):
    image = sb.Encoded(data=tiny_images[0])
    first, more = ("a cat", "a dog"), ("a dog", "a cow", "a cat")

    def predict(prompts):
        classifier = sb.Prompts(prompts=prompts)
        return runner.predict(sb.Predict(model="tiny", images=(image,), classifier=classifier))

    plain, other = predict(first).one().logits, predict(more).one().logits
    predict(first), predict(more)
    assert [n for kind, n in inner.log if kind == "texts"] == [2, 1]
    np.testing.assert_allclose(plain, other[[2, 0]], atol=1e-5)


def test_where_memory_does_not_suffice_texts_are_read_in_halves(served, runner, engine, inner):
    inner.room = 20
    found = np.stack([item.values for item in embed(runner, words(0, 64)).items])
    np.testing.assert_allclose(found, served.loaded.text(words(0, 64)).numpy(), atol=1e-5)
    assert [n for _, n in inner.log] == [16] * 4
    embed(runner, words(100, 32))
    assert [n for _, n in inner.log[4:]] == [16, 16]
