"""Whose turn it is, on a real Redis: callers, weights, priorities, and who goes on by itself."""

import time

from services.attribution.members import Size
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
        found = records.further("bulk", "message", done)
        assert found is not None and found.begun is not None
        assert (found.member, found.others) == (("s", chunk), [])
        assert (found.begun.losses, found.begun.before) == (0, False)
        assert records.at("message") == found.member
        assert records.status("s").done == chunk
        done = found.member
    assert records.further("bulk", "message", done) is None
    assert records.status("s").state == "done"


def test_further_chunks_are_handed_to_other_hands_too(records: Records) -> None:
    records.beat("w", 3, time.time())
    open_set(records, "s", 16 * 10)
    found = records.further("bulk", "message", None)
    assert found is not None and found.others == [("s", 1), ("s", 2)]
    again = records.further("bulk", "message", found.member)
    assert again is not None and (again.member, again.others) == (("s", 3), [])
