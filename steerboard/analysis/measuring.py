"""One picture and target, and what steer sets do to it: the base of everything that is measured."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from steerboard.analysis.ablation import site_of
from steerboard.spec.answers import Attribution, ResolvedTarget
from steerboard.spec.edits import (
    Direction,
    Edit,
    Feature,
    Head,
    Neuron,
    Part,
    Scale,
    SteerSet,
    Unit,
)
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.requests import (
    Attribute,
    Cosine,
    Logit,
    LogProb,
    Margin,
    ProbeOutput,
    Steer,
    Target,
    UnitActivation,
)
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor

Floats = npt.NDArray[np.float64]
# Edits, and sets, that one question holds at most.
EDITS, SETS = 1024, 128


@dataclass(frozen=True)
class Measure:
    """A question about one picture and target, its target frozen.

    ``request`` names the units, the tokens that count and any edits that hold throughout.
    """

    runner: Runner
    request: Attribute
    site: str

    def attribution(self, **changes: object) -> Attribution:
        """The scores of the runner's own methods."""
        asked = self.request.model_copy(update=changes)
        (found,) = self.runner.attribute(asked).one()
        return found

    def unit(self, index: int) -> Unit:
        """The unit that an attribution calls ``index``."""
        match self.request.units:
            case "feature":
                return Feature(dictionary=self.request.dictionary, index=index)
            case "neuron":
                return Neuron(index=index)
            case "head":
                return Head(index=index)
        given = self.request.directions
        assert given is not None
        return Direction(values=Tensor.of(given.numpy()[index]))

    def scaled(self, m: float, *indices: int) -> SteerSet:
        """Units scaled by ``m`` where the question's tokens are, besides its own edits."""
        return self.with_edits(*(self._edit(self.unit(int(i)), m) for i in indices))

    def part(self, of: str, m: float = -1.0) -> SteerSet:
        """All units together (``code``), or what they leave over (``error``), scaled."""
        name = self.request.dictionary
        part = Part.model_validate({"of": of if name else "site", "dictionary": name})
        return self.with_edits(self._edit(part, m))

    def with_edits(self, *edits: Edit) -> SteerSet:
        """The question's own edits and these."""
        return SteerSet(edits=self.request.steer.edits + edits)

    def _edit(self, unit: Unit, m: float) -> Edit:
        return Edit(site=self.site, unit=unit, op=Scale(m=m), mask=self.request.tokens)

    def changes(self, sets: Sequence[SteerSet]) -> Floats:
        """``y(set) - y(clean)`` of each set ``[k]``, in questions of bounded size."""
        parts, rest = [np.zeros(0)], list(sets)
        while rest:
            size = 1
            while size < min(len(rest), SETS) and edits(rest[: size + 1]) <= EDITS:
                size += 1
            parts.append(self._measured(rest[:size]))
            rest = rest[size:]
        return np.concatenate(parts)

    def effects(self, units: Sequence[int]) -> Floats:
        """``y - y(unit off)`` of each unit alone, both under the question's own edits ``[n]``."""
        own = self.changes([self.with_edits()])[0] if self.request.steer.edits else 0.0
        return own - self.changes([self.scaled(-1.0, int(u)) for u in units])

    def _measured(self, sets: Sequence[SteerSet]) -> Floats:
        asked = Steer(
            model=self.request.model,
            images=self.request.images,
            classifier=self.request.classifier,
            steer_sets=tuple(sets),
            targets=self.request.targets,
        )
        return self.runner.steer(asked).one().measured[:, 0].astype(np.float64)


def edits(sets: Sequence[SteerSet]) -> int:
    """Edits of several sets together."""
    return sum(len(s.edits) for s in sets)


def measure(runner: Runner, request: Attribute) -> Measure:
    """Freeze what the request's target leaves open.

    Raises:
        InvalidRequest: Not one picture and one target, or a target that steering does not tell.
    """
    if len(request.images) != 1 or len(request.targets) != 1:
        raise InvalidRequest(
            "what is measured by steering is asked of one picture and one target at a time",
            field="images" if len(request.images) != 1 else "targets",
        )
    if isinstance(request.targets[0], UnitActivation):
        raise InvalidRequest(
            "a unit of a later site is reached by gradient or integrated_gradients only",
            field="targets[0]",
        )
    named = request.dictionary
    site = site_of(runner, request.model, named) if named else str(request.site)
    quick = request.model_copy(update={"method": "gradient", "top_k": 1, "maps": False})
    (found,) = runner.attribute(quick).one()
    target = freeze(request.targets[0], found.target)
    return Measure(runner, replace_targets(request, target), site)


def replace_targets(request: Attribute, target: Target) -> Attribute:
    """The same question about one other target."""
    return request.model_copy(update={"targets": (target,), "method": "gradient"})


def freeze(asked: Target, found: ResolvedTarget) -> Target:
    """A target as a request that leaves nothing open."""
    match asked:
        case Logit() | Cosine() | LogProb():
            return asked.model_copy(update={"index": found.index})
        case Margin():
            return Margin(index=found.index, against=found.against)
        case ProbeOutput() | UnitActivation():
            return asked
