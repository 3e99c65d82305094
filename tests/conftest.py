"""Fixtures that every folder uses: a tiny house of its own, on disk, with real files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image
from safetensors.torch import save_file

from steerboard.model import torchvision_ops  # noqa: F401

import open_clip  # isort: skip

from steerboard.dictionary.native import write
from steerboard.dictionary.sae import Sae
from tests.parts import Parts, place

TINY = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 32,
            "patch_size": 8,
            "width": 24,
            "layers": 3,
            "head_width": 8,
        },
        "text_cfg": {
            "context_length": 12,
            "vocab_size": 49408,
            "width": 16,
            "heads": 2,
            "layers": 1,
        },
    },
    "preprocess_cfg": {
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "interpolation": "bicubic",
        "resize_mode": "shortest",
        "size": 32,
    },
}
CLASSES = ["cat", "dog", "horse", "boat"]


# Where other tests use both cores, an example takes as long as it takes.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Parts:
    config.option.loadscopereorder = False  # by ``FIRST``, and not by the number of tests
    return Parts(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=place)


def tiny_model(folder: Path) -> None:
    torch.manual_seed(0)
    model = open_clip.CLIP(**TINY["model_cfg"])
    folder.mkdir()
    save_file(
        {k: v.contiguous() for k, v in model.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    (folder / "open_clip_config.json").write_text(json.dumps(TINY))


def tiny_pictures(folder: Path, count: int = 16) -> list[dict[str, object]]:
    rng = np.random.default_rng(0)
    folder.mkdir()
    rows = []
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8))
        name = f"{i:02d}.jpg"
        coarse.resize((40, 32)).save(folder / name)
        rows.append(
            {"path": name, "split": "validation", "group": "clean", "label": CLASSES[i % 4]}
        )
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return rows


def tiny_dictionary(width: int, k: int, tokens: str) -> Sae:
    """Plus and minus a rotated basis: exact with ReLU, and with the k = width largest."""
    torch.manual_seed(1)
    basis = torch.linalg.qr(torch.randn(width, width)).Q
    both = torch.cat([basis, -basis], dim=1)
    return Sae(
        W_enc=both.contiguous(),
        b_enc=torch.zeros(2 * width),
        W_dec=both.T.contiguous(),
        b_dec=torch.randn(width) * 0.01,
        architecture="topk" if k else "relu",
        k=k,
        tokens=tokens,
    )


@pytest.fixture(autouse=True)
def seeded() -> None:
    """What a test draws by torch is the same in every run."""
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def own_cache(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """What tests measure is forgotten with them; until then, child processes find it too.

    Several processes that run the tests share it, as several servers of one machine do.
    """
    folder = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEERBOARD_MEASURED", str(folder / "measured"))
        yield


@pytest.fixture(scope="session")
def tiny_house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a steerboard.yaml, a random three-block model, two dictionaries, pictures."""
    folder = tmp_path_factory.mktemp("house")
    tiny_model(folder / "model")
    tiny_pictures(folder / "images")
    (folder / "classes.json").write_text(json.dumps({"template": "a {}", "classes": CLASSES}))
    write(folder / "middle.safetensors", tiny_dictionary(24, 24, "all"), "resid_post.1")
    write(folder / "last.safetensors", tiny_dictionary(24, 0, "prefix"), "resid_post.2")
    (folder / "steerboard.yaml").write_text(
        "models:\n  tiny:\n    path: model\n    prompts: classes.json\n    dictionaries:\n"
        "      middle: {path: middle.safetensors}\n      last: {path: last.safetensors}\n"
        "    calibration: {images: images, manifest: images/manifest.jsonl, count: 16}\n"
        "image_sets:\n  tiny: {images: images, manifest: images/manifest.jsonl}\n"
        "catalogue: catalogue\n"
    )
    return folder


@pytest.fixture(scope="session")
def tiny_images(tiny_house: Path) -> list[bytes]:
    """The encoded pictures of the tiny house."""
    return [p.read_bytes() for p in sorted((tiny_house / "images").glob("*.jpg"))]
