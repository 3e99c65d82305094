"""What batches need, by two routes; and what happens where allocations fail for real."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from services.inference.engine.memory import (
    LATELY_S,
    QUIET_S,
    TELLING,
    Memory,
    Tally,
    lately,
)
from steerboard.inprocess.crew import Crew
from steerboard.inprocess.kernel import DirectKernel, Row
from steerboard.spec.errors import InvalidRequest

MIB = 2**20
KEY = ("embed", "fingerprint")


def test_what_is_held_at_once_is_added_up_and_views_are_nothing_new():
    with Tally() as tally:
        a = torch.empty(MIB)  # 4 MiB of float32
        b = a.view(1024, 1024).t() + 1  # 4 more, the views none
        del a
        c = b * 2  # as many as before
        del b, c
        torch.empty(MIB)
    assert tally.top == 8 * MIB and tally.live == 0


def test_a_layer_needs_what_its_shapes_say():
    """By hand: of n rows 50 x 256, in and out, and the 4 times wider middle with its GELU."""
    layer = torch.nn.Sequential(
        torch.nn.Linear(256, 1024), torch.nn.GELU(), torch.nn.Linear(1024, 256)
    )
    x = torch.randn(8, 50, 256)
    with torch.inference_mode(), Tally() as tally:
        layer(x)
    assert tally.top == 8 * 50 * (1024 + 1024) * 4


def test_gradients_count_too():
    x = torch.randn(1000, 100, requires_grad=True)
    with Tally() as tally:
        x.exp().sum().backward()
    # exp is kept for its gradient, which is one more of the same size, and x.grad is that one.
    assert 2 * 400_000 <= tally.top <= 3 * 400_000 + 64


def test_the_same_is_found_by_the_profiler_of_torch(tiny_house):
    from steerboard.inprocess.runner import open_local

    served = open_local(tiny_house, "test")._served["tiny"]
    rows = [Row(str(i), torch.rand(3, 32, 32)) for i in range(64)]
    activity = [torch.profiler.ProfilerActivity.CPU]
    DirectKernel(0).embed(served, rows)
    with torch.profiler.profile(activities=activity, profile_memory=True) as profile:
        DirectKernel(0).embed(served, rows)
    found = profile.profiler.kineto_results.events()
    live = top = 0
    for _, size in sorted((e.start_ns(), e.nbytes()) for e in found if e.name() == "[memory]"):
        live += size
        top = max(top, live)
    with Tally() as tally:
        DirectKernel(0).embed(served, rows)
    assert tally.top == pytest.approx(top, rel=0.2)


def test_what_each_core_computes_alone_is_added_up_too():
    calls = [torch.empty(MIB) for _ in range(2)]
    both = threading.Barrier(2)

    def work(x, _step):
        y = x + 1
        both.wait(30)
        return y * 0 + both.wait(30)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with Tally() as tally:
            Crew().map(work, calls)
    finally:
        torch.set_num_threads(before)
    assert tally.top >= 2 * 8 * MIB


def test_rows_are_as_many_as_fit_into_what_is_free_now():
    free = [100 * MIB]
    memory = Memory(free=lambda: free[0])
    assert memory.rows(KEY, 128) == 128  # nothing is known yet
    memory.needed(KEY, TELLING, TELLING * MIB)
    assert memory.rows(KEY, 128) == 80
    free[0] = 10 * MIB
    assert memory.rows(KEY, 128) == 8
    free[0] = 0
    assert memory.rows(KEY, 128) == 1
    assert memory.rows(("sense",), 128) == 128


def test_a_batch_of_one_row_is_believed_only_until_a_larger_one_tells():
    memory = Memory(free=lambda: 100 * MIB)
    memory.needed(KEY, 1, 10 * MIB)
    assert memory.rows(KEY, 128) == 8
    memory.needed(KEY, 8, 16 * MIB)
    assert memory.rows(KEY, 128) == 40
    memory.needed(KEY, 1, 10 * MIB)
    assert memory.rows(KEY, 128) == 40
    memory.needed(KEY, 8, 32 * MIB)  # of another dictionary, say
    assert memory.rows(KEY, 128) == 20


def test_work_of_which_no_row_can_ever_fit_is_refused_before_it_waits():
    free = [100 * MIB]
    memory = Memory(free=lambda: free[0])
    memory.needed(KEY, TELLING, TELLING * 101 * MIB)
    with pytest.raises(InvalidRequest, match="one picture under one steer set needs more memory"):
        memory.check(KEY)
    free[0] = 200 * MIB  # It was others who held it.
    memory.check(KEY)
    free[0] = 100 * MIB
    memory.check(KEY)


@pytest.fixture(scope="module")
def narrow(tiny_house):
    """What ``narrow.py`` tells; what is freed goes back to the system at once."""
    own = {"MALLOC_MMAP_THRESHOLD_": "131072", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("narrow.py")), str(tiny_house)]
    found = subprocess.run(
        command, env=os.environ | own, capture_output=True, text=True, timeout=300, check=False
    )
    assert found.returncode == 0, found.stderr[-2000:]
    return json.loads(found.stdout.splitlines()[-1])


def test_where_an_allocation_fails_halves_are_computed_and_the_size_is_remembered(narrow):
    told = narrow["halved"]
    assert told["tried"][:2] == [4096, 2048] and sum(told["again"]) == 4096
    assert told["again"][0] == min(told["tried"]), "the size that failed was tried again"
    assert told["off"] < 2e-5


def test_what_was_learnt_of_a_few_rows_keeps_a_large_batch_within_the_limit(narrow):
    """Every row is computed once: no attempt failed."""
    told = narrow["foreseen"]
    assert sum(told["tried"]) == 4096 and len(told["tried"]) > 1
    assert told["off"] < 2e-5


@pytest.mark.parametrize(
    ("case", "reason", "words"),
    [
        ("never", "INVALID_REQUEST", "needs more memory than there is here"),
        ("later", "OVERLOADED", "try again"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_by_name_and_the_engine_lives(
    narrow, case, reason, words
):
    told = narrow[case]
    assert told["reason"] == reason and words in told["message"]
    assert (told["retry"] is None) == (case == "never") == (told["limit"] is not None)
    assert told["answered"] == 1


def test_a_size_that_did_not_suffice_is_tried_again_after_a_quiet_time():
    now = [0.0]
    memory = Memory(free=lambda: 2**50, clock=lambda: now[0])
    memory.only(KEY, 10)
    assert memory.rows(KEY, 128) == 10
    now[0] = QUIET_S - 1
    assert memory.rows(KEY, 128) == 10
    now[0] = QUIET_S
    assert memory.rows(KEY, 128) == 20
    memory.only(KEY, 10)  # It did not suffice again, and a new quiet time begins.
    assert memory.rows(KEY, 128) == 10
    now[0] += 10 * QUIET_S
    assert memory.rows(KEY, 128) == 128


def test_what_a_batch_in_hand_needs_is_left_to_it():
    memory = Memory(free=lambda: 100 * MIB)
    memory.needed(KEY, TELLING, TELLING * MIB)
    with memory.watching(KEY, 60):
        assert memory.rows(KEY, 128) == 32  # 0.8 of what 60 of 100 leave
        with memory.watching(KEY, 40):
            assert memory.rows(KEY, 128) == 1
    assert memory.rows(KEY, 128) == 80


def test_free_memory_is_asked_for_once_a_second():
    now, asked = [0.0], [0]

    def free():
        asked[0] += 1
        return asked[0]

    told = lately(free, lambda: now[0])
    assert [told() for _ in range(1000)] == [1] * 1000
    now[0] = LATELY_S + 0.01
    assert told() == 2 and asked[0] == 2
