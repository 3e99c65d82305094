"""Waiting in tests: for a condition, never for a time."""

import time


def wait_until(condition, seconds=60):
    """Until ``condition()`` holds; fails when it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)
