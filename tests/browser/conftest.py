"""Everything, page included, as real processes; a visitor of its own for each test."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.chromium import opened, running
from tests.ui.stage import Stage, stage


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """All parts of the demo."""
    with stage(tmp_path_factory.mktemp("parts")) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For the tests of a file; while it is there no other event loop can run beside its own."""
    with running() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Somebody who has never been here."""
    with opened(browser) as empty:
        yield empty
