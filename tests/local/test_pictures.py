"""Where pictures are decoded and for whom they are remembered."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from steerboard.inprocess.config import read_config
from steerboard.inprocess.pictures import Pictures, tensor_digest
from steerboard.inprocess.rows import Row
from steerboard.inprocess.served import ServedModel, serve
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import BadImage, Cancelled, ImageNotCached
from steerboard.spec.requests import Digest, Encoded
from steerboard.spec.tensor import Tensor


class Watched:
    """The model's preprocessing, and in which threads it ran."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.threads: list[str] = []

    def __call__(self, image: Any) -> Any:
        self.threads.append(threading.current_thread().name)
        return self.inner(image)


@pytest.fixture(scope="module")
def served(tiny_house: Path) -> ServedModel:
    config, base = read_config(tiny_house)
    served = serve("tiny", config.models["tiny"], base, "test")
    return replace(
        served, loaded=replace(served.loaded, transform=Watched(served.loaded.transform))
    )


@pytest.fixture
def watched(served: ServedModel) -> Watched:
    served.loaded.transform.threads.clear()
    found = served.loaded.transform
    assert isinstance(found, Watched)
    return found


@pytest.fixture
def pictures() -> Iterator[Pictures]:
    pictures = Pictures()
    yield pictures
    pictures.close()


def test_decoding_has_threads_of_its_own_and_happens_once(
    served: ServedModel, watched: Watched, pictures: Pictures, tiny_images: list[bytes]
) -> None:
    refs = [Encoded(data=one) for one in tiny_images[:6]]
    first = pictures.rows(served, refs)
    assert len(watched.threads) == 6
    assert all(name.startswith("decode") for name in watched.threads)
    again = pictures.rows(served, [Digest(sha256=ref.sha256) for ref in refs])
    assert len(watched.threads) == 6
    for one, two in zip(first, again, strict=True):
        assert isinstance(one, Row) and isinstance(two, Row)
        assert one.image == two.image and torch.equal(one.pixels, two.pixels)


def test_each_tenant_has_its_own_pictures(served: ServedModel, tiny_images: list[bytes]) -> None:
    tenant = "hers"
    pictures = Pictures(lambda: tenant)
    (hers,) = pictures.rows(served, [Encoded(data=tiny_images[0])])
    ask = Digest(sha256=image_digest(tiny_images[0]))
    assert pictures.rows(served, [ask])
    tenant = "theirs"
    with pytest.raises(ImageNotCached):
        pictures.rows(served, [ask])
    (theirs,) = pictures.rows(served, [Encoded(data=tiny_images[0])])
    assert isinstance(hers, Row) and isinstance(theirs, Row) and hers.image != theirs.image
    pictures.close()


def test_what_nobody_waits_for_is_not_decoded(
    served: ServedModel, watched: Watched, tiny_images: list[bytes]
) -> None:
    def gone() -> None:
        raise Cancelled("gone")

    pictures = Pictures(check=gone)
    with pytest.raises(Cancelled):
        pictures.rows(served, [Encoded(data=one) for one in tiny_images])
    assert watched.threads == []
    pictures.close()


def test_a_damaged_picture_among_good_ones_keeps_its_place(
    served: ServedModel, pictures: Pictures, tiny_images: list[bytes]
) -> None:
    data = [tiny_images[0], tiny_images[1][:300], tiny_images[2]]
    good, bad, last = pictures.rows(served, [Encoded(data=one) for one in data])
    assert isinstance(good, Row) and isinstance(last, Row)
    assert isinstance(bad, BadImage) and bad.field == "images[1]"


def test_tensors_are_told_apart_by_format_shape_and_numbers() -> None:
    tensors = [
        Tensor.of([[1.0, 2.0]]),
        Tensor.of([1.0, 2.0]),
        Tensor.of([1.0, 3.0]),
        Tensor.of([1, 2], "int64"),
    ]
    assert len({tensor_digest(t) for t in tensors}) == 4
    assert tensor_digest(tensors[0]) == tensor_digest(Tensor.of([[1.0, 2.0]]))
