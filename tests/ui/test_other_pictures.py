"""What is turned off here is tried on other pictures too, against real services."""

import hashlib
import json
import re
from collections.abc import Callable
from html import unescape
from urllib.parse import parse_qsl

from streamlit.testing.v1 import AppTest

import steerboard as sb
from services.ui.deck import PICTURES
from services.ui.probing import Probing
from steerboard.analysis.side_effects import Case, Tally
from steerboard.spec.errors import InvalidRequest
from tests.ui.person import Person
from tests.ui.stage import ROOT, Stage

Visit = Callable[..., Person]
IMAGES = ROOT / "demo" / "images"


def counted(someone: Person) -> tuple[int, int] | None:
    """Fixed and broken, once all pictures are answered."""
    cards = re.findall(r"<small>(Fixed|Broken)</small><b>(\d+)<", someone.markup())
    done = re.search(r"\d+ of the validation split, net", someone.markup())
    return (int(cards[0][1]), int(cards[1][1])) if done and len(cards) == 2 else None


def drawn() -> list[tuple[bytes, str]]:
    """The probe set as the manifest itself gives it."""
    lines = (IMAGES / "manifest.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["split"] == "validation"]
    groups = dict.fromkeys(row["group"] for row in rows)
    out = []
    for group in groups:
        own = [((IMAGES / r["path"]).read_bytes(), r["label"]) for r in rows if r["group"] == group]
        own.sort(key=lambda pair: hashlib.sha256(pair[0]).hexdigest())
        out += own[: PICTURES // len(groups)]
    return out


def test_fixes_and_breaks_are_those_of_each_picture_asked_alone(
    visit: Visit, services: Stage
) -> None:
    someone = visit()
    someone.picks()
    someone.presses("strongest")
    someone.until(lambda: counted(someone))
    off = [f for f in someone.features() if someone.strength(f) == -1.0]
    runner = sb.connect(services.environment["STEERBOARD_INFERENCE"])
    info = runner.models()[0]
    edits = sb.scale(info.dictionary("middle").site, "middle", -1.0, *off)
    classifier = sb.Prompts(prompts=info.prompts, template=info.template)
    # The open picture is the shelf's second of its group.
    open_ = next(t for t in someone.page.caption if "typographic" in t.value).value
    name = open_.replace("\\", "").split("/", 1)[1]
    fixed = broken = 0
    for data, label in drawn():
        if data == (IMAGES / name).read_bytes():
            continue
        ask = sb.Steer(
            model=info.id,
            images=(sb.Encoded(data=data),),
            classifier=classifier,
            steer_sets=(edits,),
        )
        answer = runner.steer(ask).one()
        before, after = (info.prompts[p.top] for p in (answer.clean, answer.steered[0]))
        fixed += before != label == after
        broken += before == label != after
    runner.close()
    assert counted(someone) == (fixed, broken)
    assert fixed + broken > 0


def test_other_edits_are_tried_anew_and_what_was_seen_is_written_down(visit: Visit) -> None:
    someone = visit()
    someone.picks()
    assert "On other pictures" not in someone.markup()
    first, second, *_ = someone.features()
    someone.presses(f"Off-{first}")
    someone.moves(second, 0.5)
    someone.until(lambda: counted(someone))
    both = counted(someone)
    someone.presses("reset")
    assert "On other pictures" not in someone.markup()
    someone.presses(f"Off-{first}")
    someone.until(lambda: counted(someone))
    someone.moves(second, 0.5)
    someone.until(lambda: counted(someone))
    assert counted(someone) == both


def test_without_a_label_among_the_prompts_nothing_can_be_counted(visit: Visit) -> None:
    someone = visit()
    someone.picks()
    someone.types("prompts", "a spoon\na fork")
    someone.until(someone.ranked)
    someone.presses(f"Off-{someone.features()[0]}")
    someone.until(lambda: "none of the image set has a label among the prompts" in someone.reads())


def test_a_picture_that_broke_is_opened_by_its_link(visit: Visit) -> None:
    someone = visit()
    someone.picks()
    someone.presses("strongest")
    someone.until(lambda: counted(someone))
    links = re.findall(r'<a href="\?([^"]+)" target="_self" title="([^"]+): open', someone.markup())
    address, caption = links[0]
    asked = dict(parse_qsl(unescape(address)))
    moved = {f for f in someone.features() if someone.strength(f) == -1.0}
    later = visit(**asked)
    later.until(later.ranked)
    assert later.session() == someone.session()
    assert asked["from"] in later.reads().replace("\\", "")
    assert later.answer() == unescape(caption).split(" → ")[0]
    assert {b.key for b in later.page.button} >= {f"back-middle-{f}" for f in moved}
    assert set(later.page.query_params) == {"s"}
    again = visit(**asked)
    again.until(again.ranked)
    assert again.answer() == later.answer()


def test_a_link_to_an_unknown_picture_says_so(visit: Visit) -> None:
    someone = visit(picture="f" * 64)
    assert "no longer held" in " ".join(someone.warned())


def test_why_pictures_could_not_be_answered_is_said() -> None:
    def script() -> None:
        import streamlit as st

        from services.ui import elsewhere

        elsewhere.draw(st.session_state["now"], ("owl", "car"))

    page = AppTest.from_function(script)
    tally = Tally((), 1, InvalidRequest("this token does not allow the bulk lane"))
    page.session_state["now"] = Probing(cases=(Case("k", 0),), tally=tally, done=True)
    page.run()
    (said,) = (c.value for c in page.caption)
    assert said.startswith("1 of them could not be answered") and "bulk lane" in said
