"""The event log on real databases."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from steerboard.spec.errors import NotFound
from steerboard.store.events import FeatureMoved, PictureChosen, PromptsSet, Reset, fold
from steerboard.store.store import Store


def postgres_folder() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A throwaway cluster on a socket of its own."""
    binaries = postgres_folder()
    if binaries is None:
        if os.environ.get("STEERBOARD_REQUIRE_ALL"):
            pytest.fail("PostgreSQL is not installed")
        pytest.skip("PostgreSQL is not installed")
    folder = Path("/tmp") / f"steerboard-postgres-{os.getpid()}"
    folder.mkdir(mode=0o700)
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if as_user:
        shutil.chown(folder, "postgres")
    data = folder / "data"
    subprocess.run(
        [*as_user, binaries / "initdb", "-D", data, "-A", "trust", "-U", "steer"],
        check=True,
        capture_output=True,
    )
    options = f"-c listen_addresses='' -c unix_socket_directories={folder}"
    start = [
        *as_user,
        binaries / "pg_ctl",
        "-D",
        data,
        "-w",
        "-l",
        folder / "log",
        "-o",
        options,
        "start",
    ]
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL)
    yield f"postgresql+psycopg://steer@/postgres?host={folder}"
    subprocess.run(
        [*as_user, binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop"],
        check=True,
        capture_output=True,
    )
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'deep' / 'sessions.sqlite'}"
    found: str = request.getfixturevalue("postgres")
    return found


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
    for statement in ("UPDATE events SET kind = 'other'", "DELETE FROM events"):
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))
    engine.dispose()


def test_an_unknown_session_is_named(url: str) -> None:
    store = Store(url)
    with pytest.raises(NotFound, match="no session 'nobody'"):
        store.events("nobody")
    store.close()
