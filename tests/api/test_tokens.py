"""Who is let in: by a signed token, or by coming from this machine where there are no tokens."""

import time
from contextvars import copy_context

import jwt
import pytest

from steerboard.api.speaking import CarryingPool, heard, speak_for, spoken
from steerboard.api.tokens import ANONYMOUS, AUDIENCE, Identity, identify, is_loopback, sign, verify
from steerboard.spec.errors import InvalidRequest, Unauthenticated

SECRET = "s" * 32
OTHER = "o" * 32
ANN = Identity(subject="ann", tenant="lab", role="service", lanes=("bulk",), weight=2.5)


def bearer(token):
    return {"authorization": f"Bearer {token}"}


def test_a_token_says_all_of_the_identity():
    assert verify(sign(ANN, SECRET), SECRET) == ANN
    assert identify(bearer(sign(ANN, SECRET)), "ipv4:10.1.2.3:5", SECRET) == ANN


def test_a_token_that_was_good_before_is_refused_once_it_has_expired():
    token = sign(ANN, SECRET, 600)
    assert verify(token, SECRET) is verify(token, SECRET), "taken apart once"
    with pytest.raises(Unauthenticated, match="expired"):
        verify(token, SECRET, clock=lambda: time.time() + 601)
    with pytest.raises(Unauthenticated, match="does not verify"):
        verify(token, OTHER)


PAGE = Identity(subject="page", tenant="lab", speaks=True)


def asked_for(name, who=PAGE):
    metadata = bearer(sign(who, SECRET)) | {"steerboard-for": name}
    return identify(metadata, "ipv4:10.1.2.3:5", SECRET)


def test_a_page_speaks_for_people_and_each_takes_turns_alone():
    ann, eva = asked_for("ann"), asked_for("eva%2F%C3%A9")
    assert (ann.caller, eva.caller) == ("lab/page/ann", "lab/page/eva/é")
    assert (ann.subject, ann.tenant, ann.lanes) == (PAGE.subject, PAGE.tenant, PAGE.lanes)
    assert not ann.speaks, "who is spoken for speaks for nobody"
    assert asked_for("").caller == "lab/page"


def test_a_name_is_not_heard_where_the_token_does_not_allow_it():
    assert asked_for("eva", ANN) == ANN
    with pytest.raises(InvalidRequest, match="longer than 128"):
        asked_for("x" * 129)
    assert asked_for("x" * 129, ANN) == ANN


def test_the_name_that_is_sent_is_the_name_that_is_heard():
    def sent(name):
        speak_for(name)
        return dict(spoken())

    for name in ("ann", "Zoë / 9", "x" * 128):
        assert copy_context().run(lambda n=name: heard(sent(n))) == name
    assert spoken() == ()


def test_work_that_is_handed_on_is_for_the_same_person():
    with CarryingPool(1) as pool:
        assert pool.submit(spoken).result(10) == ()

        def ask():
            speak_for("ann")
            return pool.submit(spoken).result(10)

        assert copy_context().run(ask) == (("steerboard-for", "ann"),)
        assert pool.submit(spoken).result(10) == ()


def test_an_expired_token_is_refused():
    with pytest.raises(Unauthenticated, match="expired"):
        verify(sign(ANN, SECRET, seconds=-1), SECRET)


def unsigned():
    return jwt.encode({"sub": "x", "aud": AUDIENCE, "exp": 2**40}, None, algorithm="none")


def endless():
    return jwt.encode({"sub": "x", "aud": AUDIENCE}, SECRET, algorithm="HS256")


def elsewhere():
    return jwt.encode({"sub": "x", "aud": "other", "exp": 2**33}, SECRET, algorithm="HS256")


def lane_of_fantasy():
    claims = {"sub": "x", "aud": AUDIENCE, "exp": 2**33, "lanes": ["express"]}
    return jwt.encode(claims, SECRET, algorithm="HS256")


@pytest.mark.parametrize(
    "token",
    [sign(ANN, OTHER), unsigned(), endless(), elsewhere(), lane_of_fantasy(), "", "a.b.c", "ü"],
)
def test_what_does_not_verify_is_refused(token):
    with pytest.raises(Unauthenticated):
        verify(token, SECRET)


def test_a_short_secret_is_a_fault_of_whoever_set_it():
    with pytest.raises(ValueError, match="32 bytes"):
        sign(ANN, "short")


@pytest.mark.parametrize(
    "peer", ["ipv4:127.0.0.1:5", "ipv6:%5B::1%5D:5", "unix:/run/s", "ipv6:[::ffff:127.0.0.1]:5"]
)
def test_anonymous_is_only_this_machine_and_only_without_a_secret(peer):
    assert identify({}, peer, None) == ANONYMOUS
    with pytest.raises(Unauthenticated, match="token is needed"):
        identify({}, peer, SECRET)


@pytest.mark.parametrize(
    "peer", ["ipv4:10.0.0.7:5", "ipv6:%5B2001:db8::1%5D:5", "ipv4:128.0.0.1:5", "", "x"]
)
def test_anonymous_off_this_machine_is_refused(peer):
    with pytest.raises(Unauthenticated):
        identify({}, peer, None)


@pytest.mark.parametrize("address", ["localhost:1", "127.0.0.1:50051", "[::1]:2", "unix:/run/x"])
def test_addresses_of_this_machine(address):
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address", ["0.0.0.0:1", "[::]:1", "example.org:1", "localhost.evil.org:1"]
)
def test_addresses_that_others_reach(address):
    assert not is_loopback(address)
