"""What people say of features, on a real database."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from steerboard.spec.errors import InvalidRequest
from steerboard.store.labels import FeatureLabels
from steerboard.store.store import Store


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'sessions.sqlite'}"


def test_what_holds_is_a_fold_over_what_was_said(url: str) -> None:
    labels = FeatureLabels(url)
    labels.say("print", 7, "ann", "name", "owl eyes")
    labels.say("print", 7, "ann", "vote", value=1)
    labels.say("print", 7, "bob", "vote", value=1)
    labels.say("print", 7, "bob", "vote", value=-1)
    labels.say("print", 7, "bob", "tag", "eyes")
    labels.say("print", 7, "ann", "tag", "wrong")
    labels.say("print", 7, "ann", "untag", "wrong")
    labels.say("print", 7, "bob", "note", "also on clocks")
    labels.close()
    again = FeatureLabels(url)
    found = again.current("print", [7, 8])
    assert list(found) == [7]
    assert (found[7].name, found[7].named_by, found[7].tags) == ("owl eyes", "ann", ("eyes",))
    assert found[7].votes == 0  # one for, one against: the last of each person
    assert [(n.author, n.text) for n in found[7].notes] == [("bob", "also on clocks")]
    assert again.tagged("print", "eyes") == [7] and again.tagged("print", "wrong") == []
    assert [s.kind for s in again.history("print", 7)][:2] == ["name", "vote"]
    again.say("print", 7, "bob", "name", "round things")
    assert again.current("print", [7])[7].votes == 0
    assert again.current("another print", [7]) == {}
    again.close()


def test_many_features_are_asked_at_once(url: str) -> None:
    labels = FeatureLabels(url)
    for feature in range(0, 40, 2):
        labels.say("print", feature, "ann", "name", str(feature))
    found = labels.current("print", range(1201))
    assert {f: one.name for f, one in found.items()} == {f: str(f) for f in range(0, 40, 2)}
    labels.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE feature_labels SET text = 'other'",
        "DELETE FROM feature_labels",
        "INSERT OR REPLACE INTO feature_labels SELECT id, dictionary, feature, author, at, kind,"
        " 'other', value FROM feature_labels",
    ],
)
def test_nobody_changes_what_was_said(url: str, statement: str) -> None:
    labels = FeatureLabels(url)
    labels.say("print", 1, "ann", "name", "mine")
    labels.close()
    engine = create_engine(url)
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()
    again = FeatureLabels(url)
    assert [s.text for s in again.history("print", 1)] == ["mine"]
    again.close()


def test_sessions_and_labels_share_a_database(url: str) -> None:
    store = Store(url)
    session = store.open()
    labels = FeatureLabels(url)
    labels.say("print", 1, "ann", "note", "x")
    assert store.events(session) == []
    store.close()
    labels.close()


@pytest.mark.parametrize(
    ("kind", "words", "value", "match"),
    [
        ("tag", " ", 0, "a tag needs words"),
        ("vote", "", 2, "a vote is 1, 0 or -1"),
        ("name", "x" * 201, 0, "at most 200 characters"),
        ("vote", "because", 1, "at most 0 characters"),
        ("shout", "x", 0, "is not one of name"),
    ],
)
def test_what_cannot_be_said_is_refused(url: str, kind, words, value, match) -> None:
    labels = FeatureLabels(url)
    with pytest.raises(InvalidRequest, match=match):
        labels.say("print", 1, "ann", kind, words, value)
    with pytest.raises(InvalidRequest, match="say who"):
        labels.say("print", 1, " ", "note", "x")
    labels.close()
