"""From the workbench to a recipe and back, and what warns on the way."""

from collections.abc import Callable

import pytest

import steerboard as sb
from services.ui.recipes.guards import sentences
from steerboard.recipe.guards import Guarded
from steerboard.spec.edits import Condition, Edit, Feature, Scale, SteerSet
from steerboard.spec.recipe import Recipe
from steerboard.store.events import RecipeApplied, RecipeSaved, fold
from steerboard.store.recipes import Recipes
from steerboard.store.store import Store
from tests.ui.person import Person

Visit = Callable[..., Person]


def test_moved_features_are_saved_and_applied_again(
    visit: Visit, team: Recipes, store: str
) -> None:
    someone = visit("")
    someone.picks("clean", 0)
    someone.presses("strongest")
    someone.presses("save-recipe")
    someone.types("recipe-name", "calmer")
    someone.types("recipe-author", "ann")
    someone.page.toggle(key="condition-on").set_value(True).run()
    someone.page.number_input(key="condition-tau").set_value(0.25).run()
    someone.presses("recipe-save")
    kept = team.get("calmer")
    recipe = kept.recipe
    assert kept.author == "ann" and recipe.status == "unproven"
    assert {e.op.m for e in recipe.steer.edits} == {-1.0}  # type: ignore[union-attr]
    assert {e.condition and e.condition.tau for e in recipe.steer.edits} == {0.25}
    (on,) = recipe.provenance.chosen_on
    assert on.image_set == "tiny" and on.split == "" and on.pictures
    events = Store(store).events(someone.session())
    assert RecipeSaved(name="calmer", version=1, digest=recipe.digest) in events

    other = visit(recipe="calmer")
    other.presses("apply-recipe")
    state = fold(Store(store).events(other.session()))
    assert state.edits == recipe.steer.edits and state.moves == {}


def test_what_a_slider_can_say_becomes_a_slider(
    visit: Visit, team: Recipes, store: str, no_stripes: Recipe
) -> None:
    plain = sb.scale("resid_post.1", "middle", -0.5, 3).edits
    strong = sb.scale("resid_post.1", "middle", 4.0, 9).edits
    steer = SteerSet(edits=(*plain, *strong))
    team.save(no_stripes.model_copy(update={"steer": steer}), "ann")
    someone = visit(recipe="no-stripes")
    someone.presses("apply-recipe")
    (event,) = [e for e in Store(store).events(someone.session()) if isinstance(e, RecipeApplied)]
    assert event.moves == {"middle": {3: -0.5}} and event.edits == strong


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"nearest": 0.5}, "lies 0.500 from that of any other picture"),
        ({"rivals": ({"name": "random features", "change": -3.0},)}, "random features (−3.00)"),
        ({"rivals": ({"name": "random features", "change": 3.0},)}, ""),
        ({"errors": ({"name": "middle", "change": -1.5},)}, "+0.50 instead of +2.00"),
        ({"errors": ({"name": "middle", "change": -0.5},)}, ""),
    ],
)
def test_each_warning_is_given_where_it_is_due(change: dict[str, object], said: str) -> None:
    calm = {"margin": 2.0, "change": -2.5, "nearest": 0.1, "spread": 0.2, "clean_nearest": 0.1}
    found = list(sentences(Guarded.model_validate({**calm, **change})))
    assert len(found) == bool(said) and all(said in text for text in found)


def test_a_condition_reads_as_a_sentence() -> None:
    from services.ui.recipes.words import only_where, operation

    unit = Feature(dictionary="middle", index=7)
    condition = Condition(unit=unit, tau=0.5, per="image")
    edit = Edit(site="resid_post.1", unit=unit, op=Scale(m=-1.0), condition=condition)
    assert operation(edit) == "off"
    assert only_where(edit.condition) == (
        "only where #7 of middle is above 0.5 anywhere on the picture"
    )
