"""Asks a Runner about a whole set, and reads its answers as embeddings.

A probe whose weights are the identity gives the steered embedding itself, over any Runner. One
answer then serves every read-out: the recipe's classes, a wide vocabulary, the drift. Questions
go as a stream; a chunk is dropped as soon as it has been reduced, so memory does not grow with the
set. Letters: ``n`` picture, ``k`` steer set, ``e`` embedding, ``c`` class.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from steerboard.analysis.evidence.pictures import Picture, encoded
from steerboard.spec.answers import Steered
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.edits import SteerSet
from steerboard.spec.errors import SteerboardError
from steerboard.spec.requests import Classifier, Embed, Probe, Prompts, Steer
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor

Floats = npt.NDArray[np.float64]
TEXTS = 512  # a question


@lru_cache(maxsize=8)
def identity_probe(width: int) -> Probe:
    """The classifier whose logits ``[e]`` are the unit-length embedding."""
    names = tuple(str(i) for i in range(width))
    return Probe(names=names, weight=Tensor.of(np.eye(width)), bias=Tensor.of(np.zeros(width)))


@dataclass(frozen=True, eq=False)
class Readout:
    """``logits [c] = weight [c, e] . embedding + bias [c]``, as the Runner computes them."""

    names: tuple[str, ...]
    weight: Floats
    bias: Floats

    def logits(self, embeddings: npt.ArrayLike) -> Floats:
        """``[.., e]`` to ``[.., c]``."""
        found: Floats = np.asarray(embeddings, np.float64) @ self.weight.T + self.bias
        return found


def readout(runner: Runner, model: ModelInfo, classifier: Classifier) -> Readout:
    """A classifier in numpy.

    The bias of a SigLIP-type model is the same for all classes, moves no decision and no softmax,
    and is left out.
    """
    if isinstance(classifier, Prompts):
        weight = model.logit_scale * texts(runner, model.id, classifier.texts())
        return Readout(classifier.names, weight, np.zeros(len(weight)))
    weight, bias = (t.numpy().astype(np.float64) for t in (classifier.weight, classifier.bias))
    return Readout(classifier.names, weight, bias)


def texts(runner: Runner, model: str, sentences: Sequence[str]) -> Floats:
    """Unit-length text embeddings ``[c, e]``."""
    rows: list[npt.NDArray[np.float32]] = []
    for start in range(0, len(sentences), TEXTS):
        ask = Embed(model=model, texts=tuple(sentences[start : start + TEXTS]))
        rows += [item.values for item in runner.embed(ask).results()]
    return np.asarray(rows, np.float64)


@dataclass(frozen=True)
class Task:
    """Pictures that are asked about together, under the same steer sets."""

    pictures: tuple[Picture, ...]
    sets: tuple[SteerSet, ...]


@dataclass(frozen=True, eq=False)
class Answered:
    """Embeddings ``[n, 1 + k, e]`` of a task's pictures, the clean one first.

    ``pictures`` are those that were answered, in order; the others stand in ``failed``.
    """

    pictures: tuple[Picture, ...]
    embeddings: Floats
    failed: tuple[tuple[str, SteerboardError], ...] = ()


def chunks(pictures: Iterable[Picture], size: int) -> Iterator[tuple[Picture, ...]]:
    """At most ``size`` at a time."""
    part: list[Picture] = []
    for picture in pictures:
        part.append(picture)
        if len(part) == size:
            yield tuple(part)
            part = []
    if part:
        yield tuple(part)


def ask(runner: Runner, model: ModelInfo, tasks: Iterable[Task]) -> Iterator[Answered]:
    """Each task's embeddings, in the order of the tasks however they are answered.

    Raises:
        SteerboardError: A whole task cannot be answered (overlapping edits, an unknown site, a
            server that is away); a bad picture alone stands in ``failed``.
    """
    open_: dict[int, Task] = {}
    probe = identity_probe(model.embedding_width)

    def questions() -> Iterator[Steer]:
        for number, task in enumerate(tasks):
            open_[number] = task
            images = tuple(encoded(p) for p in task.pictures)
            yield Steer(model=model.id, images=images, classifier=probe, steer_sets=task.sets)

    early: dict[int, Answered] = {}
    due = 0
    for number, answer in runner.stream(questions()):
        if isinstance(answer, SteerboardError):
            raise answer
        early[number] = read(open_.pop(number), answer.items)
        while due in early:
            yield early.pop(due)
            due += 1


def read(task: Task, items: Sequence[Steered | SteerboardError]) -> Answered:
    """One answer beside its task."""
    pairs = list(zip(task.pictures, items, strict=True))
    good = [(p, i) for p, i in pairs if isinstance(i, Steered)]
    bad = tuple((p.key, i) for p, i in pairs if isinstance(i, SteerboardError))
    rows = [[item.clean.logits, *(s.logits for s in item.steered)] for _, item in good]
    return Answered(tuple(p for p, _ in good), np.asarray(rows, np.float64), bad)
