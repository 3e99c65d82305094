"""Real models with a dictionary in the middle, as modules from a code to a margin."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from steerboard.attribution.scene import Climb, Scene
from steerboard.attribution.units import Features
from steerboard.dictionary.native import read
from steerboard.dictionary.sae import Sae
from steerboard.model.load import LoadedModel, load

DEMO = Path(__file__).parents[2] / "demo"


class Margin(torch.nn.Module):
    """From a code ``[b, t, f]`` to the margin of two texts, the error term kept."""

    def __init__(self, loaded: LoadedModel, sae: Sae, x: Tensor, block: int, alive: Tensor) -> None:
        super().__init__()
        self.loaded, self.sae, self.x, self.block = loaded, sae, x, block
        self.mask = alive[:, None].to(x)
        self.error = x - self.built(self.code())
        one, two = loaded.text(["a photo of a cat.", "a photo of a dog."]).clone()
        self.direction = loaded.logit_scale * (one - two)

    def code(self) -> Tensor:
        return self.sae.encode(self.x) * self.mask

    def built(self, code: Tensor) -> Tensor:
        return self.sae.decode(code, self.x)

    def behind(self, x: Tensor) -> Tensor:
        """The margin ``[b]`` of activations ``[b, t, d]``."""
        embedding = self.loaded.tower.run(x, self.block)
        return torch.nn.functional.normalize(embedding, dim=-1) @ self.direction

    def forward(self, code: Tensor) -> Tensor:
        return self.behind(self.built(code) + self.error)


class Straight(Margin):
    """The same activations and dictionary, and a read-out that is linear in them."""

    def behind(self, x: Tensor) -> Tensor:
        weight = torch.linspace(-1, 1, x.shape[-1]).roll(7).to(x)
        return (x * weight * torch.linspace(1, 2, x.shape[-2]).to(x)[:, None]).sum((-1, -2))


@dataclass(frozen=True)
class Stage:
    """A module and what a method sees of it; ``pixels [3, h, w]`` are those of the picture."""

    module: Margin
    pixels: Tensor

    def of_prefix(self) -> "Stage":
        """The same where only the units of prefix tokens count."""
        return self._built(Margin, torch.arange(len(self.module.x)) < self.loaded.tower.prefix)

    def straight(self) -> "Stage":
        """The same with a linear read-out."""
        return self._built(Straight, self.module.mask[:, 0] != 0)

    def at_the_end(self) -> "Stage":
        """The same behind the last block."""
        last = len(self.loaded.tower.blocks)
        x = entering(self.loaded, self.pixels, last)
        alive = torch.ones(len(x), dtype=torch.bool)
        return replace(self, module=Margin(self.loaded, self.module.sae, x, last, alive))

    @property
    def loaded(self) -> LoadedModel:
        return self.module.loaded

    def _built(self, kind: type[Margin], alive: Tensor) -> "Stage":
        own = self.module
        return replace(self, module=kind(own.loaded, own.sae, own.x, own.block, alive))

    def scene(self, steps: int = 16) -> Scene:
        module = self.module
        units, x = Features(module.sae), module.x
        built = units.built(module.code(), x)

        def slope(at: Tensor) -> Tensor:
            start = at.clone().requires_grad_()
            (found,) = torch.autograd.grad(module.behind(start).sum(), start)
            return found

        def at(alpha: float) -> Tensor:
            return (x - (1 - alpha) * built)[None]

        climb = Climb(
            lambda alpha: float(module.behind(at(alpha))),
            lambda alphas: torch.cat([slope(at(a)) for a in alphas]),
        )
        value = float(module.behind(x[None]))
        lens = x.new_zeros(module.sae.size)
        return Scene(units, x, slope(x[None])[0], module.mask, value, climb, lambda: lens, steps)

    def without(self, unit: int) -> float:
        """The margin when a unit is off."""
        code = self.module.code()
        code[:, unit] = 0
        return float(self.module(code[None]))


def entering(loaded: LoadedModel, pixels: Tensor, block: int) -> Tensor:
    """The input ``[t, d]`` of a block."""
    with torch.no_grad():
        x = loaded.tower.start(pixels[None])
        for index in range(block):
            x = loaded.tower.block(x, index)
    return x[0]


@pytest.fixture(scope="session")
def tiny_stage(tiny_house: Path) -> Stage:
    """A tiny random CLIP in float64, with a dictionary that leaves much over."""
    loaded = load(tiny_house / "model")
    loaded.clip.double()
    torch.manual_seed(3)
    shapes = ((24, 60), (60,), (60, 24), (24,))
    weights = [torch.randn(*s, dtype=torch.float64) * 0.4 for s in shapes]
    pixels = torch.randn(3, 32, 32, dtype=torch.float64)
    x = entering(loaded, pixels, 2)
    alive = torch.ones(len(x), dtype=torch.bool)
    return Stage(Margin(loaded, Sae(*weights), x, 2, alive), pixels)


@pytest.fixture(scope="session")
def emojiland_stage() -> Stage:
    """The demo's model and middle dictionary in float32, on a misled picture."""
    loaded = load(DEMO / "model")
    sae = read(DEMO / "dictionaries" / "middle.safetensors").sae
    data = (DEMO / "images" / "test" / "typographic-000.jpg").read_bytes()
    pixels = loaded.pixels(data)
    x = entering(loaded, pixels, 4)
    return Stage(Margin(loaded, sae, x, 4, torch.ones(len(x), dtype=torch.bool)), pixels)
