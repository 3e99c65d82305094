"""Several servers answer as one, while they are killed, frozen, drained and started again."""

import signal
import time
from collections import Counter

import numpy as np
import pytest
from crew import Load, until

import steerboard as sb
from steerboard.api.channel import Caller
from steerboard.api.client import RemoteRunner
from steerboard.api.fleet import rank
from steerboard.spec.errors import BadImage, ImageNotCached, NotFound, Unavailable
from steerboard.v1 import steering_pb2 as pb
from steerboard.v1.steering_pb2_grpc import SteeringServiceStub

PROMPTS = sb.Prompts(prompts=("cat", "dog", "horse", "boat"), template="a {}")


def steer(*data, m=-1.0, model="tiny"):
    return sb.Steer(
        model=model,
        images=tuple(sb.Encoded(data=one) for one in data),
        classifier=PROMPTS,
        steer_sets=(sb.scale("resid_post.1", "middle", m, 3),),
    )


def same(found, right):
    """Steered answers, alike up to the noise of another batch."""
    assert len(found.items) == len(right.items)
    for one, other in zip(found.items, right.items, strict=True):
        np.testing.assert_allclose(one.clean.logits, other.clean.logits, atol=2e-5)
        np.testing.assert_allclose(one.steered[0].logits, other.steered[0].logits, atol=2e-5)
    return True


def owner_of(servers, data):
    address = rank(sb.Encoded(data=data).sha256, [server.address for server in servers])[0]
    return next(server for server in servers if server.address == address)


def owned(servers, server, tiny_images):
    """A picture that falls to ``server``."""
    return next(data for data in tiny_images if owner_of(servers, data) is server)


@pytest.fixture
def asked(monkeypatch):
    """Which server each single call went to, counted on the client's way out."""
    told = []
    real = RemoteRunner.steer

    def steer(self, request):
        told.append(self._caller.address)
        return real(self, request)

    monkeypatch.setattr(RemoteRunner, "steer", steer)
    return told


def test_each_picture_is_asked_of_its_owner_and_its_prefix_is_found_there(
    servers, runner, alone, tiny_images, asked
):
    for data in tiny_images:
        assert same(runner.steer(steer(data)), alone.steer(steer(data)))
    again = [runner.steer(steer(data, m=-0.5)) for data in tiny_images]
    owners = [owner_of(servers, data).address for data in tiny_images]
    assert asked == owners * 2
    assert set(owners) == {server.address for server in servers}
    assert [answer.timing.prefix_hits for answer in again] == [1] * len(tiny_images)


def test_a_question_over_many_pictures_is_joined_in_order(runner, alone, tiny_images, asked):
    """Each part's bad picture is told at the place that it has in the whole question."""
    question = steer(*tiny_images[:6], b"no picture", *tiny_images[6:12], b"nor this")
    found, right = runner.steer(question), alone.steer(question)
    assert len(set(asked)) == 3
    for i, (one, other) in enumerate(zip(found.items, right.items, strict=True)):
        if i in (6, 13):
            assert isinstance(one, BadImage) and one.field == other.field == f"images[{i}]"
            assert one.message == other.message and str(one) == str(other)
        else:
            np.testing.assert_allclose(one.steered[0].logits, other.steered[0].logits, atol=2e-5)
    assert found.provenance == right.provenance


def test_what_is_wrong_with_the_whole_is_told_once(runner, tiny_images):
    with pytest.raises(NotFound) as caught:
        runner.steer(steer(*tiny_images, model="none"))
    assert caught.value.field == "model"
    unseen = [sb.Digest(sha256=f"{i:064x}") for i in range(9)]
    with pytest.raises(ImageNotCached) as caught:
        runner.steer(steer(*tiny_images).model_copy(update={"images": tuple(unseen)}))
    told = caught.value.details["digests"].split(",")
    assert sorted(told) == [digest.sha256 for digest in unseen]


def test_a_killed_server_loses_its_share_only_and_has_it_again(
    servers, runner, alone, tiny_images, asked
):
    """kill -9 under load: every call is answered, the survivors keep what was theirs."""
    victim = servers[0]
    rights = [alone.steer(steer(data)) for data in tiny_images]

    def ask(i):
        i %= len(tiny_images)
        return same(runner.steer(steer(tiny_images[i])), rights[i])

    with Load(ask) as load:
        load.goes_on()
        victim.signal(signal.SIGKILL)
        victim.process.wait()
        load.goes_on(60)
    assert not load.faults
    until(lambda: len(runner._fleet.there()) == 2)
    asked.clear()
    for i in range(16):
        ask(i)
    owners = [owner_of(servers, data).address for data in tiny_images]
    assert victim.address in owners and victim.address not in asked
    assert all(a == b for a, b in zip(owners, asked, strict=True) if a != victim.address)
    with Load(ask) as load:
        victim.up()
        until(lambda: len(runner._fleet.there()) == 3)
        load.goes_on()
    assert not load.faults
    asked.clear()
    for i in range(16):
        ask(i)
    assert asked == owners


