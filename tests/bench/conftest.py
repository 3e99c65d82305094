"""The demo's model with a small dictionary, without the minutes that calibration takes."""

import pytest

from bench.house import EMOJILAND, Plan, build
from steerboard.inprocess.runner import LocalRunner


@pytest.fixture(scope="session")
def demo_runner():
    runner = LocalRunner({EMOJILAND: build(Plan(EMOJILAND, features=64, block=3))})
    yield runner
    runner.close()
