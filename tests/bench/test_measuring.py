"""The bench compares like with like; its numbers are not looked at here."""

import itertools
import json
import threading
import time
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bench import children, house, peers, soak
from bench.clients import bodies, throughput
from bench.clock import Figure, figure, in_turn, one, ratios
from bench.raw import Classifier
from bench.report import Line, markdown, write
from bench.rows_people import jain
from bench.rows_serving import ALIKE, check_alike
from bench.sampler import Sampler
from bench.serving import GPU, ROWS, THERE, main, parser, placements, plan, rows_of, size_of, where
from bench.stage import L14, scaled
from steerboard.inprocess.runner import LocalRunner
from steerboard.model.placement import HOST, choose
from steerboard.spec.answers import Answer, Prediction
from steerboard.spec.requests import Pixels, Predict, Prompts
from steerboard.spec.tensor import Tensor


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
    given = [np.full(4, i, "<f4").tobytes() for i in range(50)]
    assert throughput(server, iter(given), 7, 60) > 0
    assert sorted(server.asked) == sorted(given)


def test_callers_stop_when_the_time_is_over_and_no_two_pictures_are_alike():
    server = Server()
    speed = throughput(server, bodies((8, 8)), 3, 0.2)
    assert speed > 0 and len(set(server.asked)) == len(server.asked) > 3
    assert {len(body) for body in server.asked} == {3 * 8 * 8 * 4}


def test_a_fault_of_a_server_is_not_counted_as_speed():
    class Broken(Server):
        def connection(self):
            def send(data):
                raise ConnectionError("gone")

            return send

    with pytest.raises(ConnectionError):
        throughput(Broken(), iter([b"x"] * 10), 3, 60)


def test_a_server_that_answers_otherwise_is_not_measured():
    def raw(pixels):
        means = pixels.mean((1, 2, 3))
        return np.stack([means, 2 * means], 1)

    server = Server()
    server.size = (8, 8)
    check_alike(raw, server, {"peer": Server()})
    with pytest.raises(RuntimeError, match="peer answers"):
        check_alike(raw, server, {"peer": Server(wrong=0.5)})


LINES = [
    Line("slider", "times faster", Figure(3.0, 2.0, 4.0), at_least=2.4),
    Line("slider", "a move", Figure(30.0, 20.0, 40.0), unit="ms"),
    Line("soak", "wrong answers", one(1), at_most=0),
]
RECORD = {
    "machine": {"cores": 2},
    "rows": [line.told() for line in LINES],
    "missing": {"mosec": "not installed"},
    "profiles": {"emojiland": [{"thread": "engine", "doing": "a.py:f", "share": 0.5}]},
}


def test_the_table_has_a_line_for_every_number_and_says_what_falls_short(tmp_path):
    lines = markdown(RECORD, LINES).splitlines()
    assert lines[:1] == ["cores: 2"]
    assert lines[4:7] == [
        "| slider | times faster | 3 [2, 4]  | at least 2.4 | met |",
        "| slider | a move | 30 [20, 40] ms |  |  |",
        "| soak | wrong answers | 1 [1, 1]  | at most 0 | **short** |",
    ]
    assert "Not measured: mosec (not installed)" in lines
    assert "| engine | `a.py:f` | 50.0 % |" in lines
    write(tmp_path, RECORD, LINES)
    told = json.loads((tmp_path / "serving.json").read_text())
    assert [row["met"] for row in told["rows"]] == [True, None, False]
    assert (tmp_path / "serving.md").read_text().startswith("cores: 2")


def test_a_share_of_ten_times_is_told_by_jain_s_index():
    """Jain, Chiu and Hawe: n equal shares 1; seven with 1 and one with 10: 17^2 / (8 x 107)."""
    assert jain([5] * 8) == 1
    assert jain([10, *[1] * 7]) == pytest.approx(289 / 856)


def test_what_is_asked_for_is_measured(capsys):
    asked = parser().parse_args(["--quick", "--only", "slider,soak", "--seconds", "3"])
    assert rows_of(asked) == ("slider", "soak")
    assert (
        size_of(asked).soak_s == 3 and size_of(asked).moves < size_of(parser().parse_args([])).moves
    )
    assert "soak" not in rows_of(parser().parse_args([])), "it takes minutes"
    with pytest.raises(SystemExit, match="no row 'sliders'"):
        rows_of(parser().parse_args(["--only", "sliders"]))
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert all(name in told for name in ROWS)


def asked(*words):
    return parser().parse_args(list(words))


def test_a_gpu_is_measured_besides_in_bf16_where_one_is_at_hand(monkeypatch):
    assert placements(asked(), gpu=False) == [HOST]
    assert placements(asked(), gpu=True) == [HOST, GPU]
    assert placements(asked("--quick"), gpu=True) == [HOST], "it has 50 seconds"
    assert placements(asked("--device", "cpu", "--precision", "bf16"), gpu=True) == [
        choose("cpu", "bf16")
    ]
    assert [row for stage, row in plan(asked(), "python") if stage.there == HOST] == [
        name for name in ROWS if name != "soak"
    ]
    monkeypatch.setattr("bench.serving.placements", lambda *_: [HOST, GPU])
    there = [(stage, row) for stage, row in plan(asked(), "python") if stage.there == GPU]
    assert {row for _, row in there} == set(THERE)
    assert {stage.size.slider for stage, _ in there} == {L14}
    assert (where(HOST), where(GPU)) == ("", ", cuda:0 in bf16")


