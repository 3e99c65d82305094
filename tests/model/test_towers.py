"""The explicit towers of all families against the modules' own forward pass, read by hooks."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steerboard.model.tower import Tower, block_of, site_names
from steerboard.model.towers import read_tower
from steerboard.spec.errors import InvalidRequest
from tests.model.families import CONVOLUTIONS, FAMILIES, OPEN_CLIP, blocks, own, tower, vit

each_family = pytest.mark.parametrize("name", FAMILIES)


def pixels(tower: Tower, count: int = 2) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(count, 3, *tower.image_size, dtype=torch.float64)


def embedding(visual: Any, x: Tensor) -> Tensor:
    out = visual(x)
    first: Tensor = out[0] if isinstance(out, tuple) else out
    return first[:, 0] if first.dim() == 3 else first


def captured(tower: Tower, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    seen: dict[str, Tensor] = {}

    def visit(site: str, value: Tensor) -> Tensor:
        assert site not in seen
        seen[site] = value
        return value

    return tower.run(tower.start(x), 0, visit), seen


@each_family
@torch.inference_mode()
def test_whole_pass_suffixes_and_shapes(name: str) -> None:
    visual = tower(name)
    ours = read_tower(visual)
    whole, seen = captured(ours, pixels(ours))
    torch.testing.assert_close(whole, embedding(visual, pixels(ours)), atol=1e-10, rtol=1e-10)
    assert list(seen) == [site.name for site in ours.sites]
    for site in ours.sites:
        assert seen[site.name].shape == (2, site.tokens, site.width), site
    for index in range(len(ours.blocks)):
        x = seen[f"resid_post.{index}"]
        assert torch.equal(ours.run(x, index + 1), whole)
        assert torch.equal(ours.run(seen[f"resid_pre.{index}"], index), whole)
    single = read_tower(visual.float())
    x = pixels(ours).float()
    torch.testing.assert_close(
        single.run(single.start(x), 0), embedding(visual, x), atol=1e-5, rtol=1e-5
    )


@each_family
@torch.inference_mode()
def test_the_residual_stream_is_what_a_hook_sees(name: str) -> None:
    visual = tower(name)
    ours = read_tower(visual)
    _, seen = captured(ours, pixels(ours))
    hooked: list[Tensor] = []
    for block in blocks(visual):
        block.register_forward_hook(lambda _m, _i, out: hooked.append(out))
    visual(pixels(ours))
    found = [x for site, x in seen.items() if site.startswith("resid_post")]
    assert len(hooked) == len(found) == len(ours.blocks)
    for mine, theirs in zip(found, hooked, strict=True):
        flat = theirs.flatten(2).transpose(1, 2) if theirs.dim() == 4 else theirs
        torch.testing.assert_close(mine, flat, atol=1e-10, rtol=1e-10)


def hook_heads(block: Any, into: list[Tensor]) -> None:
    """What the heads put out, without our towers: a norm or projection behind them tells."""
    attention = block.attn
    if isinstance(attention, nn.MultiheadAttention):
        # Its output projection is not called as a module: a twin without it puts the heads out.
        twin = copy.deepcopy(attention)
        twin.out_proj.weight.data = torch.eye(attention.embed_dim, dtype=torch.float64)
        twin.out_proj.bias.data.zero_()
        attention.register_forward_pre_hook(
            lambda _m, i: into.append(twin(*i, need_weights=False)[0])
        )
        return
    inner = attention.ln_inner if hasattr(attention, "ln_inner") else attention.norm
    inner.register_forward_pre_hook(lambda _m, i: into.append(i[0]))


def hook_neurons(block: Any, into: list[Tensor]) -> None:
    """What the MLP's output projection reads."""
    names = ("c_proj", "w2", "fc2")
    (output,) = (m for n, m in block.mlp.named_children() if n in names)
    output.register_forward_pre_hook(lambda _m, i: into.append(i[0]))


@each_family
@torch.inference_mode()
def test_heads_and_neurons_are_what_hooks_see(name: str) -> None:
    visual = tower(name)
    ours = read_tower(visual)
    names = [site.name for site in ours.sites]
    # Before there are hooks: our pass calls some of the same modules.
    _, seen = captured(ours, pixels(ours))
    heads: list[Tensor] = []
    neurons: list[Tensor] = []
    for index, block in enumerate(blocks(visual)):
        if f"head_out.{index}" in names:
            hook_heads(block, heads)
        if f"mlp_post.{index}" in names:
            hook_neurons(block, neurons)
    embedding(visual, pixels(ours))
    for kind, hooked in (("head_out", heads), ("mlp_post", neurons)):
        mine = [x for site, x in seen.items() if site.startswith(kind)]
        assert len(mine) == len(hooked)
        for a, b in zip(mine, hooked, strict=True):
            flat = b.flatten(1, 2) if b.dim() == 4 else b
            torch.testing.assert_close(a, flat, atol=1e-10, rtol=1e-10)
    assert heads or name in CONVOLUTIONS
    assert neurons or name in ("ResNet", "ConvNeXt V2", "ConvNeXt of convolutions")


@each_family
def test_gradients_flow_exactly_where_tokens_are_read(name: str) -> None:
    ours = read_tower(tower(name))
    seen: dict[str, Tensor] = {}

    def visit(site: str, value: Tensor) -> Tensor:
        seen[site] = value if value.requires_grad else value.detach().requires_grad_()
        return seen[site]

    out = ours.run(ours.start(pixels(ours, 1)), 0, visit)
    weights = torch.linspace(-1, 1, out.shape[-1], dtype=torch.float64)
    gradients = torch.autograd.grad((out * weights).sum(), list(seen.values()), allow_unused=True)
    for site, gradient in zip(ours.sites, gradients, strict=True):
        found = torch.zeros(1, 1, 1) if gradient is None else gradient.abs()
        prefix, patches = found[:, : site.prefix], found[:, site.prefix :]
        assert bool(prefix.any()) == site.prefix_read, site
        assert bool(patches.any()) == site.patches_read, site


