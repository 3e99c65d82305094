"""Baked weights refined by gradient: what regression leaves, taught by the live recipe.

The regression of ``bake`` makes changes alike at every token, whatever comes of them. An answer
hangs on few: near the border a half of the change moves nothing. And a condition on the whole
picture needs attention, which no output projection has. So all weights of the blocks from the
first edited one on are taught on the fitting pictures to say what the live recipe says:

    J = s * mean over changed of K + (1 - s) * mean over the rest of K,   K = KL(p_live, p_baked)

(knowledge distillation, Hinton et al., arXiv 1503.02531). Changed are pictures whose answer the
live recipe changes; on the rest p_live is what holds the model where it was. Beside them stand
mixed pictures, of which a rectangle of patches is another's, as they enter the first edited block
(Beyer et al., arXiv 2106.05237: a student who sees much that the teacher answers learns the
function, not the pictures). What is judged and kept is a running mean of the weights, that of the
smallest J on pictures held out, which never teach; at first the regression's own. Letters: ``n``
picture, ``t`` token, ``d`` width, ``c`` class.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from steerboard.analysis.evidence.answers import chunks
from steerboard.analysis.evidence.pictures import Picture
from steerboard.model.load import LoadedModel
from steerboard.model.tower import Tower, Visit, block_of, unvisited
from steerboard.recipe.apply import Dictionaries, editor, opened
from steerboard.recipe.bake import CHUNK, held_out
from steerboard.recipe.baked import Baked, projected, with_weights
from steerboard.spec.base import Spec
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.recipe import Recipe
from steerboard.spec.requests import Classifier, Prompts

SHARE, MIXED = 0.2, 0.5  # of J that changed pictures have; what mixed ones weigh beside it
CHANGED, OTHERS, MIXTURES = 8, 20, 28  # pictures of a batch
RATE, WARM, MEAN = 2.5e-4, 0.1, 0.99  # Adam's at its highest; share of steps till then; of the mean
LOOKS = 8  # at the pictures held out, while it is taught
MOST_BYTES = 4 * 2**30  # of activations in memory


class Refined(Spec):
    """J on held-out pictures before and after; ``kept`` is the step whose weights were kept.

    ``size`` is the norm of the change of all taught weights over the norm of these.
    """

    steps: int
    kept: int
    before: float
    after: float
    pictures: int
    changed: int
    size: float


@dataclass(frozen=True, eq=False)
class Course:
    """What is taught: inputs ``x [n, t, d]`` of block ``first``, and what the live recipe says.

    ``said`` are log probabilities ``[n, c]``; ``unseen`` pictures only judge.
    """

    teacher: Tower
    live: Visit
    head: tuple[Tensor, Tensor]
    first: int
    x: Tensor
    said: Tensor
    changed: Tensor
    unseen: Tensor

    def kinds(self, unseen: bool) -> list[tuple[float, int, Tensor]]:
        """Share, pictures of a batch and numbers of the changed and of the rest; those there are.

        Of those held out, or of those that teach.
        """
        own = self.unseen == unseen
        both = (
            (SHARE, CHANGED, own & self.changed),
            (1 - SHARE, OTHERS, own & ~self.changed),
        )
        return [(s, size, which.nonzero().flatten()) for s, size, which in both if which.any()]

    def says(self, tower: Tower, x: Tensor) -> Tensor:
        """What a tower says of inputs ``x [n, t, d]``, ``[n, c]``."""
        return says(tower, self.head, x, self.first)

    @torch.no_grad()
    def judged(self, tower: Tower) -> float:
        """J on the pictures held out."""
        return sum(
            share * float(torch.cat([self._apart(tower, p) for p in which.split(CHUNK)]).mean())
            for share, _, which in self.kinds(unseen=True)
        )

    def _apart(self, tower: Tower, which: Tensor) -> Tensor:
        return apart(self.said[which], self.says(tower, self.x[which]))

    @torch.no_grad()
    def answer(self, x: Tensor) -> Tensor:
        """What the live recipe says of any inputs, ``[n, c]``."""
        return says(self.teacher, self.head, x, self.first, self.live)


def refine(
    loaded: LoadedModel,
    recipe: Recipe,
    dictionaries: Dictionaries,
    pictures: Sequence[Picture],
    baked: Baked,
    steps: int,
    rate: float = RATE,
) -> tuple[Baked, Refined]:
    """Teach what ``bake`` found for ``steps`` batches; the model is not changed.

    Raises:
        InvalidRequest: No picture whose answer the recipe changes, or too many to hold.
    """
    course = course_of(loaded, recipe, dictionaries, pictures)
    student = with_weights(loaded, projected(loaded, baked))
    own = {id(p) for block in student.blocks[course.first :] for p in block.parameters()}
    taught_ = {n: p for n, p in student.visual.named_parameters() if id(p) in own}
    before = {name: p.detach().clone() for name, p in loaded.clip.visual.named_parameters()}
    kept, scores = taught(course, student, taught_, steps, rate)
    found = {name: p.detach() for name, p in taught_.items()}
    moved = sum(float((p - before[n]).square().sum()) for n, p in found.items())
    whole = sum(float(before[n].square().sum()) for n in found)
    told = Refined(
        steps=steps, kept=kept, before=scores[0], after=min(scores), pictures=len(course.x),
        changed=int(course.changed.sum()), size=(moved / max(whole, 1e-30)) ** 0.5,
    )  # fmt: skip
    return Baked({}, baked.fits, found, baked.gates), told


def taught(
    course: Course, student: Tower, own: Mapping[str, Tensor], steps: int, rate: float
) -> tuple[int, list[float]]:
    """Leave the best weights in ``student``; their step, and J held out at each look."""
    weights = [p.requires_grad_() for p in own.values()]
    optimiser = torch.optim.Adam(weights, rate, betas=(0.9, 0.99))
    falling = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps + 1, pct_start=WARM)
    mean = [p.detach().clone() for p in weights]
    best, kept, scores = [m.clone() for m in mean], 0, [course.judged(student)]
    every = max(1, steps // LOOKS)
    lessons = lessons_of(course, student)
    for step in range(1, steps + 1):
        optimiser.zero_grad()
        next(lessons).backward()
        optimiser.step()
        falling.step()
        lasting = min(MEAN, step / (step + 4))
        for m, p in zip(mean, weights, strict=True):
            m.mul_(lasting).add_(p.detach(), alpha=1 - lasting)
        if step % every == 0 or step == steps:
            with exchanged(weights, mean):
                scores.append(course.judged(student))
            if scores[-1] <= min(scores):
                best, kept = [m.clone() for m in mean], step
    with torch.no_grad():
        for p, b in zip(weights, best, strict=True):
            p.requires_grad_(False).copy_(b)
    return kept, scores


@contextmanager
def exchanged(weights: Sequence[Tensor], others: Sequence[Tensor]) -> Iterator[None]:
    """The values of ``others`` in the place of ``weights`` while inside."""
    held = [p.detach().clone() for p in weights]
    put(weights, others)
    try:
        yield
    finally:
        put(weights, held)


@torch.no_grad()
def put(weights: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Copy values into weights."""
    for p, value in zip(weights, values, strict=True):
        p.copy_(value)


