"""RunStream: whole sets, each question with its own outcome, read no faster than computed."""

import itertools
import threading

import grpc
import numpy as np
import pytest
from patience import wait_until

import steerboard as sb
from services.inference import stream as served_stream
from steerboard.api import outbox
from steerboard.api.tokens import Identity, sign
from steerboard.spec.answers import Answer
from steerboard.spec.errors import BadImage, NotFound, SteerboardError
from steerboard.v1 import steering_pb2 as pb
from steerboard.v1.steering_pb2_grpc import SteeringServiceStub

PROMPTS = sb.Prompts(prompts=("cat", "dog"))
SECRET = "s" * 32


def predict(*data, model="tiny"):
    images = tuple(sb.Encoded(data=one) for one in data)
    return sb.Predict(model=model, images=images, classifier=PROMPTS)


def questions(images):
    """Every kind, good ones and bad ones."""
    common = {"model": "tiny", "images": (sb.Encoded(data=images[3]),)}
    return [
        predict(images[0], b"no picture", images[1]),
        sb.Encode(**common, dictionary="none"),
        sb.Steer(
            **common,
            classifier=PROMPTS,
            steer_sets=(sb.scale("resid_post.1", "middle", -1, 3), sb.SteerSet()),
            targets=(sb.Margin(),),
        ),
        predict(images[0], model="nobody"),
        sb.Attribute(**common, classifier=PROMPTS, dictionary="middle"),
        sb.Encode(**common, dictionary="last"),
        sb.Embed(model="tiny", texts=("a cat",)),
        predict(images[2]),
    ]


def test_every_question_has_its_own_outcome_in_either_runner(runner, tiny_images):
    asked = questions(tiny_images)
    found = dict(runner.stream(asked))
    assert sorted(found) == list(range(len(asked)))
    assert isinstance(found[1], NotFound) and found[1].field == "dictionary"
    assert isinstance(found[3], NotFound) and found[3].field == "model"
    good, bad, last = found[0].items
    assert isinstance(bad, BadImage) and bad.field == "images[1]"
    assert good.logits.shape == last.logits.shape == (2,)
    for i in (2, 4, 5, 6, 7):
        assert isinstance(found[i], Answer)
        assert found[i].one() is not None


def test_a_stream_answers_what_single_calls_answer(remote_runner, tiny_images):
    asked = [predict(one) for one in tiny_images] * 5
    found = dict(remote_runner.stream(asked))
    assert len(found) == 80
    for i, request in enumerate(asked[:16]):
        alone = remote_runner.predict(request).one()
        np.testing.assert_allclose(found[i].one().logits, alone.logits, atol=2e-5)
        np.testing.assert_allclose(found[i + 64].one().logits, alone.logits, atol=2e-5)


def test_questions_are_taken_no_faster_than_they_are_answered(tiny_server, tiny_images):
    """An endless set: what was taken stays within the windows on both sides."""
    taken = itertools.count()
    last = 0

    def endless():
        nonlocal last
        for last in taken:
            yield predict(tiny_images[last % 16])

    runner = sb.connect(tiny_server.address)
    answers = runner.stream(endless())
    for _ in range(40):
        _, answer = next(answers)
        assert answer.results()
    assert last < 40 + outbox.WINDOW + 1
    answers.close()
    runner.close()


def test_the_server_reads_only_what_its_window_holds(tiny_server, tiny_images):
    """A raw client that asks without end is read no further while nothing is computed."""
    engine = tiny_server.server._engine
    sent = itertools.count()
    reached = 0
    message = pb.PredictRequest(model="tiny")
    message.images.add(encoded=tiny_images[0] + bytes(2**20))  # Too large to lie in buffers.
    message.classifier.prompts.prompts.extend(["a", "b"])
    stop = threading.Event()

    def endless():
        nonlocal reached
        for reached in sent:
            if stop.is_set():
                return
            yield pb.RunStreamRequest(id=reached, predict=message)

    with grpc.insecure_channel(tiny_server.address) as channel:
        with engine.paused():
            call = SteeringServiceStub(channel).RunStream(endless())
            wait_until(lambda: engine.waiting == served_stream.WINDOW)
            assert reached < 4 * served_stream.WINDOW
        response = next(call)
        assert response.WhichOneof("outcome") == "predict"
        stop.set()
        call.cancel()
    wait_until(lambda: engine.waiting == 0)


def test_a_question_of_no_kind_is_told_and_the_stream_goes_on(tiny_server, tiny_images):
    message = pb.PredictRequest(model="tiny")
    message.images.add(encoded=tiny_images[0])
    message.classifier.prompts.prompts.extend(["a", "b"])
    asked = [pb.RunStreamRequest(id=7), pb.RunStreamRequest(id=9, predict=message)]
    with grpc.insecure_channel(tiny_server.address) as channel:
        found = {r.id: r for r in SteeringServiceStub(channel).RunStream(iter(asked), timeout=30)}
    assert found[7].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert found[9].predict.items[0].WhichOneof("outcome") == "result"


def test_pictures_that_the_server_forgot_are_sent_again_unseen(tiny_server, tiny_images):
    runner = sb.connect(tiny_server.address)
    asked = [predict(one) for one in tiny_images[:6]]
    before = dict(runner.stream(asked))
    tiny_server.server._servicer.runner._pictures.forget()
    after = dict(runner.stream(asked))
    for i, answer in before.items():
        np.testing.assert_allclose(after[i].one().logits, answer.one().logits, atol=2e-5)
    (unseen,) = dict(
        runner.stream(
            [sb.Predict(model="tiny", images=(sb.Digest(sha256="0" * 64),), classifier=PROMPTS)]
        )
    ).values()
    assert isinstance(unseen, SteerboardError) and unseen.reason == "IMAGE_NOT_CACHED"
    runner.close()


def test_a_fault_in_the_callers_own_questions_reaches_the_caller(remote_runner, tiny_images):
    def broken():
        yield predict(tiny_images[0])
        raise LookupError("the caller's own")

    got = []
    with pytest.raises(LookupError, match="the caller's own"):
        for number, _ in remote_runner.stream(broken()):
            got.append(number)
    assert got == [0]


def test_a_stream_waits_in_the_bulk_lane_if_the_token_allows_it(hosting, tiny_house, tiny_images):
    from services.inference.loading import load_runner

    hosted = hosting(lambda: load_runner(tiny_house), SECRET)
    engine = hosted.server._engine
    for lanes, expected in ((("interactive", "bulk"), "bulk"), (("interactive",), "interactive")):
        runner = sb.connect(hosted.address, sign(Identity(subject="a", lanes=lanes), SECRET))
        answers = runner.stream([predict(tiny_images[0])])
        with engine.paused():
            thread = threading.Thread(target=lambda a=answers: list(a))
            thread.start()
            wait_until(lambda: engine.waiting == 1)
            assert [task.lane for task in engine._scheduler] == [expected]
        thread.join()
        runner.close()
