"""The state is a fold of the log: replaying it gives what was on the page."""

from hypothesis import given
from hypothesis import strategies as st

from steerboard.spec.edits import Edit, Feature, Neuron, Scale, Set
from steerboard.store.events import (
    EVENT,
    DictionaryChosen,
    Edited,
    Event,
    FeatureMoved,
    HowChosen,
    HypothesisWritten,
    PictureChosen,
    PictureUploaded,
    PromptsSet,
    PutBack,
    RecipeApplied,
    Reset,
    Reviewed,
    TargetChosen,
    WorkbenchState,
    after,
    fold,
)
from steerboard.store.events import (
    Tested as SeenTest,
)
from steerboard.store.how import How

text = st.text(max_size=8)
sha256 = st.text("0123456789abcdef", min_size=64, max_size=64)
small = st.integers(0, 3)
effect = st.floats(-10, 10)
units = st.one_of(
    st.builds(Feature, dictionary=st.sampled_from("ab"), index=small),
    st.builds(Neuron, index=small),
)
sites = st.sampled_from(["resid_post.0", "mlp_post.1"])
ops = st.one_of(st.builds(Scale, m=st.floats(-2, 2)), st.builds(Set, value=st.floats(0, 9)))
edits = st.builds(Edit, site=sites, unit=units, op=ops)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(PictureChosen, sha256=sha256, origin=text),
    st.builds(PictureUploaded, sha256=sha256, name=text),
    st.builds(PromptsSet, prompts=st.lists(text, max_size=3).map(tuple), template=text),
    st.builds(TargetChosen, index=small, against=small),
    st.builds(DictionaryChosen, dictionary=st.sampled_from("ab")),
    st.builds(HypothesisWritten, text=text),
    st.builds(
        FeatureMoved, dictionary=st.sampled_from("ab"), feature=small, m=st.sampled_from([-1, 0, 1])
    ),
    st.builds(Edited, edits=st.lists(edits, min_size=1, max_size=3).map(tuple)),
    st.builds(PutBack, site=sites, unit=units),
    st.builds(
        HowChosen,
        how=st.builds(How, method=st.sampled_from(["gradient", "shapley"]), site=st.just("")),
    ),
    st.just(Reset()),
    st.builds(
        RecipeApplied,
        name=text,
        version=st.integers(1, 3),
        digest=sha256,
        moves=st.dictionaries(st.just("c"), st.dictionaries(small, effect, max_size=2)),
        edits=st.lists(edits, max_size=2).map(tuple),
    ),
    st.builds(Reviewed, job=text, features=st.lists(small, max_size=3).map(tuple)),
    st.builds(SeenTest, before=text, after=text, predicted=effect, measured=effect),
)


@given(st.lists(EVENTS))
def test_a_replay_from_json_equals_the_state_that_was_shown(events: list[Event]) -> None:
    shown = WorkbenchState()
    for event in events:
        shown = after(shown, event)
    written = [EVENT.dump_json(e) for e in events]
    assert fold(EVENT.validate_json(w) for w in written) == shown


@given(st.lists(EVENTS), st.lists(EVENTS))
def test_a_session_may_be_left_and_taken_up_anywhere(first: list[Event], then: list[Event]) -> None:
    resumed = fold(first)
    for event in then:
        resumed = after(resumed, event)
    assert resumed == fold([*first, *then])


@given(st.lists(EVENTS))
def test_a_reset_puts_every_feature_back_and_nothing_else(events: list[Event]) -> None:
    before, reset = fold(events), fold([*events, Reset()])
    assert reset == before.model_copy(update={"moves": {}, "edits": (), "recipe": None})


@given(
    st.lists(EVENTS),
    st.builds(SeenTest, before=text, after=text, predicted=effect, measured=effect),
)
def test_what_was_seen_changes_nothing(events: list[Event], seen: SeenTest) -> None:
    assert fold([*events, seen, Reviewed(features=(1,))]) == fold(events)


def test_a_feature_put_back_leaves_no_trace() -> None:
    moves = [FeatureMoved(dictionary="a", feature=1, m=m) for m in (-1.0, 0.5, 0.0)]
    assert fold(moves) == WorkbenchState()


def test_another_picture_keeps_the_sliders_but_not_the_named_target() -> None:
    state = fold(
        [
            TargetChosen(index=2, against=0),
            FeatureMoved(dictionary="a", feature=1, m=-1.0),
            PictureUploaded(sha256="a" * 64, name="mine.png"),
        ]
    )
    assert (state.index, state.against, state.origin) == (None, None, "mine.png")
    assert state.moves == {"a": {1: -1.0}}


@given(st.lists(EVENTS))
def test_no_unit_is_moved_and_edited_at_once(events: list[Event]) -> None:
    found = fold(events)
    moved = {(d, f) for d, of in found.moves.items() for f in of}
    edited = {(e.unit.dictionary, e.unit.index) for e in found.edits if isinstance(e.unit, Feature)}
    assert not moved & edited


def test_a_new_edit_takes_the_place_of_the_units_old_ones_and_goes_back() -> None:
    unit, other = Neuron(index=3), Neuron(index=4)
    off, on = (Edit(site="mlp_post.1", unit=unit, op=Scale(m=m)) for m in (-1, 1))
    third = Edit(site="mlp_post.1", unit=other, op=Set(value=2))
    events = [Edited(edits=(off, third)), Edited(edits=(on,))]
    assert fold(events).edits == (third, on)
    assert fold([*events, PutBack(site="mlp_post.1", unit=unit)]).edits == (third,)
