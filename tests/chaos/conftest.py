"""One crew for all tests of this folder: whatever a test has killed is there for the next."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attribution_service.crew import Crew


@pytest.fixture(scope="session")
def processes(tiny_house: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    found = Crew(tmp_path_factory.mktemp("crew"), tiny_house, STEERBOARD_JOB_PATIENCE="300")
    try:
        yield found
    finally:
        found.end()


@pytest.fixture
def crew(processes: Crew) -> Crew:
    """All parts, up."""
    processes.complete()
    return processes
