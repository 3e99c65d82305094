"""What a person can do in the workbench, and the state that follows from a list of it."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from steerboard.spec.base import Spec

SCHEMA = 1


class PictureChosen(Spec):
    """A picture was opened, from a set or uploaded."""

    kind: Literal["picture"] = "picture"
    sha256: str
    origin: str = Field(default="", description="image set and path, or the name of the upload")


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
    m: float


class Reset(Spec):
    """All features were put back."""

    kind: Literal["reset"] = "reset"


class Reviewed(Spec):
    """A ranking was seen, by the id of its job."""

    kind: Literal["reviewed"] = "reviewed"
    job: str
    features: tuple[int, ...]


class Tested(Spec):
    """A steered answer was seen."""

    kind: Literal["tested"] = "tested"
    before: str
    after: str
    predicted: float
    measured: float


Event = Annotated[
    PictureChosen
    | PromptsSet
    | TargetChosen
    | DictionaryChosen
    | HypothesisWritten
    | FeatureMoved
    | Reset
    | Reviewed
    | Tested,
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
    moves: dict[str, dict[int, float]] = Field(
        default_factory=dict, description="m by dictionary and feature"
    )


def after(state: WorkbenchState, event: Event) -> WorkbenchState:
    """The state behind one event."""
    match event:
        case PictureChosen():
            # Another picture is another decision: the sliders stay, the named target does not.
            return state.model_copy(
                update={
                    "picture": event.sha256,
                    "origin": event.origin,
                    "index": None,
                    "against": None,
                }
            )
        case PromptsSet():
            return state.model_copy(
                update={
                    "prompts": event.prompts,
                    "template": event.template,
                    "index": None,
                    "against": None,
                }
            )
        case TargetChosen():
            return state.model_copy(update={"index": event.index, "against": event.against})
        case DictionaryChosen():
            return state.model_copy(update={"dictionary": event.dictionary})
        case HypothesisWritten():
            return state.model_copy(update={"hypothesis": event.text})
        case FeatureMoved():
            own = {
                f: m for f, m in state.moves.get(event.dictionary, {}).items() if f != event.feature
            }
            if event.m:
                own[event.feature] = event.m
            return state.model_copy(update={"moves": {**state.moves, event.dictionary: own}})
        case Reset():
            return state.model_copy(update={"moves": {}})
        case Reviewed() | Tested():
            return state


def fold(events: list[Event]) -> WorkbenchState:
    """The state behind all events."""
    state = WorkbenchState()
    for event in events:
        state = after(state, event)
    return state
