"""The in-process Runner on a tiny house: the identities, and what a person can send wrong."""

from pathlib import Path

import numpy as np
import pytest

import steerboard
from steerboard import (
    Attribute,
    Digest,
    Edit,
    Embed,
    Encode,
    Encoded,
    Feature,
    Logit,
    Margin,
    Mask,
    Predict,
    Prompts,
    Steer,
    SteerSet,
    scale,
)
from steerboard.spec.answers import Attribution, Prediction
from steerboard.spec.edits import Add, Condition, Direction, Head, Neuron, Remove, Scale
from steerboard.spec.errors import (
    BadImage,
    EmptyMask,
    ImageNotCached,
    InvalidRequest,
    NotFound,
    OverlappingEdits,
)
from steerboard.spec.requests import Pixels, Probe
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor

PROMPTS = Prompts(prompts=("cat", "dog", "horse", "boat"), template="a {}")
SITE, LAST = "resid_post.1", "resid_post.2"


@pytest.fixture(scope="module")
def runner(tiny_house: Path) -> Runner:
    return steerboard.local(tiny_house)


def asked(
    images: list[bytes], *sets: SteerSet, targets: tuple[Margin | Logit, ...] = (Margin(),)
) -> Steer:
    refs = tuple(Encoded(data=i) for i in images)
    return Steer(model="tiny", images=refs, classifier=PROMPTS, steer_sets=sets, targets=targets)


def test_satisfies_the_protocol_and_tells_what_it_measured(runner: Runner) -> None:
    assert isinstance(runner, Runner)
    (info,) = runner.models()
    assert all(site.n_bar > 0 for site in info.sites)
    middle = info.dictionary("middle")
    assert middle and {q.tokens for q in middle.quality} == {"prefix", "patches"}
    assert all(q.explained_variance > 0.99 for q in middle.quality)
    last = info.site("resid_post.2")
    assert last and not last.patches_read


def test_an_empty_steer_set_is_the_clean_answer_bit_for_bit(
    runner: Runner, tiny_images: list[bytes]
) -> None:
    sets = (SteerSet(), scale(SITE, "middle", -1, 0, 1, 2), scale(SITE, "middle", 0, 5))
    for steered in runner.steer(asked(tiny_images[:5], *sets)).results():
        assert np.array_equal(steered.clean.logits, steered.steered[0].logits)
        assert np.array_equal(steered.clean.logits, steered.steered[2].logits)
        assert not np.array_equal(steered.clean.logits, steered.steered[1].logits)
        assert steered.measured[0, 0] == 0 == steered.predicted[0, 0]


def test_clean_answer_of_steer_is_that_of_predict(runner: Runner, tiny_images: list[bytes]) -> None:
    steered = runner.steer(asked(tiny_images[:3], scale(SITE, "middle", 1, 0))).results()
    question = Predict(
        model="tiny", images=tuple(Encoded(data=i) for i in tiny_images[:3]), classifier=PROMPTS
    )
    for one, two in zip(steered, runner.predict(question).results(), strict=True):
        np.testing.assert_allclose(one.clean.logits, two.logits, atol=1e-4)
        assert abs(two.probabilities.sum() - 1) < 1e-5


def test_every_unit_and_site_moves_the_answer_and_prediction_follows(
    runner: Runner, tiny_images: list[bytes]
) -> None:
    direction = Direction(values=Tensor.of(np.random.default_rng(0).normal(size=24)))
    small = 0.01
    sets = [
        SteerSet(edits=(Edit(site="head_out.1", unit=Head(index=2), op=Scale(m=small)),)),
        SteerSet(edits=(Edit(site="mlp_post.0", unit=Neuron(index=7), op=Scale(m=small)),)),
        SteerSet(edits=(Edit(site="resid_pre.2", unit=direction, op=Add(alpha=small)),)),
        SteerSet(edits=(Edit(site="embedding", unit=Neuron(index=3), op=Scale(m=small)),)),
        scale(SITE, "middle", small, *range(48)),
        SteerSet(
            edits=(
                Edit(
                    site="resid_post.2", unit=Feature(dictionary="last", index=1), op=Scale(m=small)
                ),
            )
        ),
    ]
    one = runner.steer(
        asked(tiny_images[:1], *sets, targets=(Margin(index=0, against=1), Logit(index=2)))
    ).one()
    assert (one.measured != 0).any()
    np.testing.assert_allclose(one.predicted, one.measured, rtol=0.1, atol=2e-4)


