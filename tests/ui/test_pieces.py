"""What the page works out by itself: regions, directions from files, people's similarities."""

import hashlib
import io
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode

import numpy as np
import pytest
from PIL import Image

from services.ui import region
from services.ui.concepts import address, mapping, pool
from services.ui.concepts.address import Address
from services.ui.pictures import Eye, scaled, veiled
from steerboard.spec.capabilities import ResizeMode
from steerboard.spec.catalogue import ImageCard
from steerboard.spec.errors import InvalidRequest


@pytest.mark.parametrize(
    ("ends", "span"),
    [([0.0, 8.0], (0, 7)), ([2.1, 3.9], (2, 3)), ([3.9, 2.1], (2, 3)), ([4.4, 4.5], (4, 4)),
     ([-3.0, 99.0], (0, 7)), ([1.9, 4.1], (2, 3))],
)  # fmt: skip
def test_a_drag_marks_the_patches_that_it_covers(ends: list[float], span: region.Span) -> None:
    assert region.touched(ends, 8) == span


def test_a_region_is_its_rectangle_again() -> None:
    mask = region.rectangle((1, 3), (2, 2))
    assert len(mask.cells) == 3 and region.spans(mask) == ((1, 3), (2, 2))
    assert region.kind(mask, (8, 8)) == "region"
    assert region.kind(region.rectangle((0, 7), (0, 7)), (8, 8)) == "patches"


@pytest.mark.parametrize(
    ("group", "value", "mark"),
    [("all pictures", "owl", 1), ("all pictures", "car", 0), ("clean", "owl", -1)],
)
def test_a_picture_shows_it_does_not_or_is_left_out(group: str, value: str, mark: int) -> None:
    facts = {"label": value, "group": "water"}
    assert pool.mark(facts, "label", "owl", "all others", group) == mark
    assert pool.mark(facts, "label", "owl", "cow", group) == (mark if value == "owl" else -1)


def test_peoples_similarities_are_put_in_our_order() -> None:
    table = b"x,car,owl\ncar,1,0.2\nowl,0.3,1\n"
    assert mapping.read(table, ("owl", "car")).tolist() == [[1, 0.3], [0.2, 1]]


@pytest.mark.parametrize(
    "table", [b"x,car\ncar,1\n", b"x,car,owl\ncar,1,much\nowl,1,1", b"\xff\xfe"]
)
def test_a_table_that_is_none_is_refused(table: bytes) -> None:
    with pytest.raises(InvalidRequest):
        mapping.read(table, ("owl", "car"))


def test_a_gathering_keeps_places_of_what_was_answered() -> None:
    from services.ui.concepts.gathering import Gathering

    now = Gathering(("a", "b", "c"), width=4)
    now.rows = {2: (np.array([1]), np.array([5.0], np.float32)), 0: (np.array([0, 3]), np.ones(2, np.float32))}  # fmt: skip # noqa: E501
    places, rows = now.matrix()
    assert places.tolist() == [0, 2]
    assert rows.toarray().tolist() == [[1, 0, 0, 1], [0, 5, 0, 0]]


def card(number: int, label: str, group: str = "") -> ImageCard:
    name = hashlib.sha256(b"%d" % number).hexdigest()
    return ImageCard(sha256=name, path=f"{number}.jpg", label=label, group=group)


def some_pool(classes: int, each: int, drawn: int) -> pool.Pool:
    """Pictures of some classes, of which some are drawn."""
    cards = [card(i, f"class {i % classes}") for i in range(classes * each)]
    cards.sort(key=lambda c: c.sha256)
    return pool.Pool("set", "", tuple(cards[:drawn]), tuple(cards[drawn:]))


def test_a_concept_of_many_is_shown_by_more_pictures_than_a_draw_has() -> None:
    all_of = some_pool(classes=100, each=300, drawn=500)
    assert len(all_of.known["label"]) == 100 and all_of.known["label"]["class 7"] == 300
    rule = Address(of="label", shows="class 7", instead="all others", among="all pictures")
    wide = all_of.widened(rule)
    marks = [pool.marked(c, rule) for c in wide.cards]
    assert wide.cards[:500] == all_of.cards  # those that were looked at are not asked about again
    assert marks.count(1) == pool.OF_A_KIND and set(marks[500:]) == {1}
    assert len(set(wide.digests)) == len(wide.digests)
    assert all_of.widened(rule) is wide

    two = replace(rule, instead="class 9")
    marks = [pool.marked(c, two) for c in all_of.widened(two).cards]
    assert marks.count(1) == marks.count(0) == pool.OF_A_KIND


def test_a_concept_that_a_draw_shows_often_needs_no_more() -> None:
    all_of = some_pool(classes=2, each=500, drawn=500)
    rule = Address(of="label", shows="class 1", instead="all others", among="all pictures")
    assert all_of.widened(rule) is all_of
    assert all_of.widened(Address(way="words", words="owl")) is all_of