def lessons_of(course: Course, student: Tower) -> Iterator[Tensor]:
    """J on one batch after the other, for ever."""
    generator = torch.Generator().manual_seed(0)
    kinds = [(s, drawn(which, size, generator)) for s, size, which in course.kinds(unseen=False)]
    both = (course.unseen == 0).nonzero().flatten()
    pairs = drawn(both, MIXTURES, generator), drawn(both, MIXTURES, generator)
    while True:
        parts = [(share, next(part)) for share, part in kinds]
        plain = torch.cat([which for _, which in parts])
        x = mixed(course, next(pairs[0]), next(pairs[1]), generator)
        found = course.says(student, torch.cat([course.x[plain], x]))
        off = apart(torch.cat([course.said[plain], course.answer(x)]), found)
        *kls, strange = off.split([*(len(which) for _, which in parts), len(x)])
        own = [share * kl.mean() for (share, _), kl in zip(parts, kls, strict=True)]
        yield torch.stack([*own, MIXED * strange.mean()]).sum()


def drawn(which: Tensor, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """``size`` of one kind at a time, in a new order each time round, for ever."""
    while True:
        order = which[torch.randperm(len(which), generator=generator)]
        while len(order) < size:
            order = torch.cat([order, which[torch.randperm(len(which), generator=generator)]])
        yield from (part for part in order.split(size) if len(part) == size)


def mixed(course: Course, one: Tensor, two: Tensor, generator: torch.Generator) -> Tensor:
    """Inputs ``[n, t, d]`` of pictures ``one`` with a rectangle of patches of pictures ``two``."""
    rows, columns = course.teacher.grid
    places = torch.zeros(len(one), rows, columns, dtype=torch.bool)
    for place in places:
        (top, bottom), (left, right) = (
            torch.randint(0, side + 1, (2,), generator=generator).sort().values.tolist()
            for side in (rows, columns)
        )
        # Half of them are whole rows, as labels and skies are.
        across = bool(torch.rand((), generator=generator) < 1 / 2)
        place[top:bottom, slice(None) if across else slice(left, right)] = True
    own = torch.zeros(len(one), course.teacher.prefix, dtype=torch.bool)
    which = torch.cat([own, places.flatten(1)], dim=1)[..., None]
    return torch.where(which, course.x[two], course.x[one])


def apart(said: Tensor, found: Tensor) -> Tensor:
    """KL(p_live, p_baked) ``[n]`` of log probabilities ``[n, c]``."""
    return functional.kl_div(found, said, log_target=True, reduction="none").sum(1)


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
        said.append(says(tower, head, x, first, live))
        changed.append(said[-1].argmax(1) != says(tower, head, x, first).argmax(1))
    moved = torch.cat(changed)
    if not moved.any():
        raise InvalidRequest(
            f"recipe {recipe.title} changes no answer on these {len(pictures)} pictures: there is"
            " nothing to refine by; use pictures that it is for"
        )
    unseen = torch.tensor([held_out(p) for p in pictures])
    return Course(tower, live, head, first, torch.cat(inputs), torch.cat(said), moved, unseen)


def says(
    tower: Tower, head: tuple[Tensor, Tensor], x: Tensor, first: int, visit: Visit = unvisited
) -> Tensor:
    """Log probabilities ``[n, c]`` from inputs ``x [n, t, d]`` of block ``first``."""
    embeddings = functional.normalize(tower.run(x, first, visit), dim=-1)
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
