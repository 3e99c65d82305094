"""Every method, kind of unit and target end to end: in this process, checked against steering."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steerboard.analysis.methods import locate
from steerboard.attribution.registry import METHODS
from steerboard.inprocess.runner import LocalRunner, open_local
from steerboard.spec.answers import Attribution
from steerboard.spec.edits import (
    Direction,
    Edit,
    Feature,
    Head,
    Mask,
    Neuron,
    Part,
    Scale,
    SteerSet,
    Unit,
)
from steerboard.spec.errors import EmptyMask, InvalidRequest, NotFound
from steerboard.spec.methods import METHODS as BY_NAME
from steerboard.spec.requests import (
    Attribute,
    Cosine,
    Encoded,
    Logit,
    LogProb,
    Margin,
    ProbeOutput,
    Prompts,
    Steer,
    UnitActivation,
)
from steerboard.spec.tensor import Tensor

PROMPTS = Prompts(prompts=("cat", "dog", "horse", "boat"), template="a {}")
ROWS = Tensor.of(np.random.default_rng(0).normal(size=(3, 24)))
PROBE = ProbeOutput(weight=Tensor.of(np.random.default_rng(1).normal(size=16)), bias=0.5)
KINDS: dict[str, dict[str, Any]] = {
    "features": {"dictionary": "middle"},
    "neurons": {"units": "neuron", "site": "mlp_post.1"},
    "heads": {"units": "head", "site": "head_out.1"},
    "directions": {"units": "direction", "site": "resid_post.1", "directions": ROWS},
}
PLACES = {"features": "resid_post.1", "neurons": "mlp_post.1", "heads": "head_out.1"}
CORNER = Mask(kind="patches", cells=((0, 0),))
TARGETS = [Logit(index=1), Margin(index=1, against=2), Cosine(index=1), LogProb(index=1), PROBE]


@pytest.fixture(scope="module")
def runner(tiny_house: Path) -> Iterator[LocalRunner]:
    found = open_local(tiny_house, "")
    yield found
    found.close()


@pytest.fixture(scope="module")
def image(tiny_images: list[bytes]) -> Encoded:
    return Encoded(data=tiny_images[0])


def ask(runner: LocalRunner, image: Encoded, **other: Any) -> tuple[Attribution, ...]:
    asked = {"model": "tiny", "images": (image,), "classifier": PROMPTS, "top_k": 200, **other}
    return runner.attribute(Attribute(**asked)).one()


def unit(kind: str, index: int) -> Unit:
    match kind:
        case "features":
            return Feature(dictionary="middle", index=index)
        case "neurons":
            return Neuron(index=index)
        case "heads":
            return Head(index=index)
    return Direction(values=Tensor.of(ROWS.numpy()[index]))


def moved(runner: LocalRunner, image: Encoded, targets: Any, *sets: SteerSet) -> np.ndarray:
    """Measured change ``[k, target]``."""
    asked = Steer(
        model="tiny", images=(image,), classifier=PROMPTS, steer_sets=sets, targets=targets
    )
    return runner.steer(asked).one().measured


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_slopes_along_each_unit_for_every_target(
    runner: LocalRunner, image: Encoded, kind: str
) -> None:
    """Route two: turn each unit a little down, and measure."""
    step, site = 0.02, PLACES.get(kind, "resid_post.1")
    found = ask(runner, image, targets=tuple(TARGETS), **KINDS[kind])
    for i, (target, one) in enumerate(zip(TARGETS, found, strict=True)):
        units = [unit(kind, int(f)) for f in one.features[:4]]
        sets = [
            SteerSet(edits=(Edit(site=site, unit=u, op=Scale(m=m)),))
            for u in units
            for m in (step, -step)
        ]
        up, down = moved(runner, image, TARGETS, *sets)[:, i].reshape(-1, 2).T
        bound = 0.03 * np.abs(one.scores).max()
        np.testing.assert_allclose((up - down) / (2 * step), one.scores[:4], atol=bound)
        assert one.target.kind == (target.kind if target.kind != "margin" else "logit")


@pytest.mark.parametrize("kind", KINDS)
def test_integrated_gradients_sum_to_the_change_from_their_baseline(
    runner: LocalRunner, image: Encoded, kind: str
) -> None:
    site, one_part = PLACES.get(kind, "resid_post.1"), KINDS[kind].get("dictionary", "")
    part = Part(of="code", dictionary=one_part) if one_part else Part(of="site")
    gaps = []
    for steps in (64, 256):
        method = {"method": "integrated_gradients", "steps": steps}
        found = ask(runner, image, targets=tuple(TARGETS), **method, **KINDS[kind])
        for one in found:
            assert one.baseline is not None
            assert one.total == pytest.approx(one.value - one.baseline, abs=1e-9)
        gaps.append([abs(float(o.scores.sum()) + o.rest - o.total) for o in found])
    # This dictionary leaves nothing over: its path begins beside 0, where a layer norm is steep.
    falls = [max(one / 4, 1e-3) for one in gaps[0]]
    assert all(after <= most * 1.1 for after, most in zip(gaps[1], falls, strict=True)), gaps
    if kind != "directions":
        off = SteerSet(edits=(Edit(site=site, unit=part, op=Scale(m=-1)),))
        change = moved(runner, image, TARGETS, off)[0]
        np.testing.assert_allclose(change, [-one.total for one in found], atol=1e-4)


def test_a_region_and_the_prefix_make_up_the_whole(runner: LocalRunner, image: Encoded) -> None:
    regions = [Mask(kind="prefix"), Mask(kind="patches", cells=((0, 0), (1, 2)))]
    rest = tuple((r, c) for r in range(4) for c in range(4) if (r, c) not in regions[1].cells)
    regions.append(Mask(kind="patches", cells=rest))
    (whole,) = ask(runner, image, dictionary="middle", maps=True)
    parts = [ask(runner, image, dictionary="middle", tokens=m)[0] for m in regions]
    assert sum(p.total for p in parts) == pytest.approx(whole.total, abs=1e-4)
    assert sum(p.error for p in parts) == pytest.approx(whole.error, abs=1e-4)
    (inside,) = ask(runner, image, dictionary="middle", tokens=regions[1], maps=True)
    lit = np.abs(inside.maps).sum(0) > 0
    assert {tuple(map(int, cell)) for cell in np.argwhere(lit)} <= set(regions[1].cells)
    wanted = dict(zip(whole.features.tolist(), whole.maps, strict=True))
    for feature, own in zip(inside.features.tolist(), inside.maps, strict=True):
        np.testing.assert_allclose(own[lit], wanted[feature][lit], atol=1e-5)


def test_an_edge_of_a_circuit_is_the_slope_of_the_later_unit(
    runner: LocalRunner, image: Encoded
) -> None:
    """Route two: by hand through the tower, in float64."""
    import torch

    served = runner._served["tiny"]
    tower, later, earlier = served.loaded.tower, served.books["last"], served.books["middle"]
    (row,) = runner._pictures.rows(served, (image,))
    x = served and tower.start(row.pixels[None])  # type: ignore[union-attr]
    for index in range(2):
        x = tower.block(x, index)
    code = earlier.encode(x[0]).detach().requires_grad_()
    seen = earlier.decode(code, x[0])
    after = tower.block((seen + (x[0] - seen).detach())[None], 2)
    activation = later.encode(after[0])[0, 7]  # the dictionary lives on the prefix token
    (slope,) = torch.autograd.grad(activation, code)
    expected = (code * slope).sum(0).detach().numpy()
    target = UnitActivation(site="resid_post.2", unit=Feature(dictionary="last", index=7))
    (found,) = ask(runner, image, dictionary="middle", targets=(target,))
    assert found.value == pytest.approx(float(activation.detach()), rel=1e-4)
    np.testing.assert_allclose(found.scores, expected[found.features], atol=1e-4, rtol=1e-3)
    (walked,) = ask(
        runner, image, dictionary="middle", targets=(target,), method="integrated_gradients"
    )
    assert float(walked.scores.sum()) + walked.rest == pytest.approx(walked.total, abs=0.05)


@pytest.mark.parametrize("name", [n for n, m in BY_NAME.items() if m.side != "set"])
def test_what_stands_beside_the_scores_adds_up_with_them_or_is_not_there(
    runner: LocalRunner, image: Encoded, name: str
) -> None:
    """Two units listed, the others in the rest; the steps of a path are many."""
    many = {"steps": 256} if name == "integrated_gradients" else {}
    asked = {"model": "tiny", "images": (image,), "classifier": PROMPTS, "dictionary": "last"}
    found = locate(runner, Attribute(**asked, method=name, top_k=2, targets=(TARGETS[1],), **many))
    known = dict(found.rows)
    if not BY_NAME[name].parts:
        assert known == {}
        if BY_NAME[name].side == "model":
            (one,) = ask(runner, image, dictionary="last", method=name, top_k=2)
            assert (one.rest, one.error, one.bias, one.total, one.baseline) == (0, 0, 0, 0, None)
        return
    total, baseline = known.pop("total"), known.pop("baseline", None)
    exact = 0.02 * abs(total) if many else 1e-4  # the path begins where a layer norm is steep
    assert found.scores.sum() + sum(known.values()) == pytest.approx(total, abs=exact)
    assert len(found.scores) == 2 and (name == "shapley" or abs(known["rest"]) > 2 * exact)
    assert baseline is None or found.value == pytest.approx(baseline + total, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_answers_in_the_same_form(
    runner: LocalRunner, image: Encoded, method: str
) -> None:
    (found,) = ask(runner, image, dictionary="middle", method=method, maps=True, top_k=5)
    assert len(found.features) == 5 == len(found.maps)
    assert np.all(np.diff(np.abs(found.scores)) <= 1e-6)
    np.testing.assert_allclose(
        found.maps.sum((1, 2)) + found.prefix_scores, found.scores, atol=1e-4
    )


def test_the_lens_reads_a_direction_as_the_models_own_end_would(
    runner: LocalRunner, image: Encoded
) -> None:
    served = runner._served["tiny"]
    asked = {"units": "direction", "site": "resid_post.1", "directions": ROWS}
    (found,) = ask(runner, image, method="logit_lens", targets=(Cosine(index=2),), **asked)
    visual = served.loaded.clip.visual
    import torch

    rows = torch.nn.functional.normalize(torch.from_numpy(np.array(ROWS.numpy())), dim=-1)
    image_side = torch.nn.functional.normalize(visual.ln_post(rows) @ visual.proj, dim=-1)
    text = served.loaded.text([PROMPTS.texts()[2]])[0]
    expected = (image_side @ text).detach().numpy()
    np.testing.assert_allclose(found.scores, expected[found.features], atol=1e-5)


WRONG: dict[str, tuple[dict[str, Any], type[Exception], str, str]] = {
    "method": ({"dictionary": "middle", "method": "guess"}, InvalidRequest, "method", "gradient"),
    "composed": (
        {"dictionary": "middle", "method": "shapley"},
        InvalidRequest,
        "method",
        "shapley",
    ),
    "site": ({"units": "neuron", "site": "resid_post.9"}, NotFound, "site", "its sites are"),
    "heads": ({"units": "head", "site": "resid_post.1"}, InvalidRequest, "units", "it has"),
    "width": (
        {"units": "direction", "site": "mlp_post.1", "directions": ROWS},
        InvalidRequest,
        "directions",
        "numbers, not 24",
    ),
    "no patches": (
        {"units": "neuron", "site": "resid_post.2", "tokens": Mask(kind="patches")},
        EmptyMask,
        "tokens",
        "mark at least one patch",
    ),
    "unread": (
        {
            "units": "neuron",
            "site": "resid_post.2",
            "tokens": Mask(kind="patches", cells=((0, 0),)),
        },
        EmptyMask,
        "tokens",
        "earlier site",
    ),
    "backward edge": (
        {
            "dictionary": "middle",
            "targets": (UnitActivation(site="mlp_post.0", unit=Neuron(index=0)),),
        },
        InvalidRequest,
        "targets[0].site",
        "later",
    ),
    "probe": (
        {"dictionary": "middle", "targets": (ProbeOutput(weight=Tensor.of([1.0])),)},
        InvalidRequest,
        "targets[0].weight",
        "embeddings here have 16",
    ),
    "lens": (
        {"units": "head", "site": "head_out.1", "method": "logit_lens"},
        InvalidRequest,
        "method",
        "gradient",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_answered_is_refused_with_its_field(
    runner: LocalRunner, image: Encoded, name: str
) -> None:
    asked, kind, field, words = WRONG[name]
    with pytest.raises(kind) as caught:
        ask(runner, image, **asked)
    assert getattr(caught.value, "field", None) == field
    assert words in str(caught.value)


def test_a_unit_is_no_target_of_a_steered_answer(runner: LocalRunner, image: Encoded) -> None:
    target = UnitActivation(site="resid_post.2", unit=Neuron(index=0))
    with pytest.raises(InvalidRequest) as caught:
        moved(runner, image, (target,), SteerSet())
    assert caught.value.field == "targets[0]"
