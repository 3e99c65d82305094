"""Both kinds of database, real ones."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres as server


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A throwaway cluster on a socket of its own."""
    with server.postgres() as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'deep' / 'sessions.sqlite'}"
    found: str = request.getfixturevalue("postgres")
    return found
