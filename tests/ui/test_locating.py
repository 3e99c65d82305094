"""Methods, units, targets, tokens and ops beyond the usual ones, against real services."""

import io
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from steerboard.analysis.trust import trust
from steerboard.api.client import connect
from steerboard.spec.edits import Direction, Edit, Feature, Head, Neuron, SteerSet, Unit
from steerboard.spec.requests import Attribute, Embed, Encoded, Margin, Steer
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor
from tests.ui.person import Person, number
from tests.ui.stage import ROOT, Stage

Visit = Callable[..., Person]
pytestmark = pytest.mark.timeout(600)


def box(someone: Person, prefix: str, value: object) -> None:
    """Choose in the box whose key begins so."""
    found = next(s for s in someone.page.selectbox if str(s.key).startswith(prefix))
    found.set_value(value).run()
    someone.sees_no_traceback()


@pytest.fixture
def runner(services: Stage) -> Iterator[Runner]:
    """The same service, asked without a page."""
    found = connect(services.environment["STEERBOARD_INFERENCE"])
    yield found
    found.close()


def question(runner: Runner, someone: Person) -> dict[str, Any]:
    """The picture that somebody has opened, its model and classes."""
    (path,) = set(re.findall(r"emojiland/(\w+/[\w-]+\.jpg)", someone.reads()))
    info, data = runner.models()[0], (ROOT / "demo" / "images" / path).read_bytes()
    return {"model": info.id, "images": (Encoded(data=data),), "classifier": info.classifier}


def scores(someone: Person, symbol: str = "R") -> list[float]:
    """Scores of the rows."""
    found = re.findall(rf'sb-score \w+">(\S+) <em>{symbol}<', someone.markup())
    return [number(n) for n in found]


def offs(someone: Person) -> list[float]:
    """What switching each row's unit off was measured to do."""
    return [number(n) for n in re.findall(r"off: (\S+) measured", someone.reads())]


def test_scores_by_ablation_are_what_switching_off_does(visit: Visit) -> None:
    someone = visit()
    someone.picks()
    assert re.search(r"measured: (agrees|opposite sign|no effect)", someone.reads())
    box(someone, "method-", "ablation")
    someone.until(lambda: scores(someone, "off"))
    found = scores(someone, "off")[:12]
    assert found == pytest.approx([-off for off in offs(someone)], abs=0.011)
    assert len(found) == 12 and found == sorted(found, key=lambda s: -abs(s))


def test_how_it_is_located_names_the_classes_of_the_decision(visit: Visit) -> None:
    someone = visit()
    someone.picks()

    def title() -> str:
        (found,) = (e.label for e in someone.page.expander if "located" in e.label)
        return str(found).replace("\\", "")

    def chosen(end: str) -> str:
        found = next(s for s in someone.page.selectbox if str(s.key).startswith(f"{end}-"))
        return str(found.options[found.options.index(found.format_func(found.value))])

    why, against = chosen("index"), chosen("against")
    assert why != against and f"margin of {why} over {against}," in title()
    other = next(s for s in someone.page.selectbox if str(s.key).startswith("against-"))
    names = list(other.options)
    wanted = next(n for n in range(len(names)) if names[n] not in (why, against))
    box(someone, "against-", wanted)
    assert f"margin of {why} over {names[wanted]}," in title()
    box(someone, "target-", "logit")
    assert f"logit of {why}," in title() and " over " not in title()


def test_a_neuron_is_ranked_moved_set_and_put_back(visit: Visit) -> None:
    someone = visit()
    someone.picks()
    box(someone, "units-", "neuron")
    someone.until(someone.ranked)
    first = someone.features()[0]
    someone.presses(f"Off-{first}")
    changes = someone.changes()
    assert changes is not None and changes[1] == pytest.approx(offs(someone)[0], abs=0.011)
    someone.presses(f"more-{first}")
    box(someone, f"op-{first}", "set")
    someone.presses(f"apply-{first}")
    labels = " ".join(b.label for b in someone.page.button).replace("\\", "")
    assert f"neuron {first} at mlp_post.3 set to" in labels
    (back,) = (str(b.key) for b in someone.page.button if str(b.key).startswith("back-"))
    someone.presses(back)
    assert someone.changes() is None


def unit(runner: Runner, someone: Person, kind: str, index: int) -> tuple[str, Unit]:
    """Where the unit of a row stands, and what it is, worked out without the page's own ways."""
    match kind:
        case "feature":
            return "resid_post.3", Feature(dictionary="middle", index=index)
        case "neuron":
            return "mlp_post.3", Neuron(index=index)
        case "head":
            return "head_out.3", Head(index=index)
    field = next(t for t in someone.page.text_area if str(t.key).startswith("words-"))
    texts = tuple(f"a photo of {word}" for word in field.value.split("\n"))
    found = runner.embed(Embed(model=runner.models()[0].id, texts=texts)).results()
    return "embedding", Direction(values=Tensor.of(found[index].values))


OPS = {
    "feature": ("scale", "set", "add", "remove"),
    "neuron": ("scale", "set", "add"),
    "head": ("scale",),
    "direction": ("scale", "set", "add", "remove"),
}
NUMBER = {"scale": "m", "set": "value", "add": "alpha"}
GIVEN = {"scale": 1.5, "set": 2.0, "add": 0.75}


