"""Back-pressure, tenants, cancellation and timing as a caller over gRPC meets them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from patience import wait_until

import steerboard as sb
from services.inference.desk import Desk
from services.inference.engine.admission import Admission, Load
from services.inference.loading import load_runner
from steerboard.api.convert_requests import predict_to_message
from steerboard.api.speaking import CarryingPool, speak_for
from steerboard.api.tokens import Identity, sign
from steerboard.spec.errors import ImageNotCached, InvalidRequest, Overloaded
from steerboard.v1.steering_pb2_grpc import SteeringServiceStub

SECRET = "s" * 32
PROMPTS = sb.Prompts(prompts=("cat", "dog"))


@pytest.fixture(scope="module")
def hosted(tiny_house, host_module):
    return host_module(lambda: load_runner(tiny_house), SECRET)


@pytest.fixture
def engine(hosted):
    return hosted.server._engine


@pytest.fixture
def calling(hosted):
    """``calling("ann", tenant=...)`` is a client of hers."""
    held = []

    def client(subject, **more):
        token = sign(Identity(subject=subject, **more), SECRET)
        held.append(sb.connect(hosted.address, token))
        return held[-1]

    yield client
    for runner in held:
        runner.close()


@pytest.fixture
def small(hosted, monkeypatch):
    """The same server with room for 40 rows and 20 calls."""
    desk = Desk(Admission(Load(rows=40, size=2**24, calls=20)))
    monkeypatch.setattr(hosted.server._servicer, "_desk", desk)
    yield desk.admission
    desk.close()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(32) as pool:
        yield pool


def predict(*data):
    images = tuple(sb.Encoded(data=one) for one in data)
    return sb.Predict(model="tiny", images=images, classifier=PROMPTS)


def of_digests(*digests):
    images = tuple(sb.Digest(sha256=one) for one in digests)
    return sb.Predict(model="tiny", images=images, classifier=PROMPTS)


def test_a_full_queue_says_when_to_come_back_and_others_still_come_in(
    small, engine, calling, pool, tiny_images
):
    greedy, modest = calling("greedy"), calling("modest")
    assert len(greedy.predict(predict(*tiny_images[:10])).results()) == 10
    with engine.paused():
        inside = [pool.submit(greedy.predict, predict(*tiny_images[:10])) for _ in range(2)]
        wait_until(lambda: small.held.rows == 20)
        with pytest.raises(Overloaded) as caught:
            greedy.predict(predict(tiny_images[0]))
        assert 0 < caught.value.retry_after_s < 60
        assert caught.value.details["unit"] == "rows"
        other = pool.submit(modest.predict, predict(*tiny_images[:5]))
        wait_until(lambda: small.held.rows == 25)
    assert [len(f.result(30).results()) for f in (*inside, other)] == [10, 10, 5]
    assert len(greedy.predict(predict(tiny_images[0])).results()) == 1
    assert small.held.each() == (0, 0, 0)


def test_what_never_fits_is_an_invalid_argument(small, calling, tiny_images):
    sets = tuple(sb.scale("resid_post.1", "middle", m / 10, 1) for m in range(30))
    picture = sb.Encoded(data=tiny_images[0])
    request = sb.Steer(model="tiny", images=(picture,), classifier=PROMPTS, steer_sets=sets)
    with pytest.raises(InvalidRequest, match="split it") as caught:
        calling("ann").steer(request)
    assert caught.value.details == {"limit": "20", "unit": "rows"}


def test_a_raw_client_reads_retry_info(small, engine, hosted, pool, tiny_images):
    token = sign(Identity(subject="raw"), SECRET)
    metadata = (("authorization", f"Bearer {token}"),)
    message = predict_to_message(predict(*tiny_images))
    with grpc.insecure_channel(hosted.address) as channel:
        stub = SteeringServiceStub(channel)
        with engine.paused():
            first = stub.Predict.future(message, metadata=metadata)
            wait_until(lambda: small.held.rows == 16)
            with pytest.raises(grpc.RpcError) as caught:
                stub.Predict(message, metadata=metadata, timeout=30)
        assert len(first.result(30).items) == 16
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    retry = error_details_pb2.RetryInfo()
    assert any(d.Unpack(retry) for d in rpc_status.from_call(caught.value).details)
    assert retry.retry_delay.ToNanoseconds() > 0


def test_a_stream_is_slowed_not_refused(small, calling, tiny_images):
    asked = [predict(*tiny_images[:15])] * 8
    found = dict(calling("batch").stream(asked))
    assert [len(found[i].results()) for i in range(8)] == [15] * 8


def test_a_digest_answers_only_for_the_tenant_that_sent_the_bytes(calling, tiny_images):
    data = tiny_images[5] + b"only here"
    picture = sb.Encoded(data=data)
    ann, colleague = calling("ann", tenant="hers"), calling("bob", tenant="hers")
    stranger = calling("ann", tenant="theirs")
    sent = ann.predict(predict(data)).one()
    known = colleague.predict(of_digests(picture.sha256)).one()
    assert np.array_equal(known.logits, sent.logits)
    with pytest.raises(ImageNotCached):
        stranger.predict(of_digests(picture.sha256))
    first = stranger.predict(predict(data))
    assert first.timing.prefix_hits == 0  # Not even the time it took tells.
    np.testing.assert_allclose(first.one().logits, sent.logits, atol=2e-5)
    assert stranger.predict(of_digests(picture.sha256)).one() is not None


def test_the_people_of_one_page_are_callers_of_their_own(engine, calling, tiny_images):
    """One token, one connection: a page that speaks for two people, and one that may not."""

    def asked(page, name):
        speak_for(name)
        return pool.submit(page.predict, predict(tiny_images[0]))

    heard = []
    with CarryingPool(4) as pool:
        for page in (calling("page", speaks=True), calling("program")):
            with engine.paused():
                calls = [copy_context().run(asked, page, name) for name in ("ann", "eva")]
                wait_until(lambda: engine.waiting == 2)
                heard.append({task.caller for task in engine._scheduler})
            assert [len(call.result(60).results()) for call in calls] == [1, 1]
    assert heard == [{"default/page/ann", "default/page/eva"}, {"default/program"}]


def counted(hosted, monkeypatch):
    """A list that grows by the rows of every block that runs; a traced one would tell no hook."""
    served = hosted.server._servicer.runner._served
    monkeypatch.setitem(served, "tiny", replace(served["tiny"], traced=None))
    blocks = served["tiny"].loaded.tower.blocks
    rows = []
    handles = [
        b.ln_1.register_forward_hook(lambda m, args, out: rows.append(len(out))) for b in blocks
    ]
    return rows, handles


def test_who_left_or_came_too_late_costs_no_pass(
    hosted, engine, calling, pool, tiny_images, monkeypatch
):
    rows, handles = counted(hosted, monkeypatch)
    token = sign(Identity(subject="gone"), SECRET)
    metadata = (("authorization", f"Bearer {token}"),)
    fresh = [tiny_images[i] + b"cost" for i in range(4)]
    with grpc.insecure_channel(hosted.address) as channel:
        stub = SteeringServiceStub(channel)
        with engine.paused():
            gone = stub.Predict.future(predict_to_message(predict(fresh[0])), metadata=metadata)
            late = stub.Predict.future(
                predict_to_message(predict(fresh[1])), metadata=metadata, timeout=1.0
            )
            stays = pool.submit(calling("stays").predict, predict(fresh[2]))
            wait_until(lambda: engine.waiting == 3)
            gone.cancel()
            wait_until(lambda: any(t.ticket.cancelled for t in engine._scheduler))
            assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            wait_until(lambda: sum(not wanted(t) for t in engine._scheduler) == 2)
        assert len(stays.result(30).results()) == 1
        wait_until(lambda: hosted.server._desk.admission.held.calls == 0)
    for handle in handles:
        handle.remove()
    assert rows == [1, 1, 1]  # Three blocks, one row each: that of the one who stayed.


def wanted(task):
    try:
        task.ticket.check()
    except Exception:
        return False
    return True


def test_timing_tells_the_truth(engine, calling, pool, tiny_images):
    runner = calling("timed")
    data = [one + b"timed" for one in tiny_images[:3]]
    moved = sb.scale("resid_post.1", "middle", -1, 3)

    def steer():
        begun = time.perf_counter()
        images = tuple(sb.Encoded(data=one) for one in data)
        answer = runner.steer(
            sb.Steer(model="tiny", images=images, classifier=PROMPTS, steer_sets=(moved,))
        )
        return answer.timing, 1e3 * (time.perf_counter() - begun)

    held = threading.Event()
    with engine.paused():
        begun = time.perf_counter()
        asked = pool.submit(steer)
        wait_until(lambda: engine.waiting == 1)
        waited_from = time.perf_counter()
        held.wait(0.3)
        waited = 1e3 * (time.perf_counter() - waited_from)
    first, spent = asked.result(30)
    assert time.perf_counter() > begun
    assert first.queued_ms >= waited
    assert first.queued_ms + first.computed_ms <= spent
    assert (first.prefix_hits, first.batch_rows) == (0, 6)
    again, spent = steer()
    assert again.prefix_hits == 3 and again.queued_ms + again.computed_ms <= spent


@pytest.fixture(autouse=True)
def nothing_stays(hosted):
    """After every test the server holds no call."""
    yield
    wait_until(lambda: hosted.server._desk.admission.held.calls == 0)
