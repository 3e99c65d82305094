"""A stream whose caller vanishes, reads slowly or not at all, or whose server stops."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import grpc
import pytest
from patience import wait_until

import steerboard as sb
from services.inference import stream as served_stream
from services.inference.engine.admission import NOTHING
from services.inference.loading import load_runner
from steerboard.spec.errors import Unavailable
from steerboard.v1 import steering_pb2 as pb
from steerboard.v1.steering_pb2_grpc import SteeringServiceStub

PROMPTS = sb.Prompts(prompts=("cat", "dog"))
CALLER = """
import sys, steerboard as sb
data = bytes.fromhex(sys.argv[2])
ask = sb.Predict(model="tiny", images=(sb.Encoded(data=data),),
                 classifier=sb.Prompts(prompts=("cat", "dog")))
for number, _ in sb.connect(sys.argv[1]).stream(iter(lambda: ask, None)):
    print(number, flush=True)
"""


@pytest.fixture
def hosted(hosting, tiny_house):
    return hosting(lambda: load_runner(tiny_house))


def held(hosted):
    return hosted.server._desk.admission.held


def message(data):
    asked = pb.PredictRequest(model="tiny")
    asked.images.add(encoded=data)
    asked.classifier.prompts.prompts.extend(["a", "b"])
    return asked


def test_a_caller_that_vanishes_leaves_nothing_behind(hosted, tiny_images):
    """Killed in the middle of an endless stream, while its questions wait."""
    engine = hosted.server._engine
    child = subprocess.Popen(
        [sys.executable, "-c", CALLER, hosted.address, tiny_images[0].hex()],
        stdout=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert child.stdout.readline()
    with engine.paused():
        wait_until(lambda: engine.waiting == served_stream.WINDOW)
        child.send_signal(signal.SIGKILL)
        child.wait()
        tasks = list(engine._scheduler)
        wait_until(lambda: all(task.ticket.cancelled for task in tasks))
    child.stdout.close()
    wait_until(lambda: held(hosted) == NOTHING and engine.waiting == 0)


def test_a_caller_that_does_not_read_is_read_no_further_and_holds_little(
    hosted, tiny_images, monkeypatch
):
    """Answers of 640 KiB each, of which nothing is fetched; then all come, in whatever order."""
    prompts = [f"a {i}" for i in range(512)]
    asked = pb.PredictRequest(model="tiny")
    for i in range(160):
        asked.images.add(encoded=tiny_images[i % 16])
    asked.classifier.prompts.prompts.extend(prompts)
    count, taken, one = 60, itertools.count(), served_stream.Stream._one

    async def counted(self, request):
        next(taken)
        await one(self, request)

    monkeypatch.setattr(served_stream.Stream, "_one", counted)

    def questions():
        for number in range(count):
            yield pb.RunStreamRequest(id=number, predict=asked)

    with grpc.insecure_channel(
        hosted.address, options=[("grpc.max_receive_message_length", 2**26)]
    ) as channel:
        call = SteeringServiceStub(channel).RunStream(questions(), timeout=120)
        wait_until(lambda: hosted.server._engine.waiting == 0 and quiet(hosted))
        # A window of questions, and as many answers as the connection itself holds.
        assert served_stream.WINDOW <= next(taken) < count
        assert sorted(response.id for response in call) == list(range(count))


def quiet(hosted):
    """Whether nothing is computed for a while: the server waits to be read."""
    for _ in range(10):
        if held(hosted) != NOTHING:
            return False
        time.sleep(0.05)
    return True


def test_a_server_that_stops_answers_what_it_took_and_says_that_it_stops(hosted, tiny_images):
    """SIGTERM's way: an endless stream ends at once, with an error that names a time."""
    runner = sb.connect(hosted.address)
    ask = sb.Predict(model="tiny", images=(sb.Encoded(data=tiny_images[0]),), classifier=PROMPTS)
    answers, begun = [], threading.Event()
    outcome = []

    def read():
        try:
            for number, answer in runner.stream(iter(lambda: ask, None)):
                answers.append((number, answer))
                begun.set()
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    assert begun.wait(60)
    before = time.monotonic()
    hosted.stop(grace_s=20.0)
    thread.join(60)
    assert time.monotonic() - before < 15, "the whole grace was waited for"
    (error,) = outcome
    assert isinstance(error, Unavailable)
    assert not any(isinstance(answer, Exception) for _, answer in answers)
    runner.close()
