"""What a person can do in the workbench, and the state that follows from a list of it."""

from collections.abc import Iterable
from functools import reduce
from typing import Annotated, Any, Literal, assert_never

from pydantic import Field, TypeAdapter

from steerboard.spec.base import Spec
from steerboard.spec.edits import Edit, Feature, SiteName, Unit
from steerboard.store.how import How

# 1: without uploads; 2: without probings and suggestions; 3: features alone, moved by a factor,
# and no recipes
SCHEMA = 4
Moves = dict[str, dict[int, float]]  # m by dictionary and feature


class PictureChosen(Spec):
    """A picture of a set was opened."""

    kind: Literal["picture"] = "picture"
    sha256: str
    origin: str = Field(default="", description="image set and path")


class PictureUploaded(Spec):
    """A person brought a picture; the store keeps its bytes beside the log."""

    kind: Literal["upload"] = "upload"
    sha256: str
    name: str = Field(default="", description="what the file was called")


class PromptsSet(Spec):
    """The candidate prompts were edited."""

    kind: Literal["prompts"] = "prompts"
    prompts: tuple[str, ...]
    template: str = "{}"


class TargetChosen(Spec):
    """Which decision is explained; None: top against runner-up."""

    kind: Literal["target"] = "target"
    index: int | None = None
    against: int | None = None


class DictionaryChosen(Spec):
    """Which dictionary is looked at."""

    kind: Literal["dictionary"] = "dictionary"
    dictionary: str


class HypothesisWritten(Spec):
    """What the person believes."""

    kind: Literal["hypothesis"] = "hypothesis"
    text: str


class FeatureMoved(Spec):
    """A slider was moved; 0 puts the feature back."""

    kind: Literal["move"] = "move"
    dictionary: str
    feature: int
    m: float = Field(ge=-1, le=1, description="-1 off, 0 unchanged, 1 doubled")


class HowChosen(Spec):
    """By which method, in which units, towards which target, over which tokens."""

    kind: Literal["how"] = "how"
    how: How


class Edited(Spec):
    """Units of any kind were changed: these edits replace all that these units had."""

    kind: Literal["edited"] = "edited"
    edits: tuple[Edit, ...] = Field(min_length=1, max_length=1024)
    origin: str = Field(default="", description="a concept or a recipe; empty: by hand")


class PutBack(Spec):
    """A unit is as the model has it again."""

    kind: Literal["put_back"] = "put_back"
    site: SiteName
    unit: Unit


class Reset(Spec):
    """All units were put back."""

    kind: Literal["reset"] = "reset"


class Reviewed(Spec):
    """A ranking was seen; the id of its job, or empty where the runner scored without one."""

    kind: Literal["reviewed"] = "reviewed"
    job: str = ""
    features: tuple[int, ...]


class Tested(Spec):
    """A steered answer was seen."""

    kind: Literal["tested"] = "tested"
    before: str
    after: str
    predicted: float
    measured: float


class Probed(Spec):
    """What the moved features do to other pictures was seen."""

    kind: Literal["probed"] = "probed"
    pictures: int = Field(ge=0, description="that were answered")
    wrong: int = Field(ge=0, description="that were wrong before")
    fixed: int = Field(ge=0)
    broken: int = Field(ge=0)


class Suggested(Spec):
    """Ways to another answer were suggested: features to turn off together, one list a way."""

    kind: Literal["suggested"] = "suggested"
    dictionary: str
    ways: tuple[tuple[int, ...], ...]


class RecipeSaved(Spec):
    """The edits of this moment were saved under a name."""

    kind: Literal["recipe_saved"] = "recipe_saved"
    name: str
    version: int = Field(ge=1)
    digest: str


class RecipeApplied(Spec):
    """A recipe's edits took the place of all that was changed: as sliders where one can say it."""

    kind: Literal["recipe_applied"] = "recipe_applied"
    name: str
    version: int = Field(ge=1)
    digest: str
    moves: Moves
    edits: tuple[Edit, ...] = ()


