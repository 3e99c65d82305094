"""The event log on real databases."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from steerboard.spec.errors import InvalidRequest, NotFound, SteerboardError, Unavailable
from steerboard.store.events import SCHEMA, FeatureMoved, PictureChosen, PromptsSet, Reset, fold
from steerboard.store.schema import revise
from steerboard.store.store import Store, open_engine
from steerboard.store.tables import Base, EventRow, SessionRow


def test_a_session_comes_back_as_it_was(url: str) -> None:
    store = Store(url)
    session = store.open()
    done = [
        PictureChosen(sha256="a" * 64, origin="set/1.jpg"),
        PromptsSet(prompts=("cat", "dog")),
        FeatureMoved(dictionary="middle", feature=3, m=-1.0),
        FeatureMoved(dictionary="middle", feature=5, m=1.0),
        FeatureMoved(dictionary="middle", feature=5, m=0.0),
    ]
    assert [store.append(session, e) for e in done] == [0, 1, 2, 3, 4]
    store.close()
    again = Store(url)
    assert again.events(session) == done
    state = fold(again.events(session))
    assert state.moves == {"middle": {3: -1.0}}
    assert state.prompts == ("cat", "dog") and state.picture == "a" * 64
    again.append(session, Reset())
    assert fold(again.events(session)).moves == {}
    again.close()


def test_nobody_changes_what_was_written(url: str) -> None:
    store = Store(url)
    session = store.open()
    store.append(session, Reset())
    store.close()
    engine = create_engine(url)
    rest = "at, kind, body, schema_number"
    statements = [
        "UPDATE events SET kind = 'other'",
        "DELETE FROM events",
        f"INSERT INTO events SELECT session, place, {rest} FROM events WHERE true"
        " ON CONFLICT (session, place) DO UPDATE SET kind = 'other'",
        # Slipped in before the others, or behind a hole.
        f"INSERT INTO events SELECT session, -1, {rest} FROM events LIMIT 1",
        f"INSERT INTO events SELECT session, place + 7, {rest} FROM events LIMIT 1",
    ]
    if url.startswith("sqlite"):
        statements += [
            "INSERT OR REPLACE INTO events SELECT * FROM events",
            # Past the key: the row that stands at this hidden number would go.
            "INSERT OR REPLACE INTO events(rowid, session, place, at, kind, body, schema_number)"
            " SELECT rowid, session, place + 7, at, 'other', body, schema_number FROM events",
            "UPDATE OR REPLACE events SET place = place + 1",
        ]
    else:
        statements.append("TRUNCATE events CASCADE")
    for statement in statements:
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM events WHERE kind = 'reset'")) >= 1
    engine.dispose()


def test_our_own_connections_check_keys_and_ask_the_triggers(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'sessions.sqlite'}")
    with engine.connect() as connection:
        for pragma in ("foreign_keys", "recursive_triggers"):
            assert connection.scalar(text(f"PRAGMA {pragma}")) == 1
    engine.dispose()


def test_an_unknown_session_is_named(url: str) -> None:
    store = Store(url)
    with pytest.raises(NotFound, match="no session 'nobody'"):
        store.events("nobody")
    store.close()


def test_many_writers_each_find_a_place(url: str) -> None:
    store = Store(url)
    session = store.open()
    moves = [FeatureMoved(dictionary="middle", feature=i, m=0.5) for i in range(24)]
    with ThreadPoolExecutor(4) as pool:
        places = list(pool.map(lambda e: store.append(session, e), moves))
    assert sorted(places) == list(range(24))
    assert [store.events(session)[p] for p in places] == moves
    store.close()


def test_servers_that_start_together_make_the_tables_once(url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: Store(url), range(4)))
    session = stores[0].open()
    assert stores[3].events(session) == []
    for store in stores:
        store.close()


def test_a_database_from_before_the_migrations_is_taken_over(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.sqlite'}"
    engine = create_engine(url)
    Base.metadata.create_all(engine, tables=[SessionRow.__table__, EventRow.__table__])
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO sessions VALUES ('old', 'ann', '2026-11-21 03:55:00')")
        )
        connection.execute(
            text(
                "INSERT INTO events VALUES ('old', 0, '2026-11-21 03:56:00', 'hypothesis',"
                """ '{"kind": "hypothesis", "text": "it reads the strip"}', 1)"""
            )
        )
    engine.dispose()
    store = Store(url)
    assert fold(store.events("old")).hypothesis == "it reads the strip"
    assert store.upload("old", store.keep("old", b"a picture")) == b"a picture"
    store.close()


@pytest.fixture
def empty(url: str) -> Iterator[str]:
    """A database that nothing has touched, on the same kind of server."""
    if url.startswith("sqlite"):
        yield url
        return
    name = f"empty_{secrets.token_hex(4)}"
    server = create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield url.replace("/postgres?", f"/{name}?")
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name}"))
    server.dispose()


@pytest.mark.parametrize("start", ["0001", "0002", "0003"])
def test_every_older_revision_is_brought_up_with_what_it_holds(empty: str, start: str) -> None:
    engine = open_engine(empty)
    revise(engine, start)
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO sessions VALUES ('old', 'ann', '2026-11-21 03:55:00')")
        )
        connection.execute(
            text(
                "INSERT INTO events VALUES ('old', 0, '2026-11-21 03:56:00', 'hypothesis',"
                """ '{"kind": "hypothesis", "text": "kept"}', 1)"""
            )
        )
    store = Store(empty)
    assert fold(store.events("old")).hypothesis == "kept"
    assert store.append("old", Reset()) == 1
    assert store.upload("old", store.keep("old", b"a picture")) == b"a picture"
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "0006"
    store.close()
    engine.dispose()


def test_a_database_of_a_later_version_is_a_sentence(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'later.sqlite'}"
    Store(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(InvalidRequest, match="later version"):
        Store(url)


def test_a_file_that_is_no_database_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("this is no database, and it is long enough to be taken for one" * 20)
    with pytest.raises(Unavailable, match="STEERBOARD_STORE"):
        Store(f"sqlite:///{path}")


def test_a_database_that_goes_away_is_a_sentence_and_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    store = Store(f"sqlite:///{folder / 'sessions.sqlite'}")
    session = store.open()
    store.close()
    folder.rename(tmp_path / "away")
    with pytest.raises(Unavailable, match="STEERBOARD_STORE") as caught:
        store.append(session, Reset())
    assert caught.value.retry_after_s
    (tmp_path / "away").rename(folder)
    assert store.append(session, Reset()) == 0
    store.close()


def test_the_tables_are_those_that_the_program_expects(url: str) -> None:
    Store(url).close()
    engine = create_engine(url)
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    engine.dispose()
    assert [d for d in found if "sessions_by_subject" not in repr(d)] == []


def test_a_person_finds_their_sessions_newest_first(url: str) -> None:
    store = Store(url)
    who = f"ann-{secrets.token_hex(4)}"
    first, second = store.open(who), store.open(who)
    store.append(first, Reset())
    found = store.sessions(who)
    assert [(s.id, s.events) for s in found] == [(second, 0), (first, 1)]
    assert all(abs((datetime.now(UTC) - s.opened).total_seconds()) < 60 for s in found)
    store.close()


def test_an_upload_stays_with_its_session(url: str) -> None:
    store = Store(url)
    mine, other = store.open(), store.open()
    sha256 = store.keep(mine, b"a picture")
    assert store.keep(mine, b"a picture") == sha256
    assert store.upload(mine, sha256) == b"a picture"
    assert store.upload(other, sha256) is None
    with pytest.raises(NotFound):
        store.keep("nobody", b"a picture")
    store.close()


@pytest.mark.parametrize(
    ("body", "schema", "said"),
    [
        ('{"kind": "dream"}', 9, r"event 0 .* schema 9.*update Steerboard"),
        (
            '{"kind": "move", "dictionary": "middle", "feature": 3, "m": 1e9}',
            SCHEMA,
            r"event 0 .*\bm: .*begin a new session",
        ),
    ],
)
def test_an_event_that_cannot_be_read_is_named(
    tmp_path: Path, body: str, schema: int, said: str
) -> None:
    url = f"sqlite:///{tmp_path / 'later.sqlite'}"
    store = Store(url)
    session = store.open()
    engine = create_engine(url)
    insert = text("INSERT INTO events VALUES (:s, 0, '2027-01-01', 'any', :body, :schema)")
    with engine.begin() as connection:
        connection.execute(insert, {"s": session, "body": body, "schema": schema})
    engine.dispose()
    with pytest.raises(InvalidRequest, match=said):
        store.events(session)
    store.close()


@pytest.mark.parametrize(
    "url, error",
    [
        ("not a url", InvalidRequest),
        ("nosuchthing://there", InvalidRequest),
        ("postgresql+psycopg://steer@127.0.0.1:1/none", Unavailable),
        ("sqlite:////proc/nowhere/sessions.sqlite", Unavailable),
    ],
)
def test_a_database_that_is_not_there_is_a_sentence(url: str, error: type[SteerboardError]) -> None:
    with pytest.raises(error, match="STEERBOARD_STORE"):
        Store(url)
