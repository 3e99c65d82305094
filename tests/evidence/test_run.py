"""A whole run over real pictures: its numbers had a second time by plain questions."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

import steerboard as sb
from steerboard.analysis.evidence.answers import readout
from steerboard.analysis.evidence.directions import activations, explained, free_parts, free_size
from steerboard.analysis.evidence.gathered import joined
from steerboard.analysis.evidence.pictures import ManifestSet, Picture
from steerboard.analysis.evidence.probing import (
    DRAWS,
    KINDS,
    Probed,
    drawn_sets,
    probed_of,
    rng_of,
    sights_of,
)
from steerboard.analysis.evidence.rivals import (
    other_features,
    parts,
    random_direction,
    size,
)
from steerboard.analysis.evidence.rows import Row, divergence, failing, without
from steerboard.analysis.evidence.run import Options, run_evidence
from steerboard.analysis.evidence.statistics import auroc
from steerboard.analysis.evidence.steps import challenge, lay
from steerboard.analysis.evidence.strengths import FACTORS, stronger
from steerboard.dictionary.native import read
from steerboard.inprocess.config import read_config
from steerboard.inprocess.kernel import DirectKernel
from steerboard.inprocess.kernel import Row as EngineRow
from steerboard.inprocess.served import serve
from steerboard.recipe.making import chosen, make
from steerboard.spec.edits import (
    Add,
    Condition,
    Direction,
    Edit,
    Feature,
    Mask,
    Remove,
    Scale,
    Set,
    SteerSet,
)
from steerboard.spec.errors import InvalidRequest, NotFound
from steerboard.spec.evidence import Evidence
from steerboard.spec.recipe import Recipe
from steerboard.spec.requests import Encode, Steer
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor

WORDS = ("red", "green", "owl", "tree", "stone")
Ran = tuple[Evidence, tuple[Row, ...]]


@pytest.fixture(scope="module")
def ran(runner: Runner, recipe: Recipe, pictures: ManifestSet, tiny_house: Path) -> Ran:
    books = {
        name: read(tiny_house / f"{name}.safetensors").sae.W_dec.numpy()
        for name in ("middle", "last")
    }
    return run_evidence(runner, recipe, pictures, Options(vocabulary=WORDS, decoders=books))


def said(runner: Runner, recipe: Recipe, picture: Picture, steer: SteerSet | None = None):
    request = Steer(
        model="tiny",
        images=(sb.Encoded(data=picture.data),),
        classifier=recipe.classifier,
        steer_sets=(recipe.steer if steer is None else steer,),
    )
    return runner.steer(request).one()


def test_every_row_is_what_the_runner_says_with_the_recipes_own_prompts(
    ran: Ran, runner: Runner, recipe: Recipe, pictures: ManifestSet
) -> None:
    _, rows = ran
    assert [r.key for r in rows] == [p.key for p in pictures]
    for row, picture in zip(rows, pictures, strict=True):
        found = said(runner, recipe, picture)
        clean, steered = found.clean, found.steered[0]
        assert (row.before, row.after) == (clean.top, steered.top)
        chances = clean.probabilities[row.truth], steered.probabilities[row.truth]
        np.testing.assert_allclose((row.chance_before, row.chance_after), chances, atol=1e-5)
        rest = [np.delete(p.probabilities.astype(float), row.truth) for p in (clean, steered)]
        p, q = (part / part.sum() for part in rest)
        assert row.kl == pytest.approx((p * np.log(p / q)).sum(), abs=1e-4)
        assert row.tv == pytest.approx(np.abs(p - q).sum() / 2, abs=1e-4)


def test_counts_add_up_and_something_moved(ran: Ran) -> None:
    evidence, rows = ran
    e = evidence.overall
    assert e.n == 16 and e.fixes == sum(r.fixed for r in rows)
    assert e.fixes - e.breaks == e.accuracy_after.hits - e.accuracy_before.hits
    assert sum(c.n for c in evidence.by_class) == 16
    assert sum(f.count for f in evidence.ripple.flows) == sum(
        r.before != r.after for r in rows if not r.wanted
    )
    assert evidence.ripple.drift.mean > 1e-4 and evidence.ripple.wide_words == len(WORDS)
    assert evidence.failing.n == len(failing(rows)) > 0
    point = evidence.sweep[FACTORS.index(1.0)]
    assert point.fix_rate.hits == sum(r.fixed for r in failing(rows))


def test_a_run_can_be_had_again_and_kept(
    ran: Ran, runner: Runner, recipe: Recipe, pictures: ManifestSet
) -> None:
    evidence, _ = ran
    text = json.dumps(evidence.model_dump(mode="json"))
    assert Evidence.model_validate_json(text).digest == evidence.digest
    again, _ = run_evidence(runner, recipe, pictures, Options())
    assert again.overall == evidence.overall and again.controls == evidence.controls
    assert again.left_out and "wide vocabulary" in " ".join(again.left_out)


def test_features_downstream_are_those_of_a_second_encoding(
    ran: Ran, runner: Runner, recipe: Recipe, pictures: ManifestSet
) -> None:
    evidence, rows = ran
    found = {d.dictionary: d for d in evidence.downstream}
    assert set(found) == {"middle", "last"}
    right = {r.key for r in rows if not r.wanted and r.before == r.truth}
    keys = right | {r.key for r in failing(rows)}
    images = tuple(sb.Encoded(data=p.data) for p in pictures if p.key in keys)
    ask = Encode(model="tiny", images=images, dictionary="last")
    clean = np.array([c.dense().sum(0) for c in runner.encode(ask).results()])
    for moved in found["last"].shifts[:5]:
        assert moved.before == pytest.approx(clean[:, moved.feature].mean(), abs=1e-4)
    edited = {3, 4, 9, 20}
    assert not edited & {s.feature for s in found["middle"].shifts}
    assert {f.source for f in found["middle"].forecasts} == {"cosine", "coactivation", "both"}


def test_controls_have_the_size_of_the_change(
    runner: Runner, recipe: Recipe, pictures: ManifestSet, tiny_house: Path
) -> None:
    info, rng = runner.model("tiny"), np.random.default_rng(0)
    decoder = read(tiny_house / "middle.safetensors").sae.W_dec.numpy().astype(float)
    (part,) = parts(recipe.steer)
    picture = next(iter(pictures))
    code = runner.encode(
        Encode(model="tiny", images=(sb.Encoded(data=picture.data),), dictionary="middle")
    ).one()
    # The tiny dictionary's rows are plus and minus an orthonormal basis: the size is exact.
    dense = code.dense().astype(float)
    change = -3.0 * dense[:, list(part.features)] @ decoder[list(part.features)]
    np.testing.assert_allclose(size(part, code, info), np.linalg.norm(change, axis=1), rtol=1e-5)
    rival = other_features(part, code, info, rng)
    chosen_ = [e.unit.index for e in rival.edits]
    assert len(chosen_) == 4 and not set(chosen_) & set(part.features)
    other = rival.edits[0].op.m * dense[:, chosen_] @ decoder[chosen_]
    assert np.linalg.norm(other) == pytest.approx(np.linalg.norm(change), rel=1e-5)
    n_bar = info.site("resid_post.1").n_bar
    added = random_direction(part, code, info, rng)
    norms = [e.op.alpha * n_bar for e in added.edits]
    assert np.linalg.norm(norms) == pytest.approx(np.linalg.norm(change), rel=1e-5)


def test_random_controls_are_drawn_anew_ten_times_for_each_failing_picture(
    ran: Ran, runner: Runner, recipe: Recipe, pictures: ManifestSet
) -> None:
    evidence, rows = ran
    local = failing(rows)
    drawn = {c.name: c for c in evidence.controls}
    assert [drawn[k].draws for k in KINDS] == [DRAWS, DRAWS, 1]
    assert [drawn[k].fix_rate.n for k in KINDS] == [DRAWS * len(local)] * 2 + [len(local)]
    info, picture = runner.model("tiny"), next(p for p in pictures if p.key == local[0].key)
    (sight,) = sights_of(runner, info, recipe.steer, (picture,))
    sets = drawn_sets(info, recipe.steer, sight, rng_of(0, picture), DRAWS)
    places = {"random features": [0, *range(9, 18)], "random direction": [1, *range(18, 27)]}
    assert len(sets) == 27
    # The second way: every draw put to the Runner by itself, counted by hand.
    one = probed(ran, runner, recipe, pictures)
    for name, where in places.items():
        assert len({sets[k].model_dump_json() for k in where}) > 1
        only = [said(runner, recipe, picture, sets[k]).steered[0].top for k in where]
        assert one.drawn(KINDS.index(name))[0] == [top == local[0].truth for top in only]


def probed(ran: Ran, runner: Runner, recipe: Recipe, pictures: ManifestSet) -> Probed:
    """The first failing picture under all that is asked of it."""
    _, rows = ran
    wanted = failing(rows)[0].key
    ground = lay(runner, recipe, Options(vocabulary=WORDS))
    parts_ = joined(challenge(ground, [p for p in pictures if p.key == wanted]))
    return probed_of(rows, parts_.probes)


def test_a_condition_that_never_holds_leaves_the_control_nothing_to_do(
    runner: Runner, pictures: ManifestSet
) -> None:
    never = Condition(unit=Feature(dictionary="middle", index=1), tau=1e3, per="image")
    edit = Edit(
        site="resid_post.1",
        unit=Feature(dictionary="middle", index=3),
        op=Set(value=2.0, everywhere=True),
        mask=Mask(kind="prefix"),
    )
    image = (sb.Encoded(data=next(iter(pictures)).data),)
    code = runner.encode(Encode(model="tiny", images=image, dictionary="middle")).one()
    info, rng = runner.model("tiny"), np.random.default_rng(0)
    (part,) = parts(SteerSet(edits=(edit,)))
    assert (size(part, code, info) > 0).tolist() == [True] + [False] * 16
    (quiet,) = parts(SteerSet(edits=(edit.model_copy(update={"condition": never}),)))
    assert not size(quiet, code, info).any()
    assert other_features(quiet, code, info, rng) == SteerSet()
    assert random_direction(quiet, code, info, rng) == SteerSet()


def test_directions_are_controlled_by_a_direction_of_exactly_their_size(
    runner: Runner, recipe: Recipe, pictures: ManifestSet, tiny_house: Path
) -> None:
    rng = np.random.default_rng(0)
    one, two, seen = (Direction(values=Tensor.of(v)) for v in rng.normal(size=(3, 24)))
    only = Condition(unit=seen, tau=0.3, per="token")
    site = "resid_post.0"
    edits = (
        Edit(site=site, unit=one, op=Set(value=2.0, everywhere=True), condition=only),
        Edit(site=site, unit=two, op=Add(alpha=0.5), mask=Mask(kind="patches", cells=((1, 2),))),
    )
    steer = SteerSet(edits=edits)
    assert explained(steer)
    (part,) = free_parts(steer)
    info, picture = runner.model("tiny"), next(iter(pictures))
    (a,) = activations(runner, info, recipe.classifier, part, (picture,))
    # The second way: the engine's own change of the residual stream.
    config, base = read_config(tiny_house)
    served = serve("tiny", config.models["tiny"], base, "")
    row = EngineRow("p", served.loaded.pixels(picture.data))
    x = DirectKernel().read(served, [row], site)
    change = served.editor.change(site, x, [steer])[0].numpy()
    sizes = free_size(part, a, info)
    assert 0 < (sizes > 0).sum() < len(sizes)
    np.testing.assert_allclose(sizes, np.linalg.norm(change, axis=1), rtol=1e-3, atol=1e-4)
    mine = make(runner, "free", "tiny", steer, recipe.classifier, failures={"label": "dog"})
    evidence, _ = run_evidence(runner, mine, pictures, Options(right=2, failing=2, encoded=1))
    assert [c.name for c in evidence.controls] == ["random direction"]
    assert any("features are no control" in line for line in evidence.left_out)


class Counting:
    """A Runner that counts the steer sets of every question."""

    def __init__(self, runner: Runner) -> None:
        self._runner, self.sets = runner, []

    def __getattr__(self, name: str) -> object:
        return getattr(self._runner, name)

    def stream(self, questions: Iterable[Steer]) -> object:
        def counted() -> Iterator[Steer]:
            for question in questions:
                self.sets.append(len(question.steer_sets))
                yield question

        return self._runner.stream(counted())


def test_what_is_asked_twice_is_asked_once(
    runner: Runner, recipe: Recipe, pictures: ManifestSet
) -> None:
    """Directions that are set have neither features as controls nor strengths to sweep."""
    unit = Direction(values=Tensor.of(np.random.default_rng(0).normal(size=24)))
    edit = Edit(site="resid_post.0", unit=unit, op=Set(value=9.0, everywhere=True))
    steer = SteerSet(edits=(edit,))
    mine = make(runner, "free", "tiny", steer, recipe.classifier, failures={"label": "dog"})
    counting, some = Counting(runner), [p for p in pictures if p.label in ("dog", "cat")]
    found = joined(challenge(lay(counting, mine), some)).probes
    drawn_by = {p.key: DRAWS if p.label == "dog" else 1 for p in some}
    assert counting.sets == [1 + drawn_by[p.key] for p in some]
    for picture in some:
        only = said(runner, mine, picture)
        by_set = dict(zip((*KINDS, *FACTORS), found[picture.key].said, strict=True))
        assert {by_set[f] for f in FACTORS} == {only.steered[0].top}
        # Without a change the answer is the clean one.
        assert {by_set["random features"], by_set["top by energy"]} == {only.clean.top}


def test_without_a_known_size_there_are_no_controls_and_the_run_says_so(
    runner: Runner, recipe: Recipe, pictures: ManifestSet
) -> None:
    free = Direction(values=Tensor.of(np.random.default_rng(0).normal(size=24)))
    other = Direction(values=Tensor.of(np.random.default_rng(1).normal(size=24)))
    off = Edit(site="resid_post.0", unit=free, op=Scale(m=-1))
    steer = SteerSet(edits=(off, Edit(site="resid_post.0", unit=other, op=Remove())))
    assert not explained(steer)
    mine = make(runner, "free", "tiny", steer, recipe.classifier)
    evidence, _ = run_evidence(runner, mine, pictures, Options(right=4))
    assert evidence.controls == () and any("controls" in line for line in evidence.left_out)
    assert evidence.sweep and evidence.failing.n > 0


def test_strengths_are_multiplied_and_stay_within_bounds(recipe: Recipe) -> None:
    assert {e.op.m for e in stronger(recipe.steer, 0.5).edits} == {-1.5}
    assert {e.op.m for e in stronger(recipe.steer, 1e6).edits} == {-100.0}


def test_pictures_that_it_was_chosen_on_are_refused_or_marked(
    runner: Runner, recipe: Recipe, pictures: ManifestSet
) -> None:
    first = list(pictures)[:2]
    for on in (chosen("tiny", "validation", []), chosen("elsewhere", "", first)):
        provenance = recipe.provenance.model_copy(update={"chosen_on": (on,)})
        mine = recipe.model_copy(update={"provenance": provenance})
        with pytest.raises(InvalidRequest, match="was chosen on"):
            run_evidence(runner, mine, pictures)
        marked, _ = run_evidence(runner, mine, pictures, Options(chosen_too=True, right=2))
        assert marked.source.chosen_here == (len(first) if on.pictures else len(pictures))


def test_bad_input_is_a_sentence(
    runner: Runner, recipe: Recipe, pictures: ManifestSet, tmp_path: Path
) -> None:
    only_two = sb.Prompts(prompts=("cat", "dog"), template="a {}")
    with pytest.raises(InvalidRequest, match="labelled 'horse'"):
        run_evidence(runner, recipe.model_copy(update={"classifier": only_two}), pictures)
    made = recipe.provenance.model_copy(update={"model_fingerprint": "0" * 64})
    with pytest.raises(InvalidRequest, match="make the recipe anew"):
        run_evidence(runner, recipe.model_copy(update={"provenance": made}), pictures)
    with pytest.raises(InvalidRequest, match="no picture of split 'moon'"):
        len(ManifestSet("tiny", pictures.images, pictures.manifest, "moon"))
    (tmp_path / "m.jsonl").write_text('{"path": "a.jpg"}\n[1]\n')
    with pytest.raises(InvalidRequest, match="line 2"):
        len(ManifestSet("x", tmp_path, tmp_path / "m.jsonl"))
    (tmp_path / "m.jsonl").write_text('{"path": "a.jpg", "label": "cat"}\n')
    with pytest.raises(NotFound, match=r"picture a\.jpg cannot be read"):
        run_evidence(runner, recipe, ManifestSet("x", tmp_path, tmp_path / "m.jsonl"))


def test_a_picture_that_does_not_decode_is_counted_and_harms_no_other(
    runner: Runner, recipe: Recipe, pictures: ManifestSet, tmp_path: Path
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    (tmp_path / "good.jpg").write_bytes(next(iter(pictures)).data)
    lines = [{"path": f"{name}.jpg", "label": "cat"} for name in ("bad", "good")]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    few = ManifestSet("x", tmp_path, tmp_path / "m.jsonl")
    evidence, rows = run_evidence(runner, recipe, few)
    assert evidence.source.failed == 1 and [r.key for r in rows] == ["good.jpg"]


def test_divergences_by_hand() -> None:
    p, q = np.log([[0.5, 0.3, 0.2]]), np.log([[0.2, 0.3, 0.5]])
    kl, tv = divergence(p, q)
    assert kl[0] == pytest.approx(0.3 * np.log(2.5)) and tv[0] == pytest.approx(0.3)
    np.testing.assert_allclose(np.exp(without(p, np.array([0]))), [[0.6, 0.4]])


def test_the_readout_is_the_runners(runner: Runner, recipe: Recipe, pictures: ManifestSet) -> None:
    head = readout(runner, runner.model("tiny"), recipe.classifier)
    picture = next(iter(pictures))
    image = (sb.Encoded(data=picture.data),)
    embedding = runner.embed(sb.Embed(model="tiny", images=image)).one().values
    expected = said(runner, recipe, picture).clean.logits
    np.testing.assert_allclose(head.logits(embedding), expected, atol=1e-4)


def test_detection_is_the_auroc_of_a_class_by_its_own_logit(
    ran: Ran, runner: Runner, recipe: Recipe, pictures: ManifestSet
) -> None:
    evidence, _ = ran
    others = [p for p in pictures if p.label != "dog"]
    logits = np.array([said(runner, recipe, p).steered[0].logits for p in others])
    (cat,) = [d for d in evidence.detection if d.concept == "cat"]
    assert cat.after == pytest.approx(auroc(logits[:, 0], [p.label == "cat" for p in others]))
