"""Single flight through the whole service, counted at a real gRPC server in place of inference."""

import sys
from pathlib import Path
from subprocess import PIPE, Popen

import psutil
import pytest

from bench.jobs import Pass, cached, flight, linear, on_cores, staged

pytestmark = pytest.mark.timeout(900)


def test_a_hundred_callers_at_once_are_one_computation_and_later_ones_none() -> None:
    with staged(0.02) as (crew, stub):
        crew.start("worker")
        told = flight(crew, stub, 100)
        assert told["calls_of_inference"] == {"Attribute": 1, "Steer": 1}  # scores; ablations
        assert told["different_answers"] == 1
        cached(crew, 2)  # asks about 16 pictures, one of them known
        calls = dict(stub.calls)
        assert cached(crew, 40)["questions"] == 40
        assert stub.calls == calls


def a_pass(whole: float) -> Pass:
    return Pass(whole, steady=2 * whole, late_ms=0, on_core_ms=0, wait_ms=0)


def test_shares_of_linear_are_taken_within_a_round() -> None:
    found = {2: [a_pass(10), a_pass(30), a_pass(20)], 8: [a_pass(40), a_pass(60), a_pass(60)]}
    assert linear(found, "whole") == {2: [1, 1, 1], 8: [0.5, 0.75, 1]}
    assert linear(found, "steady") == linear(found, "whole")


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="tells no time on cores")
def test_time_on_cores_is_that_of_all_below_a_process() -> None:
    code = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"
    before, _ = on_cores(psutil.Process())
    with Popen([sys.executable, "-c", code], stdin=PIPE, stdout=PIPE, text=True) as child:
        child.stdout.readline()  # type: ignore[union-attr]
        after, _ = on_cores(psutil.Process())
        child.communicate("\n")
    assert 300 <= after - before < 3000
