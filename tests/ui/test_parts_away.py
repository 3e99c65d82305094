"""A part goes away: one clear sentence, the rest goes on, and it comes back by itself."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from steerboard.store.store import Store
from tests.ui.bad_pictures import pattern, saved
from tests.ui.person import Person
from tests.ui.stage import Stage

Visit = Callable[..., Person]
pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("part", ["job-door", "redis-queue", "worker"])
def test_the_runner_ranks_while_the_workers_are_away(
    visit: Visit, services: Stage, part: str
) -> None:
    someone = visit()
    someone.picks(place=2)
    with services.without(part):
        elsewhere = {"job-door": 2, "redis-queue": 3, "worker": 4}[part]
        someone.types("prompts", "\n".join(["boat", "key", "horse", "frog"][:elsewhere]))
        someone.until(lambda: any("workers have not ranked" in s for s in someone.warned()))
        assert len(someone.features()) == 12
        assert "measured" not in someone.reads() and "Error term" in someone.markup()
        first = someone.features()[0]
        someone.presses(f"Off-{first}")
        assert someone.changes() is not None
    someone.until(someone.ranked)
    assert not someone.warned()
    assert someone.strength(first) == -1.0


def test_the_page_recovers_when_inference_is_back(visit: Visit, services: Stage) -> None:
    someone = visit()
    someone.picks(place=3)
    first = someone.features()[0]
    with services.without("inference"):
        someone.presses(f"Off-{first}")
        (sentence,) = someone.warned()
        assert "has not answered" in sentence and "What you did is kept" in sentence
        newcomer = visit(someone.session())
        assert len(newcomer.warned()) == 1
    someone.until(lambda: someone.changes() is not None)
    assert someone.strength(first) == -1.0 and not someone.warned()
    newcomer.until(lambda: newcomer.changes() is not None)
    assert newcomer.changes() == someone.changes()


def test_an_upload_needs_no_job_door(visit: Visit, services: Stage) -> None:
    with services.without("job-door"):
        someone = visit()
        assert "You can still upload" in someone.warned()[0]
        someone.uploads("mine.png", saved(pattern(), "PNG"))
        assert someone.answer()
        someone.until(lambda: bool(someone.features()))
    someone.until(someone.ranked)


def test_a_database_that_is_away_is_one_sentence(
    visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEERBOARD_STORE", "postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    someone = visit()
    (sentence,) = someone.warned()
    assert "session database does not answer" in sentence


def test_steps_are_kept_while_the_database_does_not_answer(visit: Visit, tmp_path: Path) -> None:
    someone = visit()
    someone.picks()
    first = someone.features()[0]
    path = tmp_path / "sessions.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        someone.moves(first, -0.5)
        before = someone.changes()
        assert before is not None
    someone.page.run()
    kinds = [e.kind for e in Store(f"sqlite:///{path}").events(someone.session())]
    assert [k for k in kinds if k != "probed"][-2:] == ["move", "tested"]
    assert visit(someone.session()).changes() == before
