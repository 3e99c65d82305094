"""CLIPModel and SiglipModel folders of Hugging Face, computed by hand from their own layout.

The same was compared with the package transformers itself, where the tensors come from.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional

from steerboard.model.load import load
from steerboard.spec.errors import InvalidRequest, NotFound

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


def linear(out: dict[str, torch.Tensor], name: str, rows: int, columns: int) -> None:
    out[f"{name}.weight"] = torch.randn(rows, columns) / columns**0.5
    out[f"{name}.bias"] = torch.randn(rows) * 0.1


def norm(out: dict[str, torch.Tensor], name: str, width: int) -> None:
    out[f"{name}.weight"] = 1 + 0.1 * torch.randn(width)
    out[f"{name}.bias"] = 0.1 * torch.randn(width)


def stack(out: dict[str, torch.Tensor], tower: str, part: Any) -> None:
    """The blocks of a tower."""
    width, hidden = part["hidden_size"], part["intermediate_size"]
    for index in range(part["num_hidden_layers"]):
        layer = f"{tower}.encoder.layers.{index}"
        for letter in ("q", "k", "v", "out"):
            linear(out, f"{layer}.self_attn.{letter}_proj", width, width)
        norm(out, f"{layer}.layer_norm1", width)
        norm(out, f"{layer}.layer_norm2", width)
        linear(out, f"{layer}.mlp.fc1", hidden, width)
        linear(out, f"{layer}.mlp.fc2", width, hidden)


def clip_state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    out: dict[str, torch.Tensor] = {"logit_scale": torch.tensor(2.5)}
    for tower in ("vision", "text"):
        stack(out, f"{tower}_model", CONFIG[f"{tower}_config"])
    vision, text = "vision_model.embeddings", "text_model.embeddings"
    out[f"{vision}.class_embedding"] = torch.randn(WIDTH)
    out[f"{vision}.patch_embedding.weight"] = torch.randn(WIDTH, 3, 8, 8) * 0.1
    out[f"{vision}.position_embedding.weight"] = torch.randn(17, WIDTH) * 0.1
    out[f"{vision}.position_ids"] = torch.arange(17)[None]
    norm(out, "vision_model.pre_layrnorm", WIDTH)
    norm(out, "vision_model.post_layernorm", WIDTH)
    out[f"{text}.token_embedding.weight"] = torch.randn(49408, TEXT_WIDTH) * 0.1
    out[f"{text}.position_embedding.weight"] = torch.randn(9, TEXT_WIDTH) * 0.1
    norm(out, "text_model.final_layer_norm", TEXT_WIDTH)
    out["visual_projection.weight"] = torch.randn(EMBED, WIDTH)
    out["text_projection.weight"] = torch.randn(EMBED, TEXT_WIDTH)
    return out


class ByHand:
    """CLIP as its paper and Hugging Face's layout write it, one head at a time."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        self.state = state

    def act(self, x: torch.Tensor) -> torch.Tensor:
        return x * (1.702 * x).sigmoid()

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
            x = x + self.linear(f"{layer}.mlp.fc2", self.act(hidden))
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

    assert "of type 'blip'" in said(model_type="blip")
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


# ---- SigLIP: no class token, attention with one learnt query, tanh GELU, a bias of logits ----

SIGLIP = {
    "model_type": "siglip",
    "vision_config": {
        "hidden_size": WIDTH, "intermediate_size": 60, "num_hidden_layers": 2,
        "num_attention_heads": 3, "image_size": 26, "patch_size": 8, "layer_norm_eps": 1e-4,
    },
    "text_config": {
        "hidden_size": WIDTH, "intermediate_size": 40, "num_hidden_layers": 1,
        "num_attention_heads": 3, "max_position_embeddings": 7, "vocab_size": 50,
        "layer_norm_eps": 1e-4,
    },
}  # fmt: skip


def siglip_state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    out = {"logit_scale": torch.tensor([1.5]), "logit_bias": torch.tensor([-2.0])}
    for tower in ("vision", "text"):
        part: Any = SIGLIP[f"{tower}_config"]
        stack(out, f"{tower}_model", part)
    vision, text = "vision_model", "text_model"
    out[f"{vision}.embeddings.patch_embedding.weight"] = torch.randn(WIDTH, 3, 8, 8) * 0.1
    out[f"{vision}.embeddings.patch_embedding.bias"] = torch.randn(WIDTH) * 0.1
    out[f"{vision}.embeddings.position_embedding.weight"] = torch.randn(9, WIDTH) * 0.1
    norm(out, f"{vision}.post_layernorm", WIDTH)
    out[f"{vision}.head.probe"] = torch.randn(1, 1, WIDTH)
    out[f"{vision}.head.attention.in_proj_weight"] = torch.randn(3 * WIDTH, WIDTH) / 5
    out[f"{vision}.head.attention.in_proj_bias"] = torch.randn(3 * WIDTH) * 0.1
    linear(out, f"{vision}.head.attention.out_proj", WIDTH, WIDTH)
    norm(out, f"{vision}.head.layernorm", WIDTH)
    linear(out, f"{vision}.head.mlp.fc1", 60, WIDTH)
    linear(out, f"{vision}.head.mlp.fc2", WIDTH, 60)
    out[f"{text}.embeddings.token_embedding.weight"] = torch.randn(50, WIDTH)
    out[f"{text}.embeddings.position_embedding.weight"] = torch.randn(7, WIDTH) * 0.1
    norm(out, f"{text}.final_layer_norm", WIDTH)
    linear(out, f"{text}.head", WIDTH, WIDTH)
    return out


