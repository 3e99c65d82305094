"""Real services for the page's script: started once, the session's database anew each test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from services.ui.backend import forget
from tests.ui.person import Person
from tests.ui.stage import ROOT, Stage, stage


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Everything but the page, whose script runs in this process."""
    with stage(tmp_path_factory.mktemp("services"), with_page=False) as parts:
        yield parts


@pytest.fixture
def visit(
    services: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Person]]:
    """Opens the page, as a new session or at one's address."""
    for name, value in services.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STEERBOARD_STORE", f"sqlite:///{tmp_path / 'sessions.sqlite'}")

    def open_page(s: str = "", **parameters: str) -> Person:
        page = AppTest.from_file(str(ROOT / "services" / "ui" / "app.py"), default_timeout=120)
        for name, value in {"s": s, **parameters}.items():
            if value:
                page.query_params[name] = value
        return Person(page.run())

    forget()
    yield open_page
    forget()
