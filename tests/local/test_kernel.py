"""What runs again when a slider moves: counted in blocks and encodings, not in time."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import steerboard
from steerboard import (
    Attribute,
    Embed,
    Encode,
    Encoded,
    Margin,
    Predict,
    Prompts,
    Steer,
    SteerSet,
    scale,
)
from steerboard.dictionary.sae import Sae
from steerboard.inprocess.kernel import DirectKernel
from steerboard.inprocess.rows import Row, effective, unique_rows
from steerboard.inprocess.runner import LocalRunner
from steerboard.spec.edits import Add, Edit, Neuron, Scale

PROMPTS = Prompts(prompts=("cat", "dog", "horse", "boat"))
MIDDLE, LAST, BLOCKS = "resid_post.1", "resid_post.2", 3


class Counted:
    """A runner over the tiny house; ``ran()`` is the rows of each block since the last time."""

    def __init__(self, house: Path, **kernel: int) -> None:
        opened = steerboard.local(house)
        assert isinstance(opened, LocalRunner)
        self.kernel = DirectKernel(**kernel)
        self.runner = LocalRunner(opened._served, self.kernel)
        self.served = opened._served["tiny"]
        opened.close()
        self._rows: dict[int, list[int]] = {i: [] for i in range(BLOCKS)}
        self._handles = [
            block.ln_1.register_forward_hook(
                lambda _m, _a, out, i=i: self._rows[i].append(len(out))
            )
            for i, block in enumerate(self.served.loaded.tower.blocks)
        ]

    def ran(self) -> list[list[int]]:
        found = [list(rows) for rows in self._rows.values()]
        for rows in self._rows.values():
            rows.clear()
        return found

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()
        self.runner.close()


@pytest.fixture
def counted(tiny_house: Path) -> Iterator[Counted]:
    counted = Counted(tiny_house)
    yield counted
    counted.close()


def predict(*images: bytes) -> Predict:
    refs = tuple(Encoded(data=one) for one in images)
    return Predict(model="tiny", images=refs, classifier=PROMPTS)


def steer(image: bytes, *sets: SteerSet, targets: tuple[Margin, ...] = ()) -> Steer:
    return Steer(
        model="tiny",
        images=(Encoded(data=image),),
        classifier=PROMPTS,
        steer_sets=sets,
        targets=targets,
    )


def off(m: float, site: str = MIDDLE) -> SteerSet:
    return scale(site, "middle" if site == MIDDLE else "last", m, 3)


def test_a_prediction_is_computed_once(counted: Counted, tiny_images: list[bytes]) -> None:
    first = counted.runner.predict(predict(*tiny_images[:2])).results()
    assert counted.ran() == [[2], [2], [2]]
    again = counted.runner.predict(predict(*tiny_images[:2])).results()
    assert counted.ran() == [[], [], []]
    assert all(np.array_equal(a.logits, b.logits) for a, b in zip(first, again, strict=True))


def test_a_slider_that_moves_runs_the_blocks_behind_it_for_one_row(
    counted: Counted, tiny_images: list[bytes]
) -> None:
    counted.runner.predict(predict(tiny_images[0]))
    counted.runner.steer(steer(tiny_images[0], off(-1)))
    counted.ran()
    for m in (-0.5, 0.25, 1):
        counted.runner.steer(steer(tiny_images[0], off(m)))
        assert counted.ran() == [[], [], [1]]
    counted.runner.steer(steer(tiny_images[0], SteerSet(), *(off(m / 8) for m in range(8))))
    assert counted.ran() == [[], [], [7]]  # m = 0 and the empty set are the clean row.


def test_behind_the_last_block_nothing_runs(counted: Counted, tiny_images: list[bytes]) -> None:
    counted.runner.steer(steer(tiny_images[0], off(-1, LAST)))
    counted.ran()
    counted.runner.steer(steer(tiny_images[0], off(1, LAST)))
    assert counted.ran() == [[], [], []]


def test_attribution_leaves_its_prefix_and_gradients_behind(
    counted: Counted, tiny_images: list[bytes]
) -> None:
    request = Attribute(
        model="tiny",
        images=(Encoded(data=tiny_images[1]),),
        classifier=PROMPTS,
        dictionary="middle",
    )
    counted.runner.attribute(request)
    counted.ran()
    counted.runner.attribute(request)
    assert counted.ran() == [[], [], []]
    counted.runner.steer(steer(tiny_images[1], off(-1), targets=(Margin(),)))
    assert counted.ran() == [[], [], [1]]


def test_a_higher_block_starts_from_the_nearest_lower_one(
    counted: Counted, tiny_images: list[bytes]
) -> None:
    neuron = Edit(site="mlp_post.1", unit=Neuron(index=2), op=Scale(m=1))
    counted.runner.steer(steer(tiny_images[0], SteerSet(edits=(neuron,))))
    counted.ran()
    counted.runner.steer(steer(tiny_images[0], off(-1)))
    assert counted.ran() == [[], [1], [1]]


def test_rows_that_begin_at_different_blocks_share_the_rest_of_the_pass(
    counted: Counted, tiny_images: list[bytes]
) -> None:
    low = Edit(site="mlp_post.0", unit=Neuron(index=2), op=Scale(m=1))
    sets = (SteerSet(edits=(low,)), off(-1), off(1, LAST))
    counted.runner.steer(steer(tiny_images[0], *sets))
    counted.ran()
    other = SteerSet(edits=(low.model_copy(update={"op": Scale(m=2)}),))
    counted.runner.steer(steer(tiny_images[0], other, off(-0.5), off(0.5, LAST)))
    assert counted.ran() == [[1], [1], [2]]


def test_a_code_of_a_top_k_kind_is_made_once(
    counted: Counted, tiny_images: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    kept = Sae.kept

    def counting(sae: Sae, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        encoded.append(len(x))
        return kept(sae, x)

    monkeypatch.setattr(Sae, "kept", counting)
    assert not counted.served.books["middle"].pointwise  # type: ignore[attr-defined]
    many = scale(MIDDLE, "middle", -1, *range(8))
    counted.runner.steer(steer(tiny_images[0], many, off(1), off(2)))
    assert encoded == [1]
    counted.runner.steer(steer(tiny_images[0], off(0.5), scale(MIDDLE, "middle", 1, 9, 10)))
    assert encoded == [1]
    # Behind another edit the activations are others: their code is made for this row alone.
    low = Edit(site="mlp_post.0", unit=Neuron(index=2), op=Scale(m=3))
    both = SteerSet(edits=(low, *many.edits))
    counted.runner.steer(steer(tiny_images[0], both))
    counted.runner.steer(steer(tiny_images[0], both))
    assert encoded == [1, 1, 1]


def test_a_cache_without_room_changes_no_answer(
    tiny_house: Path, tiny_images: list[bytes], counted: Counted
) -> None:
    none, little = Counted(tiny_house, cache_bytes=0), Counted(tiny_house, cache_bytes=5000)
    questions = [steer(one, off(m), off(-m)) for one in tiny_images[:3] for m in (-1, 0.5)]
    for question in questions * 2:
        right = none.runner.steer(question).one()
        for other in (little, counted):
            found = other.runner.steer(question).one()
            for a, b in zip(found.steered, right.steered, strict=True):
                np.testing.assert_allclose(a.logits, b.logits, atol=2e-5)
    assert none.kernel.cache.used == 0 and little.kernel.cache.used <= 5000
    none.close()
    little.close()


def test_encode_reads_the_prefix_that_steering_left(
    counted: Counted, tiny_images: list[bytes]
) -> None:
    counted.runner.steer(steer(tiny_images[0], off(-1)))
    counted.ran()
    counted.runner.encode(
        Encode(model="tiny", images=(Encoded(data=tiny_images[0]),), dictionary="middle")
    )
    assert counted.ran() == [[], [], []]


@pytest.mark.parametrize("name", ["middle", "last"])
def test_a_code_and_its_embedding_come_of_one_pass(
    counted: Counted, tiny_images: list[bytes], name: str
) -> None:
    asked = {"model": "tiny", "images": tuple(Encoded(data=one) for one in tiny_images[:2])}
    both = counted.runner.encode(Encode(**asked, dictionary=name, embed=True))
    assert counted.ran() == [[2], [2], [2]]
    assert not counted.kernel.hits  # the second half finds the first, which is no picture known
    counted.kernel.cache.clear()
    codes = counted.runner.encode(Encode(**asked, dictionary=name)).results()
    counted.kernel.cache.clear()
    embeddings = counted.runner.embed(Embed(**asked)).results()
    for one, code, embedding in zip(both.results(), codes, embeddings, strict=True):
        assert one.embedding is not None
        assert np.array_equal(one.dense(), code.dense()) and code.embedding is None
        np.testing.assert_allclose(one.embedding, embedding.values, atol=1e-6)


def test_an_embedding_that_is_known_is_not_computed_again(
    counted: Counted, tiny_images: list[bytes]
) -> None:
    asked = {"model": "tiny", "images": (Encoded(data=tiny_images[0]),)}
    counted.runner.embed(Embed(**asked))
    counted.ran()
    counted.runner.encode(Encode(**asked, dictionary="middle", embed=True))
    assert counted.ran() == [[1], [1], []]
    counted.runner.encode(Encode(**asked, dictionary="middle", embed=True))
    assert counted.ran() == [[], [], []] and len(counted.kernel.hits) == 1


def test_equal_rows_are_one_and_idle_edits_are_none() -> None:
    pixels = torch.zeros(1)
    idle = SteerSet(
        edits=(
            Edit(site="embedding", unit=Neuron(index=0), op=Scale(m=0)),
            Edit(site="embedding", unit=Neuron(index=1), op=Add(alpha=0)),
        )
    )
    moved = SteerSet(edits=(*idle.edits, *off(1).edits))
    assert effective(idle) == SteerSet() and effective(moved) == off(1)
    rows = [Row("a", pixels, s) for s in (idle, SteerSet(), moved, off(1))] + [Row("b", pixels)]
    unique, where = unique_rows(rows)
    assert where.tolist() == [0, 0, 1, 1, 2]
    assert [row.image for row in unique] == ["a", "a", "b"]
