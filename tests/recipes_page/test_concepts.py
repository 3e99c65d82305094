"""A concept is named on the page; its experts are those that two other routes find."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

import steerboard as sb
from steerboard.analysis.responses import Place, responses
from steerboard.api.jobs_client import LibraryClient
from steerboard.spec.edits import Feature, Head, Neuron, Scale, Set, SteerSet
from steerboard.spec.requests import Embed, Encoded, Steer
from steerboard.spec.tensor import Tensor
from steerboard.store.events import Edited, PictureChosen
from steerboard.store.store import Store
from tests.ui.person import Person
from tests.ui.stage import Stage

Visit = Callable[..., Person]
ROW = re.compile(r'sb-id">(?:<a [^>]*>)?#(\d+)[^<]*<.*?AP ([\d.]+) · AUROC ([\d.]+)', re.S)


def experts(someone: Person) -> list[tuple[int, float, float]]:
    """Feature, AP and AUROC of each row."""
    return [(int(f), float(ap), float(roc)) for f, ap, roc in ROW.findall(someone.markup())]


def pictures(services: Stage) -> list[tuple[str, Encoded]]:
    """All pictures of the set that the page names concepts by, each with its label."""
    library = LibraryClient(services.environment["STEERBOARD_JOBS"])
    (found,) = library.image_sets()
    cards = library.images(found.id, split=next(iter(found.splits), ""), page_size=500).items
    held = library.get_images([c.sha256 for c in cards])
    return [(c.label, Encoded(data=held[c.sha256])) for c in cards]


def truth(services: Stage, feature: int, value: str) -> tuple[float, float]:
    """AP and AUROC of one feature by scikit-learn, over all pictures of the set."""
    runner, cards = sb.connect(services.environment["STEERBOARD_INFERENCE"]), pictures(services)
    images, shows = [image for _, image in cards], np.array([label == value for label, _ in cards])
    name = runner.models()[0].id
    answers = responses(runner, name, "middle", images).toarray()[:, feature]
    runner.close()
    return float(average_precision_score(shows, answers)), float(roc_auc_score(shows, answers))


def opened(visit: Visit) -> Person:
    """The page of concepts, once its pictures were looked at."""
    someone = visit("concepts")
    someone.until(lambda: any(b.key == "concept-take" for b in someone.page.button))
    return someone


def test_experts_are_what_scikit_learn_finds(visit: Visit, services: Stage) -> None:
    someone = opened(visit)
    value = str(someone.page.selectbox(key="concept-is-label").value)
    found = experts(someone)
    assert found == sorted(found, key=lambda row: -row[1])
    feature, ap, auroc = found[0]
    assert (round(ap, 2), round(auroc, 2)) == tuple(
        round(v, 2) for v in truth(services, feature, value)
    )


def test_a_concept_is_steered_in_both_ways(visit: Visit, store: str) -> None:
    someone = opened(visit)
    rows = experts(someone)[:3]
    someone.presses("concept-take")
    (away,) = [e for e in Store(store).events(someone.session()) if isinstance(e, Edited)]
    assert away.origin.startswith("concept ")
    strengths = {
        e.unit.index: e.op.m
        for e in away.edits
        if isinstance(e.unit, Feature) and isinstance(e.op, Scale)
    }
    for feature, _, auroc in rows:
        assert abs(strengths[feature] + 2 * (auroc - 0.5)) < 0.011
    again = opened(visit)
    again.page.selectbox(key="concept-way-feature").set_value("towards").run()
    again.until(lambda: "set to" in again.reads())
    again.presses("concept-take")
    (to,) = [e for e in Store(store).events(again.session()) if isinstance(e, Edited)]
    assert all(isinstance(e.op, Set) and e.op.value > 0 for e in to.edits)


UNIT = re.compile(r'sb-id">(neuron|head) (\d+)<.*?AP ([\d.]+) · AUROC ([\d.]+)', re.S)


@pytest.mark.parametrize("kind", ["neuron", "head"])
def test_neurons_and_heads_are_experts_too_and_what_is_shown_is_what_steering_does(
    visit: Visit, services: Stage, store: str, kind: str
) -> None:
    someone = opened(visit)
    value = str(someone.page.selectbox(key="concept-is-label").value)
    someone.page.segmented_control(key="concept-units").set_value(kind).run()
    someone.until(lambda: UNIT.findall(someone.markup()))
    site = str(someone.page.selectbox(key=f"concept-site-{kind}").value)
    runner = sb.connect(services.environment["STEERBOARD_INFERENCE"])
    info, cards = runner.models()[0], pictures(services)
    table = responses(runner, info.id, Place(units=kind, site=site), [i for _, i in cards])  # type: ignore[arg-type]
    shows = np.array([label == value for label, _ in cards])
    skill = [
        (average_precision_score(shows, own), roc_auc_score(shows, own))
        for own in table.toarray().T
    ]
    found = [(int(u), float(ap), float(roc)) for _, u, ap, roc in UNIT.findall(someone.markup())]
    assert [ap for _, ap, _ in found] == [
        round(ap, 2) for ap in sorted((ap for ap, _ in skill), reverse=True)[:8]
    ]
    for unit, ap, roc in found:
        assert (round(skill[unit][0], 2), round(skill[unit][1], 2)) == (ap, roc)

    someone.until(lambda: any(b.key == "concept-another" for b in someone.page.button))
    someone.page.button(key="concept-another").click().run()
    someone.page.run()
    someone.until(lambda: "sb-verdict" in someone.markup())
    shown = re.findall(r"(?:Before|After)</small><b>([^<]+)</b><small>([^<]+)<", someone.markup())
    someone.presses("concept-take")
    log = Store(store).events(someone.session())
    (taken,) = [e for e in log if isinstance(e, Edited)]
    assert {e.unit.kind for e in taken.edits} == {kind} and {e.site for e in taken.edits} == {site}
    for edit in taken.edits:
        assert isinstance(edit.unit, Neuron | Head) and isinstance(edit.op, Scale)
        assert edit.op.m == pytest.approx(-2 * (skill[edit.unit.index][1] - 0.5))
    (opened_,) = [e for e in log if isinstance(e, PictureChosen)]
    image = next(i for _, i in cards if i.sha256 == opened_.sha256)
    assert dict((i.sha256, label) for label, i in cards)[opened_.sha256] == value
    assert info.classifier is not None
    answer = runner.steer(
        Steer(model=info.id, images=(image,), classifier=info.classifier,
              steer_sets=(SteerSet(edits=taken.edits),))
    ).one()  # fmt: skip
    runner.close()
    assert shown == [
        (info.prompts[one.top], f"{one.probabilities[one.top]:.1%}")
        for one in (answer.clean, *answer.steered)
    ]


def test_directions_of_words_are_experts_by_how_far_pictures_reach_along_them(
    visit: Visit, services: Stage
) -> None:
    words = ["dog", "a red thing", "sky"]
    someone = visit(
        "concepts", units="direction", along="|".join(words), of="label", **{"is": "dog"}
    )
    found = re.compile(r'sb-id">“([^”]+)”<.*?AP ([\d.]+) · AUROC ([\d.]+)', re.S)
    someone.until(lambda: found.findall(someone.markup()))
    runner, cards = sb.connect(services.environment["STEERBOARD_INFERENCE"]), pictures(services)
    name, shows = runner.models()[0].id, np.array([label == "dog" for label, _ in cards])
    asked = Embed(model=name, texts=tuple(f"a photo of {word}" for word in words))
    rows = np.array([e.values for e in runner.embed(asked).results()])
    where = Place(units="direction", site="embedding", directions=Tensor.of(rows))
    along = responses(runner, name, where, [image for _, image in cards]).toarray()
    runner.close()
    skill = {
        word: (average_precision_score(shows, own), roc_auc_score(shows, own))
        for word, own in zip(words, along.T, strict=True)
    }
    told = {w: (float(a), float(r)) for w, a, r in found.findall(someone.markup())}
    assert told == {w: (round(ap, 2), round(roc, 2)) for w, (ap, roc) in skill.items()}
    assert list(told) == sorted(words, key=lambda w: -skill[w][0])
    someone.until(lambda: "at embedding" in someone.reads())
    assert f"“{next(w for w in told if skill[w][1] > 0.5)}” at embedding" in someone.reads()
    other = visit("concepts", **shared(someone))
    other.until(lambda: found.findall(other.markup()))
    assert found.findall(other.markup()) == found.findall(someone.markup())


WAYS = {
    "feature": ["away", "towards", "scale", "set", "add", "remove"],
    "neuron": ["away", "towards", "scale", "set", "add"],
    "head": ["away", "scale"],
    "direction": ["away", "towards", "scale", "set", "add", "remove"],
}


@pytest.mark.parametrize("kind", WAYS)
def test_every_way_that_fits_a_kind_of_unit_is_answered(visit: Visit, kind: str) -> None:
    someone = opened(visit)
    someone.page.segmented_control(key="concept-units").set_value(kind).run()
    someone.until(lambda: any(b.key == "concept-take" for b in someone.page.button))
    someone.page.button(key="concept-another").click().run()
    box = someone.page.selectbox(key=f"concept-way-{kind}")
    assert [box.format_func(way) for way in WAYS[kind]] == list(box.options)
    for way in WAYS[kind]:
        someone.page.run()
        someone.page.selectbox(key=f"concept-way-{kind}").set_value(way).run()
        someone.until(lambda: "sb-verdict" in someone.markup())
        assert not someone.page.error, someone.reads()


def shared(someone: Person) -> dict[str, str]:
    """What another person would be sent: the address without the session."""
    given = {k: v if isinstance(v, str) else v[0] for k, v in someone.page.query_params.items()}
    return {k: v for k, v in given.items() if k != "s"}


def test_words_name_a_concept_too_and_its_address_names_it_again(visit: Visit) -> None:
    someone = opened(visit)
    someone.page.segmented_control(key="concept-way").set_value("Words").run()
    someone.types("concept-words", "a cat")
    someone.until(lambda: experts(someone))
    assert "Shows it:" in someone.markup()
    other = visit("concepts", **shared(someone))
    other.until(lambda: experts(other))
    assert experts(other) == experts(someone) and other.session() != someone.session()


def test_ticks_are_the_concept_and_their_address_ticks_them_again(visit: Visit) -> None:
    someone = opened(visit)
    someone.page.segmented_control(key="concept-way").set_value("By hand").run()
    for box in someone.page.checkbox[:3]:
        someone.page.checkbox(key=box.key).check().run()
    someone.until(lambda: experts(someone))
    assert re.search(r"Shows it: 3\b", someone.markup())
    other = visit("concepts", **shared(someone))
    other.until(lambda: experts(other))
    assert experts(other) == experts(someone)
    assert [b.value for b in other.page.checkbox[:4]] == [True, True, True, False]


def test_what_an_address_names_and_nobody_has_is_said(visit: Visit) -> None:
    someone = visit("concepts", model="other", dictionary="none")
    said = " ".join(someone.warned())
    assert "about the model other" in said and "names none, which is not here" in said
