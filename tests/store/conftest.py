"""Both kinds of database, real ones."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


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