def test_scores_of_all_units_with_error_and_bias_sum_to_the_total(
    runner: Runner, tiny_images: list[bytes]
) -> None:
    for name in ("middle", "last"):
        request = Attribute(
            model="tiny",
            images=tuple(Encoded(data=i) for i in tiny_images[:3]),
            classifier=PROMPTS,
            dictionary=name,
            targets=(Margin(), Logit(index=1)),
            top_k=5,
            maps=True,
        )
        for attributions in runner.attribute(request).results():
            for a in attributions:
                assert a.scores.sum() + a.rest + a.error + a.bias == pytest.approx(
                    a.total, abs=1e-4
                )
                assert a.maps.shape == (len(a.features), 4, 4)
                np.testing.assert_allclose(
                    a.maps.sum((1, 2)) + a.prefix_scores, a.scores, atol=1e-5
                )


def test_predicted_effect_of_scaling_is_m_times_the_score(
    runner: Runner, tiny_images: list[bytes]
) -> None:
    request = Attribute(
        model="tiny",
        images=(Encoded(data=tiny_images[0]),),
        classifier=PROMPTS,
        dictionary="middle",
        top_k=4,
    )
    (attribution,) = runner.attribute(request).one()
    sets = [scale(SITE, "middle", -0.5, int(f)) for f in attribution.features]
    target = Margin(index=attribution.target.index, against=attribution.target.against)
    steered = runner.steer(asked(tiny_images[:1], *sets, targets=(target,))).one()
    np.testing.assert_allclose(
        steered.predicted[:, 0], -0.5 * attribution.scores, rtol=1e-3, atol=1e-5
    )


def test_what_is_predicted_of_a_set_does_not_hang_on_the_sets_beside_it(
    runner: Runner, tiny_images: list[bytes]
) -> None:
    """Features that several sets name, edited, doubled or as a condition, on two pictures."""
    request = Attribute(
        model="tiny",
        images=(Encoded(data=tiny_images[0]),),
        classifier=PROMPTS,
        dictionary="middle",
        top_k=6,
    )
    (found,) = runner.attribute(request).one()
    a, b, c, *_ = map(int, found.features)
    only = Condition(unit=Feature(dictionary="middle", index=c), tau=0.1)
    (edit,) = scale(SITE, "middle", -1.0, a).edits
    sets = (
        scale(SITE, "middle", -1.0, a, b),
        scale(SITE, "middle", 1.0, b),
        SteerSet(edits=(edit.model_copy(update={"condition": only}),)),
        scale(SITE, "middle", 0.5, c, a),
        scale(LAST, "last", 1.0, *range(8)),
    )
    targets = (Logit(index=0), Margin(index=0, against=1))
    together = runner.steer(asked(tiny_images[:2], *sets, targets=targets)).results()
    for k, one in enumerate(sets):
        alone = runner.steer(asked(tiny_images[:2], one, targets=targets)).results()
        for many, single in zip(together, alone, strict=True):
            np.testing.assert_allclose(many.predicted[k], single.predicted[0], atol=1e-5)
    assert np.abs(together[0].predicted[:4]).min() > 1e-4  # all of them do something
    effects = [found.predicted[:4, 0].tolist() for found in together]
    assert len({round(value, 5) for row in effects for value in row}) == 8


def test_under_edits_further_down_scores_are_slopes_of_the_steered_model(
    runner: Runner, tiny_images: list[bytes]
) -> None:
    """Route two: turn each feature down a little on top of the edits, and measure."""
    neurons = [Neuron(index=i) for i in range(8)]
    earlier = tuple(Edit(site="mlp_post.0", unit=n, op=Scale(m=-1.0)) for n in neurons)
    (a,) = runner.attribute(explained(tiny_images[0], "middle", SteerSet(edits=earlier))).one()
    (clean,) = runner.attribute(explained(tiny_images[0], "middle", SteerSet())).one()
    assert abs(a.value - clean.value) > 1e-3 and a.total != pytest.approx(clean.total, rel=1e-3)
    step = 0.01
    moved = [scale(SITE, "middle", step, int(f)).edits for f in a.features]
    sets = [SteerSet(edits=earlier + edits) for edits in ((), *moved)]
    said = runner.steer(asked(tiny_images[:1], *sets, targets=(frozen(a),))).one()
    values = margin(said.clean, a) + said.measured[:, 0]
    assert a.value == pytest.approx(values[0], abs=1e-5)
    np.testing.assert_allclose((values[1:] - values[0]) / step, a.scores, rtol=0.1, atol=2e-3)


