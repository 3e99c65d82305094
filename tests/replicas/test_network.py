"""Servers on other hosts, and what happens to packets on the way: lost, late, or cut off.

A network that fails ends as the answer of another replica or as a declared error, within the time
that a call has; it never hangs. Where this machine can make no hosts the tests skip by name; where
nothing may skip, only what the machine can do is asked of it.
"""

import contextlib
import time

import numpy as np
import pytest
from crew import Server, until
from wire import host, possible

import steerboard as sb
from steerboard.api.client import connect
from steerboard.api.fleet import rank
from steerboard.api.tokens import Identity, sign
from steerboard.spec.errors import DeadlineExceeded, Unavailable

SECRET = "n" * 32
PROMPTS = sb.Prompts(prompts=("cat", "dog", "horse", "boat"), template="a {}")
TIMEOUT_S = 8.0
# The rounds of ``steerboard.api.replicas`` and a call in each, with a busy machine's patience.
BOUND_S = 60.0


@pytest.fixture(scope="module")
def hosts(tiny_house):
    """Two servers, each on a host of its own, and the wires to them by address."""
    if not possible():
        pytest.skip(
            "this machine makes no network namespaces: root, ip (iproute2) and tun are needed"
        )
    with contextlib.ExitStack() as stack:
        found = {}
        for _ in range(2):
            name, address, wire = stack.enter_context(host())
            within = ("ip", "netns", "exec", name)
            server = Server(tiny_house, f"{address}:50051", within, STEERBOARD_TOKEN_SECRET=SECRET)
            stack.callback(server.end)
            found[server.start().address] = wire, server
        for _, server in found.values():
            until(server.serves)
        yield {address: wire for address, (wire, _) in found.items()}


@pytest.fixture
def wires(hosts):
    yield hosts
    for wire in hosts.values():
        wire.heal()


@pytest.fixture
def runner(wires):
    runner = connect(list(wires), token(), TIMEOUT_S)
    until(lambda: len(runner._fleet.there()) == 2)
    yield runner
    runner.close()


def token():
    return sign(Identity(subject="ann"), SECRET)


def steer(data, m=-1.0):
    return sb.Steer(
        model="tiny",
        images=(sb.Encoded(data=data),),
        classifier=PROMPTS,
        steer_sets=(sb.scale("resid_post.1", "middle", m, 3),),
    )


def same(found, right):
    (one,), (other,) = found.items, right.items
    np.testing.assert_allclose(one.steered[0].logits, other.steered[0].logits, atol=2e-5)
    return True


def owned(wires, address, tiny_images):
    """A picture that falls to the server at ``address``."""
    digests = {data: sb.Encoded(data=data).sha256 for data in tiny_images}
    return next(data for data, d in digests.items() if rank(d, list(wires))[0] == address)


def cut_off_owner(wires, runner, alone, tiny_images):
    """A picture whose owner has just been cut off, after it has answered."""
    address = next(iter(wires))
    data = owned(wires, address, tiny_images)
    assert same(runner.steer(steer(data)), alone.steer(steer(data)))
    wires[address].cut = True
    return data, address


def partition_is_passed_by(wires, runner, alone, tiny_images):
    data, address = cut_off_owner(wires, runner, alone, tiny_images)
    begun = time.monotonic()
    assert same(runner.steer(steer(data, -0.5)), alone.steer(steer(data, -0.5)))
    assert time.monotonic() - begun < BOUND_S
    until(lambda: len(runner._fleet.there()) == 1)
    assert same(runner.steer(steer(data, 1.0)), alone.steer(steer(data, 1.0)))
    wires[address].cut = False
    until(lambda: len(runner._fleet.there()) == 2)
    assert same(runner.steer(steer(data)), alone.steer(steer(data)))


def all_cut_off_is_told(wires, runner, alone, tiny_images):
    for wire in wires.values():
        wire.cut = True
    begun = time.monotonic()
    with pytest.raises((Unavailable, DeadlineExceeded)):
        runner.steer(steer(tiny_images[0]))
    assert time.monotonic() - begun < BOUND_S
    for wire in wires.values():
        wire.heal()
    until(lambda: len(runner._fleet.there()) == 2)
    assert same(runner.steer(steer(tiny_images[0])), alone.steer(steer(tiny_images[0])))


def loss_and_delay_are_only_slow(wires, runner, alone, tiny_images):
    """One packet in ten is lost, each takes 20 ms: every answer comes, and is right."""
    for wire in wires.values():
        wire.loss, wire.delay_s, wire.lost = 0.1, 0.02, 0
    lost, asked = 0, 0
    while asked < 8 or lost <= 3:  # how many packets there are is up to the kernels
        assert asked < 200, f"of all packets only {lost} were lost"
        data = tiny_images[asked % 16]
        assert same(runner.steer(steer(data)), alone.steer(steer(data)))
        lost, asked = sum(wire.lost for wire in wires.values()), asked + 1


def stream_goes_on(wires, runner, alone, tiny_images):
    """The wire to one replica is cut while a stream is under way: nothing is lost or doubled."""
    address, found = next(iter(wires)), {}
    asked = [steer(tiny_images[i % 16], m=1 - i / 50) for i in range(100)]
    for number, answer in runner.stream(iter(asked)):
        assert number not in found
        found[number] = answer
        wires[address].cut = wires[address].cut or len(found) == 20
    assert sorted(found) == list(range(100))
    for number in (0, 30, 60, 99):
        assert same(found[number], alone.steer(asked[number]))


def single_server_is_told_and_found_again(wires, runner, alone, tiny_images):
    """No other replica: an error within the call's time, and an answer once the wire is whole."""
    address = next(iter(wires))
    lone = connect(address, token(), 1.5)
    assert same(lone.steer(steer(tiny_images[0])), alone.steer(steer(tiny_images[0])))
    wires[address].cut = True
    begun = time.monotonic()
    for _ in range(2):
        with pytest.raises((Unavailable, DeadlineExceeded)):
            lone.steer(steer(tiny_images[0]))
    assert time.monotonic() - begun < 2 * 1.5 + 10
    wires[address].heal()
    until(lambda: answers(lone, tiny_images[0]))
    lone.close()


def answers(runner, data):
    try:
        return len(runner.steer(steer(data)).results()) == 1
    except (Unavailable, DeadlineExceeded):
        return False


@pytest.mark.parametrize(
    "case",
    [
        partition_is_passed_by,
        all_cut_off_is_told,
        loss_and_delay_are_only_slow,
        stream_goes_on,
        single_server_is_told_and_found_again,
    ],
    ids=lambda case: case.__name__,
)
def test_network(case, wires, runner, alone, tiny_images):
    case(wires, runner, alone, tiny_images)
