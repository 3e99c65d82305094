"""A catalogue of another dictionary than the one served is not gone by, and said to be none."""

import logging
import shutil
from pathlib import Path

import pytest

from services.attribution.catalogues import Catalogues
from services.attribution.library import Library
from services.attribution.remarks import Remarks
from steerboard.api.tokens import Identity
from steerboard.catalogue.build import Plan, build
from steerboard.catalogue.folder import STALE
from steerboard.dictionary.native import write
from steerboard.images.image_set import ImageSet
from steerboard.inprocess.runner import open_local
from steerboard.spec.errors import InvalidRequest, NotFound
from tests.catalogue.two_models import typed
from tests.conftest import tiny_dictionary, tiny_model, tiny_pictures


@pytest.fixture(scope="module")
def house(images: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue of ``last``, one of ``middle`` before it was trained anew, and a copy."""
    folder = tmp_path_factory.mktemp("stale")
    tiny_model(folder / "model")
    tiny_pictures(folder / "images")
    write(folder / "middle.safetensors", tiny_dictionary(24, 0, "all"), "resid_post.1")
    write(folder / "last.safetensors", tiny_dictionary(24, 0, "prefix"), "resid_post.2")
    (folder / "steerboard.yaml").write_text(
        "models:\n  tiny:\n    path: model\n    dictionaries:\n"
        "      middle: {path: middle.safetensors}\n      last: {path: last.safetensors}\n"
        "    calibration: {images: images, manifest: images/manifest.jsonl, count: 16}\n"
    )
    runner = open_local(folder, "")
    for name in ("middle", "last"):
        place = folder / "catalogue" / f"{name}.parquet"
        build(runner, images, Plan("tiny", name), str(place), str(folder / "work"))
    runner.close()
    return folder


def opened(house: Path) -> Catalogues:
    return Catalogues(Library(house, str(house / "blobs")), open_local(house, ""))


def refused_everywhere(house: Path, door: Catalogues) -> None:
    """``middle`` is refused in page and shell, ``last`` is not."""
    trouble = {info.key: info.trouble for info in door.infos()}
    assert trouble["middle"].endswith(STALE) and not trouble["last"]
    feature = int(door.index("last").features[0])
    who = Identity(subject="ann")
    for ask in (
        lambda name: door.index(name),
        lambda name: door.features(name, [feature]),
        lambda name: door.features(f"{name}@tiny", [feature]),
        lambda name: door.map(name),
        lambda name: door.thumbnails(name, [], ""),
        lambda name: Remarks(door, f"sqlite:///{house / 's.sqlite'}").of(name, feature, who),
        lambda name: typed("catalogue", "show", feature, "--config", house, "--dictionary", name),
        lambda name: typed(
            "catalogue",
            "show",
            feature,
            "--config",
            house,
            "--dictionary",
            name,
            "--catalogue",
            house / "catalogue" / f"{name}.parquet",
        ),
    ):
        ask("last")
        with pytest.raises(InvalidRequest, match=STALE):
            ask("middle")


def test_a_catalogue_copied_to_another_name_is_refused(house: Path) -> None:
    mine = house / "catalogue" / "middle.parquet"
    kept = mine.read_bytes()
    shutil.copy(house / "catalogue" / "last.parquet", mine)
    refused_everywhere(house, opened(house))
    mine.write_bytes(kept)
    door = opened(house)
    assert [(i.key, i.dictionary, i.trouble) for i in door.infos()] == [
        (name, name, "") for name in ("last", "middle")
    ]


def test_a_catalogue_is_stale_when_its_dictionary_was_trained_anew(house: Path) -> None:
    place = house / "middle.safetensors"
    before = place.read_bytes()
    sae = tiny_dictionary(24, 0, "all")
    sae.W_enc.mul_(1.01)
    write(place, sae, "resid_post.1")
    door = opened(house)
    refused_everywhere(house, door)
    # A worker joins references to what it attributes to, by the fingerprint that answered.
    served = door._runner.model("tiny").dictionary("middle")
    assert served is not None
    library, features = door._library, range(48)
    assert library.features("middle", features)
    assert library.features("middle", features, fingerprint=served.fingerprint) == []
    place.write_bytes(before)
    refreshed = opened(house)._runner.model("tiny").dictionary("middle")
    assert refreshed is not None
    assert library.features("middle@tiny", features, fingerprint=refreshed.fingerprint)


def test_a_named_file_is_held_against_the_dictionary_that_it_names(
    house: Path, tmp_path: Path
) -> None:
    """As it is without options; one that the configuration does not have is shown as it is."""
    place = house / "middle.safetensors"
    before = place.read_bytes()
    feature = int(opened(house).index("middle").features[0])
    shared = ("catalogue", "show", feature, "--catalogue", house / "catalogue" / "middle.parquet")
    assert "of middle" in typed(*shared, "--config", house).output
    sae = tiny_dictionary(24, 0, "all")
    sae.W_enc.mul_(1.01)
    write(place, sae, "resid_post.1")
    with pytest.raises(InvalidRequest, match=f"'middle' {STALE}"):
        typed(*shared, "--config", house)
    assert "of middle" in typed(*shared, "--config", tmp_path).output
    other = house / "other.yaml"
    other.write_text((house / "steerboard.yaml").read_text().replace("  tiny:", "  huge:"))
    assert "of middle" in typed(*shared, "--config", other).output
    with pytest.raises(NotFound):
        typed(*shared, "--config", other, "--model", "tiny")
    place.write_bytes(before)


def test_a_file_that_is_no_catalogue_is_named_once_in_the_log(
    house: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (house / "catalogue" / "junk.parquet").write_bytes(b"junk")
    door = opened(house)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert {info.key for info in door.infos()} == {"last", "middle"}
    (line,) = [r.getMessage() for r in caplog.records]
    assert "junk.parquet is left out" in line and "damaged" in line
    (house / "catalogue" / "junk.parquet").unlink()
