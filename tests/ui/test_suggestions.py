"""Ways to another answer, asked for on the page, against real services."""

import re
from collections.abc import Callable

import pytest

from tests.ui.person import Person

Visit = Callable[..., Person]
pytestmark = pytest.mark.timeout(600)


def ways(someone: Person) -> list[tuple[set[int], str]]:
    """Features and answer of each way that stands there."""
    found = re.findall(r'sb-way"><span>([^<]+) off: <b>([^<]+)<', someone.markup())
    return [({int(f) for f in re.findall(r"#(\d+)", text)}, answer) for text, answer in found]


def test_each_way_that_is_tried_changes_the_answer_as_it_says(visit: Visit) -> None:
    someone = visit()
    someone.picks()
    said = someone.answer()
    someone.presses("suggest")
    someone.until(lambda: ways(someone))
    found = ways(someone)
    for number, (features, answer) in enumerate(found):
        assert answer != said
        assert not any(features & other for other, _ in found[:number])
        someone.presses(f"way-{number}")
        cards = re.findall(r"<small>(Before|After)</small><b>([^<]+)<", someone.markup())
        assert dict(cards) == {"Before": said, "After": answer}
        backs = {b.key for b in someone.page.button if str(b.key).startswith("back-")}
        assert backs == {f"back-middle-{f}" for f in features}
    assert re.search(r"changes the answer on \d+ of \d+ other pictures", someone.markup())


def test_a_suggestion_is_for_one_question_only(visit: Visit) -> None:
    someone = visit()
    someone.picks()
    someone.presses("suggest")
    someone.until(lambda: ways(someone))
    someone.types("prompts", "boat\nkey\nhorse")
    someone.until(someone.ranked)
    assert not ways(someone)
    assert any(b.key == "suggest" for b in someone.page.button)
