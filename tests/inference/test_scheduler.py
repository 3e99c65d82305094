"""Fair shares, driven turn by turn: no thread, no clock, no waiting."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from services.inference.engine.scheduler import BULK_SHARE, Scheduler, Turn

CALLERS = [f"caller {i}" for i in range(8)]


def jain(shares):
    """(sum x)^2 / (n sum x^2): 1 where all have the same, 1/n where one has all."""
    return sum(shares) ** 2 / (len(shares) * sum(x * x for x in shares))


def turn(caller="a", cost=1, key="k", **more):
    return Turn(key=key, cost=cost, caller=caller, **more)


def taken(scheduler, limit=16):
    return scheduler.take(lambda _: limit)


costs = st.lists(st.integers(1, 16), min_size=1, max_size=5)
keys = st.lists(st.sampled_from("kxy"), min_size=1, max_size=5)


@settings(max_examples=20, deadline=None)
@given(
    costs=costs,
    keys=keys,
    limit=st.sampled_from([16, 32, 128]),
    lane=st.sampled_from(["interactive", "bulk"]),
)
def test_one_of_eight_who_asks_for_ten_times_as_much_gets_no_more(costs, keys, limit, lane):
    """All have work waiting; what they got when 1,600 rows were computed is alike."""
    scheduler = Scheduler()
    need = 3200 // sum(costs)
    for i in range(need * len(costs)):
        for name in CALLERS:
            for _ in range(10 if name == CALLERS[3] else 1):
                scheduler.push(turn(name, costs[i % len(costs)], keys[i % len(keys)], lane=lane))
    got = Counter()
    while sum(got.values()) < 1600:
        for task in taken(scheduler, limit):
            got[task.caller] += task.cost
    assert jain([got[name] for name in CALLERS]) >= 0.95


@settings(max_examples=10, deadline=None)
@given(cost=st.integers(1, 4), limit=st.sampled_from([16, 128]))
def test_it_is_so_too_when_the_others_wait_for_each_answer(cost, limit):
    """Closed loops: seven have one task in flight, the eighth has ten."""
    scheduler, got = Scheduler(knee=8), Counter()
    for name in CALLERS:
        for _ in range(10 if name == CALLERS[0] else 1):
            scheduler.push(turn(name, cost))
    for _ in range(300):
        for task in taken(scheduler, limit):
            got[task.caller] += task.cost
            scheduler.push(turn(task.caller, cost))
    assert jain([got[name] for name in CALLERS]) >= 0.95


def test_a_thousand_tasks_of_another_do_not_delay_a_single_one():
    scheduler = Scheduler()
    for _ in range(1000):
        scheduler.push(turn("many", 4))
    scheduler.push(turn("one", 4))
    assert "one" in {task.caller for task in taken(scheduler)}


def test_weights_of_the_tokens_are_the_shares():
    scheduler, got = Scheduler(), Counter()
    for _ in range(1000):
        for name, weight in (("a", 1.0), ("b", 3.0)):
            scheduler.push(turn(name, 3, weight=weight))
    while sum(got.values()) < 2000:
        for task in taken(scheduler):
            got[task.caller] += task.cost
    assert 2.8 < got["b"] / got["a"] < 3.2


mixed = st.lists(
    st.builds(
        Turn,
        key=st.sampled_from("kx"),
        cost=st.integers(1, 40),
        size=st.integers(0, 9),
        caller=st.sampled_from("abc"),
        weight=st.floats(0.1, 10),
        lane=st.sampled_from(["interactive", "bulk"]),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(tasks=mixed, limit=st.integers(1, 64))
def test_every_task_is_served_once_in_batches_of_one_key_lane_and_bounded_cost(tasks, limit):
    scheduler, served = Scheduler(), []
    for task in tasks:
        scheduler.push(task)
    assert (len(scheduler), scheduler.cost) == (len(tasks), sum(t.cost for t in tasks))
    while batch := taken(scheduler, limit):
        assert len({(t.key, t.lane) for t in batch}) == 1
        assert len(batch) == 1 or sum(t.cost for t in batch) <= limit
        served += batch
    assert sorted(map(id, served)) == sorted(map(id, tasks))
    assert (scheduler.cost, scheduler.size, len(scheduler)) == (0, 0, 0)
    assert not any(scheduler.held(name) for name in "abc")
    for name in "abc":
        for key in "kx":
            for lane in ("interactive", "bulk"):
                own = [t.order for t in served if (t.caller, t.key, t.lane) == (name, key, lane)]
                assert own == sorted(own)


def test_interactive_goes_first_and_bulk_keeps_its_share():
    scheduler, got = Scheduler(), Counter()
    for _ in range(2000):
        scheduler.push(turn("job", 4, lane="bulk"))
        scheduler.push(turn("person", 4))
    first = taken(scheduler)
    assert {task.lane for task in first} == {"interactive"}
    waited = longest = 0
    for _ in range(400):
        batch = taken(scheduler)
        cost = sum(task.cost for task in batch)
        got[batch[0].lane] += cost
        waited = waited + cost if batch[0].lane == "interactive" else 0
        longest = max(longest, waited)
    assert 0.9 * BULK_SHARE < got["bulk"] / got["interactive"] < 1.1 * BULK_SHARE
    assert longest <= 16 / BULK_SHARE + 16


def test_bulk_work_done_while_no_person_waits_is_no_debt():
    scheduler = Scheduler()
    for _ in range(100):
        scheduler.push(turn("job", 4, lane="bulk"))
    for _ in range(10):
        assert taken(scheduler)[0].lane == "bulk"
    for _ in range(20):
        scheduler.push(turn("person", 4))
    assert [taken(scheduler)[0].lane for _ in range(3)] == ["interactive", "bulk", "interactive"]


def test_what_is_not_wanted_leaves_and_costs_its_caller_nothing():
    scheduler = Scheduler()
    tasks = [turn("a", 5, size=7), turn("a", 3), turn("b", 2, lane="bulk")]
    for task in tasks:
        scheduler.push(task)
    assert scheduler.keep(lambda task: task is tasks[1]) == [tasks[0], tasks[2]]
    assert (scheduler.cost, scheduler.size, scheduler.held("a"), scheduler.held("b")) == (
        3,
        0,
        3,
        0,
    )
    assert taken(scheduler) == [tasks[1]] and taken(scheduler) == []


def test_a_small_task_does_not_wait_for_a_large_one_to_ride_along():
    scheduler = Scheduler(knee=8)
    scheduler.push(turn("large", 64))
    scheduler.push(turn("small", 1))
    assert [task.caller for task in taken(scheduler, 128)] == ["small"]
