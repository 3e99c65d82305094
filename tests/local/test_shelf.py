"""Rows that begin on disk say what computed ones say, and need no picture."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import steerboard as sb
from steerboard.inprocess.config import read_config
from steerboard.inprocess.kept import LEAST_BYTES, Kept, Place
from steerboard.inprocess.kernel import DirectKernel, Row
from steerboard.inprocess.rows import not_held
from steerboard.inprocess.served import ServedModel, serve
from steerboard.spec.edits import Condition, Direction, Scale, SteerSet
from steerboard.spec.errors import ImageNotCached
from steerboard.spec.tensor import Tensor

MIDDLE = sb.scale("resid_post.1", "middle", -2.0, 3, 4)
LAST = sb.scale("resid_post.2", "last", -2.0, 3, 4)
HALF = 2e-3  # of a unit-length embedding: what half precision of activations may move


@pytest.fixture(scope="module")
def served(tiny_house: Path) -> ServedModel:
    config, base = read_config(tiny_house)
    return serve("tiny", config.models["tiny"], base, "")


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    opened = Kept(tmp_path / "kept", LEAST_BYTES)
    yield opened
    opened.close()


@pytest.fixture
def rows(served: ServedModel, tiny_images: list[bytes]) -> list[Row]:
    return [Row(str(i), served.loaded.pixels(data)) for i, data in enumerate(tiny_images[:6])]


def under(rows: list[Row], steer: SteerSet) -> list[Row]:
    return [Row(r.image, r.pixels, s, r.draw) for r in rows for s in (SteerSet(), steer)]


def blind(rows: list[Row]) -> list[Row]:
    """Rows of pictures whose bytes nobody has."""

    def draw_of(image: str):
        def draw() -> torch.Tensor:
            raise not_held([image])

        return draw

    return [Row(row.image, torch.empty(0), row.steer, draw_of(row.image)) for row in rows]


@pytest.mark.parametrize("steer", [MIDDLE, LAST], ids=["middle", "last"])
def test_found_on_disk_is_computed_is_nearly_exact(
    served: ServedModel, kept: Kept, rows: list[Row], steer: SteerSet
) -> None:
    asked = under(rows, steer)
    exact = DirectKernel().embed(served, asked)
    computed = DirectKernel(kept=kept).embed(served, asked)
    found = DirectKernel(kept=kept)
    again = found.embed(served, blind(asked))
    torch.testing.assert_close(again, computed, atol=1e-6, rtol=0)
    assert found.hits == {row.image for row in rows}
    torch.testing.assert_close(computed, exact, atol=HALF, rtol=0)
    assert (exact[::2] - exact[1::2]).abs().max() > 10 * HALF


def test_behind_the_last_block_only_prefix_tokens_are_kept(
    served: ServedModel, kept: Kept, rows: list[Row]
) -> None:
    DirectKernel(kept=kept).embed(served, under(rows, LAST))
    blocks, fingerprint = len(served.loaded.tower.blocks), served.info.fingerprint
    short, whole = kept.get([Place(fingerprint, "0", blocks, s) for s in (True, False)])
    assert short is not None and short.shape == (1, 24) and whole is None


def test_an_empty_steer_set_is_the_clean_row_whatever_was_asked_before(
    served: ServedModel, kept: Kept, rows: list[Row]
) -> None:
    kernel = DirectKernel(kept=kept)
    kernel.embed(served, rows)  # exact, from the input
    nothing = SteerSet(edits=(MIDDLE.edits[0].model_copy(update={"op": Scale(m=0.0)}),))
    both = [Row(r.image, r.pixels, s) for r in rows for s in (SteerSet(), nothing, MIDDLE)]
    found = kernel.embed(served, both)
    assert torch.equal(found[::3], found[1::3])
    # And clean is read from the same rounded activations as steered.
    alone = DirectKernel(kept=kept).embed(served, blind(both))
    torch.testing.assert_close(alone, found, atol=1e-6, rtol=0)


def test_rows_that_come_with_patches_and_without_meet(
    served: ServedModel, kept: Kept, rows: list[Row]
) -> None:
    both = SteerSet(edits=(*MIDDLE.edits, *LAST.edits))
    asked = [*under(rows[:2], LAST), *under(rows[2:4], both), *under(rows[4:], MIDDLE)]
    exact = DirectKernel().embed(served, asked)
    for _ in range(2):
        found = DirectKernel(kept=kept).embed(served, asked)
        torch.testing.assert_close(found, exact, atol=HALF, rtol=0)


def test_a_condition_on_the_whole_picture_sees_all_tokens(
    served: ServedModel, kept: Kept, rows: list[Row]
) -> None:
    values = np.random.default_rng(0).normal(size=24)
    unit = Direction(values=Tensor.of(values))
    x = DirectKernel().read(served, rows, "resid_post.2").numpy() @ values / np.linalg.norm(values)
    tau = float(np.sort(x.max(1))[2:4].mean())
    seen = x.max(1) > tau
    assert seen.any() and (seen != (x[:, 0] > tau)).any()  # patches decide somewhere
    only = Condition(unit=unit, tau=tau, per="image")
    steer = SteerSet(edits=tuple(e.model_copy(update={"condition": only}) for e in LAST.edits))
    asked = under(rows, steer)
    exact = DirectKernel().embed(served, asked)
    for _ in range(2):
        found = DirectKernel(kept=kept).embed(served, asked)
        torch.testing.assert_close(found, exact, atol=HALF, rtol=0)


@pytest.mark.parametrize("steer", [MIDDLE, LAST], ids=["middle", "last"])
def test_a_clean_row_that_a_batch_parts_from_its_steered_ones_needs_no_picture(
    served: ServedModel, kept: Kept, rows: list[Row], steer: SteerSet
) -> None:
    asked = under(rows, steer)
    together = DirectKernel(kept=kept).embed(served, asked)
    parted = DirectKernel(kept=kept, batch=3).embed(served, blind(asked))  # two of six are parted
    torch.testing.assert_close(parted, together, atol=1e-6, rtol=0)


def test_pictures_that_nothing_is_kept_of_are_all_named(
    served: ServedModel, kept: Kept, rows: list[Row]
) -> None:
    kernel = DirectKernel(kept=kept)
    kernel.embed(served, under(rows[:3], MIDDLE))
    with pytest.raises(ImageNotCached) as error:
        DirectKernel(kept=kept).embed(served, blind(under(rows, MIDDLE)))
    assert sorted(error.value.details["digests"].split(",")) == ["3", "4", "5"]
    with pytest.raises(ImageNotCached):  # something is kept of it, but nothing so low
        DirectKernel(kept=kept).embed(served, blind(rows[:1]))
