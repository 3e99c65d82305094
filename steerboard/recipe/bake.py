"""A recipe turned into weights: no hook, no dictionary, an ordinary open_clip checkpoint.

For each edit of a block's output, its change is ``c v`` at each token. ``v w^T`` is added to that
block's MLP output projection and ``v b`` to its bias, with (w, b) from the ridge regression of c on
the hidden activations [h, 1] (methods, section 8). A ridge solution is linear in what it predicts,
so all edits of a site are fitted at once, by their summed change ``[t, d]``:

    W = (H^T D H + lambda m I)^-1 H^T D C        H [n, h + 1], C [n, d], m the mean diagonal

D weighs prefix tokens and patches alike: patches are many, the prefix decides. lambda is chosen on
pictures that the fit did not see, and R^2 is reported on those.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from steerboard.analysis.evidence.answers import chunks
from steerboard.analysis.evidence.pictures import Picture, digest_of
from steerboard.dictionary.native import DictionaryFile
from steerboard.model.load import LoadedModel
from steerboard.model.tower import block_of
from steerboard.recipe.apply import Dictionaries, editor, opened
from steerboard.spec.base import Spec
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.recipe import Recipe

RIDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
CHUNK = 32
WEIGHTS = "open_clip_model.safetensors"


class Fit(Spec):
    """How well one block's change is predicted, on pictures that the fit did not see.

    R^2 = 1 - squared error / squared change about its mean, over all dimensions; null where the
    tokens do not change at all.
    """

    site: str
    edits: int
    ridge: float
    r2: float | None
    r2_prefix: float | None
    r2_patches: float | None
    pictures: int
    tokens: int


@dataclass(eq=False)
class Moments:
    """What ridge regression needs to know of tokens, summed: bounded however many pictures."""

    gram: Tensor  # [h + 1, h + 1]
    cross: Tensor  # [h + 1, d]
    square: Tensor  # [d]
    total: Tensor  # [d]
    weight: float = 0.0

    @classmethod
    def empty(cls, hidden: int, width: int) -> "Moments":
        """Of no token."""
        kind = torch.float64
        gram = torch.zeros(hidden + 1, hidden + 1, dtype=kind)
        cross = torch.zeros(hidden + 1, width, dtype=kind)
        return cls(gram, cross, torch.zeros(width, dtype=kind), torch.zeros(width, dtype=kind))

    def add(self, hidden: Tensor, change: Tensor, weight: float) -> None:
        """Tokens ``hidden [n, h]`` and ``change [n, d]``, each of them so heavy."""
        h = torch.cat([hidden, hidden.new_ones(len(hidden), 1)], dim=1).double()
        c = change.double()
        self.gram += weight * (h.T @ h)
        self.cross += weight * (h.T @ c)
        self.square += weight * (c * c).sum(0)
        self.total += weight * c.sum(0)
        self.weight += weight * len(h)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.gram + other.gram,
            self.cross + other.cross,
            self.square + other.square,
            self.total + other.total,
            self.weight + other.weight,
        )

    def solve(self, ridge: float) -> Tensor:
        """``W [h + 1, d]``."""
        size = len(self.gram)
        lift = ridge * self.gram.diagonal().mean()
        found: Tensor = torch.linalg.solve(
            self.gram + lift * torch.eye(size, dtype=torch.float64), self.cross
        )
        return found

    def r2(self, solution: Tensor) -> float | None:
        """1 - error / spread of ``solution`` on these tokens; None where nothing spreads."""
        error = (self.square - 2 * (solution * self.cross).sum(0)).sum()
        error = error + torch.einsum("hd,hg,gd->", solution, self.gram, solution)
        spread = (self.square - self.total**2 / max(self.weight, 1e-30)).sum()
        return float(1 - error / spread) if spread > 1e-12 else None


@dataclass(eq=False)
class Tokens:
    """Moments of prefix tokens and of patches, of fitting and of held-out pictures."""

    parts: dict[tuple[str, bool], Moments] = field(default_factory=dict)
    counted: int = 0

    def add(self, hidden: Tensor, change: Tensor, prefix: int, unseen: bool) -> None:
        """One picture's ``[t, h]`` and ``[t, d]``; each kind of token weighs 1 a picture."""
        self.counted += len(hidden)
        for kind, part in (("prefix", slice(0, prefix)), ("patches", slice(prefix, None))):
            h, c = hidden[part], change[part]
            if len(h):
                empty = Moments.empty(h.shape[1], c.shape[1])
                self.parts.setdefault((kind, unseen), empty).add(h, c, 1 / len(h))

    def of(self, unseen: bool, kinds: Sequence[str] = ("prefix", "patches")) -> Moments:
        """The sum of some."""
        found = [self.parts[k, unseen] for k in kinds if (k, unseen) in self.parts]
        total = found[0]
        for moments in found[1:]:
            total = total + moments
        return total


@dataclass(frozen=True, eq=False)
class Baked:
    """What is added to each site's output projection (``[h + 1, d]``), and how well it fits."""

    added: Mapping[str, Tensor]
    fits: tuple[Fit, ...]