def test_a_slider_goes_on_when_its_server_is_frozen(servers, runner, alone, tiny_images):
    """SIGSTOP: no connection breaks. One slow move, the same answer, and quick ones after it."""
    victim = servers[2]
    data = owned(servers, victim, tiny_images)
    right = alone.steer(steer(data))
    assert same(runner.steer(steer(data)), right)
    victim.signal(signal.SIGSTOP)
    begun = time.monotonic()
    assert same(runner.steer(steer(data)), right)
    slow = time.monotonic() - begun
    again = runner.steer(steer(data))
    assert same(again, right) and again.timing.prefix_hits == 1
    assert victim.address not in [one.address for one in runner._fleet.there()]
    victim.signal(signal.SIGCONT)
    until(lambda: len(runner._fleet.there()) == 3)
    assert same(runner.steer(steer(data)), right)
    assert slow < 25, "longer than a call may take: the frozen server was waited for"


def test_all_away_is_told_in_a_sentence(tiny_images):
    nobody = sb.connect("127.0.0.1:1,127.0.0.1:2")
    with pytest.raises(Unavailable, match="is it running"):
        nobody.steer(steer(tiny_images[0]))
    nobody.close()


def questions(count, tiny_images):
    return [steer(tiny_images[i % 16]) for i in range(count)]


def test_a_stream_is_shared_and_no_question_is_lost_with_a_server(
    servers, runner, alone, tiny_images
):
    rights = [alone.steer(steer(data)) for data in tiny_images]
    victim, found = servers[1], {}
    for number, answer in runner.stream(iter(questions(400, tiny_images))):
        assert number not in found
        found[number] = answer
        if len(found) == 60:
            victim.signal(signal.SIGKILL)
    assert sorted(found) == list(range(400))
    assert all(same(answer, rights[number % 16]) for number, answer in found.items())


def test_a_stream_left_early_asks_no_further(runner, tiny_images):
    taken = Counter()

    def endless():
        while True:
            taken["questions"] += 1
            yield steer(tiny_images[taken["questions"] % 16])

    answers = runner.stream(endless())
    for _ in range(20):
        next(answers)
    answers.close()
    seen = taken["questions"]
    assert seen <= 20 + 3 * 32 + 3
    time.sleep(0.5)
    assert taken["questions"] <= seen + 3


def test_a_fault_of_the_asker_s_own_questions_is_raised_to_him(runner, tiny_images):
    def broken():
        yield steer(tiny_images[0])
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(runner.stream(broken()))


def test_models_and_texts_take_turns(servers, runner, alone, monkeypatch):
    told = Counter()
    real = RemoteRunner.model

    def model(self, name):
        told[self._caller.address] += 1
        return real(self, name)

    monkeypatch.setattr(RemoteRunner, "model", model)
    for _ in range(60):
        assert runner.model("tiny") == alone.model("tiny")
    assert len(told) == 3 and min(told.values()) >= 8


def test_a_channel_over_several_takes_turns_and_passes_by_who_is_away(servers):
    """What clients of jobs use: gRPC's own round robin with health, one call after the other."""
    caller = Caller(["127.0.0.1:1", *(server.address for server in servers[:2])])
    stub = SteeringServiceStub(caller.channel)
    told = Counter()
    for _ in range(20):
        response, call = stub.GetModel.with_call(pb.GetModelRequest(model="tiny"), timeout=20)
        assert response.model.id == "tiny"
        told[call.peer() if hasattr(call, "peer") else ""] += 1
    caller.close()


def test_a_server_that_drains_finishes_what_it_has_and_is_asked_no_more(
    servers, runner, alone, tiny_images, asked
):
    """SIGTERM under load."""
    victim = servers[0]
    rights = [alone.steer(steer(data)) for data in tiny_images]
    with Load(lambda i: same(runner.steer(steer(tiny_images[i % 16])), rights[i % 16])) as load:
        load.goes_on()
        victim.signal(signal.SIGTERM)
        assert victim.process.wait(60) == 0
        asked.clear()
        load.goes_on(60)
    assert not load.faults
    assert len(set(asked) - {victim.address}) == 2
