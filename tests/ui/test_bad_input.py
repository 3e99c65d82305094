"""What people do wrong: a clear sentence, and the next good request works."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from steerboard.store.events import (
    DictionaryChosen,
    FeatureMoved,
    PictureChosen,
    PromptsSet,
    TargetChosen,
)
from steerboard.store.store import Store
from tests.ui.bad_pictures import READ, REFUSED, pattern, saved
from tests.ui.person import Person

Visit = Callable[..., Person]


@pytest.fixture
def store(visit: Visit, tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path / 'sessions.sqlite'}")


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_read_is_refused_by_name(visit: Visit, name: str) -> None:
    someone = visit()
    someone.uploads(name, REFUSED[name])
    (sentence,) = someone.warned()
    assert sentence.startswith("This file is not opened.") and name in sentence
    assert not someone.answer()
    someone.uploads("good.png", saved(pattern(), "PNG"))
    assert someone.answer() and not someone.warned()


@pytest.mark.parametrize("name", READ)
def test_an_unusual_picture_is_read(visit: Visit, name: str) -> None:
    someone = visit()
    someone.uploads(name, READ[name])
    assert someone.answer() and not someone.warned()
    someone.until(someone.ranked)
    later = visit(someone.session())
    assert later.answer() == someone.answer()


@pytest.mark.parametrize(
    ("prompts", "sentence"),
    [
        ("", "at least two prompts, not 0"),
        ("horse", "at least two prompts, not 1"),
        ("\n".join(f"thing {i}" for i in range(5000)), "5000 prompts are more than the limit"),
        ("horse\nboat\nhorse", "stands there twice"),
        ("horse\n" + "x" * 501, "more than 500 characters"),
    ],
)
def test_prompts_that_make_no_decision_are_not_used(
    visit: Visit, prompts: str, sentence: str
) -> None:
    someone = visit()
    someone.picks()
    before = someone.answer()
    someone.types("prompts", prompts)
    (said,) = someone.warned()
    assert sentence in said
    assert someone.answer() == before
    someone.types("prompts", "horse\nboat")
    assert not someone.warned() and someone.answer() in ("horse", "boat")


def test_a_template_without_a_slot_is_not_used(visit: Visit) -> None:
    someone = visit()
    someone.picks()
    someone.types("template", "a photo")
    assert "exactly one {}" in someone.warned()[0]
    someone.types("template", "a {}")
    assert not someone.warned()


@pytest.mark.parametrize("m", [float("nan"), 1e9, -1e9, float("inf")])
def test_a_strength_that_no_slider_has_moves_nothing(visit: Visit, m: float) -> None:
    someone = visit()
    someone.picks()
    first = someone.features()[0]
    someone.moves(first, m)
    assert someone.changes() is None and someone.strength(first) == 0.0
    someone.moves(first, -0.5)
    assert someone.changes() is not None and not someone.warned()


@pytest.mark.parametrize("m", ["NaN", "1e9", "Infinity"])
def test_a_session_whose_log_holds_nonsense_says_so(
    visit: Visit, store: Store, tmp_path: Path, m: str
) -> None:
    name = store.open()
    store.append(name, FeatureMoved(dictionary="middle", feature=1, m=1))
    damage(tmp_path / "sessions.sqlite", m)
    someone = visit(name)
    (sentence,) = someone.warned()
    assert sentence.startswith("This session cannot be opened.")
    newcomer = visit()
    newcomer.picks()
    assert newcomer.answer()


def damage(path: Path, m: str) -> None:
    """Write what this program never writes, around its triggers."""
    with create_engine(f"sqlite:///{path}").begin() as database:
        database.execute(text("DROP TRIGGER events_no_update"))
        body = f'{{"kind": "move", "dictionary": "middle", "feature": 1, "m": {m}}}'
        database.execute(text("UPDATE events SET body = :body"), {"body": body})


def test_moves_that_the_model_does_not_know_are_left_out(visit: Visit, store: Store) -> None:
    someone = visit()
    someone.picks()
    first = someone.features()[0]
    someone.presses(f"Off-{first}")
    before = someone.changes()
    store.append(someone.session(), FeatureMoved(dictionary="middle", feature=10**6, m=-1))
    store.append(someone.session(), FeatureMoved(dictionary="elsewhere", feature=1, m=-1))
    later = visit(someone.session())
    later.until(later.ranked)
    assert any("#1000000 is left out" in sentence for sentence in later.warned())
    assert any("no dictionary 'elsewhere'" in sentence for sentence in later.warned())
    assert later.changes() == before
    later.presses("reset")
    assert not later.warned() and later.changes() is None


def test_an_unknown_dictionary_target_or_prompt_list_does_no_harm(
    visit: Visit, store: Store
) -> None:
    someone = visit()
    someone.picks()
    store.append(someone.session(), DictionaryChosen(dictionary="elsewhere"))
    store.append(someone.session(), TargetChosen(index=10**6, against=-5))
    later = visit(someone.session())
    later.until(later.ranked)
    assert later.features() == someone.features()
    store.append(someone.session(), PromptsSet(prompts=("alone",)))
    again = visit(someone.session())
    assert "at least two prompts" in again.warned()[0]
    again.types("prompts", "horse\nboat")
    assert again.answer() in ("horse", "boat") and not again.warned()


def test_a_picture_that_nobody_holds_is_said_and_another_one_opens(
    visit: Visit, store: Store
) -> None:
    name = store.open()
    store.append(name, PictureChosen(sha256="0" * 64, origin="elsewhere"))
    someone = visit(name)
    assert "no longer held" in someone.warned()[0]
    someone.presses("choose")
    someone.picks()
    assert someone.answer() and not someone.warned()


def test_an_unknown_session_is_said_and_a_new_one_begins(visit: Visit) -> None:
    someone = visit("nobody-knows-me")
    assert "not known here" in someone.warned()[0]
    assert someone.session() != "nobody-knows-me"
    someone.picks()
    assert someone.answer()