def test_under_edits_of_its_own_site_a_feature_that_is_off_speaks_no_more(
    runner: Runner, tiny_images: list[bytes]
) -> None:
    """One token: score over activation is the slope along the feature, whatever it is read as."""
    (clean,) = runner.attribute(explained(tiny_images[0], "last", SteerSet())).one()
    gone, other = (int(f) for f in clean.features[:2])
    off = scale(LAST, "last", -1.0, gone)
    (a,) = runner.attribute(explained(tiny_images[0], "last", off)).one()
    active = dict(zip(a.features.tolist(), a.activations, strict=True))
    assert abs(active.get(gone, 0.0)) < 0.05 * clean.activations[0]
    step = 0.01
    sets = (off, SteerSet(edits=off.edits + scale(LAST, "last", step, other).edits))
    said = runner.steer(asked(tiny_images[:1], *sets, targets=(frozen(a),))).one()
    slope = (said.measured[1, 0] - said.measured[0, 0]) / step / clean.activations[1]
    score = dict(zip(a.features.tolist(), a.scores, strict=True))[other]
    assert score / active[other] == pytest.approx(slope, rel=0.1)


def explained(image: bytes, dictionary: str, steer: SteerSet) -> Attribute:
    return Attribute(
        model="tiny",
        images=(Encoded(data=image),),
        classifier=PROMPTS,
        dictionary=dictionary,
        top_k=6,
        steer=steer,
    )


def frozen(attribution: Attribution) -> Margin:
    return Margin(index=attribution.target.index, against=attribution.target.against)


def margin(prediction: Prediction, attribution: Attribution) -> float:
    target = attribution.target
    return float(prediction.logits[target.index] - prediction.logits[target.against or 0])


def test_a_margin_left_open_is_top_against_runner_up(
    runner: Runner, tiny_images: list[bytes]
) -> None:
    steered = runner.steer(asked(tiny_images[:1], SteerSet())).one()
    order = steered.clean.logits.argsort()[::-1]
    assert (steered.targets[0].index, steered.targets[0].against) == tuple(order[:2])


def test_code_decodes_to_shape_and_only_where_the_dictionary_lives(
    runner: Runner, tiny_images: list[bytes]
) -> None:
    code = runner.encode(
        Encode(model="tiny", images=(Encoded(data=tiny_images[0]),), dictionary="last")
    ).one()
    assert code.shape == (17, 48) and set(code.tokens) == {0}
    assert code.dense().shape == (17, 48)


def test_embeddings_have_unit_length(runner: Runner, tiny_images: list[bytes]) -> None:
    for request in (
        Embed(model="tiny", texts=("a cat", "a dog")),
        Embed(model="tiny", images=(Encoded(data=tiny_images[0]),)),
    ):
        for result in runner.embed(request).results():
            assert np.linalg.norm(result.values) == pytest.approx(1, abs=1e-5)


def test_one_bad_picture_fails_alone(runner: Runner, tiny_images: list[bytes]) -> None:
    images = [tiny_images[0], b"no picture", tiny_images[1]]
    answer = runner.steer(asked(images, scale(SITE, "middle", -1, 3)))
    assert isinstance(answer.items[1], BadImage) and answer.items[1].field == "images[1]"
    alone = runner.steer(asked([tiny_images[1]], scale(SITE, "middle", -1, 3))).one()
    assert not isinstance(answer.items[2], Exception)
    np.testing.assert_allclose(
        answer.items[2].steered[0].logits, alone.steered[0].logits, atol=1e-4
    )


def test_all_unknown_digests_are_listed_and_known_ones_answered(
    runner: Runner, tiny_images: list[bytes]
) -> None:
    unknown = tuple(Digest(sha256=c * 64) for c in "ab")
    with pytest.raises(ImageNotCached) as caught:
        runner.predict(Predict(model="tiny", images=unknown, classifier=PROMPTS))
    assert caught.value.details["digests"] == "a" * 64 + "," + "b" * 64
    sent = Encoded(data=tiny_images[2])
    first = runner.predict(Predict(model="tiny", images=(sent,), classifier=PROMPTS)).one()
    again = runner.predict(
        Predict(model="tiny", images=(Digest(sha256=sent.sha256),), classifier=PROMPTS)
    ).one()
    assert np.array_equal(first.logits, again.logits)


