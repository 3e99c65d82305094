"""The in-process Runner over towers of other families: a ResNet, a ConvNeXt, registers, map pools.

Edits are compared with plain hooks on open_clip's own modules, which know nothing of our towers.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import steerboard
from steerboard import Attribute, Edit, Embed, Encoded, Logit, Mask, Steer, SteerSet
from steerboard.dictionary.native import write
from steerboard.dictionary.sae import Sae
from steerboard.model.load import load
from steerboard.spec.edits import Add, Neuron, Scale
from steerboard.spec.errors import EmptyMask, InvalidRequest
from steerboard.spec.requests import Probe, Prompts
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor
from tests.conftest import TINY, tiny_dictionary
from tests.model.families import awake, blocks


@dataclass(frozen=True)
class Case:
    vision: dict[str, Any]
    size: int
    block: int
    width: int
    finer: int


CASES = {
    "ResNet": Case({"layers": [1, 2, 1, 1], "width": 8, "patch_size": None}, 64, 2, 64, 4),
    "ConvNeXt": Case({"timm_model_name": "test_convnext", "timm_pool": "avg"}, 160, 4, 48, 2),
    "registers": Case({"timm_model_name": "test_vit2", "timm_pool": "avg"}, 160, 3, 64, 1),
    "map pool": Case({"timm_model_name": "test_vit3", "timm_pool": "map"}, 160, 3, 96, 1),
}


def build(case: Case, folder: Path, **more: Any) -> Path:
    """A house whose tower is that of the case, with a dictionary in the middle."""
    vision = {"image_size": case.size, **case.vision}
    config = {
        "model_cfg": {**TINY["model_cfg"], "vision_cfg": vision, **more},
        "preprocess_cfg": {**TINY["preprocess_cfg"], "size": case.size},
    }
    torch.manual_seed(0)
    clip = open_clip.CLIP(**config["model_cfg"]).eval()
    awake(clip.visual)
    (folder / "model").mkdir()
    weights = {k: v.contiguous() for k, v in clip.state_dict().items()}
    save_file(weights, folder / "model" / "open_clip_model.safetensors")
    (folder / "model" / "open_clip_config.json").write_text(json.dumps(config))
    rng = np.random.default_rng(0)
    rows = []
    for i in range(8):
        drawn = rng.integers(0, 255, (case.size, case.size, 3), dtype=np.uint8)
        Image.fromarray(drawn).save(folder / f"{i}.png")
        rows.append(json.dumps({"path": f"{i}.png", "split": "", "label": "a"}))
    (folder / "manifest.jsonl").write_text("\n".join(rows))
    sae = dictionary(case, folder)
    write(folder / "middle.safetensors", sae, f"resid_post.{case.block}")
    (folder / "steerboard.yaml").write_text(
        "models:\n  other:\n    path: model\n"
        "    dictionaries: {middle: {path: middle.safetensors}}\n"
        "    calibration: {images: ., manifest: manifest.jsonl, count: 8}\n"
    )
    return folder


@torch.inference_mode()
def dictionary(case: Case, folder: Path) -> Sae:
    """Exact, and around the mean of the activations: what is constant of a site is its bias."""
    model = load(folder / "model")
    x = model.tower.start(torch.stack([model.pixels(p.read_bytes()) for p in folder.glob("*.png")]))
    for index in range(case.block + 1):
        x = model.tower.block(x, index)
    return replace(tiny_dictionary(case.width, 0, "all"), b_dec=x.mean((0, 1)).clone())


@pytest.fixture(scope="module", params=CASES)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Case, Path, Runner]:
    case = CASES[request.param]
    folder = build(case, tmp_path_factory.mktemp("family"))
    return case, folder, steerboard.local(folder)


def probe() -> Probe:
    """Reads the first two numbers of the embedding."""
    weight = np.eye(16, dtype=np.float32)[:2]
    return Probe(
        names=("first", "second"), weight=Tensor.of(weight), bias=Tensor.of(weight[:, 5].copy())
    )


def asked(folder: Path, *sets: SteerSet) -> Steer:
    image = Encoded(data=(folder / "0.png").read_bytes())
    return Steer(model="other", images=(image,), classifier=probe(), steer_sets=sets)


@torch.inference_mode()
def by_hooks(case: Case, folder: Path, rows: slice, columns: slice) -> np.ndarray[Any, Any]:
    """The embedding with neuron 3 ten times itself on a rectangle of the block's own map."""
    model = load(folder / "model")
    tower = model.tower
    module = list(blocks(model.clip.visual))[case.block]

    def tenfold(_module: Any, _inputs: Any, out: torch.Tensor) -> torch.Tensor:
        out = out.clone()
        if out.dim() == 4:
            out[:, 3, rows, columns] *= 10
            return out
        patches = out[:, tower.prefix :, 3].unflatten(1, tower.grid)
        patches[:, rows, columns] *= 10
        return out

    with torch.inference_mode():
        handle = module.register_forward_hook(tenfold)
        pixels = model.pixels((folder / "0.png").read_bytes())
        embedding = model.clip.encode_image(pixels[None], normalize=True)[0]
        handle.remove()
    return embedding.numpy()


