"""A concept is named on the page; its experts are those that two other routes find."""

import re
from collections.abc import Callable

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

import steerboard as sb
from steerboard.analysis.responses import responses
from steerboard.api.jobs_client import LibraryClient
from steerboard.spec.edits import Feature, Scale, Set
from steerboard.spec.requests import Encoded
from steerboard.store.events import Edited
from steerboard.store.store import Store
from tests.ui.person import Person
from tests.ui.stage import Stage

Visit = Callable[..., Person]
ROW = re.compile(r'sb-id">(?:<a [^>]*>)?#(\d+)[^<]*<.*?AP ([\d.]+) · AUROC ([\d.]+)', re.S)


def experts(someone: Person) -> list[tuple[int, float, float]]:
    """Feature, AP and AUROC of each row."""
    return [(int(f), float(ap), float(roc)) for f, ap, roc in ROW.findall(someone.markup())]


def truth(services: Stage, feature: int, value: str) -> tuple[float, float]:
    """AP and AUROC of one feature by scikit-learn, over all pictures of the set."""
    at = services.environment
    library, runner = LibraryClient(at["STEERBOARD_JOBS"]), sb.connect(at["STEERBOARD_INFERENCE"])
    (found,) = library.image_sets()
    cards = library.images(found.id, split=next(iter(found.splits), ""), page_size=500).items
    images = [Encoded(data=data) for data in library.get_images([c.sha256 for c in cards])
              .values()]  # fmt: skip
    own = {c.sha256: c.label for c in cards}
    shows = np.array([own[image.sha256] == value for image in images])
    name = runner.models()[0].id
    answers = responses(runner, name, "middle", images).toarray()[:, feature]
    runner.close()
    return float(average_precision_score(shows, answers)), float(roc_auc_score(shows, answers))


def opened(visit: Visit) -> Person:
    """The page of concepts, once its pictures were looked at."""
    someone = visit("concepts")
    someone.until(lambda: any(b.key == "away" for b in someone.page.button))
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
    someone.presses("away")
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
    again.presses("towards")
    (to,) = [e for e in Store(store).events(again.session()) if isinstance(e, Edited)]
    assert all(isinstance(e.op, Set) and e.op.value > 0 for e in to.edits)


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
