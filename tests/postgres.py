"""A PostgreSQL server of our own, thrown away afterwards."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def binaries() -> Path:
    """The folder of ``initdb`` and ``pg_ctl``; skips where PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        if os.environ.get("STEERBOARD_REQUIRE_ALL"):
            pytest.fail("PostgreSQL is not installed")
        pytest.skip("PostgreSQL is not installed")
    return found[-1].parent


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty database behind a socket."""
    tools = binaries()
    folder = Path(tempfile.mkdtemp(prefix="steerboard-", dir="/tmp"))  # a socket's path is short
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if as_user:
        shutil.chown(folder, "postgres")

    def call(*command: str | Path) -> None:
        # Into a file of nobody: a server that goes on would hold a pipe open.
        subprocess.run([*as_user, *command], check=True, stdout=subprocess.DEVNULL)

    data = folder / "data"
    options = f"-c listen_addresses='' -c unix_socket_directories={folder}"
    try:
        call(tools / "initdb", "-D", data, "-A", "trust", "-U", "steer")
        call(tools / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
        try:
            yield f"postgresql+psycopg://steer@/postgres?host={folder}"
        finally:
            call(tools / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)
