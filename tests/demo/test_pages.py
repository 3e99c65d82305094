"""The table of methods and shortcuts says the same wherever it stands: what was measured."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

HOUSE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("measured", HOUSE / "docs/measure_methods.py")
    assert spec is not None and spec.loader is not None
    found = sys.modules["measured"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_every_page_shows_what_was_measured(script: ModuleType) -> None:
    cells = json.loads((HOUSE / "docs/methods.json").read_text())["methods"]
    assert len(cells) == 8 * 4
    for page in script.PAGES:
        text = (HOUSE / page).read_text()
        assert all(text.count(mark) == 1 for mark in script.MARKS)
        assert script.between_marks(text, script.told(cells)) == text


def test_the_table_goes_between_its_marks_and_nowhere_else(script: ModuleType) -> None:
    begin, end = script.MARKS
    page = f"head\n\n{begin}\n\nold\n\n{end}\n\ntail\n"
    assert script.between_marks(page, ["new"]) == page.replace("old", "new")
