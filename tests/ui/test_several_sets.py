"""Several image sets, one with broken pictures and one that is not there, and two models."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

import steerboard as sb
from services.ui.backend import forget
from steerboard.analysis.concepts import agreement
from steerboard.analysis.expertise import expertise
from steerboard.analysis.responses import Place, responses
from steerboard.spec.requests import Encoded
from tests.conftest import CLASSES
from tests.ui.person import Person
from tests.ui.stage import ROOT, Stage

pytestmark = pytest.mark.timeout(900)
Visit = Callable[..., Person]
GOOD, BROKEN = 40, 2
NEURONS = Place(units="neuron", site="mlp_post.1")


@pytest.fixture(scope="module")
def house(tiny_house: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several") / "house"
    shutil.copytree(tiny_house, folder)
    rng, rows = np.random.default_rng(5), []
    (folder / "other").mkdir()
    for i in range(GOOD + BROKEN):
        row = {"path": f"{i:02d}.png", "group": "clean", "label": CLASSES[i % 3]}
        if i < GOOD:
            pixels = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "other" / str(row["path"]))
        else:
            (folder / "other" / str(row["path"])).write_bytes(b"no picture")
        rows.append(row)
    (folder / "other" / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    config = yaml.safe_load((folder / "steerboard.yaml").read_text())
    config["models"]["twin"] = config["models"]["tiny"]
    config["image_sets"]["other"] = {"images": "other", "manifest": "other/manifest.jsonl"}
    config["image_sets"]["gone"] = {"images": "nowhere"}
    (folder / "steerboard.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return folder


@pytest.fixture(scope="module")
def services(house: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    parts = Stage(tmp_path_factory.mktemp("parts"), with_page=False, config=house)
    try:
        parts.start()
        yield parts
    finally:
        parts.stop()


@pytest.fixture
def visit(services: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visit]:
    for name, value in services.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STEERBOARD_STORE", f"sqlite:///{tmp_path / 'sessions.sqlite'}")

    def open_page(path: str = "", **parameters: str) -> Person:
        page = AppTest.from_file(str(ROOT / "services" / "ui" / "app.py"), default_timeout=120)
        page._page_hash = calc_hash(path) if path else ""
        for name, value in parameters.items():
            page.query_params[name] = value
        return Person(page.run())

    forget()
    yield open_page
    forget()


def test_the_shelf_says_what_a_set_is_and_what_is_amiss(visit: Visit) -> None:
    someone = visit()
    captions = {c.value.replace("\\", ""): c.help for c in someone.page.caption}
    assert captions["**tiny** · 16 pictures"] in (None, "")
    told = f"**other ({BROKEN} broken pictures left out)** · {GOOD} pictures"
    assert "steerboard check config" in str(captions[told])
    assert [w for w in someone.warned() if w.startswith("Image set gone: there is nothing at")]
    # Both sets have a group "clean": each shows its own pictures, and opens them.
    assert {"pick-clean-0", "pick-other-clean-0"} <= {str(b.key) for b in someone.page.button}
    someone.presses("pick-other-clean-0")
    assert "other/00.png" in someone.reads().replace("\\", "")


def test_what_has_come_meanwhile_is_found_when_somebody_looks_again(
    visit: Visit, house: Path
) -> None:
    someone = visit()
    assert not any("**gone**" in c.value for c in someone.page.caption)
    shutil.copytree(house / "images", house / "nowhere")
    try:
        someone.until(
            lambda: someone.presses("look-gone") if any(b.key == "look-gone" for b in
                    someone.page.button) else any("**gone**" in c.value for c in
                    someone.page.caption)
        )  # fmt: skip
    finally:
        shutil.rmtree(house / "nowhere")


def pictures(folder: Path) -> tuple[list[Encoded], np.ndarray]:
    """The pictures of a manifest that can be read, and their labels."""
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    data = [(folder / str(r["path"])).read_bytes() for r in rows]
    good = [(Encoded(data=d), r["label"]) for d, r in zip(data, rows, strict=True) if len(d) > 20]
    return [image for image, _ in good], np.array([label for _, label in good])


@pytest.mark.parametrize(
    ("where", "asked"),
    [(Place("middle"), {}), (NEURONS, {"units": "neuron", "at": "mlp_post.1"})],
    ids=["feature", "neuron"],
)
def test_another_set_and_another_model_are_held_against_a_concept(
    visit: Visit, services: Stage, house: Path, where: Place, asked: dict[str, str]
) -> None:
    runner = sb.connect(services.environment["STEERBOARD_INFERENCE"])
    found = []
    for folder in ("images", "other"):
        images, labels = pictures(house / folder)
        found.append(expertise(responses(runner, "tiny", where, images), labels == "dog"))
    runner.close()
    someone = visit("concepts", **{"of": "label", "is": "dog", **asked})

    def chosen(key: str, value: str) -> None:
        someone.until(lambda: any(s.key == key for s in someone.page.selectbox))
        box = someone.page.selectbox(key=key)
        (option,) = (o for o in box.options if o.startswith(value))
        box.set_value(option).run()

    chosen("concept-also", "other")
    someone.until(lambda: "AP profiles agree by" in someone.markup())
    agree = re.findall(r"AP profiles agree by (-?[\d.]+)\.</b>", someone.markup())
    assert float(agree[0]) == pytest.approx(agreement(*found), abs=0.006)
    shown = re.search(r"There (\d+) pictures show it, (\d+) do not", someone.markup())
    assert shown is not None and sum(map(int, shown.groups())) == GOOD
    best = int(found[0].best(1)[0])
    said = re.search(r"(?:#|neuron )(\d+), has AP ([\d.]+) there", someone.markup())
    assert said is not None and int(said[1]) == best
    assert float(said[2]) == pytest.approx(found[1].precision[best], abs=0.006)

    chosen("concept-model", "twin")
    someone.until(lambda: "through matched units" in someone.markup())
    assert "AP profiles agree by 1.00 through matched units" in someone.markup()


def test_the_address_names_the_units_again(visit: Visit) -> None:
    someone = visit("concepts", **{"units": "head", "at": "head_out.0", "is": "dog", "of": "label"})
    someone.until(lambda: "head " in someone.markup())
    given = {k: v if isinstance(v, str) else v[0] for k, v in someone.page.query_params.items()}
    assert given["units"] == "head" and given["at"] == "head_out.0" and "dictionary" not in given
    missing = visit("concepts", units="head", at="head_out.99")
    assert "names head_out.99, which is not here" in " ".join(missing.warned())
