"""The closing chunk of a catalogue job: who goes on with it, and from where, changes no byte."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from services.attribution import catalogue_set as steps
from services.attribution.results import Rows
from services.attribution.tools import State, Tools
from steerboard.catalogue.build import Built, Plan
from steerboard.catalogue.by_job import spec_of
from steerboard.catalogue.panel import Panel
from steerboard.images.image_set import ImageSet
from steerboard.inprocess.runner import LocalRunner
from steerboard.spec.answers import Answer, Code
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.jobs import CatalogueJob
from steerboard.spec.requests import Encode

Step = Callable[[State], State]


@pytest.fixture
def spec(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> CatalogueJob:
    """A job whose closing chunk takes a step for each chunk and for each few features."""
    for name, value in (("AT_ONCE", 1), ("STEP_S", 0.0), ("GROUP", 16)):
        monkeypatch.setattr(steps, name, value)
    return spec_of(images, Plan("tiny", "middle", top=5), Built(""))[0]


def closed(
    runner: LocalRunner,
    images: ImageSet,
    spec: CatalogueJob,
    folder: Path,
    taken: Callable[[Step, State], State],
) -> dict[str, bytes]:
    """The files of a job whose closing steps are each ``taken`` in some way."""
    held = {p.sha256: p.data for p in images.pictures()}
    rows: dict[int, Rows] = {}
    tools = Tools(
        runner,
        held.__getitem__,
        lambda dictionary, features: (),
        lambda numbers: [rows.get(i) for i in numbers],
        str(folder),
    )
    last = steps.chunks(spec)
    for chunk in range(last):
        rows[chunk] = steps.observed(spec, chunk, {}, tools, steps.CHUNK)["rows"]
    state: State = {}
    while not steps.closed(spec, last, state):
        state = taken(lambda before: steps.gathered(spec, before, tools), state)
    return {p.name: p.read_bytes() for p in (folder / steps.RESULT).iterdir()}


def at_once(step: Step, state: State) -> State:
    return step(state)


def by_another(step: Step, state: State) -> State:
    """As by a worker that has seen nothing of it."""
    steps._AT_HAND.leave("", None)
    return step(state)


def lost_and_done_again(step: Step, state: State) -> State:
    """As where a worker ends before it could say how far it was, and its next try is its own."""
    step(state)
    return step(state)


@pytest.mark.parametrize("taken", [by_another, lost_and_done_again])
def test_a_step_may_be_anybodys_and_be_done_again(
    runner: LocalRunner,
    images: ImageSet,
    spec: CatalogueJob,
    tmp_path: Path,
    taken: Callable[[Step, State], State],
) -> None:
    straight = closed(runner, images, spec, tmp_path / "straight", at_once)
    assert len(straight) == 3
    assert closed(runner, images, spec, tmp_path / "other", taken) == straight


def test_what_a_step_left_half_done_is_not_gone_on_with(
    runner: LocalRunner,
    images: ImageSet,
    spec: CatalogueJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    straight = closed(runner, images, spec, tmp_path / "straight", at_once)

    def cut_off(step: Step, state: State) -> State:
        """As by the time limit, in the middle of taking in a shard."""
        if state.get("stage", "merge") == "merge":
            with monkeypatch.context() as context, pytest.raises(SoftTimeLimitExceeded):
                context.setattr(Panel, "add", too_slow)
                step(state)
        return step(state)

    assert closed(runner, images, spec, tmp_path / "other", cut_off) == straight


def too_slow(*_: object) -> None:
    raise SoftTimeLimitExceeded


class Replaced:
    """A runner whose model is another one after a first answer; it counts what it is asked."""

    def __init__(self, runner: LocalRunner) -> None:
        self._runner, self.described, self.by = runner, 0, "before"

    def model(self, name: str) -> ModelInfo:
        self.described += 1
        return self._runner.model(name).model_copy(update={"fingerprint": self.by})

    def encode(self, request: Encode) -> Answer[Code]:
        answer = self._runner.encode(request)
        return replace(answer, provenance=replace(answer.provenance, model_fingerprint=self.by))


def test_the_model_is_described_once_while_it_is_the_one_that_answers(
    runner: LocalRunner, images: ImageSet, spec: CatalogueJob, tmp_path: Path
) -> None:
    """A shard is named by what it depends on: the same pictures by another model are another."""
    held, asked = {p.sha256: p.data for p in images.pictures()}, Replaced(runner)
    tools = Tools(
        asked,
        held.__getitem__,
        lambda *_: (),
        lambda _: [],
        str(tmp_path),  # type: ignore[arg-type]
    )

    def shard(chunk: int) -> str:
        rows = steps.observed(spec, chunk, {}, tools, steps.CHUNK)["rows"]
        return str(rows[0]["shard"])

    first, _ = shard(0), shard(1)
    assert asked.described == 1 and shard(0) == first
    asked.by = "after"
    assert shard(0) != first and asked.described == 2
    shard(1)
    assert asked.described == 2
