"""The four steps by hand, against real services."""

import re
from collections.abc import Callable

import pytest

from tests.ui.person import Person

Visit = Callable[..., Person]


def test_a_picture_is_chosen_and_its_features_are_ranked(visit: Visit) -> None:
    someone = visit()
    assert not someone.answer()
    someone.picks()
    assert someone.answer()
    assert len(someone.features()) == 12
    text = someone.markup()
    assert text.count('class="sb-heat"') == 12
    assert text.count('alt="activation') >= 12 * 8
    for term in ("Error term", "Other features", "Bias"):
        assert term in text
    parts = re.findall(r"<figcaption>patches ([^<,]+), class token ([^<]+)<", text)
    assert len(parts) == 12
    for score, (patches, token) in zip(scores(someone)[:12], parts, strict=True):
        assert number(patches) + number(token) == pytest.approx(score, abs=0.011)


def scores(someone: Person) -> list[float]:
    """R of each row of the review."""
    return [number(n) for n in re.findall(r'sb-score \w+">(\S+) <em>R<', someone.markup())]


def number(shown: str) -> float:
    """As the page writes it, with a true minus."""
    return float(shown.replace("−", "-"))


def test_the_shelf_begins_with_pictures_to_choose_on(visit: Visit) -> None:
    someone = visit()
    warning = "cannot be told of them"
    assert warning not in someone.reads()
    split = next(b for b in someone.page.button_group if b.key == "split-emojiland")
    assert split.value == "validation"
    split.set_value("test").run()
    someone.sees_no_traceback()
    assert warning in someone.reads()
    someone.presses("pick-typographic-0")
    assert any("/test/" in c.value for c in someone.page.caption)


def test_one_feature_off_is_predicted_and_measured(visit: Visit) -> None:
    someone = visit()
    someone.picks()
    first = someone.features()[0]
    someone.presses(f"Off-{first}")
    assert someone.strength(first) == -1.0
    changes = someone.changes()
    assert changes is not None and all(changes)
    assert f"off: {changes[1]:+.2f} measured".replace("-", "−") in someone.reads()


def test_several_features_move_at_once_and_come_back(visit: Visit) -> None:
    someone = visit()
    someone.picks()
    first, second, *_ = someone.features()
    someone.presses(f"Off-{first}")
    alone = someone.changes()
    someone.moves(second, 0.5)
    assert someone.changes() != alone
    someone.presses(f"back-middle-{second}")
    assert someone.changes() == alone and someone.strength(second) == 0.0
    someone.presses(f"Double-{second}")
    someone.presses("reset")
    assert someone.changes() is None and someone.strength(first) == 0.0


def test_the_strongest_are_turned_off_together(visit: Visit) -> None:
    someone = visit()
    someone.picks()
    someone.presses("strongest")
    off = [f for f in someone.features() if someone.strength(f) == -1.0]
    assert len(off) == 3


def test_the_session_comes_back_as_it_was(visit: Visit) -> None:
    someone = visit()
    someone.picks()
    someone.types("hypothesis", "the strip makes it say so")
    someone.types("prompts", "boat\nkey\nhorse")
    someone.until(someone.ranked)
    first = someone.features()[0]
    someone.moves(first, -0.6)
    later = visit(someone.session())
    later.until(later.ranked)
    assert later.features() == someone.features()
    assert later.strength(first) == -0.6
    assert later.changes() == someone.changes()
    texts = {w.key: w.value for w in later.page.text_area}
    assert texts["hypothesis"] == "the strip makes it say so"
    assert texts["prompts"] == "boat\nkey\nhorse"


def test_another_decision_is_explained(visit: Visit) -> None:
    someone = visit()
    someone.picks()
    before = scores(someone)
    box = next(s for s in someone.page.selectbox if str(s.key).startswith("against-"))
    box.set_value(box.options[-1] if box.index != len(box.options) - 1 else box.options[0])
    someone.page.run()
    someone.sees_no_traceback()
    someone.until(someone.ranked)
    assert scores(someone) != before


def test_the_other_dictionary_is_looked_through(visit: Visit) -> None:
    someone = visit()
    someone.picks()
    first = someone.features()[0]
    someone.presses(f"Off-{first}")
    someone.page.selectbox(key="dictionary").set_value("last").run()
    someone.until(someone.ranked)
    second = someone.features()[0]
    someone.presses(f"Off-{second}")
    keys = {b.key for b in someone.page.button}
    assert {f"back-middle-{first}", f"back-last-{second}"} <= keys
