"""In the last block only what is pooled is computed, unless somebody looks at the rest."""

import itertools

import pytest
import torch

from steerboard.model import torchvision_ops  # noqa: F401

import open_clip  # isort: skip

from steerboard.inprocess.config import read_config
from steerboard.inprocess.kernel import DirectKernel, Row
from steerboard.inprocess.served import serve
from steerboard.model.towers import read_tower
from steerboard.spec.edits import Edit, Feature, Head, Neuron, Scale, SteerSet

VISION = {"image_size": 32, "patch_size": 8, "width": 24, "layers": 3, "head_width": 8}


def tower_of(**more):
    torch.manual_seed(0)
    cfg = open_clip.CLIPVisionCfg(**VISION, **more)
    from open_clip.model import _build_vision_tower

    visual = _build_vision_tower(16, cfg).eval().requires_grad_(False)
    return read_tower(visual)


@pytest.mark.parametrize(
    ("more", "skips"),
    [
        ({}, True),
        ({"ls_init_value": 0.5}, True),
        ({"final_ln_after_pool": True}, True),
        ({"pool_type": "avg"}, False),
    ],
)
@torch.no_grad()
def test_the_short_way_is_the_module_s_own_answer(more, skips):
    tower = tower_of(**more)
    pixels = torch.randn(3, 3, 32, 32)
    seen = []

    def look(site, x):
        seen.append((site, x.shape[1]))
        return x

    assert tower.skips == skips
    found = tower.run(tower.start(pixels), 0, look, watched=())
    torch.testing.assert_close(found, tower.visual(pixels), atol=1e-5, rtol=1e-4)
    sites = [site for site, _ in seen]
    assert ("resid_post.2" in sites) != skips and "resid_pre.2" in sites
    whole = tower.run(tower.start(pixels), 0, look)
    torch.testing.assert_close(found, whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("site", ["head_out.2", "mlp_post.2", "resid_post.2"])
@torch.no_grad()
def test_who_looks_into_the_last_block_sees_all_tokens(site):
    tower, seen = tower_of(), {}
    tower.run(tower.start(torch.randn(1, 3, 32, 32)), 0, lambda s, x: seen.setdefault(s, x), {site})
    assert seen[site].shape[1] == 17


@torch.no_grad()
def test_rows_that_end_short_and_rows_that_do_not_share_a_batch(tiny_house):
    config, base = read_config(tiny_house)
    served = serve("tiny", config.models["tiny"], base, "test")
    tower = served.loaded.tower
    moves = [
        None,
        ("resid_post.0", Neuron(index=3)),
        ("resid_pre.2", Neuron(index=5)),
        ("head_out.2", Head(index=1)),
        ("mlp_post.2", Neuron(index=9)),
        ("resid_post.2", Feature(dictionary="last", index=7)),
        ("embedding", Neuron(index=2)),
    ]
    sets = [
        SteerSet(edits=(Edit(site=m[0], unit=m[1], op=Scale(m=-1)),) if m else ()) for m in moves
    ]
    for several in itertools.combinations(range(len(sets)), 3):
        rows = [Row(f"{i}", torch.randn(3, 32, 32), sets[i]) for i in several]
        found = DirectKernel().embed(served, rows)
        for row, embedding in zip(rows, found, strict=True):
            alone = tower.run(
                tower.start(row.pixels[None]),
                0,
                lambda site, x, row=row: served.editor.at(site, x, [row.steer]),
            )
            right = torch.nn.functional.normalize(alone[0], dim=-1)
            torch.testing.assert_close(embedding, right, atol=1e-5, rtol=1e-4)
