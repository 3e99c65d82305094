"""The database of what people say, opened before anybody asks."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from services.attribution.catalogues import Catalogues
from services.attribution.remarks import Remarks
from steerboard.spec.errors import Unavailable

NONE = cast(Catalogues, None)


def test_a_database_is_ready_before_the_first_question(tmp_path: Path) -> None:
    place = tmp_path / "sessions.sqlite"
    Remarks(NONE, f"sqlite:///{place}").warm()
    with closing(sqlite3.connect(place)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    assert "feature_labels" in tables


def test_one_that_is_away_is_told_to_who_asks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    remarks = Remarks(NONE, f"sqlite:///{tmp_path / 'file' / 'sessions.sqlite'}")
    remarks.warm()
    assert "session database" in caplog.text
    with pytest.raises(Unavailable):
        remarks._labels()
