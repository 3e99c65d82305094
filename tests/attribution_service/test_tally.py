"""A set's aggregate is that of its rows, however they are cut into chunks and chunks into steps."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.attribution.job_files import JobFiles
from services.attribution.tally import LISTED, NOTHING, Tally

Rows = list[dict[str, Any]]


def pictures(count: int, size: int = 200) -> Rows:
    rng = np.random.default_rng(7)
    found: Rows = []
    for i in range(count):
        listed = rng.choice(size, int(rng.integers(0, 24)), replace=False)
        scores = rng.standard_normal(len(listed)) * 10.0 ** rng.integers(-8, 8)
        row = {"features": listed.tolist(), "scores": scores.tolist()}
        found.append({"error": "no picture"} if i % 11 == 3 else row)
    return found


def chunks(rows: Rows, size: int) -> list[Tally]:
    return [Tally.of(rows[i : i + size]) for i in range(0, len(rows), size)]


def test_it_is_what_exact_arithmetic_says() -> None:
    rows = pictures(300)
    found = Tally.joined(chunks(rows, 16)).aggregate()
    good = [row for row in rows if "error" not in row]
    assert (found["pictures"], found["failed"]) == (len(good), len(rows) - len(good))
    exact: dict[int, Fraction] = {}
    for row in good:
        for f, score in zip(row["features"], row["scores"], strict=True):
            exact[f] = exact.get(f, Fraction(0)) + Fraction(score)
    means = {f: float(total / len(good)) for f, total in exact.items()}
    first = sorted(means, key=lambda f: (-abs(means[f]), f))[:LISTED]
    assert [r["feature"] for r in found["features"]] == first
    assert [r["mean"] for r in found["features"]] == pytest.approx([means[f] for f in first])
    seen = [sum(f in row["features"] for row in good) for f in first]
    assert [r["pictures"] for r in found["features"]] == seen


def test_steps_of_any_number_of_chunks_give_the_same_bits() -> None:
    parts = chunks(pictures(300), 16)
    whole = Tally.joined(parts).packed()
    for step in (1, 2, 5, 18):
        so_far = NOTHING
        for i in range(0, len(parts), step):
            # A step leaves off with bytes, and another process may go on with them.
            so_far = Tally.joined([Tally.read(so_far.packed()), *parts[i : i + step]])
        assert so_far.packed() == whole


def test_a_set_without_a_good_picture_has_no_features() -> None:
    found = Tally.joined([NOTHING, Tally.of([{"error": "no picture"}] * 3)]).aggregate()
    assert found == {"pictures": 0, "failed": 3, "features": []}


@pytest.mark.parametrize("place", ["", "memory://tallies"])
def test_rows_and_tally_are_kept_in_one_file(place: str, tmp_path: Path) -> None:
    files, rows = JobFiles(place or str(tmp_path / "job")), pictures(16)
    files.store(0, rows, Tally.of(rows).packed())
    files.store(1, rows)
    assert files.read([0, 1, 2]) == [rows, rows, None]
    assert files.gists([0, 1, 2]) == [Tally.of(rows).packed(), b"", None]
