"""The commands, as a person types them."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from steerboard.catalogue.file import Catalogue
from steerboard.cli import app
from steerboard.spec.errors import InvalidRequest, NotFound, SteerboardError


def typed(*words: object) -> Result:
    found = CliRunner().invoke(app, [str(w) for w in ("catalogue", *words)])
    if isinstance(found.exception, SteerboardError):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found


@pytest.fixture(scope="module")
def folder(tiny_house: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Catalogues of both dictionaries over sixty-three pictures and a broken one."""
    out = tmp_path_factory.mktemp("commands")
    (out / "set").mkdir()
    for path in pictures.iterdir():
        (out / "set" / path.name).write_bytes(path.read_bytes())
    (out / "set" / "07.png").write_bytes(b"broken")
    said = typed(
        "build", "--config", tiny_house, "--images", out / "set" / "manifest.jsonl", "--split", "",
        "--out", out,
    ).output  # fmt: skip
    assert "48 features over 63 pictures" in said and "1 could not be read" in said
    assert "07.png" in said
    return out


def test_build_writes_one_file_a_dictionary(folder: Path, tiny_house: Path) -> None:
    assert Catalogue(str(folder / "middle.parquet")).about["pictures"] == 63
    assert len(Catalogue(str(folder / "last.parquet"))) > 10
    half = typed(
        "build", "--config", tiny_house, "--images", folder / "set", "--split", "a", "--splits",
        "a=0.5,b=0.5", "--dictionary", "last", "--out", folder / "half", "--slim",
    ).output  # fmt: skip
    count = Catalogue(str(folder / "half" / "last.parquet")).about["pictures"]
    assert [p.name for p in (folder / "half").iterdir()] == ["last.parquet"]
    assert 15 < count < 48 and f"over {count} pictures" in half
    with pytest.raises(NotFound, match="there is no image set 'nothing'"):
        typed("build", "--config", tiny_house, "--images", "nothing")


def test_a_split_that_nobody_named_is_validation_or_all(
    folder: Path, tiny_house: Path, tmp_path: Path
) -> None:
    shared = ("--config", tiny_house, "--dictionary", "last", "--slim", "--out", tmp_path)
    assert "over 63 pictures" in typed("build", "--images", folder / "set", *shared).output
    for i, split in enumerate(("train", "validation")):
        (tmp_path / "parted" / split).mkdir(parents=True)
        for path in sorted((folder / "set").glob("*.png"))[8 + i * 24 : 32 + i * 24]:
            (tmp_path / "parted" / split / path.name).write_bytes(path.read_bytes())
    parted = typed("build", "--images", tmp_path / "parted", *shared).output
    assert "over 24 pictures" in parted
    halves = ("--splits", "a=0.5,b=0.5")
    with pytest.raises(InvalidRequest, match=r"no split .validation. among a=0\.5,b=0\.5"):
        typed("build", "--images", folder / "set", *halves, *shared)
    with pytest.raises(InvalidRequest, match=r"'tset': there are 64 pictures, splits: none"):
        typed("build", "--images", folder / "set", "--split", "tset", *shared)


def test_search_show_and_note(folder: Path, tiny_house: Path, tmp_path: Path) -> None:
    place = folder / "middle.parquet"
    said = typed("search", "red", "--config", tiny_house, "--catalogue", place, "--count", 3).output
    assert "label=red" in said
    feature = int(next(w for w in said.split() if w.isdecimal()))
    store = f"sqlite:///{tmp_path / 's.sqlite'}"
    shared = ("--config", tiny_house, "--catalogue", place, "--store", store)
    typed("note", feature, *shared, "--author", "ann", "--name", "reddish", "--vote", 1)
    page = typed("show", feature, *shared).output
    assert "label=red" in page and "ann  name: reddish" in page and "ann  vote: 1" in page
    # built again, the label is still there: it goes by the dictionary, and not by the file
    place.unlink()
    images = folder / "set" / "manifest.jsonl"
    typed(
        "build", "--config", tiny_house, "--images", images, "--split", "", "--dictionary",
        "middle", "--out", folder,
    )  # fmt: skip
    assert "name: reddish" in typed("show", feature, *shared).output
    with pytest.raises(InvalidRequest, match="nothing to write"):
        typed("note", feature, *shared)
    with pytest.raises(NotFound, match="feature 999 has no row"):
        typed("show", 999, *shared)


def test_compare_writes_tables_and_a_figure(folder: Path, tmp_path: Path) -> None:
    pair = folder / "middle.parquet", folder / "last.parquet"
    said = typed("compare", *pair, "--out", tmp_path / "c").output
    assert "over 63 pictures" in said and "mutual" in said
    lines = (tmp_path / "c" / "first.csv").read_text().splitlines()
    assert lines[0].startswith("feature,partner,correlation")
    assert len(lines) == 1 + len(Catalogue(str(pair[0])))
    assert (tmp_path / "c" / "match.png").read_bytes().startswith(b"\x89PNG")
