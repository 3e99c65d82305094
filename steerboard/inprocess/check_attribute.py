"""Refuse an attribution that could not be answered, before it meets anybody's batch."""

from steerboard.attribution.registry import METHODS
from steerboard.inprocess.rows import depth
from steerboard.inprocess.served import ServedModel
from steerboard.model.check import (
    check_mask,
    check_steer_set,
    check_unit,
    describe,
    dictionary_of,
    masked,
    tokens,
)
from steerboard.spec.capabilities import ModelInfo, SiteInfo
from steerboard.spec.edits import Edit, Mask, Part, Scale
from steerboard.spec.errors import EmptyMask, InvalidRequest, NotFound
from steerboard.spec.methods import METHODS as ALL
from steerboard.spec.requests import Attribute, UnitActivation

PREFIX_TOKEN = "the prefix token"
WALKS = ("integrated_gradients",)  # up from no code at all


def check_attribute(served: ServedModel, request: Attribute) -> None:
    """Raise the first thing that is wrong, with the path of its field."""
    info = served.info
    if request.method not in METHODS:
        raise InvalidRequest(
            f"there is no method {request.method!r} beside the model: there is"
            f" {', '.join(METHODS)}; {composed()} are composed of further questions"
            " (steerboard.analysis)",
            field="method",
        )
    site = place_of(info, request)
    check_units(info, site, request)
    check_steer_set(info, request.steer, "steer")
    check_start(site, request)
    for i, target in enumerate(request.targets):
        if isinstance(target, UnitActivation):
            check_later(info, site, target, request, f"targets[{i}]")


def composed() -> str:
    """The methods that do not run here."""
    return ", ".join(name for name in ALL if name not in METHODS)


def place_of(info: ModelInfo, request: Attribute) -> SiteInfo:
    """The site whose units are scored; raises NotFound."""
    named = dictionary_of(info, request.dictionary).site if request.dictionary else request.site
    site = info.site(named or "")
    if site is None:
        raise NotFound(
            f"model {info.id} has no site {named!r}; its sites are"
            f" {', '.join(s.name for s in info.sites)}",
            field="site",
        )
    return site


def check_units(info: ModelInfo, site: SiteInfo, request: Attribute) -> None:
    """The site has such units, and a gradient reaches the tokens that count."""
    if request.units not in site.units:
        raise InvalidRequest(
            f"at {site.name} there are no units of kind {request.units}: it has"
            f" {', '.join(site.units)}",
            field="units",
        )
    given = request.directions
    if given is not None and given.shape[1] != site.width:
        raise InvalidRequest(
            f"a direction at {site.name} has {site.width} numbers, not {given.shape[1]}",
            field="directions",
        )
    found = info.dictionary(request.dictionary)
    if found and found.tokens == "patches" and not site.patches_read:
        raise InvalidRequest(
            f"no gradient reaches the patches at {site.name}: choose a dictionary of an"
            f" earlier site, or one over {PREFIX_TOKEN}",
            field="dictionary",
        )
    check_tokens(info, site, request)


def check_tokens(info: ModelInfo, site: SiteInfo, request: Attribute) -> None:
    """Some token counts where the units live, and something behind the site reads it."""
    edit = Edit(site=site.name, unit=whole(request), op=Scale(m=-1), mask=request.tokens)
    try:
        check_mask(info, site, edit, "tokens")
    except EmptyMask as error:
        what = describe(whole(request)) if request.dictionary else "these units"
        if not tokens(info, edit) or (
            request.tokens.kind == "patches" and not request.tokens.cells
        ):
            raise EmptyMask(
                f"the tokens asked for hold no token of {what} at {site.name}: mark at least one"
                " patch, or ask for all tokens",
                field="tokens",
            ) from error
        prefix = tokens(info, edit) <= masked(info, site.name, Mask(kind="prefix"))
        asked, other = ("prefix", "the patches") if prefix else ("patches", PREFIX_TOKEN)
        raise EmptyMask(
            f"no gradient reaches the {asked} at {site.name}: choose an earlier site, or {other}",
            field="tokens",
        ) from error


def whole(request: Attribute) -> Part:
    """All units together, as a part of the activation."""
    if request.dictionary:
        return Part(of="code", dictionary=request.dictionary)
    return Part(of="site")


def check_start(site: SiteInfo, request: Attribute) -> None:
    """A path begins at the activations of the pass; edits at the same site have moved them."""
    if request.method in WALKS and any(e.site == site.name for e in request.steer.edits):
        raise InvalidRequest(
            f"{request.method} walks up to the activations at {site.name}, which these edits move:"
            " ask without them, or by gradient",
            field="steer",
        )


def check_later(
    info: ModelInfo, site: SiteInfo, target: UnitActivation, request: Attribute, field: str
) -> None:
    """The unit is there and stands behind the site that is scored; nothing is edited."""
    later = info.site(target.site)
    if later is None:
        raise NotFound(f"model {info.id} has no site {target.site!r}", field=f"{field}.site")
    check_unit(info, later, target.unit, f"{field}.unit")
    if depth(later.name) <= depth(site.name):
        raise InvalidRequest(
            f"{later.name} does not come behind {site.name}: an edge leads from an earlier site to"
            " a later one",
            field=f"{field}.site",
        )
    if request.steer.edits or request.method == "logit_lens":
        raise InvalidRequest(
            "edges of a circuit are found in the clean model, and not by logit_lens: ask without"
            " edits, by gradient or integrated_gradients",
            field=field,
        )
