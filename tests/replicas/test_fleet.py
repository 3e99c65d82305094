"""Who owns what, and who is a member: without servers, over real channels."""

import threading
from collections import Counter

import pytest
from crew import until
from hypothesis import given
from hypothesis import strategies as st

from steerboard.api.addresses import parse_addresses, resolve, target_of
from steerboard.api.channel import open_channel
from steerboard.api.fleet import Fleet, rank
from steerboard.spec.errors import InvalidRequest, Unavailable

ADDRESSES = st.lists(st.integers(1, 999).map(lambda i: f"10.0.0.1:{i}"), min_size=2, unique=True)


@given(ADDRESSES, st.text(min_size=1), st.randoms())
def test_an_owner_is_found_whatever_the_order_and_keeps_what_is_its_own(addresses, key, random):
    ranked = rank(key, addresses)
    assert sorted(ranked) == sorted(addresses)
    assert rank(key, random.sample(addresses, len(addresses))) == ranked
    gone = random.choice(addresses)
    assert rank(key, [a for a in addresses if a != gone]) == [a for a in ranked if a != gone]


def test_pictures_fall_to_all_alike():
    """Of 3,000 keys each of four has 750; 5 standard deviations are 119."""
    addresses = [f"h{i}:1" for i in range(4)]
    owners = Counter(rank(f"{i:064x}", addresses)[0] for i in range(3000))
    assert all(abs(owners[address] - 750) < 119 for address in addresses)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("localhost:1", ("localhost:1",)),
        ("a:1, b:2,a:1", ("a:1", "b:2")),
        (["a:1", "b:2"], ("a:1", "b:2")),
        ("dns:///name.svc:50051", ("dns:///name.svc:50051",)),
        ("[::1]:50051", ("[::1]:50051",)),
        ("unix:/run/steer.sock", ("unix:/run/steer.sock",)),
    ],
)
def test_addresses_are_read(text, found):
    assert parse_addresses(text) == found


@pytest.mark.parametrize("text", ["", "nonsense", "a:1,b", ":50051", "dns:///a:1,b:2", "a:123456"])
def test_what_is_no_address_is_told(text):
    with pytest.raises(InvalidRequest, match="address"):
        parse_addresses(text)


def test_names_are_looked_up_and_several_families_share_a_target():
    assert "127.0.0.1:7" in resolve("dns:///localhost:7")
    assert target_of(["127.0.0.1:7", "[::1]:8"]) == "ipv6:[::ffff:127.0.0.1]:7,[::1]:8"
    with pytest.raises(Unavailable, match=r"nowhere\.invalid"):
        resolve("nowhere.invalid:7")


class Asked:
    """Stands where a Runner stands; says whether it was closed."""

    def __init__(self):
        self.closed = False

    def close(self):
        self.closed = True


def test_members_follow_the_name_and_those_that_stay_are_kept(monkeypatch):
    monkeypatch.setattr("steerboard.api.fleet.HURRY_S", 0.01)
    monkeypatch.setattr("steerboard.api.fleet.LOOK_UP_S", 0.01)
    monkeypatch.setattr("steerboard.api.fleet.LEAVING_S", 0.0)
    told, opened, looked = ["127.0.0.1:1", "127.0.0.1:2"], {}, threading.Event()

    def look_up():
        looked.set()
        if not told:
            raise Unavailable("the name has no address")
        return tuple(told)

    def open_(address):
        opened.setdefault(address, []).append(Asked())
        return opened[address][-1], open_channel(address)

    fleet = Fleet((), open_, look_up)
    members = lambda: sorted(replica.address for replica in fleet.order("key"))  # noqa: E731
    until(lambda: members() == ["127.0.0.1:1", "127.0.0.1:2"])
    told[:] = ["127.0.0.1:2", "127.0.0.1:3"]
    until(lambda: members() == ["127.0.0.1:2", "127.0.0.1:3"])
    until(lambda: opened["127.0.0.1:1"][0].closed)
    told.clear()
    until(lambda: fleet.fault is not None)
    assert members() == ["127.0.0.1:2", "127.0.0.1:3"], "a name server that is away takes nobody"
    assert len(opened["127.0.0.1:2"]) == 1 and not opened["127.0.0.1:2"][0].closed
    fleet.close()
    assert all(one.closed for held in opened.values() for one in held)
