"""What two recipes have in common, and both together."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from steerboard.spec.edits import Direction, Edit, Feature, Part, Scale, SteerSet
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.recipe import ChosenOn, Recipe

PLAIN = {-1.0: "off", 1.0: "doubled"}  # strengths m in words


@dataclass(frozen=True)
class Change:
    """One place where two recipes differ; ``before`` or ``after`` is empty where one lacks it."""

    place: str
    before: str
    after: str


def diff(old: Recipe, new: Recipe) -> tuple[Change, ...]:
    """Everything but the evidence; edits are paired by site, unit, mask and condition."""
    return (*plain(old, new), *edits(old.steer, new.steer))


def plain(old: Recipe, new: Recipe) -> Iterator[Change]:
    """Names, decision, failures, model and dictionaries."""
    for place in ("name", "version", "summary", "classifier", "failures"):
        yield from change(place, getattr(old, place), getattr(new, place))
    for place in ("model", "model_fingerprint", "dictionaries", "chosen_on"):
        yield from change(place, getattr(old.provenance, place), getattr(new.provenance, place))


def change(place: str, before: object, after: object) -> Iterator[Change]:
    """A change, where there is one."""
    if before != after:
        yield Change(place, clipped(before), clipped(after))


def clipped(value: object) -> str:
    """As text of one line."""
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def edits(old: SteerSet, new: SteerSet) -> Iterator[Change]:
    """Edits that came, went, or have another op."""
    before, after = ({place_of(e): e for e in s.edits} for s in (old, new))
    for place in dict.fromkeys((*before, *after)):
        one, two = before.get(place), after.get(place)
        if one != two:
            yield Change(place, op_of(one), op_of(two))


def place_of(edit: Edit) -> str:
    """Such as ``resid_post.3: feature 12 of middle, on prefix``."""
    where = "" if edit.mask.kind == "all" else f", on {edit.mask.kind} {cells(edit)}".rstrip()
    only = ""
    if edit.condition:
        c = edit.condition
        only = f", only where {unit_of(c.unit)} is {c.when} {c.tau:g} per {c.per}"
    return f"{edit.site}: {unit_of(edit.unit)}{where}{only}"


def cells(edit: Edit) -> str:
    """The patches of a mask."""
    return " ".join(f"{row},{column}" for row, column in edit.mask.cells)


def unit_of(unit: object) -> str:
    """A unit in words; a direction by the first digits of its numbers' digest."""
    if isinstance(unit, Feature):
        return f"feature {unit.index} of {unit.dictionary}"
    if isinstance(unit, Direction):
        return f"direction {hashlib.sha256(unit.values.data).hexdigest()[:8]}"
    if isinstance(unit, Part):
        return f"{unit.of} of {unit.dictionary}" if unit.dictionary else "the whole activation"
    return f"{getattr(unit, 'kind', 'unit')} {getattr(unit, 'index', '')}"


def op_of(edit: Edit | None) -> str:
    """Such as ``off``, ``scale m=-0.5``; empty for no edit."""
    if edit is None:
        return ""
    if isinstance(edit.op, Scale) and edit.op.m in PLAIN:
        return PLAIN[edit.op.m]
    numbers = edit.op.model_dump(exclude={"kind"})
    return " ".join([edit.op.kind, *(f"{k}={v:g}" for k, v in numbers.items())])


def merge(name: str, recipes: Sequence[Recipe], summary: str = "") -> Recipe:
    """All edits of ``recipes`` in one new recipe, unproven; an edit that several have stands once.

    Raises:
        InvalidRequest: They are for different models, dictionaries or decisions, or move the same
            unit on the same tokens differently.
    """
    first = recipes[0]
    for other in recipes[1:]:
        agree(first, other)
    found = dict.fromkeys(e for r in recipes for e in r.steer.edits)
    same_place = [(e.site, e.unit, e.mask) for e in found]
    clash = next((p for p in same_place if same_place.count(p) > 1), None)
    if clash is not None:
        raise InvalidRequest(
            f"the recipes move {unit_of(clash[1])} at {clash[0]} differently: take it out of one",
            field="steer",
        )
    pins = dict.fromkeys(p for r in recipes for p in r.provenance.dictionaries)
    provenance = first.provenance.model_copy(
        update={
            "dictionaries": tuple(pins),
            "n_bar": {k: v for r in recipes for k, v in r.provenance.n_bar.items()},
            "chosen_on": chosen_together(recipes),
            "method": "merged",
            "parents": tuple(r.digest for r in recipes),
        }
    )
    return Recipe(
        name=name,
        summary=summary or " + ".join(r.title for r in recipes),
        steer=SteerSet(edits=tuple(found)),
        classifier=first.classifier,
        # Groups of two kinds cannot be named together: then the run counts over all pictures.
        failures=first.failures if all(r.failures == first.failures for r in recipes) else {},
        provenance=provenance,
    )


def agree(one: Recipe, two: Recipe) -> None:
    """Refuse recipes that cannot be one."""
    pairs = [
        ("models", one.provenance.model_fingerprint, two.provenance.model_fingerprint),
        ("decisions (classifiers)", one.classifier, two.classifier),
    ]
    known = {p.id: p.fingerprint for p in one.provenance.dictionaries}
    for pin in two.provenance.dictionaries:
        pins = known.get(pin.id, pin.fingerprint), pin.fingerprint
        pairs.append((f"dictionaries called {pin.id}", *pins))
    for what, a, b in pairs:
        if a != b:
            raise InvalidRequest(
                f"{one.title} and {two.title} are for different {what}: they cannot be merged"
            )


def chosen_together(recipes: Sequence[Recipe]) -> tuple[ChosenOn, ...]:
    """The union of the pictures, set by set and split by split."""
    found: dict[tuple[str, str], set[str]] = {}
    for part in (p for r in recipes for p in r.provenance.chosen_on):
        found.setdefault((part.image_set, part.split), set()).update(part.pictures)
    return tuple(
        ChosenOn(image_set=name, split=split, pictures=tuple(sorted(pictures)))
        for (name, split), pictures in sorted(found.items())
    )
