"""Right and wrong pairings: Emojiland's shipped dictionaries, a real ViT with photographs."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from steerboard.dictionary.gate import GateReport
from steerboard.dictionary.native import DictionaryFile, describe, read
from steerboard.dictionary.sae import Sae
from steerboard.dictionary.training.harvest import harvest
from steerboard.dictionary.training.loop import Training
from steerboard.dictionary.training.pictures import find_pictures
from steerboard.dictionary.training.plan import Plan
from steerboard.inprocess.calibration import examined
from steerboard.inprocess.probing import Activations, read_sites
from steerboard.model.load import load
from steerboard.model.tower import Tower
from steerboard.model.towers import read_tower
from steerboard.spec.errors import DictionaryMisfit

import open_clip  # isort: skip

DEMO = Path(__file__).resolve().parents[2] / "demo"
REAL = "STEERBOARD_REAL_MODEL", "STEERBOARD_REAL_IMAGES"


@dataclass(frozen=True, eq=False)
class Place:
    """A tower with pictures, and what was read of them."""

    tower: Tower
    pixels: list[Tensor]
    read: Activations

    def verdict(
        self, sae: Sae, site: str, backbones: dict[str, Activations] | None = None
    ) -> GateReport:
        file = DictionaryFile(describe(sae, site), sae, "")
        # A few pictures through the model show how near embeddings stay, which decides nothing;
        # whether it fits is told from the activations that were read of all.
        few = self.pixels[::8]
        return examined("d", file, self.tower, few, self.read, None, backbones)


def place(tower: Tower, pixels: list[Tensor], sites: Sequence[str]) -> Place:
    return Place(tower, pixels, read_sites(tower, pixels, set(sites)))


def faults(found: GateReport) -> str:
    return "; ".join(found.faults)


def assert_says_all(found: GateReport) -> None:
    """A refusal names each of layer, bias, normalisation and backbone, with what it gave."""
    with pytest.raises(DictionaryMisfit) as caught:
        found.check()
    lines = str(caught.value).splitlines()
    for kind in ("as stated", "site", "input bias", "normalisation", "backbone"):
        rows = [line.partition(": ")[2] for line in lines if line.startswith(f"{kind}: ")]
        assert rows, kind
        for row in rows:
            assert len(re.findall(r"-?\d+\.\d+", row.split(maxsplit=1)[1])) == 5, row


@pytest.fixture(scope="module")
def emojiland() -> Place:
    loaded = load(DEMO / "model")
    files = find_pictures(DEMO / "images", "validation")[::9][:100]
    pixels = [loaded.pixels(path.read_bytes()) for path in files]
    return place(loaded.tower, pixels, [f"resid_post.{i}" for i in range(2, 6)])


@pytest.fixture(scope="module")
def untrained(emojiland: Place) -> Activations:
    """A model of the same shape with random weights."""
    torch.manual_seed(0)
    config = open_clip.CLIP(
        embed_dim=128,
        vision_cfg={
            "image_size": 96,
            "patch_size": 12,
            "width": 192,
            "layers": 6,
            "head_width": 64,
        },
        text_cfg={"context_length": 8, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1},
    )
    tower = read_tower(config.eval().visual)
    return read_sites(tower, emojiland.pixels, {f"resid_post.{i}" for i in range(2, 6)})


@pytest.mark.parametrize(("name", "block"), [("middle", 3), ("last", 5)])
def test_emojiland_right_and_wrong(
    emojiland: Place, untrained: Activations, name: str, block: int
) -> None:
    sae = read(DEMO / "dictionaries" / f"{name}.safetensors").sae
    site = f"resid_post.{block}"
    right = emojiland.verdict(sae, site, {"untrained": untrained})
    right.check()
    assert right.embedding_cosine is not None and right.embedding_cosine > 0.9
    assert any(t.kind == "backbone" and not t.better for t in right.tried)
    for neighbour in (block - 1, block + 1):
        if neighbour < 6:
            wrong = emojiland.verdict(sae, f"resid_post.{neighbour}", {"untrained": untrained})
            assert f"site {site} does better" in faults(wrong)
            assert_says_all(wrong)
    elsewhere = replace(emojiland, read=untrained).verdict(sae, site)
    assert "explained variance" in faults(elsewhere)
    for dropped in (
        replace(sae, subtract_bias=False),
        replace(sae, b_dec=torch.zeros_like(sae.b_dec)),
        replace(sae, normalize="layer_norm"),
    ):
        with pytest.raises(DictionaryMisfit, match=r"(?s)does not fit .*\ntried"):
            emojiland.verdict(dropped, site).check()


def test_emojiland_wrong_tokens(emojiland: Place) -> None:
    prefix_only = read(DEMO / "dictionaries" / "last.safetensors").sae
    for tokens in ("patches", "all"):
        wrong = emojiland.verdict(replace(prefix_only, tokens=tokens), "resid_post.5")
        assert "on patches (floor" in faults(wrong)


@pytest.fixture(scope="module")
def photographs() -> Place:
    if not all(os.environ.get(name) for name in REAL):
        pytest.skip(f"{REAL[0]} and {REAL[1]} are not set")
    loaded = load(Path(os.environ[REAL[0]]))
    files = find_pictures(Path(os.environ[REAL[1]]), "test")[::3][:60]
    pixels = [loaded.pixels(path.read_bytes()) for path in files]
    return place(loaded.tower, pixels, [f"resid_post.{i}" for i in (7, 8, 9)])


def small(
    model: Path, site: str, files: Sequence[Path], folder: Path, kinds: Sequence[str]
) -> dict[str, Sae]:
    """Small dictionaries for patches, one a normalisation."""
    store = harvest(load(model), site, "patches", files, folder / "shards")
    found = {}
    for kind in kinds:
        plan = Plan(
            size=768, k=32, steps=250, batch=512, tokens="patches", normalize=kind, rate=2e-3
        )
        found[kind] = Training(store, plan, folder).run()
    return found


@pytest.fixture(scope="module")
def trained(photographs: Place, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sae]:
    """Of the real model's block 8, plain and normalised."""
    files = find_pictures(Path(os.environ[REAL[1]]), "train")[::6][:100]
    folder = tmp_path_factory.mktemp("trained")
    return small(Path(os.environ[REAL[0]]), "resid_post.8", files, folder, ("none", "layer_norm"))