def test_a_gpu_that_is_not_here_is_told_before_anything_is_measured():
    with pytest.raises(SystemExit, match="device cuda:99 is not here"):
        main(["--device", "cuda:99"])
    with pytest.raises(SystemExit, match="no precision 'int4'"):
        main(["--device", "cpu", "--precision", "int4"])


def test_a_tower_of_another_depth_is_cut_in_the_same_places():
    assert [scaled(layer, 12) for layer in (4, 8, 10, 11)] == [4, 8, 10, 11]
    assert [scaled(layer, 24) for layer in (4, 8, 10, 11)] == [8, 16, 20, 22]


def test_children_compute_where_they_are_told_and_on_the_cpu_unless_they_are():
    for there in (HOST, choose("cpu", "bf16")):
        assert house.placement(children.settings(there)) == there
    assert house.placement({}) == HOST


def test_both_sides_compute_in_half_precision_where_it_is_asked_for():
    there = choose("cpu", "bf16")
    served = house.build(house.Plan(house.EMOJILAND), there=there)
    raw, runner = Classifier(served.loaded), LocalRunner({house.EMOJILAND: served})
    pixels = house.pictures(1, 3, (96, 96))
    prompts = Prompts(prompts=("a photo of a cat", "a photo of a dog"), template="{}")
    images = (Pixels(tensor=Tensor.of(pixels[0])),)
    answer = runner.predict(Predict(model=house.EMOJILAND, images=images, classifier=prompts))
    runner.close()
    half, logits = raw(pixels)[0], answer.results()[0].logits
    assert np.allclose(logits, half, atol=ALIKE["bf16"])
    whole = Classifier(house.load(house.EMOJILAND))(pixels)[0]
    assert not np.allclose(half, whole, atol=1e-6), "it was in float32"


def test_peers_are_those_that_the_project_names():
    project = tomllib.loads((Path(peers.ROOT) / "pyproject.toml").read_text())["project"]
    assert peers.wanted() == project["optional-dependencies"]["bench"]
    assert {name.partition(">")[0] for name in peers.wanted()} == {"litserve", "mosec", "nnsight"}


def test_the_sampler_counts_the_processor_s_time_and_none_of_waiting():
    """One thread computes, one waits; what the first had is what its own clock says."""
    stop, own = threading.Event(), []

    def busy():
        while not stop.is_set():
            sum(range(500))
        own.append(time.thread_time())

    threads = [
        threading.Thread(target=busy, name="worker-1"),
        threading.Thread(target=stop.wait, name="sleeper-1"),
    ]
    sampler = Sampler()
    for thread in threads:
        thread.start()
    while (sampler.look(), sampler.spent.total())[1] < 0.2:
        time.sleep(0.005)
    sampler.look()
    stop.set()
    for thread in threads:
        thread.join()
    seen: Counter[str] = Counter()
    for (thread, _), spent in sampler.spent.items():
        seen[thread] += spent
    assert seen["sleeper"] < 0.01 and 0 < seen["worker"] <= own[0] + 0.01
    assert sum(found["share"] for found in sampler.told()) == pytest.approx(1, abs=0.01)
    assert any("busy" in found["doing"] for found in sampler.told())


def prediction(*logits):
    values = np.array(logits, np.float32)
    return Answer((Prediction(values, np.full_like(values, 0.5)),))


def test_a_wrong_answer_is_seen_in_a_soak():
    assert soak.alike(prediction(20.0, -3.0), prediction(20.001, -3.0))
    assert not soak.alike(prediction(20.0, -3.0), prediction(20.1, -3.0))
    assert not soak.alike(prediction(20.0), prediction(20.0, 1.0))
    both = Answer(prediction(1.0).items * 2)
    assert not soak.alike(prediction(1.0), both), "an answer that lacks a picture"


def test_memory_of_a_moment_is_no_growth_and_a_leak_is():
    steady = [(t / 2, 100.0 + 40.0 * (t % 7 == 0)) for t in range(120)]
    assert set(soak.windows(steady)) == {100.0}
    leaking = soak.windows([(t / 2, 100.0 + t / 10) for t in range(120)])
    assert max(leaking) / min(leaking) > 1.05


def test_questions_of_a_soak_are_of_every_kind_and_the_same_each_time(demo_runner):
    one, two = soak.questions(demo_runner, 24), soak.questions(demo_runner, 24)
    assert one == two
    assert {type(q).__name__ for q in one} == {"Steer", "Predict", "Attribute", "Encode", "Embed"}
    assert len({len(q.images) for q in one}) == 3
    for question in itertools.islice(one, 6):
        assert soak.ask(demo_runner, question).results()
