"""A session that lives in PostgreSQL, named by its URL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import NullPool, create_engine, text

from tests.browser import hands
from tests.postgres import postgres
from tests.ui.bad_pictures import pattern, saved
from tests.ui.stage import Stage


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres() as found:
        yield found


@pytest.fixture(scope="module")
def house(parts: Stage, url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A page of its own, before the services of the other tests."""
    page = parts.another_page(tmp_path_factory.mktemp("house"), url)
    try:
        page.start()
        yield page
    finally:
        page.stop()


@pytest.mark.timeout(900)
def test_a_session_in_postgresql_outlives_the_page(
    house: Stage, url: str, page: Page, tmp_path: Path
) -> None:
    file = tmp_path / "mine.png"
    file.write_bytes(saved(pattern(), "PNG"))
    page.goto(house.address)
    hands.upload(page, file)
    hands.ranked(page)
    hands.turn_off(hands.rows(page).first)
    before = hands.changes(page)
    with create_engine(url, poolclass=NullPool).connect() as database:
        kinds = list(database.scalars(text("SELECT kind FROM events ORDER BY place")))
        assert kinds[0] == "upload" and {"reviewed", "move", "tested"} <= set(kinds)
        assert database.scalar(text("SELECT length(data) FROM uploads")) == file.stat().st_size
    house.stop("ui")
    house.start("ui")
    page.reload()
    hands.ranked(page)
    assert hands.changes(page) == before
    expect(page.get_by_text("mine.png")).to_be_visible()
