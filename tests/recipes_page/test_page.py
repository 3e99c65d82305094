"""What a team does with its recipes, on the page's own script and with real services behind it."""

import json
import re
from collections.abc import Callable

from steerboard.recipe.files import as_record, parse
from steerboard.spec.edits import SteerSet
from steerboard.spec.recipe import ChosenOn, Recipe
from steerboard.store.recipes import Recipes
from tests.ui.person import Person
from tests.ui.stage import Stage

Visit = Callable[..., Person]


def test_evidence_by_the_workers_proves_a_recipe_that_is_then_published(
    visit: Visit, team: Recipes, no_stripes: Recipe
) -> None:
    team.save(no_stripes, "ann")
    someone = visit()
    assert "no-stripes" in someone.markup() and ">unproven<" in someone.markup()
    someone.presses("open-no-stripes")
    assert "Nobody knows yet" in someone.reads() and "off" not in someone.warned()
    someone.presses("run-evidence")
    assert any("Fill in your name" in w for w in someone.warned())
    someone.types("evidence-author", "bob")
    someone.presses("run-evidence")
    job = someone.page.query_params["job"]
    someone.until(lambda: team.get("no-stripes").runs)
    (ran,) = team.get("no-stripes").runs
    assert (ran.author, ran.note.image_set, ran.note.pictures) == ("bob", "tiny", 16)
    someone.page.run()
    assert "job" not in someone.page.query_params and job
    line = re.search(r"Fixes .*? on tiny, validation", someone.reads())
    assert line and f"of {ran.note.pictures} pictures" in line[0] and "[" in line[0]
    assert f">{ran.note.verdict}<" in someone.markup()
    evidence, rows = team.evidence(("no-stripes", 1), ran.note.digest)
    assert len(rows) == 16 and evidence.digest == ran.note.digest
    assert {b.key for b in someone.page.get("download_button")} >= {
        "export", "get-html", "get-json", "get-parquet",
    }  # fmt: skip
    someone.presses("publish")
    assert team.get("no-stripes").published
    assert ">published<" in visit().markup()


def test_what_is_unproven_cannot_be_published(
    visit: Visit, team: Recipes, no_stripes: Recipe
) -> None:
    team.save(no_stripes, "ann")
    someone = visit(recipe="no-stripes")
    assert not [b for b in someone.page.button if b.key == "publish"]
    assert any("Run its evidence" in i.value for i in someone.page.info)


def test_pictures_that_it_was_made_on_are_no_evidence(
    visit: Visit, team: Recipes, no_stripes: Recipe
) -> None:
    on = (ChosenOn(image_set="tiny", split="validation"),)
    made = no_stripes.provenance.model_copy(update={"chosen_on": on})
    team.save(no_stripes.model_copy(update={"provenance": made}), "ann")
    someone = visit(recipe="no-stripes")
    assert not [b for b in someone.page.button if b.key == "run-evidence"]
    assert any("was used to make this recipe" in i.value for i in someone.page.info)


def test_versions_stand_beside_each_other(visit: Visit, team: Recipes, no_stripes: Recipe) -> None:
    team.save(no_stripes, "ann")
    edits = no_stripes.steer.edits[:2]
    team.save(
        no_stripes.model_copy(
            update={"steer": no_stripes.steer.model_copy(update={"edits": edits})}
        ),
        "bob",
    )
    someone = visit(recipe="no-stripes", v="1")
    assert "version 2 is newer" in someone.reads()
    diff = someone.markup().partition("sb-diff")[2]
    assert "feature 9 of middle" in diff and "feature 20 of middle" in diff
    assert "feature 3 of middle" not in diff
    assert "2 features of middle" in visit().markup()


def test_a_link_that_leads_nowhere_says_so(visit: Visit, team: Recipes, no_stripes: Recipe) -> None:
    team.save(no_stripes, "ann")
    someone = visit(recipe="no-such-thing")
    assert any("there is no recipe 'no-such-thing'" in w for w in someone.warned())
    someone.presses("all-recipes")
    assert "open-no-stripes" in {b.key for b in someone.page.button}
    assert any(
        "no version 9: its newest is 1" in w for w in visit(recipe="no-stripes", v="9").warned()
    )
    assert any("versions are numbers" in w for w in visit(recipe="no-stripes", v="x").warned())
    lost = visit(recipe="no-stripes", job="no-such-job")
    lost.until(lambda: any("The run failed" in w for w in lost.warned()))
    lost.presses("close-run")
    assert "run-evidence" in {b.key for b in lost.page.button}


