"""Sets that are gone through again and again, as evidence does."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from steerboard.images.image_set import open_images
from steerboard.images.listed import ListedSet
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import InvalidRequest, NotFound
from tests.images.forms import FORMS, as_tar, rows

Form = Callable[[Path, Path], str]


def as_packed_tar(house: Path, out: Path) -> str:
    """Compressed, so that no picture lies in it as it is."""
    as_tar(house, out)
    for plain in sorted(out.glob("*.tar")):
        with tarfile.open(f"{plain}.gz", "w:gz") as packed, tarfile.open(plain) as tar:
            for member in tar:
                packed.addfile(member, tar.extractfile(member))
        plain.unlink()
    return str(out / "shard-*.tar.gz")


@pytest.mark.parametrize("form", [*FORMS, as_packed_tar])
def test_pictures_of_every_form_are_read_when_they_are_asked_for(
    form: Form, tiny_house: Path, tmp_path: Path
) -> None:
    found = ListedSet("some", open_images(form(tiny_house, tmp_path)), "validation")
    images = [(tiny_house / "images" / str(r["path"])).read_bytes() for r in rows(tiny_house)]
    assert len(found) == 16 and not found.broken.broken
    first = list(found)
    for picture, data in reversed(list(zip(first, images, strict=True))):
        assert picture.data == data
    assert [image_digest(p.data) for p in found] == [image_digest(data) for data in images]
    assert [p.label for p in found] == [r["label"] for r in rows(tiny_house)]
    assert all(p.attributes["group"] == "clean" for p in found)
    assert all(p.attributes["split"] == "validation" for p in found)
    assert list(found) == first


def test_a_set_says_what_it_leaves_out_and_what_it_has_not(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_text('{"path": "a.jpg", "split": "test"}\n{"no": 1}\n')
    whole = ListedSet("some", open_images(str(tmp_path / "set.jsonl")))
    assert [p.key for p in whole] == ["a.jpg"]
    assert [b.key for b in whole.broken.named] == ["row 2"]
    with pytest.raises(NotFound, match=r"picture a\.jpg cannot be read"):
        _ = next(iter(whole)).data
    other = ListedSet("some", open_images(str(tmp_path / "set.jsonl")), "validation")
    with pytest.raises(InvalidRequest, match=r"some: no picture is of split .* splits: test \(1\)"):
        len(other)