def test_experts_by_luck_alone_are_called_that() -> None:
    from scipy import sparse

    from services.ui.concepts.experts import certain, halves
    from services.ui.concepts.naming import Named
    from steerboard.analysis.expertise import expertise
    from steerboard.analysis.responses import Place

    labels = np.arange(120) < 30
    noise = np.random.default_rng(2).random((120, 60))
    named = Named("a dog", tuple(map(int, labels)))

    def said(answers: np.ndarray) -> str:
        rows = sparse.csc_array(answers)
        return certain(named, expertise(rows, labels), Place("d"), halves(rows, labels))

    assert "none is seen to know the concept" in said(noise)
    assert "none is seen" not in said(np.column_stack([noise, noise[:, 0] + labels]))


def test_names_of_single_pictures_are_no_concepts() -> None:
    assert pool.attributes([card(i, "owl", f"picture {i}") for i in range(100)]) == {}


def test_a_gathering_learns_what_one_of_its_kin_was_told() -> None:
    from services.ui.concepts.gathering import Gathering

    told = Gathering(("a", "b", "c"), width=4)
    told.rows = {i: (np.array([i]), np.ones(1, np.float32)) for i in (0, 2)}
    now = Gathering(("c", "d", "a"))
    now.learn(told)
    assert now.width == 4 and now.rows == {0: told.rows[2], 2: told.rows[0]}


def test_a_pickle_is_no_direction() -> None:
    from services.ui.directions import numbers

    out = io.BytesIO()
    np.save(out, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InvalidRequest):
        numbers(out.getvalue(), 3, "embedding")
    out = io.BytesIO()
    np.save(out, np.ones(3))
    assert numbers(out.getvalue(), 3, "embedding").shape == (1, 3)
    with pytest.raises(InvalidRequest):
        numbers(out.getvalue(), 4, "embedding")


def slope(width: int, height: int) -> Image.Image:
    """A picture whose colour says where one is."""
    x, y = np.linspace(0, 255, width), np.linspace(0, 255, height)
    bands = [np.broadcast_to(b, (height, width)) for b in (x[None], y[:, None], 128.0)]
    return Image.fromarray(np.stack(bands, -1).astype(np.uint8))


@pytest.mark.parametrize("picture", [(90, 30), (30, 90), (61, 60)])
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
def test_a_heat_map_lies_on_what_open_clip_gives_the_model(
    mode: ResizeMode, picture: tuple[int, int]
) -> None:
    from steerboard.model import torchvision_ops  # noqa: F401, I001  (before open_clip)
    from open_clip.transform import PreprocessCfg, image_transform_v2

    size = 48, 64
    how = PreprocessCfg(size=size, mean=(0, 0, 0), std=(1, 1, 1), resize_mode=mode)
    tensor = image_transform_v2(how, is_train=False)(slope(*picture))
    shown = Eye(size, mode).seen(slope(*picture), max(size))
    ours = np.asarray(shown.resize(size[::-1]), np.float64) / 255
    apart = np.abs(ours - tensor.permute(1, 2, 0).numpy())
    assert np.median(apart) < 0.02 and np.quantile(apart, 0.95) < 0.06


def test_what_is_cut_off_is_pale_and_said() -> None:
    out = io.BytesIO()
    slope(90, 30).save(out, "PNG")
    shown, said = veiled(out.getvalue(), Eye((32, 32), "shortest"), 90)
    pale = np.asarray(Image.open(io.BytesIO(shown)), np.int64)[..., 2] > 150  # 128: as it is
    assert said and pale[:, :29].all() and pale[:, 61:].all() and not pale[:, 31:59].any()
    _, said = veiled(out.getvalue(), Eye((32, 32), "squash"), 90)
    assert not said and scaled(slope(90, 30), 45).size == (45, 15)


@pytest.mark.parametrize(
    "at",
    [
        Address(),
        Address(
            model="m", pictures="set", dictionary="last", of="label", shows="a&b=c", map_of="x"
        ),
        Address(way="words", words="a cat, sitting", count=12),
        Address(units="neuron", site="mlp_post.3", tokens="prefix"),
        Address(units="direction", along="|".join(f"a thing of kind {i}" for i in range(60))),
        Address(way="hand", name="mine", ticked=("0a" * 6, "1b" * 6), looked=(1, 3)),
    ],
)
def test_a_concepts_address_is_its_concept_again(at: Address) -> None:
    assert address.read(dict(parse_qsl(urlencode(address.write(at))))) == at


def test_what_is_no_address_is_passed_over() -> None:
    typed = {"by": "magic", "n": "-4", "pages": "1.x..², 3", "pictures": "ab.cd", "q": "w" * 999}
    assert address.read(typed) == Address(words="w" * 200, looked=(1,))
