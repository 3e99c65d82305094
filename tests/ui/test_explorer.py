"""The explorer's script over real services and the demo's own catalogue."""

import re
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow.parquet as pq
import pytest
from streamlit.testing.v1 import AppTest

from services.ui.backend import forget
from services.ui.explorer import pieces
from steerboard.api.client import connect
from steerboard.api.jobs_client import LibraryClient
from steerboard.spec.catalogue import Bound, FeatureQuery
from steerboard.spec.errors import InvalidRequest, NotFound
from steerboard.spec.requests import Digest, Encode, Encoded
from tests.ui.stage import ROOT, Stage

PLACE = ROOT / "demo" / "catalogue" / "middle.parquet"
SCRIPT = """
import streamlit as st
from services.ui.explorer import view
from services.ui.session import begin

def workbench():
    pass

def features():
    begin()
    view.show()

pages = [st.Page(workbench, url_path="workbench"), st.Page(features, default=True)]
st.session_state["pages"] = pages
st.navigation(pages, position="hidden").run()
"""
Explore = Callable[..., AppTest]


@pytest.fixture(scope="module")
def library(services: Stage) -> Iterator[LibraryClient]:
    client = LibraryClient(services.environment["STEERBOARD_JOBS"], timeout_s=60)
    yield client
    client.close()


@pytest.fixture(scope="module")
def rows() -> list[dict[str, object]]:
    """The catalogue, read by hand."""
    names = ["feature", "label", "clarity", "firing_rate", "mean", "maximum"]
    names += ["classes", "class_ap"]
    found: list[dict[str, object]] = pq.read_table(PLACE, columns=names).to_pylist()
    return found


@pytest.fixture
def explore(services: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Explore]:
    for name, value in services.environment.items():
        monkeypatch.setenv(name, value)

    def open_page(**parameters: str) -> AppTest:
        page = AppTest.from_string(SCRIPT, default_timeout=120)
        for name, value in {"dictionary": "middle", **parameters}.items():
            page.query_params[name] = value
        page.run()
        assert not page.exception, page.exception
        return page

    forget()
    yield open_page
    forget()


def markup(page: AppTest) -> str:
    return "\n".join(h.value for h in page.html if not h.value.startswith("<style"))


def said(page: AppTest, name: str) -> str:
    """A parameter of the address, which comes as a text or as a list of one."""
    value = page.query_params[name]
    return value if isinstance(value, str) else value[0]


def listed(page: AppTest) -> list[int]:
    """Features on the cards, in order."""
    return [int(n) for n in re.findall(r"<small>#(\d+) · fires", markup(page))]


def test_the_class_and_the_words_bring_the_best_detector_first(
    explore: Explore, rows: list[dict[str, object]]
) -> None:
    precision = {
        r["feature"]: ap
        for r in rows
        for name, ap in zip(r["classes"], r["class_ap"], strict=True)  # type: ignore[call-overload]
        if name == "label=owl"
    }
    best = sorted(precision, key=lambda f: (-precision[f], f))
    assert listed(explore(**{"class": "label=owl"})) == best[:24]
    assert best[0] in listed(explore(q="owl"))[:3]
    assert listed(explore(q="#77"))[0] == 77


def test_statistics_sort_and_filter_as_the_file_says(
    explore: Explore, rows: list[dict[str, object]]
) -> None:
    fit = [r for r in rows if r["firing_rate"] >= 0.05 and r["clarity"] is not None]  # type: ignore[operator]
    want = [r["feature"] for r in sorted(fit, key=lambda r: (-r["clarity"], r["feature"]))]  # type: ignore[operator]
    asked = {"sort": "clarity", "by.firing_rate": "0.05.."}
    assert listed(explore(**asked)) == want[:24]
    page = explore(**asked, page="1")
    assert listed(page) == want[24:48]
    assert f"Page 2 of {-(-len([r for r in rows if r['firing_rate'] >= 0.05]) // 24)}" in str(  # type: ignore[operator]
        [c.value for c in page.caption]
    )
    least = sorted((r for r in rows if r["clarity"] is not None), key=lambda r: r["clarity"])  # type: ignore[arg-type,return-value]
    assert listed(explore(sort="clarity", up="1"))[0] == least[0]["feature"]