class SiglipByHand(ByHand):
    """The same blocks with a tanh GELU, and a head that asks the patches one question."""

    def act(self, x: torch.Tensor) -> torch.Tensor:
        return 0.5 * x * (1 + ((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)).tanh())

    def image(self, pixels: torch.Tensor) -> torch.Tensor:
        base = "vision_model.embeddings"
        kernel = self.state[f"{base}.patch_embedding.weight"].flatten(1)
        # 26 pixels hold three whole patches; the rest is not read.
        x = functional.unfold(pixels[None, :, :24, :24], 8, stride=8)[0].T @ kernel.T
        x = x + self.state[f"{base}.patch_embedding.bias"]
        x = x + self.state[f"{base}.position_embedding.weight"]
        x = self.tower("vision_model", x, 3, 2, False)
        return self.pooled(self.norm("vision_model.post_layernorm", x))

    def pooled(self, x: torch.Tensor) -> torch.Tensor:
        head, size, out = "vision_model.head", WIDTH // 3, []
        weight = self.state[f"{head}.attention.in_proj_weight"].split(WIDTH)
        bias = self.state[f"{head}.attention.in_proj_bias"].split(WIDTH)
        asked = self.state[f"{head}.probe"][0] @ weight[0].T + bias[0]
        key, value = (x @ weight[i].T + bias[i] for i in (1, 2))
        for own in (slice(h * size, (h + 1) * size) for h in range(3)):
            out.append((asked[:, own] @ key[:, own].T / size**0.5).softmax(-1) @ value[:, own])
        x = self.linear(f"{head}.attention.out_proj", torch.cat(out, -1))
        hidden = self.act(self.linear(f"{head}.mlp.fc1", self.norm(f"{head}.layernorm", x)))
        return (x + self.linear(f"{head}.mlp.fc2", hidden))[0]

    def text(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.state["text_model.embeddings.token_embedding.weight"][tokens]
        x = x + self.state["text_model.embeddings.position_embedding.weight"]
        x = self.norm("text_model.final_layer_norm", self.tower("text_model", x, 3, 1, False))
        return self.linear("text_model.head", x[-1])


@torch.inference_mode()
def test_a_siglipmodel_folder_gives_what_its_layout_says(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SIGLIP))
    save_file(siglip_state(), tmp_path / "model.safetensors")
    model, hand = load(tmp_path), SiglipByHand(siglip_state())
    pixels, tokens = torch.randn(3, 26, 26), torch.randint(0, 50, (7,))
    ours = model.tower.run(model.tower.start(pixels[None]), 0)[0]
    torch.testing.assert_close(ours, hand.image(pixels), atol=1e-5, rtol=1e-5)
    text = model.clip.encode_text(tokens[None])[0]
    torch.testing.assert_close(text, hand.text(tokens), atol=1e-5, rtol=1e-5)
    assert model.sigmoid and model.logit_bias == -2 and model.tower.prefix == 0
    assert model.logit_scale == pytest.approx(np.exp(1.5)) and model.tower.grid == (3, 3)
    assert model.preprocessing["resize_mode"] == "squash" and not model.reads_texts
    with pytest.raises(InvalidRequest, match="install transformers"):
        model.text(["a cat"])


def test_other_siglip_folders_are_refused(tmp_path: Path) -> None:
    def said(state: dict[str, torch.Tensor], **vision: Any) -> str:
        part: Any = SIGLIP["vision_config"]
        (tmp_path / "config.json").write_text(json.dumps(SIGLIP | {"vision_config": part | vision}))
        save_file(state, tmp_path / "model.safetensors")
        with pytest.raises(InvalidRequest) as refused:
            load(tmp_path)
        return refused.value.message

    state = siglip_state()
    assert "activation relu" in said(state, hidden_act="relu")
    assert "no pooling head" in said(state, vision_use_head=False)
    assert "cannot be loaded" in said(state, num_hidden_layers=3)
    assert "extra.weight, which a SiglipModel does not have" in said(
        {**state, "vision_model.extra.weight": torch.zeros(2)}
    )
