"""A model that begins with a probe: the page shows its classes and asks with it."""

import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import steerboard
from services.ui.backend import forget
from steerboard import Encoded, Predict
from steerboard.model.probes import write_probe
from tests.local.test_probe import NAMES, probe
from tests.ui.person import Person
from tests.ui.stage import ROOT, Stage


def test_the_page_asks_with_the_probe(
    tiny_house: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = Path(shutil.copytree(tiny_house, tmp_path / "house"))
    write_probe(house / "probe.safetensors", probe())
    path = house / "steerboard.yaml"
    path.write_text(path.read_text().replace("prompts: classes.json", "probe: probe.safetensors"))
    picture = (house / "images" / "03.jpg").read_bytes()
    info = (runner := steerboard.local(house)).model("tiny")
    asked = Predict(model="tiny", images=(Encoded(data=picture),), classifier=info.classifier)
    want = NAMES[runner.predict(asked).one().top]
    (tmp_path / "services").mkdir()
    parts = Stage(tmp_path / "services", with_page=False, config=house)
    for name, value in parts.environment.items():
        monkeypatch.setenv(name, value)
    forget()
    try:
        parts.start("inference")
        page = AppTest.from_file(str(ROOT / "services" / "ui" / "app.py"), default_timeout=120)
        someone = Person(page.run())
        someone.uploads("own.jpg", picture)
        someone.until(someone.answer)
        assert someone.answer() == want
        assert ", ".join(NAMES) in someone.reads()
        assert not [w for w in page.text_area if w.key == "prompts"]
    finally:
        parts.stop()
        forget()