def bake(
    loaded: LoadedModel, recipe: Recipe, dictionaries: Dictionaries, pictures: Iterable[Picture]
) -> Baked:
    """Fit what each edited block's MLP must add; the model is not changed.

    Raises:
        InvalidRequest: An edit that is not at a block's output, or a block whose MLP does not end
            in one linear layer.
    """
    sites = baked_sites(loaded, recipe)
    files = {pin.id: opened(pin, dictionaries) for pin in recipe.provenance.dictionaries}
    tables = {site: Tokens() for site in sites}
    count = 0
    for part in chunks(pictures, CHUNK):
        for site, hidden, change in harvest(loaded, recipe, files, part, sites):
            for picture, h, c in zip(part, hidden, change, strict=True):
                tables[site].add(h, c, loaded.tower.prefix, held_out(picture))
        count += len(part)
    if count < 8 or len({unseen for t in tables.values() for _, unseen in t.parts}) < 2:
        raise InvalidRequest(f"{count} pictures are too few to fit weights on: use at least 8")
    solved = {site: solve(site, recipe, tables[site], count) for site in sites}
    return Baked({s: w for s, (w, _) in solved.items()}, tuple(f for _, f in solved.values()))


def held_out(picture: Picture) -> bool:
    """A quarter of the pictures, by their content: an order such as twin after twin misleads."""
    return int(digest_of(picture)[:8], 16) % 4 == 3


def baked_sites(loaded: LoadedModel, recipe: Recipe) -> list[str]:
    """The edited sites, all of them block outputs with a linear layer before; else refuse."""
    sites = list(dict.fromkeys(edit.site for edit in recipe.steer.edits))
    for site in sites:
        if not site.startswith("resid_post."):
            raise InvalidRequest(
                f"an edit at {site} cannot be baked: only edits of a block's output"
                " (resid_post.L) can become part of its MLP"
            )
        projection(loaded, site)
    return sites


def projection(loaded: LoadedModel, site: str) -> tuple[Any, Tensor | None]:
    """The linear layer before a block's output, and the LayerScale behind it (None: none)."""
    passes: Any = getattr(loaded.tower, "passes", None)
    own = passes[block_of(site, len(passes))] if passes is not None else None
    output = getattr(own.mlp, "output", None) if own is not None else None
    after: Any = getattr(own, "after_mlp", None)
    plain = isinstance(after, torch.nn.Identity)
    gamma = getattr(after, "gamma", None)
    if not isinstance(output, torch.nn.Linear) or not (plain or gamma is not None):
        raise InvalidRequest(
            f"the block before {site} does not end in one linear layer of its MLP: this model's"
            " recipes can be applied (steerboard.apply), not baked"
        )
    return output, gamma


@torch.inference_mode()
def harvest(
    loaded: LoadedModel,
    recipe: Recipe,
    files: Mapping[str, DictionaryFile],
    pictures: Sequence[Picture],
    sites: Sequence[str],
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Of each site the hidden neurons ``[b, t, h]`` and the live change ``[b, t, d]``."""
    edit = editor(loaded.tower, recipe, files)
    hidden: dict[str, Tensor] = {}
    found: list[tuple[str, Tensor, Tensor]] = []

    def visit(site: str, x: Tensor) -> Tensor:
        if site.startswith("mlp_post."):
            hidden[site.partition(".")[2]] = x
        change = edit.change(site, x, [recipe.steer] * len(x)) if site in sites else None
        if change is None:
            return x
        found.append((site, hidden[site.partition(".")[2]], change))
        return x + change

    pixels = torch.stack([loaded.pixels(p.data, p.key) for p in pictures])
    loaded.tower.run(loaded.tower.start(pixels), 0, visit)
    yield from found


def solve(site: str, recipe: Recipe, tokens: Tokens, pictures: int) -> tuple[Tensor, Fit]:
    """The ridge that predicts the held-out pictures best, then the fit over all of them."""
    seen, unseen = tokens.of(False), tokens.of(True)
    tried = {ridge: seen.solve(ridge) for ridge in RIDGES}
    scores = {ridge: unseen.r2(w) for ridge, w in tried.items()}
    best = {r: -float("inf") if score is None else score for r, score in scores.items()}
    ridge = max(RIDGES, key=lambda r: best[r])
    kinds = [k for k, unseen in tokens.parts if unseen]
    each = {k: tokens.of(True, [k]).r2(tried[ridge]) for k in kinds}
    fit = Fit(
        site=site,
        edits=sum(e.site == site for e in recipe.steer.edits),
        ridge=ridge,
        r2=scores[ridge],
        r2_prefix=each.get("prefix"),
        r2_patches=each.get("patches"),
        pictures=pictures,
        tokens=tokens.counted,
    )
    return (seen + unseen).solve(ridge), fit


def write_checkpoint(source: Path, target: Path, loaded: LoadedModel, baked: Baked) -> None:
    """A copy of the model's folder whose weights hold the recipe.

    Raises:
        InvalidRequest: ``target`` is there already.
    """
    if target.exists():
        raise InvalidRequest(f"{target} is there already: choose a new folder")
    names = {id(module): name for name, module in loaded.clip.named_modules()}
    weights = load_file(source / WEIGHTS)
    for site, added in baked.added.items():
        output, gamma = projection(loaded, site)
        own = names[id(output)]
        step = added if gamma is None else added / gamma.double()
        put(weights, f"{own}.weight", step[:-1].T)
        put(weights, f"{own}.bias", step[-1])
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(WEIGHTS))
    save_file({k: v.contiguous() for k, v in weights.items()}, target / WEIGHTS)
    fits = [fit.model_dump(mode="json") for fit in baked.fits]
    (target / "steerboard_baked.json").write_text(json.dumps(fits, indent=1) + "\n")


def put(weights: dict[str, Tensor], name: str, step: Tensor) -> None:
    """Add to one tensor in its own precision; raises InvalidRequest where there is no bias."""
    if name not in weights:
        raise InvalidRequest(f"the checkpoint has no {name}: this layer cannot take the recipe")
    held = weights[name]
    weights[name] = (held.double() + step.to(held.device)).to(held.dtype)