def test_controls_follow_the_address_and_write_into_it(explore: Explore) -> None:
    page = explore(q="owl", sort="clarity")
    assert page.text_input(key="ex-words").value == "owl"
    assert page.selectbox(key="ex-sort").value == "clarity"
    page.text_input(key="ex-words").set_value("horse").run()
    assert said(page, "q") == "horse" and "sort" not in page.query_params
    page.button(key="ex-without-words").click().run()
    assert "q" not in page.query_params and listed(page)[0] == 0
    page.button(key="ex-later").click().run()
    assert said(page, "page") == "1"


def test_a_search_draws_what_it_finds_and_not_the_boxes(explore: Explore) -> None:
    page = explore(sort="clarity")
    page.text_input(key="ex-words").set_value("owl").run()
    assert not page.text_input and not page.segmented_control, "boxes were drawn again"
    found = listed(page)
    assert page.selectbox(key="ex-sort").value == "relevance"
    page.selectbox(key="ex-sort").set_value("maximum").run()
    assert not page.selectbox and listed(page) != found
    page.run()
    assert page.text_input(key="ex-words").value == "owl"
    assert listed(page) == listed(explore(q="owl", sort="maximum"))
    page = explore(q="horse")
    page.text_input(key="ex-words").set_value("owl").run()
    assert listed(page) == found and not page.selectbox, "the order is what it was"
    page.button(key="ex-without-words").click().run()
    assert page.text_input(key="ex-words").value == ""
    assert listed(page) == listed(explore()) and found == listed(explore(q="owl"))


def test_a_page_behind_the_last_is_the_last(explore: Explore) -> None:
    page = explore(page="9999", **{"class": "label=owl"})
    (where,) = [c.value for c in page.caption if c.value.startswith("Page ")]
    _, number, _, last = where.split()
    assert number == last and int(last) > 1 and listed(page)
    assert page.button(key="ex-later").disabled and not page.button(key="ex-earlier").disabled
    page.button(key="ex-earlier").click().run()
    assert said(page, "page") == str(int(last) - 2)


def test_what_a_view_shows_stands_in_its_address(explore: Explore) -> None:
    page = explore(dictionary="", q="water")
    assert said(page, "dictionary") == page.button_group(key="ex-dictionary").value
    page = explore(feature="1849", split="test")
    assert page.selectbox(key="ex-scan-split").value == "test"
    page.selectbox(key="ex-scan-group").select("water").run()
    assert (said(page, "split"), said(page, "group")) == ("test", "water")
    page.selectbox(key="ex-scan-split").select("").run()
    assert "split" not in page.query_params and said(page, "group") == "water"