@each_family
def test_gradients_equal_those_of_the_module_itself(name: str) -> None:
    visual = tower(name)
    ours = read_tower(visual)
    last = list(blocks(visual))[len(ours.blocks) // 2]
    x = ours.start(pixels(ours, 1))
    for index in range(len(ours.blocks) // 2 + 1):
        x = ours.block(x, index)
    x = x.detach().requires_grad_()
    kept: list[Tensor] = []

    def leaf(_module: Any, _inputs: Any, out: Tensor) -> Tensor:
        kept.append(out.detach().requires_grad_())
        return kept[-1]

    last.register_forward_hook(leaf)
    theirs = embedding(visual, pixels(ours, 1))
    mine = ours.run(x, len(ours.blocks) // 2 + 1)
    (expected,) = torch.autograd.grad(theirs.square().sum(), kept[:1])
    (found,) = torch.autograd.grad(mine.square().sum(), [x])
    flat = expected.flatten(2).transpose(1, 2) if expected.dim() == 4 else expected
    torch.testing.assert_close(found, flat, atol=1e-9, rtol=1e-7)


@each_family
@torch.inference_mode()
def test_what_a_visit_returns_is_what_goes_on(name: str) -> None:
    ours = read_tower(tower(name))
    x = ours.start(pixels(ours, 1))
    clean = ours.run(x, 0)
    for wanted in ours.sites:

        def visit(site: str, value: Tensor, wanted: str = wanted.name) -> Tensor:
            # A ramp, since a LayerNorm behind the site would hide a shift or a factor.
            ramp = torch.linspace(-1, 1, value.shape[-1], dtype=torch.float64)
            return value + ramp if site == wanted else value

        assert not torch.allclose(ours.run(x, 0, visit), clean), wanted


@each_family
@torch.inference_mode()
def test_it_runs_where_and_in_what_its_weights_are(name: str) -> None:
    visual = tower(name)
    ours = read_tower(visual)
    x = pixels(ours)
    exact = embedding(visual, x)
    visual.to(torch.bfloat16)
    half, seen = captured(ours, x.bfloat16())
    assert {value.dtype for value in (half, *seen.values())} == {torch.bfloat16}
    likeness = torch.cosine_similarity(half.double(), exact)
    assert likeness.min() > 0.97, likeness
    # The meta device computes nothing, and refuses what was left behind on another.
    visual.to("meta")
    away, seen = captured(ours, x.bfloat16().to("meta"))
    assert away.shape == exact.shape and {v.device.type for v in seen.values()} == {"meta"}


def test_a_plain_transformer_has_all_sites() -> None:
    ours = read_tower(tower("CLIP"))
    assert [site.name for site in ours.sites] == site_names(2)
    assert ours.summary == "ViT 24x2, patch 8, 32 x 32"
    assert ours.site("mlp_post.1").width == 96 and ours.site("head_out.0").heads == 3
    assert block_of("resid_post.1", 2) == 1 and block_of("embedding", 2) == 2
    assert ours.site("embedding").tokens == 1 and ours.embedding_width == 16


@pytest.mark.parametrize(
    ("name", "prefix", "pools"),
    [
        ("CLIP", 1, "prefix"),
        ("average", 1, "patches"),
        ("CoCa", 1, "all"),
        ("SigLIP", 0, "patches"),
        ("registers, average", 2, "patches"),
        ("class and registers", 3, "prefix"),
        ("EVA02", 1, "prefix"),
        ("PE", 1, "all"),
        ("ResNet", 0, "patches"),
    ],
)
def test_prefix_and_pooling_are_told(name: str, prefix: int, pools: str) -> None:
    ours = read_tower(tower(name))
    assert (ours.prefix, ours.pools) == (prefix, pools)


def test_finer_stages_nest_in_the_grid() -> None:
    ours = read_tower(tower("ResNet"))
    assert ours.grid == (2, 2) and ours.summary == "ResNet 1-2-1-1, 64 x 64"
    assert [ours.site(f"resid_post.{i}").grid for i in range(5)] == [
        (16, 16), (8, 8), (8, 8), (4, 4), (2, 2),
    ]  # fmt: skip


def test_what_cannot_be_read_is_refused_in_a_sentence() -> None:
    with pytest.raises(InvalidRequest, match="not in one embedding a picture"):
        read_tower(own(pool_type="none"))
    with pytest.raises(InvalidRequest, match="not in one embedding a picture"):
        read_tower(own(attentional_pool=True, pool_type="none", attn_pooler_queries=4))
    with pytest.raises(InvalidRequest, match="scaled cosine"):
        read_tower(own(scaled_cosine_attn=True))
    with pytest.raises(InvalidRequest, match="multiples of 32"):
        read_tower(own(layers=[1, 1, 1, 1], width=8, image_size=80, patch_size=None))
    with pytest.raises(InvalidRequest, match="Linear is of no family"):
        read_tower(nn.Linear(2, 2))
    with pytest.raises(InvalidRequest, match="set image_size"):
        wrong = vit()
        wrong.image_size = (48, 48)
        read_tower(wrong)
    with pytest.raises(InvalidRequest, match="blocks Identity"):
        other = OPEN_CLIP["CLIP"]()
        other.transformer.resblocks[0] = nn.Identity()
        read_tower(other)
