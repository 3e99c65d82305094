"""Three real inference processes for all tests of this folder; whatever a test did is mended."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from crew import Server, until
from wire import possible

import steerboard as sb

# Where nothing may skip, hosts of their own are asked only of a machine that can make them.
collect_ignore = (
    ["test_network.py"] if os.environ.get("STEERBOARD_REQUIRE_ALL") and not possible() else []
)


@pytest.fixture(scope="session")
def processes(tiny_house):
    servers = [Server(tiny_house).start() for _ in range(3)]
    try:
        yield [server.up() for server in servers]
    finally:
        for server in servers:
            server.end()


@pytest.fixture
def servers(processes):
    """All three, serving, with nothing cached of what other tests asked."""
    return [server.up() for server in processes]


@pytest.fixture
def runner(servers):
    """A Runner over all three that has found each of them."""
    runner = sb.connect([server.address for server in servers])
    until(lambda: len(runner._fleet.there()) == 3)
    yield runner
    runner.close()


@pytest.fixture(scope="session")
def alone(tiny_house):
    """What the answers must be: the Runner of this process."""
    return sb.local(tiny_house)
