"""Single flight through the whole service, counted at a real gRPC server in place of inference."""

import pytest

from bench.jobs import cached, flight, staged

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
