"""The demo's own house, opened once."""

import pytest

import steerboard as sb
from bench.house import DEMO


@pytest.fixture(scope="session")
def demo_runner():
    runner = sb.local(DEMO)
    yield runner
    runner.close()
