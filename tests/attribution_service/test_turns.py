"""Whose turn it is, on a real Redis: callers, weights, priorities, and who goes on by itself."""

import random
import time

import pytest

from services.attribution.members import Size, Turn, Turns
from services.attribution.records import Records
from steerboard.api.tokens import Identity
from tests.attribution_service.opened import ANN, BOB, ONE, open_one, open_set


def drain(records: Records) -> list[tuple[str, int]]:
    """Everything in the order in which one worker with one hand would do it."""
    done = []
    while found := records.release("interactive"):
        for job, chunk in found:
            assert records.start(job, chunk) is not None
            records.finish(job, chunk)
            done.append((job, chunk))
    return done


def test_two_hundred_jobs_of_one_do_not_delay_the_one_of_another(records: Records) -> None:
    for i in range(200):
        open_one(records, f"ann-{i}", ANN)
    first = records.release("interactive")
    open_one(records, "bob", BOB)
    for job, chunk in first:
        records.finish(job, chunk)
    order = [job for job, _ in drain(records)]
    assert order.index("bob") <= 1  # the newcomer's turn is next
    assert len(order) + len(first) == 201
    assert [j for j in order if j != "bob"] == [f"ann-{i}" for i in range(len(first), 200)]


def test_people_of_one_page_take_turns_each_alone(records: Records) -> None:
    page = Identity(subject="page")
    ann, bob = (page.model_copy(update={"person": name}) for name in ("ann", "bob"))
    for i in range(50):
        open_one(records, f"ann-{i}", ann)
    open_one(records, "bob", bob)
    assert [job for job, _ in drain(records)].index("bob") <= 2  # two of ann's were out at most
    # They are the page's jobs all the same: its token lists them, and may take them back.
    assert {s.id for s in records.mine(page, 100)} == {"bob", *(f"ann-{i}" for i in range(50))}
    assert open_one(records, "later", ann) == "new" and records.leave("later", bob) == 0


def test_a_larger_weight_has_more_turns(records: Records) -> None:
    heavy = Identity(subject="heavy", weight=3.0)
    for i in range(12):
        open_one(records, f"heavy-{i}", heavy)
        open_one(records, f"ann-{i}", ANN)
    first = [job.split("-")[0] for job, _ in drain(records)][:12]
    assert first.count("heavy") == 9 and first.count("ann") == 3


def test_a_weight_next_to_nothing_does_not_stop_the_ring(records: Records) -> None:
    open_one(records, "j", Identity(subject="feather", weight=1e-300))
    assert drain(records) == [("j", 0)]


def test_sets_have_all_slots_and_single_pictures_still_have_room(records: Records) -> None:
    """Each worker has a hand more than slots, so that sets never take the last one."""
    records.beat("w", 4, time.time())
    open_set(records, "s", 16 * 40)
    assert len(records.release("bulk")) == 4
    assert records.release("bulk") == []
    open_one(records, "j", BOB)
    assert records.release("interactive") == [("j", 0)]


def test_jobs_of_one_caller_go_by_priority_and_others_do_not_wait_for_it(records: Records) -> None:
    for i, priority in enumerate((0, -1, 1, 0, 1, -1)):
        records.open(f"{priority}.{i}", ONE, Size(1, 1, 1), "interactive", ANN, "", priority)
    open_one(records, "bob", BOB)
    order = [job for job, _ in drain(records)]
    assert order.index("bob") <= 1  # the priority of a caller's jobs is no business of others
    assert [j for j in order if j != "bob"] == ["1.2", "1.4", "0.0", "0.3", "-1.1", "-1.5"]


def test_a_chunk_that_is_put_back_is_the_first_of_its_priority(records: Records) -> None:
    open_one(records, "urgent")
    assert records.release("interactive") == [("urgent", 0)]
    for name, priority in (("a", 0), ("b", 1)):
        records.open(name, ONE, Size(1, 1, 1), "interactive", ANN, "", priority)
    records.defer("urgent", 0, "more")
    assert [job for job, _ in drain(records)] == ["b", "urgent", "a"]


def test_who_joins_with_a_higher_priority_raises_it(records: Records) -> None:
    for name in ("a", "b", "c"):
        open_one(records, name)
    assert records.open("c", ONE, Size(1, 1, 1), "interactive", BOB, "", 1) == "queued"
    assert [job for job, _ in drain(records)] == ["c", "a", "b"]


def test_who_goes_on_with_further_chunks_counts_the_last_and_begins_the_next(
    records: Records,
) -> None:
    """As finish, release and start would, one after the other."""
    open_set(records, "s", 48)
    done = None
    for chunk in range(4):  # the closing one comes when the others are done
        turns = records.further("bulk", "message", done)
        found = turns.own
        assert found is not None and found.begun is not None
        assert (found.member, turns.others) == (("s", chunk), [])
        assert (found.begun.losses, found.begun.before) == (0, False)
        assert records.at("message")[-1] == found.member
        assert records.status("s").done == chunk
        done = found.member
    assert records.further("bulk", "message", done) == Turns(None, [])
    assert records.status("s").state == "done"


