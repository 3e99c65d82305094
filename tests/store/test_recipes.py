"""Recipes of a team on real databases: nothing that was saved is lost or changed."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

import steerboard as sb
from steerboard.spec.errors import Forbidden, InvalidRequest, NotFound
from steerboard.spec.evidence import Effect, Evidence, Ripple, Share, Source, Spread
from steerboard.spec.recipe import EvidenceNote, Recipe, RecipeProvenance
from steerboard.store.recipes import Recipes
from steerboard.store.store import Store

SOME = Share(hits=3, n=4, low=0.2, high=0.9)
FLAT = Spread(mean=0.0, median=0.0, p95=0.0)


@pytest.fixture
def tenant() -> str:
    """The databases outlive a test."""
    return secrets.token_hex(4)


@pytest.fixture
def shelf(url: str, tenant: str) -> Any:
    opened = Recipes(url, tenant)
    yield opened
    opened.close()


def recipe(name: str = "no-strip", *features: int, m: float = -1.0) -> Recipe:
    return Recipe(
        name=name,
        steer=sb.scale("resid_post.1", "middle", m, *(features or (3, 4))),
        classifier=sb.Prompts(prompts=("cat", "dog")),
        provenance=RecipeProvenance(model="tiny", model_fingerprint="f" * 64),
    )


def evidence(of: Recipe, chosen_here: int = 0) -> Evidence:
    effect = Effect(
        name="all", n=9, fixes=3, breaks=1, fix_rate=SOME, break_rate=SOME, accuracy_before=SOME,
        accuracy_after=SOME, net=222.0, newcombe=(-5.0, 400.0), tango=(-6.0, 410.0), scenes=None,
        p=0.6,
    )  # fmt: skip
    ripple = Ripple(
        pictures=9, kl=FLAT, tv=FLAT, wide_words=0, wide_kl=None, wide_tv=None, drift=FLAT, flows=()
    )
    source = Source(image_set="x", split="test", pictures=9, digest="d", chosen_here=chosen_here)
    return Evidence(
        recipe=of.title, recipe_digest=of.digest, model="tiny", model_fingerprint="f" * 64, seed=0,
        source=source, failures={}, overall=effect, failing=SOME, gone=SOME, right=SOME,
        by_group=(), by_class=(), worst_group="all", accuracy_drop=0.0, ripple=ripple, controls=(),
        sweep=(), flips_at=None, downstream=(), detection=(), best=(), worst=(),
        verdict="harmful", reasons=("it breaks",),
    )  # fmt: skip


def head(found: Evidence) -> EvidenceNote:
    return EvidenceNote(
        digest=found.digest, image_set="x", split="test", pictures=9, fixed=SOME, broken=SOME,
        net=222.0, p=0.6, verdict=found.verdict, chosen_here=found.source.chosen_here,
    )  # fmt: skip


def test_a_name_that_is_taken_makes_the_next_version(url: str, tenant: str) -> None:
    shelf = Recipes(url, tenant)
    one = shelf.save(recipe(), "ann")
    two = shelf.save(recipe("no-strip", 3), "bob")
    assert [(s.recipe.version, s.author) for s in (one, two)] == [(1, "ann"), (2, "bob")]
    again = shelf.save(recipe("no-strip", 3), "cat")
    assert (again.recipe.version, again.author) == (2, "bob")  # nothing new in it
    shelf.save(recipe("other"), "cat")
    shelf.close()
    reopened = Recipes(url, tenant)
    assert [s.recipe.title for s in reopened.latest()] == ["other v1", "no-strip v2"]
    assert [s.recipe.version for s in reopened.versions("no-strip")] == [2, 1]
    assert reopened.get("no-strip", 1).recipe == one.recipe
    assert reopened.get("no-strip").newest == 2
    reopened.close()


def test_people_who_save_at_once_all_have_their_version(url: str, tenant: str) -> None:
    shelf = Recipes(url, tenant)
    with ThreadPoolExecutor(8) as people:
        kept = list(people.map(lambda i: shelf.save(recipe("race", i), f"p{i}"), range(12)))
    assert sorted(s.recipe.version for s in kept) == list(range(1, 13))
    found = {s.author: s.recipe.steer for s in shelf.versions("race")}
    assert found == {f"p{i}": recipe("race", i).steer for i in range(12)}
    shelf.close()


def test_evidence_stands_beside_the_version_it_is_about(shelf: Recipes) -> None:
    first = shelf.save(recipe(), "ann").recipe
    second = shelf.save(recipe("no-strip", 5), "ann").recipe
    found = evidence(first)
    rows = [{"key": "1.jpg", "before": 0, "after": 1}]
    for _ in range(2):
        shelf.note(("no-strip", 1), head(found), found, rows, "bob")
    with pytest.raises(InvalidRequest, match="another content"):
        shelf.note(("no-strip", 2), head(found), found, rows, "bob")
    kept = shelf.get("no-strip", 1)
    (ran,) = kept.runs
    assert (ran.author, ran.net, ran.note.verdict) == ("bob", (-6.0, 410.0), "harmful")
    assert kept.recipe.status == "proven" and kept.recipe.digest == first.digest
    assert shelf.evidence(("no-strip", 1), found.digest) == (found, rows)
    assert shelf.get("no-strip", 2).recipe == second and second.status == "unproven"
    with pytest.raises(NotFound, match="no evidence run"):
        shelf.evidence(("no-strip", 2), found.digest)


def test_runs_that_were_made_elsewhere_come_along(shelf: Recipes) -> None:
    plain = shelf.save(recipe(), "ann").recipe
    brought = plain.model_copy(update={"evidence": (head(evidence(plain)),)})
    for _ in range(2):
        kept = shelf.save(brought, "bob")
    assert (kept.recipe, kept.newest, len(kept.runs)) == (brought, 1, 1)
    assert kept.runs[0].net is None and kept.runs[0].author == "bob"
    with pytest.raises(NotFound, match="only the head came along"):
        shelf.evidence(("no-strip", 1), kept.runs[0].note.digest)


def test_what_is_unproven_is_not_published(shelf: Recipes) -> None:
    kept = shelf.save(recipe(), "ann").recipe
    key = (kept.name, kept.version)
    own = evidence(kept, chosen_here=4)
    shelf.note(key, head(own), own, [], "ann")
    with pytest.raises(Forbidden, match="unproven: run its evidence on at least one named"):
        shelf.publish(key, "ann")
    other = evidence(kept)
    shelf.note(key, head(other), other, [], "ann")
    assert shelf.publish(key, "ann").published
    assert not shelf.withdraw(key, "bob").published
    assert not shelf.get(*key).published and shelf.publish(key, "ann").published


def test_tenants_do_not_see_each_other(url: str, tenant: str) -> None:
    ours, theirs = Recipes(url, tenant), Recipes(url, f"{tenant}-b")
    ours.save(recipe(), "ann")
    assert theirs.latest() == []
    with pytest.raises(NotFound, match=r"no recipe 'no-strip' here; there is none yet"):
        theirs.get("no-strip")
    assert theirs.save(recipe("no-strip", 9), "eve").recipe.version == 1
    assert ours.get("no-strip").author == "ann"
    ours.close(), theirs.close()


def test_who_and_which_are_asked_for(shelf: Recipes) -> None:
    with pytest.raises(InvalidRequest, match="say who"):
        shelf.save(recipe(), "  ")
    shelf.save(recipe(), "ann")
    with pytest.raises(NotFound, match="no version 7: its newest is 1"):
        shelf.get("no-strip", 7)


def test_nobody_changes_what_was_saved(url: str, tenant: str) -> None:
    shelf = Recipes(url, tenant)
    kept = shelf.save(recipe(), "ann").recipe
    found = evidence(kept)
    shelf.note((kept.name, 1), head(found), found, [], "ann")
    shelf.publish((kept.name, 1), "ann")
    fourth = "INSERT OR REPLACE INTO {0} SELECT * FROM {0}"
    if not url.startswith("sqlite"):
        fourth = "TRUNCATE {0} CASCADE"
    engine = create_engine(url)
    for table in ("recipes", "recipe_evidence", "recipe_marks"):
        for statement in ("UPDATE {0} SET author = 'eve'", "DELETE FROM {0}", fourth):
            with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
                connection.execute(text(statement.format(table)))
    engine.dispose()
    after = shelf.get("no-strip")
    assert after.author == "ann" and after.published and len(after.runs) == 1
    shelf.close()


def test_sessions_and_recipes_share_a_database(url: str, tenant: str) -> None:
    store = Store(url)
    shelf = Recipes(url, tenant)
    shelf.save(recipe(), "ann")
    assert store.events(store.open()) == []
    store.close(), shelf.close()
