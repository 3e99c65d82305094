"""Refuse a steer set that does not fit a model, before it meets anybody's batch."""

from itertools import combinations

from steerboard.model.grid import patches_of, under
from steerboard.spec.capabilities import DictionaryInfo, ModelInfo, SiteInfo
from steerboard.spec.edits import (
    Direction,
    Edit,
    Feature,
    Head,
    Mask,
    Neuron,
    Part,
    SteerSet,
    Unit,
)
from steerboard.spec.errors import EmptyMask, InvalidRequest, NotFound, OverlappingEdits


def check_steer_set(model: ModelInfo, steer_set: SteerSet, field: str = "steer_sets[0]") -> None:
    """Raise the first thing that is wrong, with the path of the field."""
    for i, edit in enumerate(steer_set.edits):
        check_edit(model, edit, f"{field}.edits[{i}]")
    for (i, a), (j, b) in combinations(enumerate(steer_set.edits), 2):
        if a.site == b.site and a.unit == b.unit and tokens(model, a) & tokens(model, b):
            raise OverlappingEdits(
                f"edits {i + 1} and {j + 1} both move {describe(a.unit)} at {a.site} on"
                " the same tokens: join them into one or give them disjoint masks",
                field=f"{field}.edits[{j}]",
            )


def check_edit(model: ModelInfo, edit: Edit, field: str) -> None:
    """Site, unit, condition and mask of one edit."""
    site = model.site(edit.site)
    if site is None:
        raise NotFound(
            f"model {model.id} has no site {edit.site!r}; its sites are"
            f" {', '.join(s.name for s in model.sites)}",
            field=f"{field}.site",
        )
    check_unit(model, site, edit.unit, f"{field}.unit")
    if edit.condition:
        check_unit(model, site, edit.condition.unit, f"{field}.condition.unit")
    check_mask(model, site, edit, f"{field}.mask")


def check_unit(model: ModelInfo, site: SiteInfo, unit: Unit, field: str) -> None:
    """The unit is there and stands at the site."""
    if isinstance(unit, Feature):
        dictionary = dictionary_of(model, unit.dictionary, f"{field}.dictionary")
        check_index(unit.index, dictionary.size, f"dictionary {dictionary.id}", field)
        check_place(dictionary, site, field)
    elif isinstance(unit, Part):
        if unit.dictionary:
            check_place(dictionary_of(model, unit.dictionary, f"{field}.dictionary"), site, field)
    elif isinstance(unit, Head):
        check_index(unit.index, site.heads, site.name, field)
    elif isinstance(unit, Neuron):
        check_index(unit.index, site.width, site.name, field)
    elif unit.values.shape[0] != site.width:
        raise InvalidRequest(
            f"a direction at {site.name} has {site.width} numbers, not {unit.values.shape[0]}",
            field=field,
        )


def check_place(dictionary: DictionaryInfo, site: SiteInfo, field: str) -> None:
    """The dictionary stands at the site."""
    if dictionary.site != site.name:
        raise InvalidRequest(
            f"dictionary {dictionary.id} belongs to {dictionary.site}, not to {site.name}",
            field=field,
        )


def dictionary_of(model: ModelInfo, name: str, field: str = "dictionary") -> DictionaryInfo:
    """The dictionary called ``name``; raises NotFound."""
    found = model.dictionary(name)
    if found is None:
        known = ", ".join(d.id for d in model.dictionaries) or "none"
        raise NotFound(f"model {model.id} has no dictionary {name!r}; it has {known}", field=field)
    return found


def check_index(index: int, size: int, where: str, field: str) -> None:
    """0 <= index < size."""
    if index >= size:
        raise NotFound(f"{where} has no unit {index}: its units are 0 to {size - 1}", field=field)


def check_mask(model: ModelInfo, site: SiteInfo, edit: Edit, field: str) -> None:
    """Cells lie on the grid, some token is covered, and something behind the site reads it."""
    rows, columns = model.grid
    for row, column in edit.mask.cells:
        if not (0 <= row < rows and 0 <= column < columns):
            raise InvalidRequest(
                f"patch ({row}, {column}) lies off the grid of {rows} x {columns}", field=field
            )
    covered = tokens(model, edit)
    if not covered or (edit.mask.kind == "patches" and not edit.mask.cells):
        raise EmptyMask(
            f"the region of {describe(edit.unit)} at {site.name} covers no token where it lives:"
            " mark at least one patch, or choose all tokens",
            field=field,
        )
    check_read(model, site, covered, field)


def check_read(model: ModelInfo, site: SiteInfo, covered: frozenset[int], field: str) -> None:
    """Something behind the site reads a token that is covered."""
    prefix = masked(model, site.name, Mask(kind="prefix"))
    if not site.patches_read and not covered & prefix:
        raise EmptyMask(
            f"behind {site.name} no patch is read, so this edit could change nothing:"
            " choose an earlier site, or the prefix token",
            field=field,
        )
    if site.prefix_unread and covered <= prefix:
        raise EmptyMask(
            f"behind {site.name} no prefix token is read, so this edit could change nothing:"
            " choose an earlier site, or patches",
            field=field,
        )


def tokens(model: ModelInfo, edit: Edit) -> frozenset[int]:
    """The tokens that an edit covers: its mask, where its unit lives."""
    covered = masked(model, edit.site, edit.mask)
    name = edit.unit.dictionary if isinstance(edit.unit, Feature | Part) else ""
    if dictionary := model.dictionary(name):
        covered &= masked(model, edit.site, Mask(kind=dictionary.tokens))
    return covered


def masked(model: ModelInfo, site: str, mask: Mask) -> frozenset[int]:
    """The tokens under a mask; a site with one token has only a prefix."""
    info = model.site(site)
    count = info.tokens if info else 0
    patches = patches_of(count, model.prefix_tokens)
    prefix = count - patches
    if mask.kind == "prefix":
        return frozenset(range(prefix))
    if mask.kind == "all":
        return frozenset(range(count))
    return frozenset(prefix + p for p in under(mask.cells, model.grid, patches))


def describe(unit: Unit) -> str:
    """Such as ``feature 12 of middle``."""
    if isinstance(unit, Feature):
        return f"feature {unit.index} of {unit.dictionary}"
    if isinstance(unit, Part):
        return f"the {unit.of} of {unit.dictionary}" if unit.dictionary else "the whole site"
    return "the direction" if isinstance(unit, Direction) else f"{unit.kind} {unit.index}"
