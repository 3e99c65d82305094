"""The bench compares like with like; its numbers are not looked at here."""

import json

import numpy as np
import pytest

from bench.clients import throughput
from bench.clock import Figure, figure, in_turn, ratios
from bench.serving import check_alike, main, table


def test_rounds_are_interleaved_and_ratios_taken_within_a_round():
    order = []

    def call(name, value):
        order.append(name)
        return value

    found = in_turn({"a": lambda: call("a", 2.0), "b": lambda: call("b", 4.0)}, 3)
    assert order == ["a", "b"] * 3
    assert ratios(found["a"], found["b"]) == Figure(0.5, 0.5, 0.5)
    assert figure([3.0, 1.0, 2.0]) == Figure(2.0, 1.0, 3.0)


class Server:
    """Answers with the mean and its double, and counts."""

    def __init__(self, wrong=0.0):
        self.wrong, self.asked = wrong, []

    def connection(self):
        def send(data):
            self.asked.append(data)
            x = np.frombuffer(data, "<f4").mean() + self.wrong
            return np.array([x, 2 * x], np.float32)

        return send


def test_every_body_is_asked_about_once_however_many_callers():
    server = Server()
    bodies = [np.full(4, i, "<f4").tobytes() for i in range(50)]
    assert throughput(server, bodies, 7) > 0
    assert sorted(server.asked) == sorted(bodies)


def test_a_fault_of_a_server_is_not_counted_as_speed():
    class Broken(Server):
        def connection(self):
            def send(data):
                raise ConnectionError("gone")

            return send

    with pytest.raises(ConnectionError):
        throughput(Broken(), [b"x"] * 10, 3)


def test_a_server_that_answers_otherwise_is_not_measured():
    def raw(pixels):
        means = pixels.mean((1, 2, 3))
        return np.stack([means, 2 * means], 1)

    check_alike(raw, Server(), {"peer": Server()})
    with pytest.raises(RuntimeError, match="peer answers"):
        check_alike(raw, Server(), {"peer": Server(wrong=0.5)})


def test_the_table_has_a_line_for_every_number():
    record = {"a": {"ratio": Figure(1.0, 0.5, 2.0).told(), "bound": 1.5}, "cores": 2}
    assert json.loads(json.dumps(record)) == record
    lines = table(record).splitlines()
    assert lines[2:] == [
        "| a: ratio | 1 | 0.5 | 2 |",
        "| a: bound | 1.5 | | |",
        "| cores | 2 | | |",
    ]


def test_help_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0 and "--quick" in capsys.readouterr().out