@pytest.mark.parametrize("kind", OPS)
def test_every_op_of_every_kind_of_unit_does_on_the_page_what_the_runner_does(
    visit: Visit, runner: Runner, kind: str
) -> None:
    someone = visit()
    someone.picks()
    asked = question(runner, someone)
    if kind != "feature":
        box(someone, "units-", kind)
        someone.until(someone.ranked)
    first = someone.features()[0]
    site, what = unit(runner, someone, kind, first)
    for name in OPS[kind]:
        someone.presses(f"more-{first}")
        box(someone, f"op-{first}", name)
        op: dict[str, Any] = {"kind": name}
        if name in GIVEN:
            (amount,) = (n for n in someone.page.number_input if n.key == f"amount-{name}-{first}")
            amount.set_value(GIVEN[name]).run()
            op[NUMBER[name]] = GIVEN[name]
        someone.presses(f"apply-{first}")
        someone.page.run()
        someone.sees_no_traceback()
        edit = Edit.model_validate({"site": site, "unit": what, "op": op})
        sets = (SteerSet(edits=(edit,)),)
        truth = runner.steer(Steer(**asked, steer_sets=sets, targets=(Margin(),))).one()
        exact = [float(truth.predicted[0, 0]), float(truth.measured[0, 0])]
        assert someone.changes() == pytest.approx(exact, abs=0.0051), name
        assert abs(exact[1]) > 0.0051, name


def test_a_region_is_scored_alone_and_moved_alone(visit: Visit) -> None:
    someone = visit()
    someone.picks()
    whole = scores(someone)
    box(someone, "tokens-", "region")
    someone.until(lambda: someone.ranked() and scores(someone) != whole)
    first = someone.features()[0]
    someone.presses(f"Off-{first}")
    changes = someone.changes()
    assert changes is not None and changes[1] == pytest.approx(offs(someone)[0], abs=0.011)
    assert "class token +0.00" in someone.markup() or "class token −0.00" in someone.markup()


def test_another_target_is_explained_and_tested(visit: Visit) -> None:
    someone = visit()
    someone.picks()
    box(someone, "target-", "log_prob")
    someone.until(lambda: someone.ranked() and "log probability" in someone.reads())
    first = someone.features()[0]
    someone.presses(f"Off-{first}")
    changes = someone.changes()
    assert changes is not None and changes[1] == pytest.approx(offs(someone)[0], abs=0.011)


def test_the_whole_ranking_is_checked_behind_the_page(visit: Visit, runner: Runner) -> None:
    someone = visit()
    someone.picks()
    someone.presses("check-ranking")
    someone.until(lambda: "Spearman" in someone.reads())
    asked = Attribute(**question(runner, someone), dictionary="middle", top_k=24)
    truth = trust(runner, asked)
    assert f"Spearman {truth.spearman:.2f}" in someone.reads()
    for suffix in ("", "_dropped"):
        shown = re.findall(r"</i>([a-z ]+)</th><td>(\S+)</td><td>(\S+)</td>", someone.markup())
        assert len(shown) == len(truth.curves) == 6
        for ranking, *areas in shown:
            drawn = truth.curves[ranking.replace(" ", "_")]
            exact = [drawn.area(f"{name}{suffix}") for name in ("deletion", "insertion")]
            assert [number(n) for n in areas] == pytest.approx(exact, abs=0.011)
        (toggle,) = (t for t in someone.page.toggle if t.key == "trust-dropped")
        toggle.set_value(True).run()
        someone.sees_no_traceback()


def test_a_circuit_begins_with_a_later_feature_that_speaks(visit: Visit) -> None:
    someone = visit()
    someone.picks()
    box(someone, "method-", "circuit")
    someone.until(lambda: any(scores(someone, "edge")))
    (fed,) = re.findall(
        r"The activation of last #(\d+), summed over its tokens, is \+", someone.reads()
    )
    other = next(s for s in someone.page.selectbox if str(s.key).startswith("speaks-last-"))
    assert str(other.value) == fed and len(other.options) == 8
    before = scores(someone, "edge")
    box(someone, "speaks-last-", int(other.options[1].split(":")[0].removeprefix("#")))
    someone.until(lambda: scores(someone, "edge") != before)


def test_directions_begin_with_the_two_answers_and_a_file_is_no_words(visit: Visit) -> None:
    someone = visit()
    someone.picks()
    weighed = {str(s.value) for s in someone.page.selectbox if re.match("index|against", s.key)}
    box(someone, "units-", "direction")
    someone.until(someone.ranked)
    field = next(t for t in someone.page.text_area if str(t.key).startswith("words-"))
    names = field.value.split("\n")
    assert len(names) == len(weighed) == 2 and someone.answer() in names
    out = io.BytesIO()
    np.save(out, np.eye(2, 128, dtype=np.float32))
    someone.uploads("mine.npy", out.getvalue())
    someone.until(lambda: someone.ranked() and "mine.npy 1" in someone.reads())
    field = next(t for t in someone.page.text_area if str(t.key).startswith("words-"))
    assert field.value == "" and "at embedding" in someone.reads()
