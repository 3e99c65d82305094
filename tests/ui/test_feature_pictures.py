"""Where a feature fires: what is seen close, and what is said of one that fires everywhere."""

import base64
import io
import re
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from services.ui.explorer.address import Address, passed_over, read, write
from services.ui.explorer.drawing import close, figure, lit, outline, seen, usual, window
from services.ui.explorer.looks import words
from services.ui.explorer.paired import across, curves, up
from services.ui.explorer.sentences import lead
from services.ui.explorer.spread import everywhere, spread
from services.ui.pictures import Eye
from steerboard.spec.catalogue import CatalogueInfo, ComparedSide, Detected, FeatureCard
from steerboard.spec.jobs import Reference

GRID = 14
EYE = Eye((224, 224), "shortest")


def heat(*cells: tuple[int, int]) -> np.ndarray:
    out = np.zeros((GRID, GRID), np.float32)
    for i, cell in enumerate(cells):
        out[cell] = 1 - 0.1 * i
    return out


def reference(map_: np.ndarray, activation: float = 1.0) -> Reference:
    return Reference(image="a" * 64, activation=activation, heat=tuple(map(tuple, map_.tolist())))


def card(
    rate: float,
    maps: list[np.ndarray],
    activation: float = 1.0,
    classes: tuple[Detected, ...] = (),
) -> FeatureCard:
    return FeatureCard(
        dictionary="d",
        feature=0,
        firing_rate=rate,
        maximum=1.0,
        references=tuple(reference(m, activation) for m in maps),
        classes=classes,
    )


