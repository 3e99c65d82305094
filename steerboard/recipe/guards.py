"""Guard rails: is a change that works on one picture one to be trusted?

Everything is measured on the open picture, beside the edit itself: the same size of change in
other places (controls), where the embedding then lies among those of other pictures, and what the
margin would be without the dictionary's error term. Letters: ``e`` embedding, ``n`` picture.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from steerboard.analysis.evidence.answers import Readout, Task, ask, chunks
from steerboard.analysis.evidence.directions import explained
from steerboard.analysis.evidence.pictures import Picture
from steerboard.analysis.evidence.probing import KINDS, drawn_sets, rng_of, sights_of
from steerboard.analysis.evidence.rivals import parts
from steerboard.spec.answers import Code
from steerboard.spec.base import Spec
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.edits import Edit, Feature, Part, Scale, Set, SteerSet
from steerboard.spec.requests import Margin
from steerboard.spec.runner import Runner

Floats = npt.NDArray[np.float64]
Maxima = Mapping[tuple[str, int], float]  # largest activation known, by dictionary and feature
MUCH = 0.5  # of the clean margin, moved by taking the error term away
QUIET = 0.05  # logits below which nothing is compared
CHUNK = 16


class Beyond(Spec):
    """A feature that is set beyond the largest activation known of it."""

    dictionary: str
    feature: int
    value: float
    maximum: float


class Rival(Spec):
    """A control of the same size, and the change of the margin under it, in logits."""

    name: str
    change: float


class Guarded(Spec):
    """What is to be known before a change is believed; margins in logits, distances 1 - cosine."""

    margin: float = Field(description="of the clean pass")
    change: float = Field(description="of the margin, by the edit")
    beyond: tuple[Beyond, ...] = ()
    rivals: tuple[Rival, ...] = ()
    nearest: float = Field(description="from the steered embedding to that of the nearest picture")
    spread: float = Field(description="within which 95 % of pictures have their nearest")
    clean_nearest: float = Field(description="the same distance before the edit")
    errors: tuple[Rival, ...] = Field(default=(), description="without each error term")

    @property
    def far(self) -> bool:
        """Whether the embedding has left the region where pictures lie."""
        return self.nearest > max(self.spread, self.clean_nearest)

    @property
    def strong_rivals(self) -> tuple[Rival, ...]:
        """Controls that move the margin the same way, at least as far."""
        if abs(self.change) < QUIET:
            return ()
        same_way = (r for r in self.rivals if r.change * self.change > 0)
        return tuple(r for r in same_way if abs(r.change) >= abs(self.change))

    @property
    def leaning(self) -> tuple[Rival, ...]:
        """Error terms that carry much of the decision."""
        much = max(QUIET, MUCH * abs(self.margin))
        return tuple(r for r in self.errors if abs(r.change) >= much)


def guard(
    runner: Runner,
    model: ModelInfo,
    head: Readout,
    steer: SteerSet,
    picture: Picture,
    target: Margin,
    maxima: Maxima,
    others: Floats,
) -> Guarded:
    """Look at a change from all sides, in one question.

    Args:
        runner: Who answers.
        model: Its model.
        head: The classifier, see ``readout``.
        steer: The edits.
        picture: The open picture.
        target: The margin of ``index`` over ``against``.
        maxima: From the catalogue; features without one are not judged.
        others: Unit-length embeddings ``[n, e]`` of other pictures.

    Raises:
        SteerboardError: The steer set does not fit, or the Runner is away.
    """
    errors = error_terms(steer)
    (sight,) = sights_of(runner, model, steer, (picture,))
    controls = drawn_sets(model, steer, sight, rng_of(0, picture), 1)[: len(KINDS)]
    controls = controls if explained(steer) else ()
    sets = (steer, *controls, *(off for _, off in errors))
    (answered,) = ask(runner, model, [Task((picture,), sets)])
    (embeddings,) = answered.embeddings
    logits = head.logits(embeddings)
    margins = logits[:, target.index or 0] - logits[:, target.against or 0]
    moved = (margins[1:] - margins[0]).tolist()
    cut = 1 + len(controls)
    clean, steered = nearest(embeddings[:2], others)
    return Guarded(
        margin=float(margins[0]),
        change=moved[0],
        beyond=beyond(steer.edits, sight.codes, maxima),
        rivals=tuple(Rival(name=n, change=c) for n, c in zip(KINDS, moved[1:cut], strict=False)),
        nearest=steered,
        spread=spread_of(others),
        clean_nearest=clean,
        errors=tuple(
            Rival(name=name, change=c) for (name, _), c in zip(errors, moved[cut:], strict=True)
        ),
    )


def error_terms(steer: SteerSet) -> list[tuple[str, SteerSet]]:
    """Each dictionary that is edited, and a steer set that takes its error term away."""
    return [
        (
            part.dictionary,
            SteerSet(
                edits=(
                    Edit(
                        site=part.site,
                        unit=Part(of="error", dictionary=part.dictionary),
                        op=Scale(m=-1.0),
                    ),
                )
            ),
        )
        for part in parts(steer)
    ]


def beyond(edits: Iterable[Edit], codes: Mapping[str, Code], maxima: Maxima) -> tuple[Beyond, ...]:
    """Features that an edit sets beyond what was ever seen of them."""
    found = []
    for edit in edits:
        unit = edit.unit
        if not isinstance(unit, Feature) or unit.dictionary not in codes:
            continue
        value = set_to(edit, peak(codes[unit.dictionary], unit.index))
        most = maxima.get((unit.dictionary, unit.index))
        if most is not None and value > most:
            found.append(
                Beyond(dictionary=unit.dictionary, feature=unit.index, value=value, maximum=most)
            )
    return tuple(found)


def set_to(edit: Edit, active: float) -> float:
    """The largest activation under an edit; ``active`` is the largest without it."""
    if isinstance(edit.op, Set):
        return edit.op.value if active or edit.op.everywhere else 0.0
    if isinstance(edit.op, Scale) and edit.op.m > 0:
        return active * (1 + edit.op.m)
    return 0.0


def peak(code: Code, feature: int) -> float:
    """Largest activation of a feature over tokens; 0 where it is not active."""
    values = code.values[code.features == feature]
    return float(values.max(initial=0.0))


def nearest(embeddings: Floats, others: Floats) -> list[float]:
    """From each of ``[k, e]`` to the nearest of ``others [n, e]``, 1 - cosine."""
    unit = embeddings / np.linalg.norm(embeddings, axis=-1, keepdims=True)
    found: list[float] = (1 - (unit @ others.T).max(-1)).tolist()
    return found


def spread_of(others: Floats) -> float:
    """The distance within which 95 % of ``[n, e]`` have their nearest neighbour."""
    close = others @ others.T
    np.fill_diagonal(close, -np.inf)
    return float(np.quantile(1 - close.max(-1), 0.95))


def embeddings_of(runner: Runner, model: ModelInfo, pictures: Sequence[Picture]) -> Floats:
    """Unit-length embeddings ``[n, e]`` of those pictures that can be read."""
    tasks = (Task(part, (SteerSet(),)) for part in chunks(pictures, CHUNK))
    found = [a.embeddings[:, 0] for a in ask(runner, model, tasks) if a.pictures]
    rows = np.concatenate(found) if found else np.zeros((0, model.embedding_width))
    lengths: Floats = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit: Floats = rows / lengths
    return unit
