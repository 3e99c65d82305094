"""Real services over the tiny house, and the page of recipes in this process."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

import steerboard as sb
from services.ui.backend import forget
from steerboard.recipe.making import make
from steerboard.spec.recipe import Recipe
from steerboard.store.recipes import Recipes
from tests.ui.person import Person
from tests.ui.stage import ROOT, Stage

CLASSES = ("cat", "dog", "horse", "boat")


@pytest.fixture(scope="session")
def services(tiny_house: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    parts = Stage(tmp_path_factory.mktemp("services"), with_page=False, config=tiny_house)
    try:
        parts.start()
        yield parts
    finally:
        parts.stop()


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'sessions.sqlite'}"


@pytest.fixture
def team(store: str) -> Iterator[Recipes]:
    """The team's recipes, as another program reaches them."""
    opened = Recipes(store)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def no_stripes(services: Stage) -> Recipe:
    """A recipe that changes answers of the tiny model."""
    runner = sb.connect(services.environment["STEERBOARD_INFERENCE"])
    steer = sb.scale("resid_post.1", "middle", -3.0, 3, 4, 9, 20)
    classifier = sb.Prompts(prompts=CLASSES, template="a {}")
    found = make(runner, "no-stripes", "tiny", steer, classifier, failures={"label": "dog"})
    runner.close()
    return found


@pytest.fixture
def visit(
    services: Stage, store: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Person]]:
    """Opens a page of the application at an address."""
    for name, value in services.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STEERBOARD_STORE", store)

    def open_page(path: str = "recipes", **parameters: str) -> Person:
        page = AppTest.from_file(str(ROOT / "services" / "ui" / "app.py"), default_timeout=120)
        page._page_hash = calc_hash(path) if path else ""
        for name, value in parameters.items():
            page.query_params[name] = value
        return Person(page.run())

    forget()
    yield open_page
    forget()
