"""Evidence in chunks by any workers is the evidence of one process."""

from pathlib import Path

import pytest
from pydantic import ValidationError

import steerboard as sb
from services.attribution import compute, evidence_set
from services.attribution.tools import State, Tools
from steerboard.analysis.evidence.pictures import ManifestSet
from steerboard.analysis.evidence.run import Options, run_evidence
from steerboard.recipe.making import make
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import ImageNotCached, InvalidRequest
from steerboard.spec.evidence import Evidence
from steerboard.spec.evidence_job import EvidenceJob, EvidencePicture, unchosen
from steerboard.spec.recipe import SHORT, ChosenOn, Recipe
from steerboard.spec.runner import Runner

CLASSES = ("cat", "dog", "horse", "boat")


@pytest.fixture
def images(tiny_house: Path) -> ManifestSet:
    folder = tiny_house / "images"
    return ManifestSet("tiny", folder, folder / "manifest.jsonl", "validation")


@pytest.fixture
def recipe(runner: Runner) -> Recipe:
    """One that has something to fix: the random model calls everything the same."""
    steer = sb.scale("resid_post.1", "middle", -3.0, 3, 4, 9, 20)
    classifier = sb.Prompts(prompts=CLASSES, template="a {}")
    return make(runner, "no-stripes", "tiny", steer, classifier, failures={"label": "dog"})


def job(recipe: Recipe, images: ManifestSet) -> EvidenceJob:
    pictures = tuple(
        EvidencePicture(
            sha256=image_digest(p.data), key=p.key, label=p.label,
            facts=(f"group={p.attributes['group']}",),
        )
        for p in images
    )  # fmt: skip
    return EvidenceJob(
        recipe=recipe,
        image_set="tiny",
        split="validation",
        images=pictures,
        vocabulary=("red", "green"),
    )


class Pool:
    """Workers that share nothing but results, and forget all else after every step."""

    def __init__(self, spec: EvidenceJob, runner: Runner, images: ManifestSet) -> None:
        self.spec, self.steps = spec, 0
        self.held = {image_digest(p.data): p.data for p in images}
        self.done: dict[int, list[State]] = {}
        self.told: list[str] = []
        self.tools = Tools(runner, self.read, lambda d, f: [], self.finished, "job")

    def read(self, sha256: str) -> bytes:
        if sha256 not in self.held:
            raise ImageNotCached("a picture is not held here")
        return self.held[sha256]

    def finished(self, chunks: range) -> list[list[State] | None]:
        return [self.done.get(chunk) for chunk in chunks]

    def work(self) -> None:
        total = compute.size(self.spec).chunks
        for chunk in [*reversed(range(total - 1)), total - 1]:
            state: State = {}
            while not compute.complete(self.spec, chunk, state):
                evidence_set._LATEST.folder = ""  # another process goes on
                before = compute.units(state)
                state = compute.step(self.spec, chunk, state, self.tools, 5)
                assert compute.units(state) > before or "evidence" in state
                self.steps += 1
                self.told.append(compute.told(self.spec, state))
            self.done[chunk] = compute.rows(self.spec, chunk, state)


def test_chunks_give_what_one_process_gives(
    runner: Runner, recipe: Recipe, images: ManifestSet
) -> None:
    pool = Pool(job(recipe, images), runner, images)
    pool.work()
    whole, rows = run_evidence(runner, recipe, images, Options(vocabulary=("red", "green")))
    (found,) = pool.done[1]
    there = Evidence.model_validate(found["evidence"])
    for name in ("overall", "failing", "right", "by_class", "controls", "sweep", "verdict"):
        assert getattr(there, name) == getattr(whole, name), name
    assert there.ripple.wide_kl.mean == pytest.approx(whole.ripple.wide_kl.mean, abs=1e-5)
    assert [d.forecasts for d in there.downstream] == [d.forecasts for d in whole.downstream]
    assert there.source == whole.source and found["note"]["digest"] == there.digest
    said = {row["key"]: (row["rows"]["before"], row["rows"]["after"]) for row in pool.done[0]}
    assert said == {row.key: (row.before, row.after) for row in rows}
    assert len(there.controls) == 3 and pool.steps >= 8  # a few pictures at a time
    said_of = [text for text in dict.fromkeys(pool.told) if text]
    assert said_of[0].startswith("controls and other strengths on 4 of ")
    read = [s for s in said_of if s.startswith("features read again on ")]
    assert len(read) >= 2 and len(set(read[-1].split()[4:7:2])) == 1  # all of all


def test_a_picture_that_is_not_there_is_told_and_not_counted(
    runner: Runner, recipe: Recipe, images: ManifestSet
) -> None:
    spec = job(recipe, images)
    pool = Pool(spec, runner, images)
    del pool.held[spec.images[3].sha256]
    pool.work()
    found = Evidence.model_validate(pool.done[1][0]["evidence"])
    assert (found.source.pictures, found.source.failed) == (len(images) - 1, 1)
    assert "not held" in pool.done[0][3]["error"]


def test_what_a_recipe_was_chosen_on_never_counts(recipe: Recipe, images: ManifestSet) -> None:
    spec = job(recipe, images)
    seen = spec.images[2].sha256[:SHORT]
    on = (ChosenOn(image_set="tiny", pictures=(seen,)),)
    made = recipe.provenance.model_copy(update={"chosen_on": on})
    own = recipe.model_copy(update={"provenance": made})
    with pytest.raises(ValidationError, match="on 1 of its pictures"):
        job(own, images)
    left = unchosen(own, "tiny", "validation", spec.images)
    assert [p.key for p in left] == [p.key for p in spec.images if p != spec.images[2]]
    split = (ChosenOn(image_set="tiny", split="validation"),)
    made = recipe.provenance.model_copy(update={"chosen_on": split})
    with pytest.raises(InvalidRequest, match="choose another split"):
        unchosen(recipe.model_copy(update={"provenance": made}), "tiny", "validation", spec.images)
