"""Activations on disk: what was put is what is got, in bounds, whoever is killed in between."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from steerboard.inprocess.kept import HEAD, LEAST_BYTES, Kept, Place, packed, picture_key, unpacked
from steerboard.spec.errors import InvalidRequest


def place(number: int, block: int = 4, short: bool = False) -> Place:
    return Place("model", f"tenant/{number}", block, short)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    opened = Kept(tmp_path / "kept", LEAST_BYTES)
    yield opened
    opened.close()


def test_rows_come_back_rounded_to_half_and_by_all_that_names_them(kept: Kept) -> None:
    x = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))
    kept.put([place(0), place(1), place(2, short=True)], x)
    for i, found in enumerate(kept.get([place(0), place(1), place(2, short=True)])):
        assert found is not None and torch.equal(found, x[i].half())
    others = (
        place(2), place(0, 5), place(3), Place("other", "tenant/0", 4), Place("model", "0", 4),
    )  # fmt: skip
    assert kept.get(others) == [None] * len(others)
    assert kept.holds("model", ["tenant/2", "tenant/3"]) == {"tenant/2"}


def test_bfloat16_is_kept_as_it_is_and_what_half_cannot_hold_is_not(kept: Kept) -> None:
    wide = torch.tensor([[[1.0, 3e38]]], dtype=torch.bfloat16)
    kept.put([place(0)], wide)
    (found,) = kept.get([place(0)])
    assert found is not None and found.dtype == torch.bfloat16 and torch.equal(found, wide[0])
    kept.put([place(1), place(2)], torch.tensor([[[1e6, 1.0]], [[2.0, 1.0]]]))
    lost, fits = kept.get([place(1), place(2)])
    assert lost is None and fits is not None


def test_the_stalest_make_room_and_the_file_stays_within_its_limit(
    kept: Kept, tmp_path: Path
) -> None:
    rows = torch.ones(20, 64, 640)
    for start in range(0, 1000, 20):
        kept.put([place(i) for i in range(start, start + 20)], rows)
        assert kept.get([place(0)])[0] is not None, start  # read all the time: never the stalest
        kept._write([])
    found = kept.get([place(i) for i in range(1000)])
    there = [i for i, row in enumerate(found) if row is not None]
    assert 60 < len(there) < 250 and set(range(960, 1000)) <= set(there)
    assert (tmp_path / "kept" / "data.mdb").stat().st_size <= LEAST_BYTES
    assert kept.used <= LEAST_BYTES


def test_damage_is_a_miss() -> None:
    value = bytearray(packed(torch.ones(2, 4, dtype=torch.float16)))
    assert unpacked(memoryview(value)) is not None
    value[HEAD.size + 3] ^= 1
    assert unpacked(memoryview(value)) is None
    assert unpacked(memoryview(value[:-2])) is None


WRITER = """
    import sys, torch
    from pathlib import Path
    from steerboard.inprocess.kept import Kept, Place
    kept, first = Kept(Path(sys.argv[1]), 64 * 2**20), int(sys.argv[2])
    for number in range(first, first + 10**6, 4):
        four = range(number, number + 4)
        rows = torch.stack([torch.full((16, 64), float(i % 1000)) for i in four])
        kept.put([Place("model", str(i), 1) for i in four], rows)
        print(number, flush=True)
"""


def test_two_writers_killed_in_the_middle_leave_whole_rows(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(folder), str(first)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for first in (0, 2_000_000)
    ]
    told = []
    for child in children:
        assert child.stdout is not None
        told.append([int(child.stdout.readline()) for _ in range(40)])
    for child in children:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
    kept = Kept(folder, 64 * 2**20)
    try:
        for numbers in told:
            for number in (i + j for i in numbers for j in range(4)):
                (found,) = kept.get([Place("model", str(number), 1)])
                assert found is not None and (found == number % 1000).all()
        kept.put([place(7)], torch.ones(1, 2, 2))  # and it goes on
        assert kept.get([place(7)])[0] is not None
    finally:
        kept.close()


def test_what_cannot_be_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="too few to keep activations in"):
        Kept(tmp_path, 1000)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidRequest, match="cannot be kept in"):
        Kept(tmp_path / "file", LEAST_BYTES)


def test_keys_of_one_picture_lie_side_by_side() -> None:
    one = place(1).key, place(1, 200, True).key
    assert all(key.startswith(picture_key("model", "tenant/1")) for key in one)
    assert one[0] < one[1] and picture_key("a", "b") != picture_key("a\0b", "")