def pixels(address: str) -> np.ndarray:
    data = base64.b64decode(address.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def picture(wide: int, high: int, spot: tuple[int, int, int, int]) -> bytes:
    """Blue, with a red rectangle (left, top, right, bottom)."""
    image = Image.new("RGB", (wide, high), (20, 40, 200))
    image.paste((230, 30, 20), spot)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def test_what_is_seen_close_holds_the_peak_and_little_else() -> None:
    top, left, high, wide = window(heat((3, 9)))
    assert top <= 3 < 4 <= top + high and left <= 9 < 10 <= left + wide
    assert high == wide == GRID / 4  # a quarter of the side, where the thing is small
    assert window(heat((0, 0)))[:2] == (0, 0)  # never beyond the picture
    assert window(heat((13, 13)))[:2] == (10.5, 10.5)
    spread_out = heat(*((7, c) for c in range(2, 6)))
    assert window(spread_out)[2] == 6  # what hangs together, and a patch each side
    far = heat((1, 1), (12, 12))
    assert window(far)[2] == GRID / 4  # what lies elsewhere does not count


def test_the_patch_of_a_wide_picture_is_where_the_model_sees_it() -> None:
    """A map lies on the model's square, not on the whole of a picture."""
    data = picture(448, 224, (112, 0, 112 + 32, 32))  # the first patches of the middle square
    whole = pixels(seen(data, (), 1.0, 224, EYE))
    assert whole.shape == (224, 224, 3) and whole[8, 8, 0] > 200 > whole[60, 60, 0]
    near = pixels(close(data, tuple(map(tuple, heat((0, 0)).tolist())), 224, EYE))
    assert near.shape == (224, 224, 3)
    # Two patches of three and a half are red: the crop begins where the square does.
    assert near[100, 100, 0] > 200 and near[30, 200, 0] < 100


def test_pale_is_what_it_does_not_fire_on() -> None:
    image = Image.new("RGB", (140, 140), (200, 0, 0))
    shown = np.asarray(lit(image, heat((2, 2)))).astype(int)
    assert shown[25, 25, 0] - shown[25, 25, 1] > 150 > shown[120, 120, 0] - shown[120, 120, 1]


def test_a_line_goes_around_the_patches_and_not_between_them() -> None:
    part = Image.new("RGB", (140, 140), (90, 90, 90))
    fires = np.zeros((GRID, GRID), bool)
    fires[4, 4:6] = True
    outline(part, fires, (0, 0, GRID, GRID))
    drawn = np.asarray(part)[:, :, 0]
    assert drawn[40, 50] == 255 and drawn[45, 40] == 255 and drawn[45, 60] == 255
    assert drawn[45, 50] == 90  # the edge that the two share


@pytest.mark.parametrize(("view", "address"), [("close", True), ("fires", True), ("whole", True)])
def test_what_cannot_be_drawn_is_left_out(view: str, address: bool) -> None:
    one = reference(heat((5, 5)))
    assert figure(b"none", one, 100, view, EYE) == ""
    assert bool(figure(picture(80, 60, (0, 0, 9, 9)), one, 100, view, EYE)) is address


def test_a_small_thing_is_shown_close_and_a_class_token_whole() -> None:
    assert usual(card(0.1, [heat((5, 5))] * 4)) == "close"
    assert usual(card(0.1, [np.ones((GRID, GRID))] * 4)) == "fires"
    assert usual(card(0.1, [heat((5, 5)) * 0.1] * 4, activation=1.0)) == "whole"


def test_it_is_said_of_what_fires_everywhere_where_it_does() -> None:
    rng = np.random.default_rng(0)
    corners = [(0, 0), (0, 13), (13, 0), (13, 13), (0, 5), (5, 0), (13, 7), (7, 13)]
    moving = [heat(*(corners[i] for i in rng.choice(8, 4, replace=False))) for _ in range(12)]
    told = everywhere(card(1.0, moving))
    assert "every picture" in told and "4 of 196 patches that lie at the rim" in told
    assert "register" in told
    anywhere = [heat(tuple(rng.integers(3, 11, 2))) for _ in range(12)]
    assert "rim" not in everywhere(card(0.9, anywhere))
    assert "much the same ones each time" in everywhere(card(0.9, [heat((2, 2), (2, 3))] * 5))
    assert "these pictures share" in everywhere(card(0.9, [np.ones((GRID, GRID))] * 2 + moving[:1]))
    assert "class token" in everywhere(card(0.9, [heat((5, 5)) * 0.1]))
    assert everywhere(card(0.5, moving)) == ""


def test_how_a_feature_lies_is_counted() -> None:
    found = spread(card(0.9, [heat((0, 0), (5, 5)), heat((0, 0), (6, 6))]))
    assert found is not None
    assert (found.pictures, found.patches, found.of) == (2, 2, 196)
    assert found.same == pytest.approx(1 / 3) and found.rim == 0.5
    assert found.by_chance == pytest.approx(52 / 196)


def test_an_address_says_how_things_are_looked_at() -> None:
    at = Address(dictionary="a", look="compare", other="b", side="first_alone", floor=70,
                 view="close")  # fmt: skip
    assert read(write(at)) == at and not at.narrowed
    assert passed_over(write(at)) == []
    wrong = {"look": "nothing", "feature": "x", "sort": "clarity", "view": "far", "s": "any"}
    assert passed_over(wrong) == ["feature=x", "look=nothing", "view=far"]
    assert passed_over({"look": "cards", "page": "0", "by.clarity": "0.5..1"}) == []


def test_the_figure_draws_the_shares_that_it_was_told() -> None:
    sides = [ComparedSide(features=4, matched=2, mutual=1, shares=s) for s in
             ((1.0, 0.5, 0.25), (0.75, 0.75, 0.0))]  # fmt: skip
    drawn = base64.b64decode(
        curves(("one & two", sides[0]), ("b", sides[1]), 0.5).split("base64,")[1].split('"')[0]
    ).decode()
    for share, x in ((1.0, 0.0), (0.5, 0.5), (0.25, 1.0), (0.75, 0.5)):
        assert f"{across(x):.1f},{up(share):.1f}" in drawn
    assert "one &amp; two" in drawn and up(1.0) < up(0.0)


@pytest.mark.parametrize(
    ("cells", "place"),
    [
        ([(11, c) for c in (1, 4, 7, 10, 12)], "in the lower part"),
        ([(1, 2), (2, 1), (0, 3), (3, 0)], "in the upper part on the left"),
        ([(5, 6), (6, 8), (8, 5), (7, 7), (0, 0)], "near the middle"),
        ([(1, 2), (10, 3), (5, 11), (11, 10)], ""),
        ([(11, 1)] * 3, ""),  # too few to tell
    ],
)
def test_where_in_most_pictures_it_lies_is_said(cells: list[tuple[int, int]], place: str) -> None:
    found = spread(card(0.1, [heat(cell) for cell in cells]))
    assert found is not None and found.place == place


def test_the_first_sentence_of_a_page_says_how_often_on_what_and_where() -> None:
    info = CatalogueInfo(dictionary="a", pictures=200, size=9, features=9)
    shoes = Detected(name="label=shoes", ap=0.81, auroc=0.9, lift=7.5, positives=20)
    owls = card(0.1, [heat((11, c)) for c in (1, 4, 7, 10)], classes=(shoes,))
    assert plain(lead(owls, info)) == (
        "Fires on 10.0% of the pictures (20 of 200): 75% of those are shoes, beside 10% of all."
        " It detects shoes with an average precision of 0.81; chance is 0.10."
        " It looks at a small part of each: 1 patch of 196, mostly in the lower part."
    )
    vague = shoes.model_copy(update={"ap": 0.3, "lift": 1.2})
    said_ = plain(lead(card(0.1, [np.ones((GRID, GRID))] * 4, classes=(vague,)), info))
    assert "shoes" not in said_ and "most of each: 196 patches of 196" in said_
    assert "as a whole" in lead(card(0.1, [heat((5, 5)) * 0.1], classes=()), info)
    assert "register" in lead(card(1.0, [heat((0, c)) for c in range(12)]), info)


def plain(html: str) -> str:
    """Without its marks."""
    return re.sub("<[^>]*>", "", html)


def scene(inside: tuple[int, int, int], cell: tuple[int, int], striped: bool = False) -> bytes:
    """Grey, with some patches around a cell in another colour, or striped."""
    pixels_ = np.full((224, 224, 3), 128, np.uint8)
    rows, columns = (slice(16 * i, 16 * i + 32) for i in cell)
    pixels_[rows, columns] = inside
    if striped:
        pixels_[rows, columns][::4] = 255 - np.array(inside)
    out = io.BytesIO()
    Image.fromarray(pixels_).save(out, "PNG")
    return out.getvalue()


def said(make: Callable[[tuple[int, int]], bytes], cells: list[tuple[int, int]]) -> str:
    shown, data = [], {}
    for i, (row, column) in enumerate(cells):
        near = [(row + r, column + c) for r in (0, 1) for c in (0, 1)]
        map_ = np.zeros((GRID, GRID), np.float32)
        map_[tuple(np.array(near).T)] = 1
        name = f"{i:064x}"
        shown.append(Reference(image=name, activation=1.0, heat=tuple(map(tuple, map_.tolist()))))
        data[name] = make((row, column))
    return words(shown, data, EYE)


def test_what_is_common_to_where_it_fires_is_said_in_words() -> None:
    anywhere = [(1, 2), (10, 3), (5, 11), (11, 10), (2, 9), (6, 6)]
    assert "blue" in said(lambda at: scene((20, 40, 230), at), anywhere)
    assert "darker than the rest" in said(lambda at: scene((20, 20, 20), at), anywhere)
    assert "lighter than the rest" in said(lambda at: scene((250, 250, 250), at), anywhere)
    assert "more patterned" in said(lambda at: scene((10, 10, 10), at, striped=True), anywhere)


def test_nothing_is_said_where_pictures_do_not_agree() -> None:
    anywhere = [(1, 2), (10, 3), (5, 11), (11, 10), (2, 9), (6, 6)]
    colours = iter([(28, 128, 228), (228, 128, 28), (28, 228, 128), (228, 28, 128)] * 2)
    # One lightness, no colour in common.
    assert said(lambda at: scene(next(colours), at), anywhere) == ""
    assert said(lambda at: scene((20, 40, 230), at), anywhere[:3]) == ""  # too few to tell
    assert said(lambda at: b"no picture", anywhere) == ""