def test_further_chunks_are_handed_to_other_hands_too(records: Records) -> None:
    records.beat("w", 3, time.time())
    open_set(records, "s", 16 * 10)
    found = records.further("bulk", "message", None)
    assert found.own is not None and found.others == [("s", 1), ("s", 2)]
    again = records.further("bulk", "message", found.own.member)
    assert again.own is not None and (again.own.member, again.others) == (("s", 3), [])


def test_who_is_at_a_chunk_takes_one_ahead_that_no_other_hand_is_free_for(records: Records) -> None:
    records.beat("w", 2, time.time())
    open_set(records, "s", 16 * 20)
    first, second = (("s", 0), ("s", 1))
    assert records.release("bulk") == [first, second]
    for name, member in (("a", first), ("b", second)):
        assert records.start(*member, name) is not None
    ahead = records.further("bulk", "a", None, first)
    assert ahead.own is not None and (ahead.own.member, ahead.others) == (("s", 2), [])
    assert records.release("bulk") == []  # both hands are at work
    # One hand is done and away: the next chunk is for another worker's hand, and none for ours.
    records.finish(*second)
    there = records.further("bulk", "a", first, ahead.own.member)
    assert there.own is not None and (there.own.member, there.others) == (("s", 4), [("s", 3)])
    assert records.further("bulk", "a", None, there.own.member, False) == Turns(None, [])
    assert records.status("s").done == 2


def test_a_loss_is_held_against_the_chunk_that_was_worked_at_alone(records: Records) -> None:
    """Workers die over the first chunk; one of them had the second in its other hand."""
    open_set(records, "s", 16 * 4)
    ((job, first),) = records.release("bulk")

    def losses(chunk: int) -> int:
        begun = records.start(job, chunk, "m")
        assert begun is not None
        return begun.losses

    assert losses(first) == 0
    ahead = records.further("bulk", "m", None, (job, first)).own
    assert ahead is not None and ahead.begun is not None and ahead.begun.losses == 0
    assert [losses(first) for _ in range(3)] == [1, 2, 3]
    second = ahead.member[1]
    assert [losses(second) for _ in range(3)] == [0, 1, 2]  # the first time it had only waited


@pytest.mark.parametrize("seed", range(6))
def test_whoever_takes_ahead_gives_back_or_dies_each_chunk_is_counted_once(
    records: Records, seed: int
) -> None:
    """Hands that go on, stop between two chunks, or are killed with both of theirs."""
    chance = random.Random(seed)
    records.beat("w", 3, time.time(), seconds=600)
    total = 40
    open_set(records, "s", 16 * total)
    queue, counted = list[tuple[str, int]](), list[int]()
    hands: dict[str, list[Turn]] = {}
    for step in range(2000):
        if records.status("s").state == "done":
            break
        queue += records.release("bulk")
        ready = len(hands) < 4 and bool(queue)
        act = chance.choice(["take", "on", "on", "on", "leave", "die"])
        if (act == "take" and ready) or not hands:
            member = queue.pop(0)
            hands[f"m{step}"] = [Turn(member, records.start(*member, f"m{step}"))]
            continue
        name = chance.choice(sorted(hands))
        mine = hands[name]
        if act == "on":
            at = mine[-1]
            done = mine[0].member if len(mine) == 2 else None
            turns = records.further("bulk", name, done, at.member)
            queue += turns.others
            counted += [done[1]] if done else []
            hands[name] = [t for t in (at, turns.own) if t is not None]
            if turns.own is None:
                turns = records.further("bulk", name, at.member)
                counted.append(at.member[1])
                queue += turns.others
                hands[name] = [] if turns.own is None else [turns.own]
        elif act == "leave":
            for turn in mine:
                records.defer(*turn.member, "more")
            hands[name] = []
        elif act == "die":  # and the message is delivered again, to who does all that it had
            assert set(records.at(name)) >= {t.member for t in mine}
            for member in records.at(name):
                if records.start(*member, name) is not None:
                    records.finish(*member)
                    counted.append(member[1])
            hands[name] = []
        hands = {n: held for n, held in hands.items() if held}
        out = records._redis.zrange("steerboard:out:bulk", 0, -1)
        ahead = records._redis.smembers("steerboard:ahead:bulk")
        assert ahead <= set(out) and len(out) - len(ahead) <= 3
        assert len(ahead) <= len(hands)
    assert records.status("s").state == "done"
    assert sorted(counted) == list(range(total + 1))
    assert not records._redis.exists("steerboard:out:bulk", "steerboard:ahead:bulk")
