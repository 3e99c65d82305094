"""Baked weights refined by gradient: what ridge regression leaves, taught by the live recipe.

The regression of ``bake`` makes changes alike at every token, whatever comes of them. An answer
hangs on few: near the border a half of the change moves nothing. So the same output projections,
and no other weight, are taught on the fitting pictures to say what the live recipe says:

    J = s * mean over changed of KL(p_live, p_baked) + (1 - s) * mean over the rest of it

(knowledge distillation, Hinton et al., arXiv 1503.02531). Changed are pictures whose answer the
live recipe changes; on the rest p_live is what holds the model where it was. Half of each batch is
of the one kind, half of the other. The weights kept are those of the smallest J on pictures held
out, which never teach; at first these are the regression's own. Letters: ``n`` picture, ``t``
token, ``d`` width, ``c`` class.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from steerboard.analysis.evidence.answers import chunks
from steerboard.analysis.evidence.pictures import Picture
from steerboard.model.load import LoadedModel
from steerboard.model.tower import Visit, block_of
from steerboard.recipe.apply import Dictionaries, editor, opened
from steerboard.recipe.bake import CHUNK, Adding, Baked, held_out
from steerboard.spec.base import Spec
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.recipe import Recipe
from steerboard.spec.requests import Classifier, Prompts

SHARE = 0.1  # of J that changed pictures have: with more of it the others move as well
HALF, RATE = 16, 6e-4  # of a batch
LOOKS = 10  # at the pictures held out, while it is taught
MOST_BYTES = 4 * 2**30  # of activations in memory


class Refined(Spec):
    """J on held-out pictures before and after; ``kept`` is the step whose weights were kept."""

    steps: int
    kept: int
    before: float
    after: float
    pictures: int
    changed: int


@dataclass(frozen=True, eq=False)
class Course:
    """What is taught: inputs ``x [n, t, d]`` of block ``first``, and what the live recipe says.

    ``said`` are log probabilities ``[n, c]``; ``unseen`` pictures only judge.
    """

    loaded: LoadedModel
    head: tuple[Tensor, Tensor]
    first: int
    x: Tensor
    said: Tensor
    changed: Tensor
    unseen: Tensor

    def log_p(self, added: dict[str, Tensor], which: Tensor) -> Tensor:
        """What the baked pass says of some pictures, ``[n, c]``."""
        return says(self.loaded, self.head, self.x[which], self.first, Adding(added))

    def apart(self, added: dict[str, Tensor], which: Tensor) -> Tensor:
        """KL(p_live, p_baked) of some pictures, ``[n]``."""
        found = functional.kl_div(
            self.log_p(added, which), self.said[which], log_target=True, reduction="none"
        )
        return found.sum(1)

    def kinds(self, unseen: bool) -> list[tuple[float, Tensor]]:
        """Shares and numbers of the changed pictures and of the rest; those there are.

        Of those held out, or of those that teach.
        """
        own = self.unseen == unseen
        both = ((SHARE, own & self.changed), (1 - SHARE, own & ~self.changed))
        return [(share, which.nonzero().flatten()) for share, which in both if which.any()]

    @torch.no_grad()
    def judged(self, added: dict[str, Tensor]) -> float:
        """J on the pictures held out."""
        return sum(
            share * float(torch.cat([self.apart(added, p) for p in which.split(CHUNK)]).mean())
            for share, which in self.kinds(unseen=True)
        )


def refine(
    loaded: LoadedModel,
    recipe: Recipe,
    dictionaries: Dictionaries,
    pictures: Sequence[Picture],
    baked: Baked,
    steps: int,
    rate: float = RATE,
) -> tuple[Baked, Refined]:
    """Teach what ``bake`` found for ``steps`` batches of 32 pictures; the model is not changed.

    Every block that ``bake`` looked at is taught, those too that it left as they were.

    Raises:
        InvalidRequest: No picture whose answer the recipe changes, or too many to hold.
    """
    course = course_of(loaded, recipe, dictionaries, pictures)
    hidden = {fit.site: loaded.tower.site(f"mlp_post{fit.site[10:]}").width for fit in baked.fits}
    start = {
        site: baked.added.get(site, torch.zeros(size + 1, loaded.tower.width)).float()
        for site, size in hidden.items()
    }
    added, kept, scores = taught(course, start, steps, rate)
    told = Refined(
        steps=steps, kept=kept, before=scores[0], after=min(scores), pictures=len(course.x),
        changed=int(course.changed.sum()),
    )  # fmt: skip
    return replace(baked, added={site: step.double() for site, step in added.items()}), told


def taught(
    course: Course, start: dict[str, Tensor], steps: int, rate: float
) -> tuple[dict[str, Tensor], int, list[float]]:
    """The best weights, their step, and J on held-out pictures at each look."""
    own = {site: step.clone().requires_grad_() for site, step in start.items()}
    optimiser = torch.optim.Adam(own.values(), rate)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, steps))
    best, kept, scores = start, 0, [course.judged(start)]
    every = max(1, steps // LOOKS)
    batches = [(share, drawn(which)) for share, which in course.kinds(unseen=False)]
    for step in range(1, steps + 1):
        optimiser.zero_grad()
        parts = [(share, next(part)) for share, part in batches]
        loss_of(course, own, parts).backward()
        optimiser.step()
        falling.step()
        if step % every == 0 or step == steps:
            scores.append(course.judged(own))
            if scores[-1] <= min(scores):
                best, kept = {site: w.detach().clone() for site, w in own.items()}, step
    return best, kept, scores


def loss_of(
    course: Course, added: dict[str, Tensor], parts: Sequence[tuple[float, Tensor]]
) -> Tensor:
    """J on some pictures of each kind, in one pass."""
    apart = course.apart(added, torch.cat([which for _, which in parts]))
    means = [kind.mean() for kind in apart.split([len(which) for _, which in parts])]
    return torch.stack([share * m for (share, _), m in zip(parts, means, strict=True)]).sum()


def drawn(which: Tensor) -> Iterator[Tensor]:
    """Halves of batches of one kind, in a new order each time round, for ever."""
    generator = torch.Generator().manual_seed(0)
    while True:
        yield from which[torch.randperm(len(which), generator=generator)].split(HALF)


@torch.no_grad()
def course_of(
    loaded: LoadedModel, recipe: Recipe, dictionaries: Dictionaries, pictures: Sequence[Picture]
) -> Course:
    """Runs the model up to the first edited block, and the live recipe from there."""
    tower, head = loaded.tower, head_of(loaded, recipe.classifier)
    files = {pin.id: opened(pin, dictionaries) for pin in recipe.provenance.dictionaries}
    edit = editor(tower, recipe, files)
    first = min(block_of(e.site, len(tower.blocks)) for e in recipe.steer.edits)
    within_memory(len(pictures), tower.tokens * tower.width)

    def live(name: str, x: Tensor) -> Tensor:
        return edit.at(name, x, [recipe.steer] * len(x))

    inputs, said, changed = [], [], []
    for part in chunks(pictures, CHUNK):
        x = tower.start(torch.stack([loaded.pixels(p.data, p.key) for p in part]))
        for index in range(first):
            x = tower.block(x, index)
        inputs.append(x)
        said.append(says(loaded, head, x, first, live))
        changed.append(said[-1].argmax(1) != says(loaded, head, x, first, Adding({})).argmax(1))
    moved = torch.cat(changed)
    if not moved.any():
        raise InvalidRequest(
            f"recipe {recipe.title} changes no answer on these {len(pictures)} pictures: there is"
            " nothing to refine by; use pictures that it is for"
        )
    unseen = torch.tensor([held_out(p) for p in pictures])
    return Course(loaded, head, first, torch.cat(inputs), torch.cat(said), moved, unseen)


def says(
    loaded: LoadedModel, head: tuple[Tensor, Tensor], x: Tensor, first: int, visit: Visit
) -> Tensor:
    """Log probabilities ``[n, c]`` from inputs ``x [n, t, d]`` of block ``first``."""
    embeddings = functional.normalize(loaded.tower.run(x, first, visit), dim=-1)
    return functional.log_softmax(embeddings @ head[0].T + head[1], dim=-1)


def head_of(loaded: LoadedModel, classifier: Classifier) -> tuple[Tensor, Tensor]:
    """Weight ``[c, e]`` and bias ``[c]`` of a recipe's decision, as the Runner computes it."""
    if isinstance(classifier, Prompts):
        weight = (loaded.logit_scale * loaded.text(classifier.texts())).clone()
        return weight, weight.new_zeros(len(weight))
    weight, bias = (torch.tensor(t.numpy()).float() for t in (classifier.weight, classifier.bias))
    return weight, bias


def within_memory(pictures: int, numbers: int) -> None:
    """Raises InvalidRequest where the inputs of so many pictures would fill the memory."""
    if 4 * pictures * numbers > MOST_BYTES:
        most = MOST_BYTES // (4 * numbers)
        raise InvalidRequest(
            f"{pictures} pictures are too many to refine on at once: with this model use at most"
            f" {most}"
        )
