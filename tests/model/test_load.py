"""Models from every kind of place: that they are the same model, and what is refused and how."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from steerboard.model.load import LoadedModel, load
from steerboard.spec.errors import InvalidRequest, NotFound
from tests.conftest import TINY

TINY_NAME = "steerboard-tiny"


@pytest.fixture(scope="module")
def folder(tiny_house: Path) -> Path:
    return tiny_house / "model"


@pytest.fixture(scope="module")
def state(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "open_clip_model.safetensors")


@pytest.fixture(scope="module")
def architecture(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tiny model as one of open_clip's own architectures."""
    file = tmp_path_factory.mktemp("architectures") / f"{TINY_NAME}.json"
    file.write_text(json.dumps(TINY["model_cfg"]))
    open_clip.add_model_config(file)
    return TINY_NAME


def embedding(model: LoadedModel) -> torch.Tensor:
    pixels = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32).sin()
    return model.tower.run(model.tower.start(pixels), 0)


@torch.inference_mode()
def test_the_same_weights_are_the_same_model_from_every_kind_of_place(
    folder: Path, state: dict[str, torch.Tensor], architecture: str, tmp_path: Path
) -> None:
    save_file(state, tmp_path / "weights.safetensors")
    torch.save(state, tmp_path / "weights.pt")
    torch.save(
        {"state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "epoch.ckpt"
    )
    beside = tmp_path / "beside"
    beside.mkdir()
    torch.save(state, beside / "open_clip_pytorch_model.bin")
    (beside / "open_clip_config.json").write_text(json.dumps(TINY))
    models = [
        load(folder),
        load(folder / "open_clip_model.safetensors"),
        load(beside),
        *(
            load(tmp_path / f, architecture)
            for f in ("weights.safetensors", "weights.pt", "epoch.ckpt")
        ),
    ]
    for model in models:
        assert torch.equal(embedding(model), embedding(models[0]))
        assert torch.equal(model.text(["a cat"]), models[0].text(["a cat"]))
        assert not any(p.requires_grad for p in model.clip.parameters())


def test_the_fingerprint_follows_weights_architecture_and_preprocessing(
    state: dict[str, torch.Tensor], architecture: str, tmp_path: Path
) -> None:
    def fingerprint(config: Any, weights: dict[str, torch.Tensor]) -> str:
        where = tmp_path / str(len(list(tmp_path.iterdir())))
        where.mkdir()
        (where / "open_clip_config.json").write_text(json.dumps(config))
        save_file(weights, where / "open_clip_model.safetensors")
        return load(where).fingerprint

    other = json.loads(json.dumps(TINY))
    other["preprocess_cfg"]["std"] = [0.25] * 3
    quick = {**TINY, "model_cfg": {**TINY["model_cfg"], "quick_gelu": True}}
    moved = {**state, "visual.conv1.weight": state["visual.conv1.weight"] + 1e-6}
    assert fingerprint(TINY, state) == fingerprint(TINY, state)
    assert (
        len(
            {
                fingerprint(*each)
                for each in ((TINY, state), (other, state), (quick, state), (TINY, moved))
            }
        )
        == 4
    )
    for suffix in ("a", "b"):
        torch.save(moved if suffix == "b" else state, tmp_path / f"{suffix}.pt")
    one, same, two = (load(tmp_path / f"{s}.pt", architecture).fingerprint for s in ("a", "a", "b"))
    assert one == same != two


class Marks:
    """Unpickled, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", ["weights.pt", "open_clip_pytorch_model.bin"])
def test_a_pickle_that_would_run_something_is_refused_before_it_does(
    name: str, state: dict[str, torch.Tensor], architecture: str, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    torch.save({**state, "extra": Marks(marker)}, tmp_path / name)
    with pytest.raises(InvalidRequest, match="more than tensors"):
        load(tmp_path / name, architecture)
    (tmp_path / "old.pt").write_bytes(pickle.dumps(Marks(marker), protocol=2))
    with pytest.raises(InvalidRequest, match="more than tensors"):
        load(tmp_path / "old.pt", architecture)
    assert not marker.exists()
    torch.load(tmp_path / name, weights_only=False)
    assert marker.exists(), "the file would have run something"


def test_a_torchscript_archive_is_refused_with_a_way_out(architecture: str, tmp_path: Path) -> None:
    # As torch.jit.save lays it out, which warns that it is deprecated.
    import zipfile

    with zipfile.ZipFile(tmp_path / "ViT.pt", "w") as archive:
        for name in ("data.pkl", "code/__torch__.py", "constants.pkl", "version"):
            archive.writestr(f"ViT/{name}", b"x")
    with pytest.raises(InvalidRequest, match=r"TorchScript archive.*ViT-B-32-quickgelu/openai"):
        load(tmp_path / "ViT.pt", architecture)


def test_what_is_missing_or_does_not_fit_is_said(
    state: dict[str, torch.Tensor], architecture: str, tmp_path: Path
) -> None:
    save_file(state, tmp_path / "weights.safetensors")
    with pytest.raises(InvalidRequest, match="name open_clip's architecture too"):
        load(tmp_path / "weights.safetensors")
    with pytest.raises(NotFound, match=r"did you mean ViT-B-32"):
        load(tmp_path / "weights.safetensors", "ViT-B32")
    with pytest.raises(
        InvalidRequest, match="cannot be loaded as this model: text pos_embed width"
    ):
        load(tmp_path / "weights.safetensors", "ViT-S-32-alt")
    (tmp_path / "cut.safetensors").write_bytes(
        (tmp_path / "weights.safetensors").read_bytes()[:5000]
    )
    with pytest.raises(InvalidRequest, match="cannot be loaded"):
        load(tmp_path / "cut.safetensors", architecture)
    with pytest.raises(NotFound, match=r"open_clip_config.json is missing"):
        load(tmp_path)
    with pytest.raises(NotFound, match="neither a folder nor a file nor a tag"):
        load(tmp_path / "nowhere")
    with pytest.raises(NotFound, match=r"no weights 'laion9b' for ViT-B-32; it has openai, "):
        load("ViT-B-32/laion9b")
    with pytest.raises(
        InvalidRequest, match=r"trained with QuickGELU.*choose ViT-B-32-quickgelu/openai"
    ):
        load("ViT-B-32/openai")
    (tmp_path / "open_clip_config.json").write_text(json.dumps(TINY))
    with pytest.raises(NotFound, match=r"open_clip_model.safetensors is missing"):
        load(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(InvalidRequest, match="no file of weights"):
        load(tmp_path / "a.jpg", architecture)


OFFLINE = """
from steerboard.model.load import load
from steerboard.spec.errors import Unavailable
model = load("hf-hub:somebody/tiny")
print(len(model.fingerprint), model.reads_texts, *model.text(["a cat"])[0].tolist())
for tag in ("ViT-B-32/laion2b_s34b_b79k", "hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K"):
    try:
        load(tag)
    except Unavailable as error:
        print(error.message)
"""


def test_a_cached_tag_needs_no_network_and_another_is_never_random(
    folder: Path, tmp_path: Path
) -> None:
    # As huggingface_hub keeps a repository.
    repository = tmp_path / "hub" / "models--somebody--tiny"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    for name in ("open_clip_config.json", "open_clip_model.safetensors"):
        shutil.copy(folder / name, snapshot / name)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    # The library reads its settings once, when it is imported: hence a process of its own.
    run = subprocess.run(
        [sys.executable, "-c", OFFLINE],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    lines = run.stdout.splitlines()
    assert len(lines) == 3, run.stderr
    length, reads, *numbers = lines[0].split()
    assert (length, reads) == ("64", "True")
    assert [float(n) for n in numbers] == load(folder).text(["a cat"])[0].tolist()
    for line, tag in zip(lines[1:], ("ViT-B-32/laion2b", "hf-hub:laion/CLIP"), strict=True):
        assert line.startswith(f"the weights of {tag}")
        assert "cannot be fetched: connect to the network once" in line