def test_every_statistic_sorts_the_table_and_filters(
    explore: Explore, rows: list[dict[str, object]]
) -> None:
    want = sorted(rows, key=lambda r: (-r["mean"], r["feature"]))  # type: ignore[operator,return-value]
    table = markup(explore(look="table", sort="mean"))
    assert [int(n) for n in re.findall(r"<tr><td><a[^>]*>#(\d+)</a>", table)][:20] == [
        r["feature"] for r in want[:20]
    ]
    for name in pieces.TITLES:
        if name not in ("feature", "relevance", "votes", "precision"):
            assert f"sort={name}" in table
            assert f"{float(want[0]['mean']):.2f}" in table  # type: ignore[arg-type]
    median = float(want[len(want) // 2]["mean"])  # type: ignore[arg-type]
    some = explore(**{"by.mean": f"{median:.3f}.."})
    many = sum(float(r["mean"]) >= round(median, 3) for r in rows)  # type: ignore[arg-type]
    assert f"<b>{many:,}</b> features" in markup(some)
    none = explore(**{"by.votes": "1000.."})
    assert none.button(key="ex-without-votes").label == "votes from 1000" and not listed(none)


def test_a_feature_has_a_page_and_the_unknown_a_sentence(explore: Explore) -> None:
    page = explore(feature="1849")
    html = markup(page)
    assert "<h1>owl</h1>" in html and "of the pictures (163 of 1,800)" in html
    assert html.count("<figure>") == 17 and "sb-histogram" in html and "similar decoder" in html
    assert "unit=middle%3A1849" in html and "picture=" in html
    gone = explore(feature="99999")
    assert "nothing is known of feature 99999" in gone.info[0].value.lower()
    assert "no catalogue of dictionary" in explore(dictionary="nothing").error[0].value


def test_what_people_say_is_kept_shown_and_found(explore: Explore, library: LibraryClient) -> None:
    page = explore(feature="31")
    page.text_input(key="ex-author").set_value("Ann").run()
    page.text_input(key="ex-name").set_value("zebra <b>crossing")
    page.text_input(key="ex-new-tag").set_value("street")
    next(b for b in page.button if b.label == "Write down").click().run()
    page.button(key="ex-vote-1").click().run()
    assert not page.exception and "<h1>zebra &lt;b&gt;crossing</h1>" in markup(page)
    labels, said = library.labels("middle", 31)
    assert (labels.name, labels.tags, labels.votes) == ("zebra <b>crossing", ("street",), 1)
    assert [(s.author, s.kind) for s in said] == [("Ann", "name"), ("Ann", "tag"), ("Ann", "vote")]
    assert listed(explore(q="crossing"))[0] == 31
    assert listed(explore(tag="street")) == [31] == listed(explore(named="by_people"))


def test_nobody_speaks_without_a_name(explore: Explore) -> None:
    page = explore(feature="32")
    page.button(key="ex-vote-1").click().run()
    assert "give a name" in page.warning[0].value


def test_a_picture_brings_the_features_that_fire_on_it(
    services: Stage, library: LibraryClient
) -> None:
    card = library.images("emojiland", split="test", page_size=1).items[0]
    data = library.get_images([card.sha256])[card.sha256]
    runner = connect(services.environment["STEERBOARD_INFERENCE"], timeout_s=60)
    code = runner.encode(
        Encode(model="emojiland", images=(Encoded(data=data),), dictionary="middle")
    ).one()
    runner.close()
    dense = np.abs(code.dense()).max(0)
    query = FeatureQuery(dictionary="middle", image=Digest(sha256=card.sha256))
    found = library.search(query, page_size=200).items
    assert {r.feature for r in found} <= set(np.flatnonzero(dense).tolist())
    for row in found:
        assert row.activation == pytest.approx(float(dense[row.feature]), rel=1e-5)
    best = max(found, key=lambda r: r.activation or 0)
    firing = library.firing("middle", best.feature, "emojiland", split="test", page_size=8)
    assert firing.seen == 8 and firing.failed == 0
    mine = next(one for one in firing.firing if one.image == card.sha256)
    assert mine.activation == pytest.approx(best.activation, rel=1e-5)
    patches = np.asarray(mine.heat).ravel()
    np.testing.assert_allclose(patches, code.dense()[-64:, best.feature], rtol=1e-5)


def test_the_door_bounds_what_is_asked(library: LibraryClient) -> None:
    query = FeatureQuery(dictionary="middle")
    with pytest.raises(InvalidRequest, match="at most 200"):
        library.search(query, page_size=201)
    with pytest.raises(InvalidRequest, match="page token"):
        library.search(query, page_token="x")
    with pytest.raises(InvalidRequest, match="no feature of this catalogue detects"):
        library.search(FeatureQuery(dictionary="middle", class_name="label=nothing"))
    with pytest.raises(InvalidRequest, match="no hex SHA-256"):
        library.thumbnails("middle", ["../../etc"])
    with pytest.raises(InvalidRequest, match="features 0 to 2303"):
        library.firing("middle", 2304, "emojiland")
    with pytest.raises(NotFound, match="features 0 to 2303"):
        library.say("middle", 2304, "Ann", "name", "x")
    with pytest.raises(NotFound, match="build one"):
        library.feature_map("../middle")
    bounds = tuple(Bound(statistic="clarity", low=0.5) for _ in range(2))
    assert library.search(query.model_copy(update={"bounds": bounds})).total < 2301
