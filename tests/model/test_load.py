"""Models from every kind of place: that they are the same model, and what is refused and how."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional

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


@pytest.mark.parametrize(
    "tag", ["ViT-B-32/laion2b_s34b_b79k", "hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K"]
)
def test_a_tag_that_cannot_be_fetched_is_said_and_never_random(tag: str, tmp_path: Path) -> None:
    code = (
        "from steerboard.model.load import load\n"
        "from steerboard.spec.errors import Unavailable\n"
        f"try: load({tag!r})\n"
        "except Unavailable as error: print(error.message)"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert "cannot be fetched: connect to the network once" in run.stdout, run.stderr


def test_a_tag_in_the_cache_needs_no_network(folder: Path, tmp_path: Path) -> None:
    # As huggingface_hub keeps a repository.
    repository = tmp_path / "hub" / "models--somebody--tiny"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    for name in ("open_clip_config.json", "open_clip_model.safetensors"):
        shutil.copy(folder / name, snapshot / name)
    code = (
        "from steerboard.model.load import load\n"
        "model = load('hf-hub:somebody/tiny')\n"
        "print(model.fingerprint, model.reads_texts, *model.text(['a cat'])[0].tolist())"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    fingerprint, reads, *numbers = run.stdout.split() or pytest.fail(run.stderr)
    assert len(fingerprint) == 64 and reads == "True"
    assert [float(n) for n in numbers] == load(folder).text(["a cat"])[0].tolist()


# ---- a CLIPModel folder of Hugging Face, key by key ----

WIDTH, TEXT_WIDTH, EMBED = 24, 16, 12
CONFIG = {
    "model_type": "clip",
    "projection_dim": EMBED,
    "vision_config": {
        "hidden_size": WIDTH, "intermediate_size": 60, "num_hidden_layers": 2,
        "num_attention_heads": 3, "image_size": 32, "patch_size": 8, "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-4,
    },
    "text_config": {
        "hidden_size": TEXT_WIDTH, "intermediate_size": 40, "num_hidden_layers": 1,
        "num_attention_heads": 2, "max_position_embeddings": 9, "vocab_size": 49408,
        "hidden_act": "quick_gelu", "layer_norm_eps": 1e-4,
    },
}  # fmt: skip


def clip_state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    out: dict[str, torch.Tensor] = {"logit_scale": torch.tensor(2.5)}

    def linear(name: str, rows: int, columns: int) -> None:
        out[f"{name}.weight"] = torch.randn(rows, columns) / columns**0.5
        out[f"{name}.bias"] = torch.randn(rows) * 0.1

    def norm(name: str, width: int) -> None:
        out[f"{name}.weight"] = 1 + 0.1 * torch.randn(width)
        out[f"{name}.bias"] = 0.1 * torch.randn(width)

    for tower, part in (
        ("vision_model", CONFIG["vision_config"]),
        ("text_model", CONFIG["text_config"]),
    ):
        width, hidden = part["hidden_size"], part["intermediate_size"]  # type: ignore[index]
        for index in range(part["num_hidden_layers"]):  # type: ignore[index]
            layer = f"{tower}.encoder.layers.{index}"
            for letter in ("q", "k", "v", "out"):
                linear(f"{layer}.self_attn.{letter}_proj", width, width)
            norm(f"{layer}.layer_norm1", width)
            norm(f"{layer}.layer_norm2", width)
            linear(f"{layer}.mlp.fc1", hidden, width)
            linear(f"{layer}.mlp.fc2", width, hidden)
    vision, text = "vision_model.embeddings", "text_model.embeddings"
    out[f"{vision}.class_embedding"] = torch.randn(WIDTH)
    out[f"{vision}.patch_embedding.weight"] = torch.randn(WIDTH, 3, 8, 8) * 0.1
    out[f"{vision}.position_embedding.weight"] = torch.randn(17, WIDTH) * 0.1
    out[f"{vision}.position_ids"] = torch.arange(17)[None]
    norm("vision_model.pre_layrnorm", WIDTH)
    norm("vision_model.post_layernorm", WIDTH)
    out[f"{text}.token_embedding.weight"] = torch.randn(49408, TEXT_WIDTH) * 0.1
    out[f"{text}.position_embedding.weight"] = torch.randn(9, TEXT_WIDTH) * 0.1
    norm("text_model.final_layer_norm", TEXT_WIDTH)
    out["visual_projection.weight"] = torch.randn(EMBED, WIDTH)
    out["text_projection.weight"] = torch.randn(EMBED, TEXT_WIDTH)
    return out


class ByHand:
    """CLIP as its paper and Hugging Face's layout write it, one head at a time."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        self.state = state

    def linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return x @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]

    def norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        centred = x - x.mean(-1, keepdim=True)
        spread = (centred.square().mean(-1, keepdim=True) + 1e-4).sqrt()
        return centred / spread * self.state[f"{name}.weight"] + self.state[f"{name}.bias"]

    def attention(self, name: str, x: torch.Tensor, heads: int, causal: bool) -> torch.Tensor:
        query, key, value = (self.linear(f"{name}.{n}_proj", x) for n in "qkv")
        size, out = x.shape[-1] // heads, []
        for h in range(heads):
            own = slice(h * size, (h + 1) * size)
            scores = query[:, own] @ key[:, own].T / size**0.5
            if causal:
                scores = scores + torch.full_like(scores, -torch.inf).triu(1)
            out.append(scores.softmax(-1) @ value[:, own])
        return self.linear(f"{name}.out_proj", torch.cat(out, -1))

    def tower(
        self, name: str, x: torch.Tensor, heads: int, layers: int, causal: bool
    ) -> torch.Tensor:
        for index in range(layers):
            layer = f"{name}.encoder.layers.{index}"
            x = x + self.attention(
                f"{layer}.self_attn", self.norm(f"{layer}.layer_norm1", x), heads, causal
            )
            hidden = self.linear(f"{layer}.mlp.fc1", self.norm(f"{layer}.layer_norm2", x))
            x = x + self.linear(f"{layer}.mlp.fc2", hidden * (1.702 * hidden).sigmoid())
        return x

    def image(self, pixels: torch.Tensor) -> torch.Tensor:
        kernel = self.state["vision_model.embeddings.patch_embedding.weight"].flatten(1)
        patches = functional.unfold(pixels[None], 8, stride=8)[0].T @ kernel.T
        x = torch.cat([self.state["vision_model.embeddings.class_embedding"][None], patches])
        x = x + self.state["vision_model.embeddings.position_embedding.weight"]
        x = self.tower("vision_model", self.norm("vision_model.pre_layrnorm", x), 3, 2, False)
        return (
            self.norm("vision_model.post_layernorm", x[0])
            @ self.state["visual_projection.weight"].T
        )

    def text(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.state["text_model.embeddings.token_embedding.weight"][tokens]
        x = x + self.state["text_model.embeddings.position_embedding.weight"]
        x = self.norm("text_model.final_layer_norm", self.tower("text_model", x, 2, 1, True))
        return x[tokens.argmax()] @ self.state["text_projection.weight"].T


@pytest.fixture
def clip_folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    save_file(clip_state(), tmp_path / "model.safetensors")
    return tmp_path


@torch.inference_mode()
def test_a_clipmodel_folder_gives_what_its_layout_says(clip_folder: Path) -> None:
    model, hand = load(clip_folder), ByHand(clip_state())
    pixels = torch.randn(3, 32, 32)
    ours = model.tower.run(model.tower.start(pixels[None]), 0)[0]
    torch.testing.assert_close(ours, hand.image(pixels), atol=1e-5, rtol=1e-5)
    tokens = model.tokenizer(["two dogs in a boat"])[0]
    assert tokens.shape == (9,)
    torch.testing.assert_close(
        model.text(["two dogs in a boat"])[0],
        functional.normalize(hand.text(tokens), dim=-1),
        atol=1e-5,
        rtol=1e-5,
    )
    assert model.logit_scale == pytest.approx(np.exp(2.5)) and model.logit_bias == 0


def test_a_clipmodel_folder_keeps_its_preprocessing(clip_folder: Path) -> None:
    plain = load(clip_folder)
    told = {
        "size": {"height": 32, "width": 32}, "do_center_crop": False, "resample": 2,
        "image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.25, 1.0],
    }  # fmt: skip
    (clip_folder / "preprocessor_config.json").write_text(json.dumps(told))
    squashing = load(clip_folder)
    assert squashing.fingerprint != plain.fingerprint
    picture = clip_folder / "wide.png"
    drawn = np.zeros((32, 64, 3), np.uint8)
    drawn[:, :32] = 255
    Image.fromarray(drawn).save(picture)
    seen = squashing.pixels(picture.read_bytes())
    assert seen.shape == (3, 32, 32)
    # Squashed and not cropped: the left half is the white one, the right the black.
    assert seen[:, 5, 3].tolist() == pytest.approx([0.9 / 0.5, 0.8 / 0.25, 0.7])
    assert seen[:, 5, 28].tolist() == pytest.approx([-0.1 / 0.5, -0.2 / 0.25, -0.3])


def test_other_folders_of_hugging_face_are_refused(clip_folder: Path) -> None:
    def said(**changes: Any) -> str:
        (clip_folder / "config.json").write_text(json.dumps(CONFIG | changes))
        with pytest.raises(InvalidRequest) as refused:
            load(clip_folder)
        return refused.value.message

    assert "of type 'siglip'" in said(model_type="siglip")
    assert "one for both" in said(vision_config=CONFIG["vision_config"] | {"hidden_act": "gelu"})
    assert "not CLIP's own" in said(text_config=CONFIG["text_config"] | {"vocab_size": 1000})
    assert "cannot be loaded" in said(projection_dim=8)
    (clip_folder / "merges.txt").write_text("#version: 0.2\ni n\nz z\n")
    assert "other merges" in said()
    (clip_folder / "merges.txt").unlink()
    save_file(
        {**clip_state(), "classifier.weight": torch.zeros(2)}, clip_folder / "model.safetensors"
    )
    assert "classifier.weight, which a CLIPModel does not have" in said()
    (clip_folder / "model.safetensors").unlink()
    with pytest.raises(NotFound, match="only one safetensors file"):
        load(clip_folder)
