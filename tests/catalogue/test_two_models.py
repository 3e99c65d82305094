"""Dictionaries of one name in several models: side by side, told apart, compared."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from services.attribution.catalogues import Catalogues
from services.attribution.library import Library
from steerboard.catalogue.file import Catalogue
from steerboard.catalogue.folder import Folder
from steerboard.inprocess.runner import open_local
from steerboard.spec.catalogue import FeatureQuery, name_of
from steerboard.spec.errors import NotFound
from tests.catalogue.two_models import MODELS, ORDER, catalogued, three_models, typed


@pytest.fixture(scope="module")
def house(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    house = three_models(tmp_path_factory.mktemp("three") / "house")
    assert "in order" in typed("check", "config", house).output
    return catalogued(house, pictures)


@pytest.fixture(scope="module")
def door(house: Path, tmp_path_factory: pytest.TempPathFactory) -> Catalogues:
    runner = open_local(house, "")
    return Catalogues(Library(house, str(tmp_path_factory.mktemp("blobs"))), runner)


def test_each_model_has_a_catalogue_of_its_own(house: Path, door: Catalogues) -> None:
    held = {name: Catalogue(str(house / "catalogue" / f"sae@{name}.parquet")) for name in MODELS}
    assert {name: one.about["model"] for name, one in held.items()} == {n: n for n in MODELS}
    assert {i.key: i.model for i in door.infos()} == {f"sae@{n}": n for n in MODELS}
    assert not any(i.trouble for i in door.infos())
    for name, one in held.items():
        feature = int(one.columns("feature").column(0)[3].as_py())
        (card,) = door.features(f"sae@{name}", [feature])
        assert card == one.cards([feature])[0]
        asked = FeatureQuery(dictionary=f"sae@{name}")
        assert door.index(asked.dictionary).info.model == name
    with pytest.raises(NotFound, match="ask for sae@one and sae@same and sae@two"):
        door.index("sae")


def test_the_shell_shows_the_model_that_is_meant(house: Path) -> None:
    shown = {
        name: typed("catalogue", "show", 5, "--config", house, "--model", name).output
        for name in MODELS
    }
    assert all(f"model           {name}" in shown[name] for name in MODELS)
    strongest = {name: text.partition("strongest")[2] for name, text in shown.items()}
    assert strongest["one"] == strongest["same"] != strongest["two"]
    with pytest.raises(NotFound, match="there is no model 'three'; there is one, same, two"):
        typed("catalogue", "show", 5, "--config", house, "--model", "three")


def matched(house: Path, other: str, out: Path) -> dict[int, tuple[int, float, str]]:
    """Partner, correlation and whether it is mutual, by feature of ``one``."""
    pair = (house / "catalogue" / f"sae@{name}.parquet" for name in ("one", other))
    typed("catalogue", "compare", *pair, "--out", out)
    with open(out / "first.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["partner"]]
    return {
        int(r["feature"]): (int(r["partner"]), float(r["correlation"]), r["mutual"]) for r in rows
    }


def test_a_model_under_two_names_matches_itself(house: Path, tmp_path: Path) -> None:
    found = matched(house, "same", tmp_path)
    assert len(found) > 30
    assert found == {feature: (feature, 1.0, "True") for feature in found}


def test_a_shuffled_dictionary_is_matched_back(house: Path, tmp_path: Path) -> None:
    found = matched(house, "two", tmp_path)
    assert len(found) > 30 and not np.array_equal(ORDER, np.arange(48))
    for feature, (partner, correlation, mutual) in found.items():
        assert ORDER[partner] == feature and mutual == "True"
        assert correlation == pytest.approx(1, abs=1e-5)


def test_a_place_that_is_taken_is_another_models(house: Path, tmp_path: Path) -> None:
    """A catalogue keeps the place where it lies; one of another model comes beside it."""
    folder = Folder(str(tmp_path))

    def model_of(name: str) -> str:
        return str(Catalogue(folder.place(name)).about["model"])

    def place(model: str, shared: bool) -> str:
        return Path(folder.place_of("sae", model, shared, model_of)).name

    assert (place("one", False), place("one", True)) == ("sae.parquet", "sae@one.parquet")
    shutil.copy(house / "catalogue" / "sae@one.parquet", tmp_path / "sae.parquet")
    for shared in (False, True):
        assert place("one", shared) == "sae.parquet"
        assert place("two", shared) == "sae@two.parquet"
    shutil.copy(house / "catalogue" / "sae@two.parquet", tmp_path)
    assert folder.meant("sae", model_of) == ["sae"] == folder.meant("sae@one", model_of)
    assert folder.meant("sae@two", model_of) == ["sae@two"]
    assert folder.meant("sae@same", model_of) == [] == folder.meant("../sae", model_of)


def test_a_name_holds_whatever_a_model_is_called(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    odd = "org/ViT-B.16@2 x"
    place = Path(folder.place(name_of("layer.10", odd)))
    assert place.parent == tmp_path
    place.write_bytes(b"")
    Path(f"{str(place)[:-8]}.thumbnails.parquet").write_bytes(b"")
    assert folder.names() == [name_of("layer.10", odd)]
    assert folder.meant("layer.10", str) == folder.names()