def test_a_recipe_of_another_model_is_shown_and_not_used(
    visit: Visit, team: Recipes, no_stripes: Recipe
) -> None:
    made = no_stripes.provenance.model_copy(update={"model_fingerprint": "0" * 64})
    team.save(no_stripes.model_copy(update={"provenance": made}), "ann")
    someone = visit(recipe="no-stripes")
    assert any("with other weights (0000000000" in w for w in someone.warned())
    assert someone.page.button(key="apply-recipe").disabled
    assert not [b for b in someone.page.button if b.key == "run-evidence"]


def brought(visit: Visit, data: bytes) -> Person:
    someone = visit()
    someone.uploads("x.recipe.json", data)
    someone.types("import-author", "eve")
    someone.presses("import-recipe")
    return someone


def test_a_file_is_imported_or_refused_by_what_is_wrong_with_it(
    visit: Visit, team: Recipes, no_stripes: Recipe
) -> None:
    record = json.dumps(as_record(no_stripes))
    for data, why in (
        (record[:200].encode(), "not JSON, or was cut off"),
        (record.replace('"m": -3.0', '"m": -2.0', 1).encode(), "changed after it was written"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[]", "has no field 'recipe'"),
    ):
        assert any(why in w for w in brought(visit, data).warned()), why
    dictionaries = tuple(
        p.model_copy(update={"fingerprint": "f" * 64}) for p in no_stripes.provenance.dictionaries
    )
    made = no_stripes.provenance.model_copy(update={"dictionaries": dictionaries})
    strange = no_stripes.model_copy(update={"provenance": made})
    refused = brought(visit, json.dumps(as_record(strange)).encode())
    assert any("dictionary middle is another one here" in w for w in refused.warned())
    assert team.latest() == []
    someone = brought(visit, record.encode())
    assert team.get("no-stripes").recipe == no_stripes
    assert someone.page.query_params["recipe"] in ("no-stripes", ["no-stripes"])
    assert parse(as_record(team.get("no-stripes").recipe)) == no_stripes


def test_two_recipes_are_merged_after_a_look_at_how_they_interact(
    visit: Visit, team: Recipes, no_stripes: Recipe
) -> None:
    for name, edits in (("one", no_stripes.steer.edits[:2]), ("two", no_stripes.steer.edits[2:])):
        steer = SteerSet(edits=edits)
        team.save(no_stripes.model_copy(update={"name": name, "steer": steer}), "ann")
    someone = visit()
    someone.page.multiselect(key="merge-these").set_value(["one", "two"]).run()
    someone.presses("merge-check")
    found = [*someone.page.success, *someone.page.warning]
    assert any("On 16 pictures, together differs" in s.value for s in found)
    someone.types("merge-author", "ann")
    someone.types("merge-name", "Both of them")
    someone.presses("merge-save")
    assert any("is no name for a recipe" in w for w in someone.warned())
    someone.types("merge-name", "both")
    someone.presses("merge-save")
    both = team.get("both").recipe
    assert {e.unit.index for e in both.steer.edits} == {3, 4, 9, 20}  # type: ignore[union-attr]
    assert both.status == "unproven" and len(both.provenance.parents) == 2


def test_a_run_that_nobody_wants_any_more_is_taken_back(
    visit: Visit, team: Recipes, no_stripes: Recipe, services: Stage
) -> None:
    steer = SteerSet(edits=no_stripes.steer.edits[1:])
    team.save(no_stripes.model_copy(update={"steer": steer}), "ann")
    with services.without("worker"):
        someone = visit(recipe="no-stripes")
        someone.types("evidence-author", "bob")
        someone.presses("run-evidence")
        someone.until(lambda: [b for b in someone.page.button if b.key == "cancel-run"])
        someone.presses("cancel-run")
        someone.until(lambda: any("was cancelled" in w for w in someone.warned()))
        someone.presses("close-run")
    assert team.get("no-stripes").runs == ()
    assert "run-evidence" in {b.key for b in someone.page.button}
