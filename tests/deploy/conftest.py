"""The compose file as the tests of this folder read it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from container_files import read_compose


@pytest.fixture(scope="session")
def compose() -> dict[str, dict[str, dict]]:
    return read_compose()
