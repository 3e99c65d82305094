"""Everything, page included, as real processes; a fresh browser for each test."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.browser.chromium import browse
from tests.ui.stage import Stage, stage


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """All parts of the demo."""
    with stage(tmp_path_factory.mktemp("parts")) as running:
        yield running


@pytest.fixture
def page() -> Iterator[Page]:
    """The browser."""
    with browse() as opened:
        yield opened
