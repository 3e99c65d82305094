"""A small Predict of which only the pass takes time is answered without a thread of its own."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from patience import wait_until

import steerboard as sb
from services.inference.loading import load_runner
from steerboard.api.convert_requests import predict_to_message
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.tensor import Tensor
from steerboard.v1.steering_pb2_grpc import SteeringServiceStub

PROMPTS = sb.Prompts(prompts=("cat", "dog"))


@pytest.fixture(scope="module")
def hosted(tiny_house, host_module):
    return host_module(lambda: load_runner(tiny_house))


@pytest.fixture
def runner(hosted):
    with_texts = sb.connect(hosted.address)
    with_texts.predict(asked(picture(99)))  # Texts are read by a thread, once.
    yield with_texts
    with_texts.close()


@pytest.fixture
def desk(hosted):
    return hosted.server._servicer._desk


@pytest.fixture
def threadless(desk, monkeypatch):
    """No call gets a thread any more."""
    closed = ThreadPoolExecutor(1)
    closed.shutdown()
    monkeypatch.setattr(desk, "_pool", closed)


def picture(seed, side=32):
    values = np.random.default_rng(seed).standard_normal((3, side, side), dtype=np.float32)
    return sb.Pixels(tensor=Tensor.of(values))


def asked(*images, prompts=PROMPTS):
    return sb.Predict(model="tiny", images=images, classifier=prompts)


def test_it_is_what_a_thread_answers(hosted, runner, local_runner, threadless):
    one, two = picture(1), picture(2)
    answer = runner.predict(asked(one, two, one))
    right = local_runner.predict(asked(one, two, one))
    for found, other in zip(answer.results(), right.results(), strict=True):
        np.testing.assert_allclose(found.logits, other.logits, atol=2e-5)
    first, _, again = answer.results()
    assert np.array_equal(first.logits, again.logits)
    assert answer.provenance == right.provenance
    assert answer.timing.batch_rows >= 2 and answer.timing.computed_ms > 0


def test_a_picture_that_was_decoded_needs_none(runner, tiny_images, desk, monkeypatch):
    known = sb.Encoded(data=tiny_images[0] + b"no thread")
    first = runner.predict(asked(known)).one()
    closed = ThreadPoolExecutor(1)
    closed.shutdown()
    monkeypatch.setattr(desk, "_pool", closed)
    again = runner.predict(asked(known)).one()
    assert np.array_equal(first.logits, again.logits)


def test_a_bad_picture_fails_alone(runner, threadless):
    good, bad = runner.predict(asked(picture(3), picture(4, side=8))).items
    assert isinstance(bad, InvalidRequest) and "wants (3, 32, 32)" in bad.message
    assert len(good.logits) == 2


def test_what_takes_time_beside_the_pass_has_a_thread(runner, desk, monkeypatch):
    taken = []
    submit = desk._pool.submit
    monkeypatch.setattr(desk._pool, "submit", lambda *a: taken.append(a) or submit(*a))
    runner.predict(asked(picture(5)))
    assert not taken
    runner.predict(asked(picture(5), prompts=sb.Prompts(prompts=("new", "words"))))
    runner.predict(asked(*map(picture, range(9))))
    assert len(taken) == 2


def test_who_leaves_takes_the_question_back(hosted, runner, threadless, desk):
    engine = hosted.server._engine
    with grpc.insecure_channel(hosted.address) as channel:
        stub = SteeringServiceStub(channel)
        with engine.paused():
            gone = stub.Predict.future(predict_to_message(asked(picture(6))))
            wait_until(lambda: engine.waiting == 1)
            assert desk.admission.held.calls == 1
            gone.cancel()
            wait_until(lambda: any(t.ticket.cancelled for t in engine._scheduler))
    wait_until(lambda: desk.admission.held.calls == 0)
    assert engine.waiting == 0


def test_after_the_engine_s_end_it_is_told(tiny_house, hosting):
    hosted = hosting(lambda: load_runner(tiny_house))
    with_texts = sb.connect(hosted.address)
    with_texts.predict(asked(picture(7)))
    hosted.server._engine.close()
    with grpc.insecure_channel(hosted.address) as channel, pytest.raises(grpc.RpcError) as told:
        SteeringServiceStub(channel).Predict(predict_to_message(asked(picture(8))), timeout=30)
    assert told.value.code() is grpc.StatusCode.UNAVAILABLE
    assert hosted.server._servicer._desk.admission.held.calls == 0
    with_texts.close()
