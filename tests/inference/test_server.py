"""The server around the runner: health, reflection, tokens, pictures, batches, a soft stop."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from patience import wait_until

import steerboard as sb
from services.inference.engine.pace import Pace
from steerboard.api.channel import Caller
from steerboard.api.client import RemoteRunner
from steerboard.api.status import FAULT
from steerboard.api.tokens import Identity, sign
from steerboard.spec.answers import Answer, Embedding
from steerboard.spec.errors import ImageNotCached, Internal, Unauthenticated, Unavailable
from steerboard.v1 import steering_pb2, types_pb2
from steerboard.v1.steering_pb2_grpc import SteeringServiceStub

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SECRET = "s" * 32
TEXT = sb.Embed(model="m", texts=("a",))


class Fake:
    """A runner that keeps what it was asked; ``held`` are the pictures it would know."""

    def __init__(self):
        self.asked = []
        self.held = set()
        self.gate = threading.Event()
        self.gate.set()

    def models(self):
        return ()

    def model(self, name):
        return SimpleNamespace(image_size=(8, 8))

    def embed(self, request):
        self.asked.append(request)
        assert self.gate.wait(10)
        if request.texts == ("fault",):
            raise RuntimeError("secret")
        missing = [i.sha256 for i in request.images if isinstance(i, sb.Digest)]
        missing = [d for d in missing if d not in self.held]
        if missing:
            raise ImageNotCached("gone", details={"digests": ",".join(missing)})
        self.held |= {i.sha256 for i in request.images}
        import numpy as np

        count = len(request.images) + len(request.texts)
        return Answer(tuple(Embedding(np.ones(2, np.float32)) for _ in range(count)))


@pytest.fixture
def fake():
    return Fake()


@pytest.fixture
def connected():
    held = []

    def connect(hosted, token=None):
        held.append(sb.connect(hosted.address, token))
        return held[-1]

    yield connect
    for runner in held:
        runner.close()


@pytest.fixture
def channel(tiny_server):
    with grpc.insecure_channel(tiny_server.address) as channel:
        yield channel


def health(hosted, service=""):
    with grpc.insecure_channel(hosted.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5).status


def test_health_says_serving_only_when_loaded(hosting, fake, connected):
    hosted = hosting()
    assert health(hosted) == NOT_SERVING
    assert health(hosted, "steerboard.v1.SteeringService") == NOT_SERVING
    with pytest.raises(Unavailable, match="loading"):
        connected(hosted).models()
    hosted.do(hosted.server.load(lambda: (fake, None)))
    assert health(hosted) == health(hosted, "steerboard.v1.SteeringService") == SERVING
    assert connected(hosted).models() == ()


def test_reflection_tells_the_services(channel):
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = stub.ServerReflectionInfo(iter([ask]), timeout=5)
    names = {service.name for service in answer.list_services_response.service}
    assert {"steerboard.v1.SteeringService", "grpc.health.v1.Health"} <= names


def test_concurrent_callers_share_batches(tiny_server, tiny_images, monkeypatch):
    """Ten callers at once make one batch, as each answer's timing says."""
    pictures = tuple(sb.Encoded(data=data) for data in tiny_images[:4])
    prompts = sb.Prompts(prompts=("cat", "dog"))
    request = sb.Predict(model="tiny", images=pictures, classifier=prompts)
    runner = sb.connect(tiny_server.address)
    engine = tiny_server.server._engine
    monkeypatch.setattr(engine, "pace", Pace(128, 8, 1e9))
    other = sb.Encoded(data=tiny_images[4])
    runner.predict(sb.Predict(model="tiny", images=(other,), classifier=prompts))  # reads the texts
    with ThreadPoolExecutor(10) as pool:
        with engine.paused():
            asked = [pool.submit(runner.predict, request) for _ in range(10)]
            wait_until(lambda: engine.waiting == 10)
        rows = [future.result(20).timing.batch_rows for future in asked]
    runner.close()
    assert rows == [40] * 10


def test_pictures_travel_once_and_again_only_when_they_are_gone(hosting, fake, connected):
    runner = connected(hosting(lambda: (fake, None)))
    a, b = sb.Encoded(data=b"a"), sb.Encoded(data=b"b")
    kinds = lambda: [[i.kind for i in request.images] for request in fake.asked]  # noqa: E731
    runner.embed(sb.Embed(model="m", images=(a,)))
    runner.embed(sb.Embed(model="m", images=(a, b)))
    assert kinds() == [["encoded"], ["digest", "encoded"]]
    fake.held.clear()
    fake.asked.clear()
    assert len(runner.embed(sb.Embed(model="m", images=(a, b))).results()) == 2
    assert kinds() == [["digest", "digest"], ["encoded", "encoded"]]
    with pytest.raises(ImageNotCached):
        runner.embed(sb.Embed(model="m", images=(sb.Digest(sha256="0" * 64),)))


def test_five_hundred_missing_digests_fit_into_the_status(hosting, fake, connected):
    runner = connected(hosting(lambda: (fake, None)))
    unseen = tuple(sb.Digest(sha256=f"{i:064x}") for i in range(512))
    with pytest.raises(ImageNotCached) as caught:
        runner.embed(sb.Embed(model="m", images=unseen))
    assert len(caught.value.details["digests"].split(",")) == 512


def test_with_a_secret_only_signed_callers_come_in(hosting, fake, connected):
    hosted = hosting(lambda: (fake, None), SECRET)
    assert health(hosted) == SERVING
    for token in (None, "nonsense", sign(Identity(subject="ann"), "o" * 32)):
        with pytest.raises(Unauthenticated):
            connected(hosted, token).models()
    assert connected(hosted, sign(Identity(subject="ann"), SECRET)).models() == ()


def test_a_fault_is_one_sentence_and_the_next_call_works(hosting, fake, connected, caplog):
    runner = connected(hosting(lambda: (fake, None)))
    with pytest.raises(Internal) as caught:
        runner.embed(sb.Embed(model="m", texts=("fault",)))
    assert caught.value.message == FAULT
    assert "RuntimeError: secret" in caplog.text
    assert runner.embed(TEXT).results()


def test_a_call_in_hand_is_finished_when_the_server_stops(hosting, fake, connected):
    hosted = hosting(lambda: (fake, None))
    runner = connected(hosted)
    fake.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        call = pool.submit(runner.embed, TEXT)
        while not fake.asked:
            time.sleep(0.005)
        stopping = pool.submit(hosted.stop)
        time.sleep(0.1)
        assert not call.done() and not stopping.done()
        fake.gate.set()
        assert call.result(10).results()
        stopping.result(10)
    with pytest.raises(Unavailable, match="is it running"):
        RemoteRunner(Caller(hosted.address)).models()


def test_a_raw_client_reads_the_details(channel):
    """What someone without our client sees: a status with google.rpc details."""
    prompts = types_pb2.Prompts(prompts=["only one"])
    request = steering_pb2.PredictRequest(
        model="tiny",
        images=[types_pb2.ImageRef(encoded=b"x")],
        classifier=types_pb2.Classifier(prompts=prompts),
    )
    with pytest.raises(grpc.RpcError) as caught:
        SteeringServiceStub(channel).Predict(request, timeout=5)
    status = rpc_status.from_call(caught.value)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(info) and status.details[1].Unpack(bad)
    assert (info.reason, info.domain) == ("INVALID_REQUEST", "steerboard")
    assert bad.field_violations[0].field == "classifier.prompts"
    assert "at least two prompts" in status.message