def test_an_edit_on_a_region_is_what_a_hook_on_the_map_does(
    served: tuple[Case, Path, Runner],
) -> None:
    case, folder, runner = served
    edit = Edit(
        site=f"resid_post.{case.block}",
        unit=Neuron(index=3),
        op=Scale(m=9.0),
        mask=Mask(kind="patches", cells=((1, 0), (1, 1))),
    )
    (answer,) = runner.steer(asked(folder, SteerSet(edits=(edit,)))).items
    k = case.finer
    expected = by_hooks(case, folder, slice(k, 2 * k), slice(0, 2 * k))
    clean = by_hooks(case, folder, slice(0, 0), slice(0, 0))
    np.testing.assert_allclose(answer.steered[0].logits, expected[:2], atol=1e-5)
    np.testing.assert_allclose(answer.clean.logits, clean[:2], atol=1e-5)
    assert np.abs(expected - clean).max() > 1e-4
    image = asked(folder, SteerSet()).images
    (plain,) = runner.embed(Embed(model="other", images=image)).items
    np.testing.assert_allclose(plain.values, clean, atol=1e-5)


def test_maps_are_of_the_models_grid_and_add_up(served: tuple[Case, Path, Runner]) -> None:
    _case, folder, runner = served
    request = Attribute(
        model="other",
        images=asked(folder, SteerSet()).images,
        classifier=probe(),
        dictionary="middle",
        targets=(Logit(index=0),),
        top_k=8,
        maps=True,
    )
    ((why,),) = runner.attribute(request).items
    info = runner.model("other")
    assert why.maps.shape == (8, *info.grid)
    np.testing.assert_allclose(why.maps.sum((1, 2)) + why.prefix_scores, why.scores, rtol=1e-3)
    total = why.scores.sum() + why.rest + why.error + why.bias
    assert total == pytest.approx(why.total, abs=1e-4)


def test_the_embedding_can_be_moved_whatever_the_prefix(served: tuple[Case, Path, Runner]) -> None:
    _case, folder, runner = served
    edit = Edit(site="embedding", unit=Neuron(index=1), op=Add(alpha=1.0))
    (answer,) = runner.steer(asked(folder, SteerSet(edits=(edit,)))).items
    assert answer.steered[0].logits[1] > answer.clean.logits[1] + 0.1
    nowhere = edit.model_copy(update={"mask": Mask(kind="patches", cells=((0, 0),))})
    with pytest.raises(EmptyMask):
        runner.steer(asked(folder, SteerSet(edits=(nowhere,))))


def test_a_prefix_that_nothing_reads_is_refused_with_the_remedy(
    served: tuple[Case, Path, Runner],
) -> None:
    case, folder, runner = served
    info = runner.model("other")
    last = [site for site in info.sites if site.name.startswith("resid_post")][-1]
    averages = info.prefix_tokens > 0 and "map" not in str(case.vision)
    assert last.patches_read and last.prefix_unread == averages
    if not averages:
        return
    edit = Edit(site=last.name, unit=Neuron(index=0), op=Scale(m=1.0), mask=Mask(kind="prefix"))
    with pytest.raises(EmptyMask, match=r"no prefix token is read.*earlier site, or patches"):
        runner.steer(asked(folder, SteerSet(edits=(edit,))))
    earlier = edit.model_copy(update={"site": "resid_post.3"})
    (answer,) = runner.steer(asked(folder, SteerSet(edits=(earlier,)))).items
    assert (answer.steered[0].logits != answer.clean.logits).any()
    request = Attribute(
        model="other",
        images=asked(folder, SteerSet()).images,
        classifier=probe(),
        units="neuron",
        site=last.name,
        tokens=Mask(kind="prefix"),
    )
    with pytest.raises(
        InvalidRequest,
        match=r"reaches the prefix at resid_post\.7: choose an",
    ):
        runner.attribute(request)


@torch.inference_mode()
def test_prompts_of_a_siglip_model_are_true_or_false_each_alone(tmp_path: Path) -> None:
    case = Case({"patch_size": 8, "width": 24, "layers": 2, "head_width": 8}, 32, 0, 24, 1)
    folder = build(case, tmp_path, init_logit_scale=2.0, init_logit_bias=-1.5)
    prompts = Prompts(prompts=("cat", "dog", "boat"))
    request = asked(folder, SteerSet()).model_copy(update={"classifier": prompts})
    (answer,) = steerboard.local(folder).steer(request).items
    clip = load(folder / "model").clip
    pixels = load(folder / "model").pixels((folder / "0.png").read_bytes())[None]
    tokens = open_clip.get_tokenizer(f"local-dir:{folder / 'model'}")(list(prompts.prompts))
    logits, _ = clip.get_logits(pixels, tokens)
    np.testing.assert_allclose(answer.clean.logits, logits[0], atol=1e-5)
    np.testing.assert_allclose(answer.clean.probabilities, logits[0].sigmoid(), atol=1e-6)
    assert abs(answer.clean.probabilities.sum() - 1) > 0.05
