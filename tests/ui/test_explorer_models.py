"""The explorer over three models that each have a dictionary ``sae``, and a stale catalogue."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from streamlit.testing.v1 import AppTest

from services.ui.backend import forget
from tests.catalogue.conftest import write_pictures
from tests.catalogue.two_models import ORDER, catalogued, three_models
from tests.ui.stage import Stage
from tests.ui.test_explorer import SCRIPT, Explore, markup

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_pictures(folder / "set")
    return catalogued(three_models(folder / "house"), folder / "set")


@pytest.fixture(scope="module")
def models(house: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    parts = Stage(tmp_path_factory.mktemp("parts"), with_page=False, config=house)
    try:
        parts.start()
        yield parts
    finally:
        parts.stop()


@pytest.fixture
def explore(models: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Explore]:
    for name, value in models.environment.items():
        monkeypatch.setenv(name, value)

    def open_page(**parameters: str) -> AppTest:
        page = AppTest.from_string(SCRIPT, default_timeout=120)
        for name, value in parameters.items():
            page.query_params[name] = value
        page.run()
        assert not page.exception, page.exception
        return page

    forget()
    yield open_page
    forget()


def test_each_models_features_have_pages_of_their_own(explore: Explore) -> None:
    pages = {name: explore(dictionary=f"sae@{name}", feature="5") for name in ("one", "two")}
    assert "sae of one" in markup(pages["one"]) and "sae of two" in markup(pages["two"])
    # The workbench is about the first model: a feature of another one is not moved there.
    assert "unit=sae%3A5" in markup(pages["one"]) and "unit=" not in markup(pages["two"])
    assert any("has another model" in c.value for c in pages["two"].caption)
    switch = pages["two"].query_params["dictionary"]
    assert switch in ("sae@two", ["sae@two"])
    listed = explore(dictionary="sae@two")
    assert "dictionary=sae%40two" in markup(listed) and "sae%40one" not in markup(listed)


def test_a_name_that_several_models_use_leads_to_each_of_them(explore: Explore) -> None:
    for more in ({}, {"feature": "5"}, {"look": "table", "sort": "maximum"}):
        page = explore(dictionary="sae", **more)
        assert "Several models have a dictionary" in page.warning[0].value and not page.error
        ways = re.findall(r'href="\?([^"]+)"><b>(sae of \w+)</b>', markup(page))
        assert {name for _, name in ways} == {"sae of one", "sae of same", "sae of two"}
        for query, name in ways:
            wanted = dict(parse_qsl(unescape(query)))
            assert {k: v for k, v in wanted.items() if k in more} == more
            assert wanted["dictionary"] == name.replace(" of ", "@")
            there = explore(**{k: v for k, v in wanted.items() if k != "s"})
            assert not there.warning and not there.error and "#5" in markup(there)


def test_two_models_are_compared(explore: Explore) -> None:
    pairs = {}
    for other in ("same", "two"):
        page = explore(dictionary="sae@one", look="compare", **{"with": f"sae@{other}"})
        html = markup(page)
        assert f"sae of {other}" in html and "64 pictures" in html
        found = re.findall(r"dictionary=sae%40(\w+)&(?:amp;)?feature=(\d+)", html)
        mine = [int(f) for name, f in found if name == "one"]
        theirs = [int(f) for name, f in found if name == other]
        assert len(mine) == len(theirs) == 12
        pairs[other] = list(zip(mine, theirs, strict=True))
    assert all(a == b for a, b in pairs["same"])
    assert all(a == ORDER[b] for a, b in pairs["two"])


def test_a_catalogue_of_another_dictionary_is_not_shown(explore: Explore, house: Path) -> None:
    mine = house / "catalogue" / "sae@same.parquet"
    kept = mine.read_bytes()
    mine.write_bytes((house / "catalogue" / "sae@two.parquet").read_bytes())
    try:
        for asked in ({}, {"feature": "5"}, {"look": "map"}):
            page = explore(dictionary="sae@same", **asked)
            assert "was built from another dictionary than the one served" in page.warning[0].value
            assert "#5" not in markup(page)
            named = list(page.button_group(key="ex-dictionary").options)
            assert named == ["sae of one", "sae@same", "sae of two"]
            forget()
    finally:
        mine.write_bytes(kept)
