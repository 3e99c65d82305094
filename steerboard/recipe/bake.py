"""A recipe turned into weights: no hook, no dictionary, an ordinary open_clip checkpoint.

For each edit of a block's output, its change is ``c v`` at each token. ``v w^T`` is added to that
block's MLP output projection and ``v b`` to its bias, with (w, b) from the ridge regression of c on
the hidden activations [h, 1] (methods, section 8). A ridge solution is linear in what it predicts,
so all edits of a site are fitted at once, by their summed change ``[t, d]``:

    W = (H^T D H + lambda m I)^-1 H^T D C        H [n, h + 1], C [n, d], m the mean diagonal

D weighs prefix tokens and patches alike: patches are many, the prefix decides. lambda is chosen on
pictures that the fit did not see, and R^2 is reported on those.

What one block's neurons cannot say the blocks behind may: by then attention has carried a condition
on the whole picture to every token. So each of ``further`` blocks is given, in the same way, what
the baked pass still lacks of the live one at its output.

Neurons for conditions on single tokens are made first (``gates``). Where these say all that there
is to say, constant pushes, nothing is regressed: what is left are the gates' own errors.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from steerboard.analysis.evidence.answers import chunks
from steerboard.analysis.evidence.pictures import Picture, digest_of
from steerboard.dictionary.native import DictionaryFile
from steerboard.model.load import LoadedModel
from steerboard.model.tower import Tower, block_of
from steerboard.recipe.apply import Dictionaries, editor, opened
from steerboard.recipe.baked import Baked, Fit, projection, with_weights
from steerboard.recipe.gates import Gate, conditions, gates
from steerboard.recipe.moments import Tokens
from steerboard.spec.edits import Add
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.recipe import Recipe

RIDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
CHUNK = 32
LEAST, MOST = 8, 3000  # pictures: those beyond add little to a regression


def bake(
    loaded: LoadedModel,
    recipe: Recipe,
    dictionaries: Dictionaries,
    pictures: Iterable[Picture],
    further: int = 0,
) -> Baked:
    """Fit what each edited block's MLP must add; the model is not changed.

    Args:
        loaded: The model that the recipe is for.
        recipe: Its edits are at blocks' outputs.
        dictionaries: See ``steerboard.apply``.
        pictures: To fit on, ``MOST`` of them by their content; a quarter of those only judges.
        further: Blocks behind the last edited one that mend what is left over, at most.

    Raises:
        InvalidRequest: An edit that is not at a block's output, or a block whose MLP does not end
            in one linear layer.
    """
    sites = baked_sites(loaded, recipe, further)
    files = {pin.id: opened(pin, dictionaries) for pin in recipe.provenance.dictionaries}
    pictures = sorted(pictures, key=digest_of)[:MOST]
    if len(pictures) < LEAST or len({held_out(p) for p in pictures}) < 2:
        raise InvalidRequest(
            f"{len(pictures)} pictures are too few to fit weights on: use at least {LEAST}"
        )
    weights, made = gates(loaded, recipe, files, pictures, [held_out(p) for p in pictures])
    gated = regressed(loaded, recipe, files, pictures, sites, weights, made)
    if not made:
        return gated
    edited = [site for site in sites if any(e.site == site for e in recipe.steer.edits)]
    plain = regressed(loaded, recipe, files, pictures, edited, {}, ())
    if worth(gated) > worth(plain):
        return gated
    return regressed(loaded, recipe, files, pictures, sites, {}, ())


def worth(baked: Baked) -> float:
    """The smallest R^2 of an edited site, on held-out pictures: gates are kept if they raise it."""
    return min(-float("inf") if f.r2 is None else f.r2 for f in baked.fits if f.edits)


def regressed(
    loaded: LoadedModel,
    recipe: Recipe,
    files: Mapping[str, DictionaryFile],
    pictures: Sequence[Picture],
    sites: Sequence[str],
    weights: Mapping[str, Tensor],
    made: tuple[Gate, ...],
) -> Baked:
    """What the blocks before ``sites`` must add to a tower with ``weights`` and gates."""
    student = with_weights(loaded, weights)
    closed = frozenset(g.site for g in made if pushes_alone(recipe, made, g.site))
    if all(e.site in closed for e in recipe.steer.edits):
        sites = [site for site in sites if site in closed]
    added: dict[str, Tensor] = {}
    fits = []

    def tokens_at(site: str, tower: Tower) -> Tokens:
        tokens = Tokens()
        for part in chunks(pictures, CHUNK):
            hidden, change = harvest(loaded, tower, recipe, files, part, site, added)
            unseen = torch.tensor([held_out(picture) for picture in part])
            tokens.add(hidden, change, loaded.tower.prefix, unseen)
        return tokens

    for site in sites:
        tokens = tokens_at(site, student)
        change = tokens_at(site, loaded.tower) if any(g.site == site for g in made) else tokens
        step, fit = solve(site, recipe, tokens, change, len(pictures), site in closed)
        # A block behind that mends nothing on pictures it has not seen is left as it is.
        if site not in closed and (fit.edits or (fit.r2 or 0.0) > 0):
            added[site] = step
        fits.append(fit)
    return Baked(added, tuple(fits), weights, made)


def pushes_alone(recipe: Recipe, made: Sequence[Gate], site: str) -> bool:
    """Whether gates say all that the edits of a site do: constant pushes, each under a gate."""
    own = [edit for edit in recipe.steer.edits if edit.site == site]
    kinds = [s for s in conditions(recipe) if s.edits[0].site == site]
    under = sum(len(s.edits) for s in kinds)
    gated = sum(gate.site == site for gate in made)
    return (
        all(isinstance(edit.op, Add) for edit in own) and under == len(own) and gated == len(kinds)
    )


def held_out(picture: Picture) -> bool:
    """A quarter of the pictures, by their content: an order such as twin after twin misleads."""
    return int(digest_of(picture)[:8], 16) % 4 == 3


def baked_sites(loaded: LoadedModel, recipe: Recipe, further: int = 0) -> list[str]:
    """The edited sites and the next ones, block outputs with a linear layer before; else refuse."""
    for edit in recipe.steer.edits:
        if not edit.site.startswith("resid_post."):
            raise InvalidRequest(
                f"an edit at {edit.site} cannot be baked: only edits of a block's output"
                " (resid_post.L) can become part of its MLP"
            )
    blocks = len(loaded.tower.blocks)
    edited = {block_of(edit.site, blocks) for edit in recipe.steer.edits}
    behind = range(max(edited) + 1, min(blocks, max(edited) + 1 + further))
    sites = [f"resid_post.{block}" for block in sorted({*edited, *behind})]
    for site in sites:
        projection(loaded, site)
    return sites


class Adding:
    """A visitor of the pass: what is baked so far, added to blocks' outputs.

    Attributes:
        added: ``[h + 1, d]`` by site.
        hidden: The neurons ``[b, t, h]`` of the block that was last met.
    """

    def __init__(self, added: Mapping[str, Tensor]) -> None:
        self.added, self.hidden = added, Tensor()

    def __call__(self, name: str, x: Tensor) -> Tensor:
        """``x [b, t, d]`` as it goes on."""
        if name.startswith("mlp_post."):
            self.hidden = x
        step = self.added.get(name)
        return x if step is None else x + self.hidden @ step[:-1].to(x) + step[-1].to(x)


@torch.inference_mode()
def harvest(
    loaded: LoadedModel,
    student: Tower,
    recipe: Recipe,
    files: Mapping[str, DictionaryFile],
    pictures: Sequence[Picture],
    site: str,
    added: Mapping[str, Tensor],
) -> tuple[Tensor, Tensor]:
    """Hidden neurons ``[b, t, h]`` of the baked pass, and what it lacks at ``site`` ``[b, t, d]``.

    ``student`` is the tower that is baked into, ``added`` what is baked so far. Where nothing
    but a prefix is read, patches are left out.
    """
    edit, tower = editor(loaded.tower, recipe, files), loaded.tower
    baked = Adding(added)

    def live(name: str, x: Tensor) -> Tensor:
        return edit.at(name, x, [recipe.steer] * len(x))

    last = block_of(site, len(tower.blocks))
    start = tower.start(torch.stack([loaded.pixels(p.data, p.key) for p in pictures]))
    one, two = start, start
    for index in range(last + 1):
        one, two = tower.block(one, index, live), student.block(two, index, baked)
    read = None if tower.patches_read(site) else tower.prefix
    return baked.hidden[:, :read], (one - two)[:, :read]


def solve(
    site: str, recipe: Recipe, tokens: Tokens, change: Tokens, pictures: int, closed: bool
) -> tuple[Tensor, Fit]:
    """The ridge that predicts the held-out pictures best, then the fit over all of them.

    R^2 is of the whole ``change``, of which ``tokens`` are what gates leave over; where a site is
    ``closed`` nothing comes on top of them, and the ridge is 0.
    """
    seen, unseen = tokens.of(False), tokens.of(True)
    none = {0.0: torch.zeros_like(seen.cross)}
    tried = none if closed else {ridge: seen.solve(ridge) for ridge in RIDGES}
    scores = {ridge: unseen.r2(w, change.of(True)) for ridge, w in tried.items()}
    best = {r: -float("inf") if score is None else score for r, score in scores.items()}
    ridge = max(tried, key=lambda r: best[r])
    kinds = [k for k, unseen in tokens.parts if unseen]
    each = {k: tokens.of(True, [k]).r2(tried[ridge], change.of(True, [k])) for k in kinds}
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
    return none[0.0] if closed else (seen + unseen).solve(ridge), fit
