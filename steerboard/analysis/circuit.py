"""Edges of a circuit: what units of an earlier site give to a unit of a later one.

    edge f -> g:  z_f dz_g/dz_f    (one backward pass for each g)

The later units are targets like any other, so an edge has an error row and completeness too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from steerboard.analysis.located import Located, located
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.requests import Attribute, UnitActivation
from steerboard.spec.runner import Runner


@dataclass(frozen=True)
class Edges:
    """What leads into one later unit, by falling absolute weight."""

    into: UnitActivation
    edges: Located


def circuit(runner: Runner, request: Attribute, later: Sequence[UnitActivation]) -> list[Edges]:
    """The edges into each of ``later`` (16 at most) from the units that the request names."""
    asked = request.model_copy(update={"targets": tuple(later), "method": "gradient"})
    checked = Attribute.model_validate(asked.model_dump())
    found = runner.attribute(checked).one()
    return [Edges(g, located("gradient", one)) for g, one in zip(later, found, strict=True)]


def edges(runner: Runner, request: Attribute) -> Located:
    """The edges into the one later unit that is the request's target.

    Raises:
        InvalidRequest: The target is no unit of a later site.
    """
    (into, *more) = request.targets
    if more or not isinstance(into, UnitActivation):
        raise InvalidRequest(
            "the edges of a circuit lead into a unit of a later site: name it as the target, such"
            " as unit:SITE:DICTIONARY:FEATURE from the shell",
            field="targets[0]",
        )
    (found,) = circuit(runner, request, [into])
    return replace(found.edges, method="circuit")