def test_emojiland_lost_normalisation(emojiland: Place, tmp_path: Path) -> None:
    files = find_pictures(DEMO / "images", "validation")[3::9][:100]
    (sae,) = small(DEMO / "model", "resid_post.3", files, tmp_path, ("layer_norm",)).values()
    emojiland.verdict(sae, "resid_post.3").check()
    lost = emojiland.verdict(replace(sae, normalize="none"), "resid_post.3")
    assert "normalisation" in faults(lost)


def test_real_right_and_wrong(
    photographs: Place, trained: dict[str, Sae], emojiland: Place
) -> None:
    sae = trained["none"]
    right = photographs.verdict(sae, "resid_post.8")
    right.check()
    assert right.quality[0].explained_variance > 0.9
    for neighbour in ("resid_post.7", "resid_post.9"):
        assert "site resid_post.8 does better" in faults(photographs.verdict(sae, neighbour))
    for tokens in ("prefix", "all"):
        wrong = photographs.verdict(replace(sae, tokens=tokens), "resid_post.8")
        assert "on prefix (floor" in faults(wrong)
    assert faults(emojiland.verdict(sae, "resid_post.3"))  # as wide, another backbone
    for dropped in (
        replace(sae, subtract_bias=False),
        replace(sae, b_dec=torch.zeros_like(sae.b_dec)),
        replace(sae, normalize="layer_norm"),
    ):
        assert faults(photographs.verdict(dropped, "resid_post.8"))


def test_real_lost_normalisation(photographs: Place, trained: dict[str, Sae]) -> None:
    sae = trained["layer_norm"]
    photographs.verdict(sae, "resid_post.8").check()
    lost = photographs.verdict(replace(sae, normalize="none"), "resid_post.8")
    assert "normalisation" in faults(lost)
