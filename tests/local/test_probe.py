"""A model that begins with a probe: named in steerboard.yaml, held to its width, answered."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import steerboard
from steerboard import Embed, Encoded, Predict
from steerboard.cli import app
from steerboard.inprocess.config_check import check
from steerboard.model.probes import write_probe
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.requests import Probe
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor

NAMES = ("striped", "plain", "spotted")


def probe(width: int = 16) -> Probe:
    rng = np.random.default_rng(0)
    weight, bias = rng.standard_normal((3, width)), rng.standard_normal(3)
    return Probe(names=NAMES, weight=Tensor.of(weight), bias=Tensor.of(bias))


@pytest.fixture(scope="module")
def house(tiny_house: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny house with a probe in place of prompts."""
    folder = Path(shutil.copytree(tiny_house, tmp_path_factory.mktemp("probe") / "house"))
    write_probe(folder / "probe.safetensors", probe())
    path = folder / "steerboard.yaml"
    path.write_text(path.read_text().replace("prompts: classes.json", "probe: probe.safetensors"))
    return folder


@pytest.fixture(scope="module")
def runner(house: Path) -> Runner:
    return steerboard.local(house)


def test_the_model_tells_its_probe_and_answers_with_it(
    runner: Runner, tiny_images: list[bytes]
) -> None:
    info = runner.model("tiny")
    assert info.prompts == () and info.classifier == probe()
    images = tuple(Encoded(data=data) for data in tiny_images[:4])
    asked = Predict(model="tiny", images=images, classifier=info.classifier)
    embeddings = [e.values for e in runner.embed(Embed(model="tiny", images=images)).results()]
    for said, embedding in zip(runner.predict(asked).results(), embeddings, strict=True):
        unit = embedding / np.linalg.norm(embedding)
        want = probe().weight.numpy() @ unit + probe().bias.numpy()
        np.testing.assert_allclose(said.logits, want, atol=1e-4)


def test_the_command_line_asks_with_the_probe(house: Path) -> None:
    picture, words = str(house / "images" / "00.jpg"), ["--config", str(house), "--json"]
    told = CliRunner().invoke(
        app, ["attribute", picture, "--target", "margin:spotted:plain", *words]
    )
    assert told.exit_code == 0, told.exception
    assert json.loads(told.stdout)["spec"]["targets"][0] == {
        "kind": "margin", "index": 2, "against": 1,
    }  # fmt: skip
    wrong = CliRunner().invoke(app, ["attribute", picture, "--target", "logit:cat", *words])
    assert "no class 'cat'" in str(wrong.exception)


def test_answers_are_compared_by_the_probe(house: Path) -> None:
    words = ["--model", str(house / "model"), "--images", str(house / "images"), "--json"]
    given = ["inspect", "dictionary", str(house / "middle.safetensors"), *words]
    plain = json.loads(CliRunner().invoke(app, given).stdout)
    assert plain["agreement"] is None
    compared = CliRunner().invoke(app, [*given, "--probe", str(house / "probe.safetensors")])
    assert json.loads(compared.stdout)["agreement"] == 1.0  # the dictionary rebuilds all


@pytest.mark.parametrize(
    ("said", "width", "names"),
    [
        ("reads 12 numbers, the model's embeddings have 16", 12, True),
        ("name its classes", 16, False),
    ],
)
def test_a_probe_that_cannot_serve_is_a_fault_at_its_field(
    house: Path, tmp_path: Path, said: str, width: int, names: bool
) -> None:
    folder = Path(shutil.copytree(house, tmp_path / "house"))
    path = folder / "probe.safetensors"
    write_probe(path, probe(width))
    if not names:
        path.unlink()
        write_unnamed(path)
    (fault,) = check(folder / "steerboard.yaml")
    text = (folder / "steerboard.yaml").read_text().splitlines()
    assert fault.field == "models.tiny.probe" and said in fault.message
    assert "probe: probe.safetensors" in text[fault.line - 1]
    with pytest.raises(InvalidRequest, match=said):
        steerboard.local(folder)


def write_unnamed(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"weight": np.ones((3, 16), np.float32), "bias": np.zeros(3, np.float32)}, path)


def test_prompts_and_a_probe_at_once_are_refused(house: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(house, tmp_path / "house"))
    path = folder / "steerboard.yaml"
    path.write_text(path.read_text().replace("    probe:", "    prompts: classes.json\n    probe:"))
    (fault,) = check(path)
    assert fault.field == "models.tiny" and "leave one of them out" in fault.message
