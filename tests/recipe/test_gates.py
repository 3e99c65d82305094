"""Neurons that stand for conditions: what is told of them is what the written weights do."""

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import steerboard as sb
from steerboard.model.load import LoadedModel
from steerboard.model.load import load as load_model
from steerboard.recipe import bake as baking
from steerboard.recipe.bake import bake, held_out
from steerboard.recipe.baked import Baked, write_checkpoint
from steerboard.recipe.gates import Seen, conditions, fitted, slopes_of
from steerboard.recipe.making import make
from steerboard.spec.edits import Add, Condition, Direction, Edit, Mask, Scale, SteerSet
from steerboard.spec.recipe import Recipe
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor

PUSH = Direction(values=Tensor.of(np.random.default_rng(4).normal(size=24)))
PROMPTS = sb.Prompts(prompts=("cat", "dog", "horse", "boat"), template="a {}")


@dataclass(frozen=True)
class Drawn:
    """A picture of coarse random colours."""

    key: str
    data: bytes
    label: str = "cat"
    sha256: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


def drawn(number: int) -> Drawn:
    colours = np.random.default_rng(number).integers(0, 256, (3, 3, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(colours).resize((32, 32), Image.Resampling.BICUBIC).save(file, "PNG")
    return Drawn(str(number), file.getvalue())


@pytest.fixture(scope="module")
def pictures() -> list[Drawn]:
    return [drawn(i) for i in range(320)]


@pytest.fixture(scope="module")
def loaded(tiny_house: Path) -> LoadedModel:
    return load_model(tiny_house / "model")


def behind(loaded: LoadedModel, pictures: list[Drawn], name: str) -> torch.Tensor:
    """What a module of open_clip's own tower gives (``.output``) or is given (``.input``)."""
    path, _, which = name.rpartition(".")
    module, kept = loaded.clip.visual.get_submodule(path), []
    handle = module.register_forward_hook(
        lambda _m, given, out: kept.append(given[0] if which == "input" else out)
    )
    with torch.inference_mode():
        loaded.clip.encode_image(torch.stack([loaded.pixels(p.data) for p in pictures]))
    handle.remove()
    return kept[0]


def gated(runner: Runner, loaded: LoadedModel, pictures: list[Drawn], per: str = "token") -> Recipe:
    """A push of the class token behind block 0 on half of the pictures, where they differ most."""
    seen = behind(loaded, pictures, "transformer.resblocks.0.output")[:, 0]
    most = torch.linalg.svd(seen - seen.mean(0), full_matrices=False).Vh[0]
    only = Condition(
        unit=Direction(values=Tensor.of(most)), tau=float((seen @ most).median()), per=per
    )
    edit = Edit(
        site="resid_post.0", unit=PUSH, op=Add(alpha=1.0), mask=Mask(kind="prefix"), condition=only
    )
    return make(runner, "gated", "tiny", SteerSet(edits=(edit,)), PROMPTS)


def line(recipe: Recipe) -> tuple[torch.Tensor, float]:
    """Direction ``[d]`` and tau of the recipe's condition."""
    only = recipe.steer.edits[0].condition
    assert only is not None and isinstance(only.unit, Direction)
    values = torch.from_numpy(only.unit.values.numpy().copy()).float()
    return values / values.norm(), only.tau


@pytest.fixture(scope="module")
def recipe(runner: Runner, loaded: LoadedModel, pictures: list[Drawn]) -> Recipe:
    return gated(runner, loaded, pictures)


@pytest.fixture(scope="module")
def baked(loaded: LoadedModel, recipe: Recipe, pictures: list[Drawn]) -> Baked:
    return bake(loaded, recipe, {}, pictures, 2)


def test_a_gate_says_what_the_condition_says_as_often_as_is_told(
    loaded: LoadedModel, recipe: Recipe, baked: Baked, pictures: list[Drawn], tiny_house: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    """The second way: the written checkpoint's own neurons, and the old one's class token."""
    (gate,) = baked.gates
    write_checkpoint(tiny_house / "model", tmp_path / "new", loaded, baked)
    unseen = [p for p in pictures if held_out(p)]
    new = load_model(tmp_path / "new")
    one, two = gate.neurons
    hidden = behind(new, unseen, "transformer.resblocks.0.mlp.c_proj.input")
    step = hidden[..., one] - hidden[..., two]
    read = behind(loaded, unseen, "transformer.resblocks.0.output")[:, 0]
    holds = read @ line(recipe)[0] > line(recipe)[1]
    assert 0 < int(holds.sum()) < len(unseen)
    agrees = ((step[:, 0] > 0.5) == holds).double().mean()
    assert gate.agrees == pytest.approx(float(agrees), abs=1e-9) and gate.agrees >= 0.9
    # A step, and no slope: few tokens lie on it.
    between = ((step[:, 0] > 0.1) & (step[:, 0] < 0.9)).double().mean()
    assert float(between) < 0.3, float(between)
    assert float(step.min()) > -0.2 and float(step.max()) < 1.2
    assert float((step[:, 1:] > 0.5).double().mean()) == pytest.approx(gate.astray, abs=1e-2)


def test_pushes_under_gates_leave_nothing_to_regress_and_r2_is_of_the_whole_change(
    loaded: LoadedModel, recipe: Recipe, baked: Baked, pictures: list[Drawn], tiny_house: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    (fit,) = baked.fits
    assert not baked.added and fit.ridge == 0
    write_checkpoint(tiny_house / "model", tmp_path / "new", loaded, baked)
    unseen = [p for p in pictures if held_out(p)]
    where = "transformer.resblocks.0.output"
    old, new = behind(loaded, unseen, where), behind(load_model(tmp_path / "new"), unseen, where)
    push = torch.from_numpy(PUSH.values.numpy().copy()).float()
    n_bar, (read, tau) = recipe.provenance.n_bar["resid_post.0"], line(recipe)
    change = torch.zeros_like(old)
    change[:, 0] = (old[:, 0] @ read > tau)[:, None] * (n_bar * push / push.norm())
    error, spread = 0.0, 0.0
    mean = torch.stack([change[:, 0].mean(0), change[:, 1:].mean((0, 1))]).mean(0)
    for part in (slice(0, 1), slice(1, None)):
        missed = (old + change - new)[:, part]
        error += float(missed.square().sum()) / missed.shape[1]
        spread += float((change[:, part] - mean).square().sum()) / missed.shape[1]
    assert fit.r2 == pytest.approx(1 - error / spread, abs=1e-3)


def test_a_regression_takes_a_sample_by_content_whatever_the_order(
    runner: Runner, loaded: LoadedModel, pictures: list[Drawn], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baking, "MOST", 40)
    mine = gated(runner, loaded, pictures, "image")
    one, two = (bake(loaded, mine, {}, p) for p in (pictures, pictures[::-1]))
    assert one.fits == two.fits and one.fits[0].pictures == 40
    assert torch.equal(one.added["resid_post.0"], two.added["resid_post.0"])


def test_a_condition_on_the_whole_picture_gets_no_gate(
    runner: Runner, loaded: LoadedModel, pictures: list[Drawn]
) -> None:
    found = bake(loaded, gated(runner, loaded, pictures, "image"), {}, pictures[:40])
    assert not found.gates and not found.weights and set(found.added) == {"resid_post.0"}


def test_what_depends_on_the_token_is_written_by_more_neurons_of_its_gate(
    runner: Runner, loaded: LoadedModel, recipe: Recipe, pictures: list[Drawn]
) -> None:
    """Scaled along one direction: one more; the regression says the rest."""
    edit = recipe.steer.edits[0].model_copy(update={"op": Scale(m=-1.0)})
    mine = make(runner, "scaled", "tiny", SteerSet(edits=(edit,)), PROMPTS)
    found = bake(loaded, mine, {}, pictures)
    (gate,) = found.gates
    assert len(gate.neurons) == 3 and set(found.added) == {"resid_post.0"}
    assert found.fits[0].ridge > 0


def test_a_change_is_the_sum_of_what_its_slopes_write() -> None:
    """Exactly, where it is linear in the input: a constant and two directions."""
    rng = torch.Generator().manual_seed(0)
    x, both = torch.randn(300, 6, generator=rng), torch.randn(2, 6, generator=rng)
    change = 2.0 + (x @ torch.randn(6, 2, generator=rng)) @ both
    own = Seen(x, torch.ones(300), x[:0], torch.ones(9), change)
    lines, pushes = slopes_of(own)
    assert len(lines) == 3
    told = torch.cat([x, torch.ones(300, 1)], 1).double() @ lines.T @ pushes
    torch.testing.assert_close(told.float(), change, rtol=1e-3, atol=1e-3)


def test_edits_of_one_condition_share_a_gate(recipe: Recipe) -> None:
    one, other_unit = recipe.steer.edits[0], Direction(values=Tensor.of(np.ones(24)))
    other = one.model_copy(update={"unit": other_unit})
    apart = one.model_copy(update={"unit": other_unit, "mask": Mask(kind="patches")})
    sets = conditions(recipe.model_copy(update={"steer": SteerSet(edits=(one, other, apart))}))
    assert [len(s.edits) for s in sets] == [2, 1]


def test_a_condition_that_cannot_be_read_is_given_no_neurons() -> None:
    rng = torch.Generator().manual_seed(0)
    x, others = torch.randn(400, 6, generator=rng), torch.randn(50, 6, generator=rng) + 9
    weight, noise = torch.tensor([3.0, 1.0, 2.0, 4.0]), torch.randn(400, generator=rng)
    push = torch.ones(400, 6)
    assert fitted(*[Seen(x, noise, others, weight, push[noise > 0])] * 2, "s", set()) is None
    read = x[:, 0] - 0.3
    told = fitted(*[Seen(x, read, others - 30, weight, push[read > 0])] * 2, "s", {1})
    assert told is not None and told[0].neurons == (2, 0) and told[0].agrees > 0.95
    # Two neurons are wanted, and one is left.
    assert fitted(*[Seen(x, read, others - 30, weight, push[read > 0])] * 2, "s", {1, 2, 0}) is None
    never = Seen(x, read - 30, others - 30, weight, push[:0])
    assert fitted(never, never, "s", set()) is None