Event = Annotated[
    PictureChosen
    | PictureUploaded
    | PromptsSet
    | TargetChosen
    | DictionaryChosen
    | HypothesisWritten
    | FeatureMoved
    | HowChosen
    | Edited
    | PutBack
    | Reset
    | Reviewed
    | Tested
    | Probed
    | Suggested
    | RecipeSaved
    | RecipeApplied,
    Field(discriminator="kind"),
]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class WorkbenchState(Spec):
    """Where a session stands; a fold of its events and of nothing else."""

    picture: str = ""
    origin: str = ""
    prompts: tuple[str, ...] = ()
    template: str = "{}"
    dictionary: str = ""
    index: int | None = None
    against: int | None = None
    hypothesis: str = ""
    moves: Moves = Field(default_factory=dict, description="m by dictionary and feature")
    edits: tuple[Edit, ...] = Field(default=(), description="all other changes of units")
    recipe: RecipeApplied | None = Field(default=None, description="that all this began from")
    how: How = How()


def after(state: WorkbenchState, event: Event) -> WorkbenchState:
    """The state behind one event."""
    return state.model_copy(update=change(state, event))


def change(state: WorkbenchState, event: Event) -> dict[str, Any]:
    """The fields of the state that an event replaces."""
    # Another picture or other prompts are another decision: the named target does not outlive it.
    fresh = {"index": None, "against": None}
    match event:
        case PictureChosen():
            how = state.how.elsewhere()
            return {"picture": event.sha256, "origin": event.origin, "how": how, **fresh}
        case PictureUploaded():
            how = state.how.elsewhere()
            return {"picture": event.sha256, "origin": event.name, "how": how, **fresh}
        case PromptsSet():
            return {"prompts": event.prompts, "template": event.template, **fresh}
        case TargetChosen():
            return {"index": event.index, "against": event.against}
        case DictionaryChosen():
            return {"dictionary": event.dictionary}
        case HypothesisWritten():
            return {"hypothesis": event.text}
        case HowChosen():
            return {"how": event.how}
        case FeatureMoved():
            unit = Feature(dictionary=event.dictionary, index=event.feature)
            others = tuple(e for e in state.edits if e.unit != unit)
            return {"moves": moved(state.moves, event), "edits": others}
        case Edited():
            return edited(state, event)
        case PutBack():
            at = (event.site, event.unit)
            return {"edits": tuple(e for e in state.edits if (e.site, e.unit) != at)}
        case Reset():
            return {"moves": {}, "edits": (), "recipe": None}
        case RecipeApplied():
            return {"moves": event.moves, "edits": event.edits, "recipe": event}
        case Reviewed() | Tested() | Probed() | Suggested() | RecipeSaved():
            return {}
    assert_never(event)


def moved(moves: Moves, event: FeatureMoved) -> Moves:
    """The sliders behind one move; a feature at 0 is not listed, nor a dictionary without any."""
    own = {f: m for f, m in moves.get(event.dictionary, {}).items() if f != event.feature}
    if event.m:
        own[event.feature] = event.m
    others = {name: of for name, of in moves.items() if name != event.dictionary}
    return {**others, event.dictionary: own} if own else others


def edited(state: WorkbenchState, event: Edited) -> dict[str, Any]:
    """Edits behind new ones; a unit is changed in one way, so that its slider goes back."""
    units = {(e.site, e.unit) for e in event.edits}
    others = tuple(e for e in state.edits if (e.site, e.unit) not in units)
    moves = state.moves
    for edit in event.edits:
        if isinstance(edit.unit, Feature):
            name, feature = edit.unit.dictionary, edit.unit.index
            moves = moved(moves, FeatureMoved(dictionary=name, feature=feature, m=0))
    return {"edits": others + event.edits, "moves": moves}


def fold(events: Iterable[Event]) -> WorkbenchState:
    """The state behind all events."""
    return reduce(after, events, WorkbenchState())