def feature(
    index: int = 0, site: str = SITE, mask: Mask | None = None, dictionary: str = "middle"
) -> Edit:
    return Edit(
        site=site,
        unit=Feature(dictionary=dictionary, index=index),
        op=Scale(m=-1),
        mask=mask or Mask(),
    )


@pytest.mark.parametrize(
    ("edits", "error", "field"),
    [
        ((feature(site="resid_post.9"),), NotFound, "steer_sets[0].edits[0].site"),
        ((feature(index=48),), NotFound, "steer_sets[0].edits[0].unit"),
        ((feature(dictionary="none"),), NotFound, "steer_sets[0].edits[0].unit.dictionary"),
        ((feature(site="resid_post.0"),), InvalidRequest, "steer_sets[0].edits[0].unit"),
        (
            (feature(), feature(mask=Mask(kind="prefix"))),
            OverlappingEdits,
            "steer_sets[0].edits[1]",
        ),
        ((feature(mask=Mask(kind="patches")),), EmptyMask, "steer_sets[0].edits[0].mask"),
        (
            (feature(mask=Mask(kind="patches", cells=((4, 0),))),),
            InvalidRequest,
            "steer_sets[0].edits[0].mask",
        ),
        (
            (
                Edit(
                    site="resid_post.2",
                    unit=Neuron(index=0),
                    op=Scale(m=1),
                    mask=Mask(kind="patches", cells=((0, 0),)),
                ),
            ),
            EmptyMask,
            "steer_sets[0].edits[0].mask",
        ),
        (
            (Edit(site="head_out.0", unit=Head(index=3), op=Scale(m=1)),),
            NotFound,
            "steer_sets[0].edits[0].unit",
        ),
        (
            (Edit(site=SITE, unit=Direction(values=Tensor.of([1.0, 2.0])), op=Remove()),),
            InvalidRequest,
            "steer_sets[0].edits[0].unit",
        ),
    ],
)
def test_a_steer_set_that_does_not_fit_is_refused(
    runner: Runner,
    tiny_images: list[bytes],
    edits: tuple[Edit, ...],
    error: type[Exception],
    field: str,
) -> None:
    with pytest.raises(error) as caught:
        runner.steer(asked(tiny_images[:1], SteerSet(edits=edits)))
    assert type(caught.value) is error and caught.value.field == field  # type: ignore[attr-defined]
    with pytest.raises(error) as caught:
        runner.attribute(explained(tiny_images[0], "middle", SteerSet(edits=edits)))
    assert caught.value.field == field.replace("steer_sets[0]", "steer")  # type: ignore[attr-defined]


def test_disjoint_masks_of_one_unit_do_not_overlap(
    runner: Runner, tiny_images: list[bytes]
) -> None:
    both = SteerSet(
        edits=(
            feature(mask=Mask(kind="prefix")),
            feature(mask=Mask(kind="patches", cells=((1, 1),))),
        )
    )
    runner.steer(asked(tiny_images[:1], both)).one()


def test_unknown_names_and_wrong_shapes_are_refused(
    runner: Runner, tiny_images: list[bytes]
) -> None:
    image = Encoded(data=tiny_images[0])
    probe = Probe(names=("a", "b"), weight=Tensor.of(np.ones((2, 5))), bias=Tensor.of(np.zeros(2)))
    with pytest.raises(NotFound, match="no model"):
        runner.predict(Predict(model="none", images=(image,), classifier=PROMPTS))
    with pytest.raises(NotFound, match="no dictionary"):
        runner.encode(Encode(model="tiny", images=(image,), dictionary="none"))
    with pytest.raises(InvalidRequest, match="probe reads 5"):
        runner.predict(Predict(model="tiny", images=(image,), classifier=probe))
    with pytest.raises(InvalidRequest, match="names class 7"):
        runner.steer(asked(tiny_images[:1], SteerSet(), targets=(Logit(index=7),)))
    small = Pixels(tensor=Tensor.of(np.zeros((3, 8, 8))))
    answer = runner.predict(Predict(model="tiny", images=(small, image), classifier=PROMPTS))
    assert isinstance(answer.items[0], InvalidRequest) and not isinstance(
        answer.items[1], Exception
    )
