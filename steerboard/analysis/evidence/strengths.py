"""The same steer set, weaker or stronger: all its strengths times a factor."""

from steerboard.spec.edits import MAX_ALPHA, MAX_SCALE, Add, Edit, Scale, SteerSet

FACTORS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)


def has_strength(edit: Edit) -> bool:
    """Whether the op has a strength that can be multiplied: scale and add have."""
    return isinstance(edit.op, Scale | Add)


def stronger(steer: SteerSet, factor: float) -> SteerSet:
    """``scale(m)`` becomes ``scale(factor m)``, ``add`` likewise; ``set`` and ``remove`` stay.

    Held within the bounds of the algebra.
    """
    return SteerSet(edits=tuple(with_strength(e, factor * strength_of(e)) for e in steer.edits))


def strength_of(edit: Edit) -> float:
    """Of ``scale`` m, alpha of ``add``; 1 for ops that have none."""
    match edit.op:
        case Scale(m=value) | Add(alpha=value):
            return value
    return 1.0


def with_strength(edit: Edit, value: float) -> Edit:
    """The same edit at another strength; ``set`` and ``remove`` as they are."""
    match edit.op:
        case Scale():
            return edit.model_copy(update={"op": Scale(m=bounded(value, MAX_SCALE))})
        case Add():
            return edit.model_copy(update={"op": Add(alpha=bounded(value, MAX_ALPHA))})
    return edit


def bounded(value: float, most: float) -> float:
    """Between -most and most."""
    return max(-most, min(most, value))
