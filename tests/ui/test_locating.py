"""Methods, units, targets, tokens and ops beyond the usual ones, against real services."""

import io
import re
from collections.abc import Callable

import numpy as np
import pytest

from tests.ui.person import Person, number

Visit = Callable[..., Person]
pytestmark = pytest.mark.timeout(600)


def box(someone: Person, prefix: str, value: object) -> None:
    """Choose in the box whose key begins so."""
    found = next(s for s in someone.page.selectbox if str(s.key).startswith(prefix))
    found.set_value(value).run()
    someone.sees_no_traceback()


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


def test_the_whole_ranking_is_checked_behind_the_page(visit: Visit) -> None:
    someone = visit()
    someone.picks()
    someone.presses("check-ranking")
    someone.until(lambda: "Spearman" in someone.reads())
    assert "random" in someone.reads()


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
