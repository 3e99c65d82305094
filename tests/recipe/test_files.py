"""Recipes keep what they are: digests, seals, schema numbers, evidence before publishing."""

import json
from pathlib import Path

import pytest

import steerboard as sb
from steerboard.recipe.changes import diff, merge
from steerboard.recipe.files import as_record, load, publish, save
from steerboard.spec.edits import Condition, Edit, Feature, Mask, Scale, SteerSet
from steerboard.spec.errors import Forbidden, InvalidRequest, NotFound
from steerboard.spec.evidence import Share
from steerboard.spec.recipe import ChosenOn, EvidenceNote, Recipe


def note(chosen_here: int = 0) -> EvidenceNote:
    some = Share(hits=3, n=4, low=0.2, high=0.9)
    return EvidenceNote(
        digest="d", image_set="x", split="test", pictures=9, fixed=some, broken=some, net=1.0,
        p=0.5, verdict="inconclusive", chosen_here=chosen_here,
    )  # fmt: skip


def other(recipe: Recipe, name: str, *features: int, m: float = -1.0) -> Recipe:
    steer = sb.scale("resid_post.1", "middle", m, *features)
    return recipe.model_copy(update={"name": name, "steer": steer})


def test_a_saved_recipe_comes_back_the_same(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "r.recipe.json"
    save(recipe.model_copy(update={"evidence": (note(),)}), path)
    again = load(path)
    assert again.digest == recipe.digest and again.evidence == (note(),)
    assert list(tmp_path.iterdir()) == [path]  # no draft is left


def test_the_digest_is_of_what_it_does_and_not_of_what_is_known_of_it(recipe: Recipe) -> None:
    assert recipe.model_copy(update={"evidence": (note(),)}).digest == recipe.digest
    assert other(recipe, recipe.name, 3, 5).digest != recipe.digest
    assert recipe.model_copy(update={"version": 2}).digest != recipe.digest


def test_it_is_unproven_until_other_pictures_speak(recipe: Recipe, tmp_path: Path) -> None:
    own = recipe.model_copy(update={"evidence": (note(chosen_here=4),)})
    assert recipe.status == own.status == "unproven"
    for unproven in (recipe, own):
        with pytest.raises(Forbidden, match="unproven: run its evidence"):
            publish(unproven, tmp_path)
    proven = recipe.model_copy(update={"evidence": (note(),)})
    path = publish(proven, tmp_path)
    assert load(path).status == "proven" == json.loads(path.read_text())["status"]
    publish(proven, tmp_path)  # the same again is no conflict
    moved = other(proven, proven.name, 3).model_copy(update={"evidence": (note(),)})
    with pytest.raises(InvalidRequest, match="raise its version"):
        publish(moved, tmp_path)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda r: r.update(schema=99), "has schema 99"),
        (lambda r: r["recipe"].update(version=7), "changed after it was written"),
        (lambda r: r["recipe"]["evidence"].append(note().model_dump(mode="json")), "changed after"),
        (lambda r: r["recipe"].update(name="No Spaces"), "name"),
        (lambda r: r["recipe"]["steer"]["edits"][0]["op"].update(m="x"), "steer.edits.0"),
        (lambda r: r.pop("recipe"), "has no field 'recipe'"),
    ],
)
def test_a_file_that_was_changed_is_refused(recipe, tmp_path, spoil, sentence) -> None:
    record = as_record(recipe)
    spoil(record)
    path = tmp_path / "r.recipe.json"
    path.write_text(json.dumps(record))
    with pytest.raises(InvalidRequest, match=sentence):
        load(path)


def test_what_is_no_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="cannot be read"):
        load(tmp_path / "none")
    for text in ("", "{", "[]", "[" * 100_000, "3"):
        (tmp_path / "bad").write_text(text)
        with pytest.raises(InvalidRequest):
            load(tmp_path / "bad")


def test_a_diff_names_every_edit_that_differs(recipe: Recipe) -> None:
    assert diff(recipe, recipe) == ()
    old, new = other(recipe, "one", 3, 4), other(recipe, "one", 4, 5, m=-0.5)
    found = {c.place: (c.before, c.after) for c in diff(old, new)}
    assert found == {
        "resid_post.1: feature 3 of middle": ("off", ""),
        "resid_post.1: feature 4 of middle": ("off", "scale m=-0.5"),
        "resid_post.1: feature 5 of middle": ("", "scale m=-0.5"),
    }
    edit = old.steer.edits[0]
    only = Condition(unit=Feature(dictionary="middle", index=9), tau=0.5, per="image")
    bound = edit.model_copy(update={"condition": only, "mask": Mask(kind="prefix")})
    (gone, came) = diff(
        old.model_copy(update={"steer": SteerSet(edits=(edit,))}),
        old.model_copy(update={"steer": SteerSet(edits=(bound,))}),
    )
    assert "on prefix, only where feature 9 of middle is above 0.5 per image" in came.place
    assert gone.after == "" and came.before == ""


def test_a_merge_has_all_edits_once_and_no_evidence(recipe: Recipe) -> None:
    on = [ChosenOn(image_set="a", split="v", pictures=(p,)) for p in ("1", "2")]
    parts = [
        r.model_copy(
            update={
                "evidence": (note(),),
                "provenance": r.provenance.model_copy(update={"chosen_on": (c,)}),
            }
        )
        for r, c in zip((other(recipe, "one", 3, 4), other(recipe, "two", 4, 5)), on, strict=True)
    ]
    both = merge("both", parts)
    assert [e.unit.index for e in both.steer.edits] == [3, 4, 5]
    assert both.status == "unproven" and both.chosen_pictures == {"1", "2"}
    assert both.provenance.parents == tuple(p.digest for p in parts)


def test_recipes_that_contradict_are_not_merged(recipe: Recipe) -> None:
    with pytest.raises(InvalidRequest, match="move feature 3 of middle at resid_post"):
        merge("both", [other(recipe, "one", 3), other(recipe, "two", 3, m=1.0)])
    prompts = sb.Prompts(prompts=("cat", "dog"))
    with pytest.raises(InvalidRequest, match="different decisions"):
        merge("both", [recipe, recipe.model_copy(update={"classifier": prompts})])
    made = recipe.provenance.model_copy(update={"model_fingerprint": "0"})
    with pytest.raises(InvalidRequest, match="different models"):
        merge("both", [recipe, recipe.model_copy(update={"provenance": made})])


def test_every_edit_has_its_own_place() -> None:
    unit = Feature(dictionary="d", index=1)
    one = Edit(
        site="resid_post.1", unit=unit, op=Scale(m=1), mask=Mask(kind="patches", cells=((0, 1),))
    )
    two = one.model_copy(update={"mask": Mask(kind="patches", cells=((1, 0),))})
    from steerboard.recipe.changes import place_of

    assert place_of(one) != place_of(two)
