"""A catalogue against a second, straightforward computation; broken files; stops and goes on."""

import io
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import sparse

from steerboard.catalogue.association import Judges, associations
from steerboard.catalogue.build import REFUSED, Plan, build
from steerboard.catalogue.file import Catalogue
from steerboard.catalogue.observe import thumbnail
from steerboard.catalogue.opening import open_catalogue
from steerboard.catalogue.records import record, totals
from steerboard.catalogue.search import search
from steerboard.images.image_set import ImageSet, open_images
from steerboard.inprocess.runner import LocalRunner
from steerboard.spec.answers import Code
from steerboard.spec.errors import Internal, InvalidRequest, NotFound, Unavailable
from steerboard.spec.requests import Embed, Encode, Encoded

PLAN = Plan("tiny", "middle", top=5, sampled=8, floor=0.0)


@pytest.fixture(scope="module")
def built(
    runner: LocalRunner, images: ImageSet, tmp_path_factory: pytest.TempPathFactory
) -> Catalogue:
    folder = tmp_path_factory.mktemp("catalogue")
    place = str(folder / "middle.parquet")
    build(runner, images, PLAN, place, str(folder / "work"), runner.directions("tiny", "middle"))
    assert not (folder / "work").exists()
    return Catalogue(place)


@pytest.fixture(scope="module")
def dense(runner: LocalRunner, images: ImageSet) -> dict[str, Any]:
    """Everything in memory: responses ``[n, f]``, codes ``[n, t, f]``, embeddings, classes."""
    found = sorted(images, key=lambda p: p.sha256)
    asked = tuple(Encoded(data=p.data) for p in found)
    codes = runner.encode(Encode(model="tiny", images=asked, dictionary="middle")).results()
    full = np.stack([c.dense() for c in codes])
    embeddings = runner.embed(Embed(model="tiny", images=asked)).results()
    return {
        "pictures": [p.sha256 for p in found],
        "codes": full,
        "responses": np.abs(full).max(1).astype(np.float64),
        "embeddings": np.stack([e.values for e in embeddings]).astype(np.float64),
        "classes": [{f"label={p.label}", f"scene={p.attributes['scene']}"} for p in found],
    }


def test_statistics_are_those_of_a_plain_computation(built: Catalogue, dense: Any) -> None:
    a = dense["responses"]
    fired = a > 0
    table = built.columns("feature", "fired", "firing_rate", "mean", "maximum", "histogram")
    column = {n: np.array(table.column(n).to_pylist()) for n in table.column_names}
    f = column["feature"]
    np.testing.assert_array_equal(f, np.flatnonzero(fired.any(0)))
    np.testing.assert_array_equal(column["fired"], fired.sum(0)[f])
    np.testing.assert_allclose(column["firing_rate"], fired.mean(0)[f], rtol=1e-12)
    mean = a.sum(0)[f] / fired.sum(0)[f]
    np.testing.assert_allclose(column["mean"], mean, rtol=1e-6)
    np.testing.assert_array_equal(column["maximum"].astype(np.float32), a.max(0)[f])
    edges = [2.0 ** (k // 2 - 16) * (1.5 if k % 2 else 1) for k in range(65)]
    for i, feature in enumerate(f):
        own = np.clip(a[fired[:, feature], feature], edges[0], edges[-1] * 0.999)
        np.testing.assert_array_equal(column["histogram"][i], np.histogram(own, edges)[0])


def test_references_go_by_the_total_and_maps_are_the_codes(
    built: Catalogue, dense: Any, runner: LocalRunner
) -> None:
    a, info = dense["responses"], runner.model("tiny")
    where = {p: i for i, p in enumerate(dense["pictures"])}
    for card in built.cards(range(a.shape[1])):
        own = np.abs(dense["codes"][:, :, card.feature])
        prefix, patches = own[:, : info.prefix_tokens].max(1), own[:, info.prefix_tokens :]
        total = patches.sum(1) + np.where(prefix > patches.max(1), prefix, 0)
        # Totals are added up from maps, of which each patch is off by half a 127th at most.
        near = 0.51 / 127 * a[:, card.feature].max() * np.prod(info.grid)
        shown = [where[r.image] for r in card.references]
        left = np.setdiff1d(np.flatnonzero(total), shown)
        assert len(shown) == min(5, (total > 0).sum()) == len(set(shown))
        assert all(total[i] >= total[j] - 2 * near for i, j in pairwise(shown))
        assert not len(left) or total[left].max() <= total[shown].min() + 2 * near
        for r, i in zip(card.references, shown, strict=True):
            assert r.activation == np.float32(a[i, card.feature])
            lies = dense["codes"][i, info.prefix_tokens :, card.feature].reshape(info.grid)
            np.testing.assert_allclose(r.heat, lies, atol=0.51 * r.activation / 127)


def test_totals_add_up_patches_and_a_prefix_token_that_is_larger() -> None:
    tokens, features = np.array([0, 1, 2, 0, 2, 1]), np.array([3, 3, 3, 5, 5, 9])
    values = np.array([4.0, 1.0, 2.0, 1.0, -8.0, 0.5])
    code = Code(tokens=tokens, features=features, values=values, shape=(3, 10))
    # 4 + 1 + 2; the prefix token's 1 beside a larger patch is not kept; one patch alone.
    wanted = [7.0, 8.0, 0.5]
    np.testing.assert_allclose(totals([record("0" * 64, code, 1)]), wanted, rtol=0.01)


def test_the_sample_is_drawn_of_what_fires_and_stands_by_falling_response(
    built: Catalogue, dense: Any
) -> None:
    a = dense["responses"]
    where = {p: i for i, p in enumerate(dense["pictures"])}
    for card in built.cards(range(a.shape[1])):
        drawn, fires = {r.image: r.activation for r in card.sample}, (a[:, card.feature] > 0).sum()
        assert list(drawn.values()) == sorted(drawn.values(), reverse=True)
        assert all(a[where[p], card.feature] == np.float32(v) for p, v in drawn.items())
        assert len(drawn) == min(5, fires) or fires < 8


def test_clarity_and_redundancy(built: Catalogue, dense: Any, runner: LocalRunner) -> None:
    where = {p: i for i, p in enumerate(dense["pictures"])}
    rows = runner.directions("tiny", "middle").astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = rows @ rows.T - 3 * np.eye(len(rows))
    for card in built.cards(range(len(rows))):
        x = dense["embeddings"][[where[r.image] for r in card.references]]
        if len(x) > 1:
            pairs = (x @ x.T)[np.triu_indices(len(x), 1)]  # clarity is the mean cosine of pairs
            assert card.clarity == pytest.approx(pairs.mean(), abs=1e-5)
        assert card.redundancy == pytest.approx(cosines[card.feature].max(), abs=1e-6)
        assert card.neighbours[0].value == pytest.approx(card.redundancy, abs=1e-6)


def average_precision(score: np.ndarray, member: np.ndarray) -> float:
    """As scikit-learn writes it: over thresholds, sum of (recall step) x precision."""
    total = 0.0
    for threshold in np.unique(score)[::-1]:
        chosen = score >= threshold
        step = (member & (score == threshold)).sum() / member.sum()
        total += step * (member & chosen).sum() / chosen.sum()
    return total


def auroc(score: np.ndarray, member: np.ndarray) -> float:
    """How often a positive stands above a negative; a draw counts half."""
    positive, negative = score[member][:, None], score[~member][None]
    return float(((positive > negative) + 0.5 * (positive == negative)).mean())


def test_classes_are_measured_as_by_hand(built: Catalogue, dense: Any) -> None:
    a, checked = dense["responses"], 0
    for card in built.cards(range(a.shape[1])):
        score = a[:, card.feature]
        for found in card.classes:
            member = np.array([found.name in c for c in dense["classes"]])
            assert found.positives == member.sum()
            assert found.ap == pytest.approx(average_precision(score, member), abs=1e-6)
            assert found.auroc == pytest.approx(auroc(score, member), abs=1e-6)
            lift = member[score > 0].mean() / member.mean()
            assert found.lift == pytest.approx(lift, abs=1e-6)
            checked += 1
        assert len(card.classes) == 4
    assert checked > 100


def test_a_feature_that_is_silent_on_all_compared_pictures_detects_by_chance() -> None:
    member = np.array([[True], [True], [False], [False], [False]])
    judges = Judges(sparse.csc_array((5, 1)), ["label=a"], sparse.csc_array(member * 1.0), member)
    ((found,),) = associations(judges, np.array([0]))
    assert (found.ap, found.auroc, found.lift, found.positives) == (0.4, 0.5, 0.0, 2)


def test_features_that_fire_together(built: Catalogue, dense: Any) -> None:
    fired = dense["responses"] > 0
    for card in built.cards(range(fired.shape[1])):
        own = fired[:, [card.feature]]
        overlap = (own & fired).sum(0) / (own | fired).sum(0)
        overlap[card.feature] = -1
        for near in card.coactive:
            assert near.value == pytest.approx(overlap[near.feature], abs=1e-6)
        best = np.sort(overlap)[::-1][: len(card.coactive)]
        assert [n.value for n in card.coactive] == pytest.approx(best.tolist(), abs=1e-6)


def test_labels_maximise_what_the_method_says(
    built: Catalogue, dense: Any, runner: LocalRunner
) -> None:
    words = [*runner.model("tiny").prompts, "blue", "green", "grey", "red"]
    texts = tuple(f"a {w}" for w in ("", *words))
    found = runner.embed(Embed(model="tiny", texts=texts)).results()
    empty, *rest = (e.values.astype(np.float64) for e in found)
    where = {p: i for i, p in enumerate(dense["pictures"])}
    for card in built.cards(range(100)):
        m = dense["embeddings"][[where[r.image] for r in card.references]].mean(0)
        m /= np.linalg.norm(m)
        scores = [m @ t - m @ empty for t in rest]
        assert card.label_score == pytest.approx(max(scores), abs=1e-5)
        few = len(card.references) < 3
        shown = words[int(np.argmax(scores))] if max(scores) >= 0 and not few else ""
        assert card.label == shown or np.ptp(np.sort(scores)[-2:]) < 1e-6


def test_thumbnails_lie_beside(built: Catalogue) -> None:
    cards = built.cards(range(100))
    wanted = {r.image for c in cards for r in (*c.references, *c.sample)}
    found = built.thumbnails(wanted | {"0" * 64})
    assert set(found) == wanted and all(d.startswith(b"\xff\xd8") for d in found.values())


def test_search_finds_a_class_by_the_feature_that_detects_it(
    built: Catalogue, runner: LocalRunner
) -> None:
    cards = built.cards(range(100))
    for colour in ("red", "green", "blue"):
        ap = {c.feature: d.ap for c in cards for d in c.classes if d.name == f"label={colour}"}
        best = max(ap, key=lambda feature: ap[feature])
        hits = search(built, runner, colour, 5)
        assert best in [h.feature for h in hits]
    with pytest.raises(InvalidRequest, match="nothing to search for"):
        search(built, runner, " ?! ")


class Failing:
    """The runner, which goes away after some questions."""

    def __init__(self, runner: LocalRunner, questions: int) -> None:
        self._runner, self._left = runner, questions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def stream(self, questions: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        for found in self._runner.stream(questions):
            self._left -= 1
            if self._left < 0:
                raise Unavailable("gone")
            yield found


def test_a_build_that_was_stopped_goes_on_and_writes_the_same_bytes(
    runner: LocalRunner, images: ImageSet, built: Catalogue, tmp_path: Path
) -> None:
    place, work = str(tmp_path / "middle.parquet"), str(tmp_path / "work")
    rows = runner.directions("tiny", "middle")
    with pytest.raises(Unavailable):
        build(Failing(runner, 1), images, PLAN, place, work, rows)
    assert not Path(place).exists() and len(list(Path(work).iterdir())) == 1
    found = build(runner, images, PLAN, place, work, rows)
    assert found.reused == 32
    assert Path(place).read_bytes() == Path(built._place).read_bytes()


def test_what_is_broken_is_left_out_and_named(
    runner: LocalRunner, pictures: Path, tmp_path: Path
) -> None:
    for i in range(24):
        (tmp_path / f"{i:02d}.png").write_bytes((pictures / f"{i:02d}.png").read_bytes())
    (tmp_path / "03.png").write_bytes((pictures / "03.png").read_bytes()[:200])
    images = ImageSet(open_images(str(tmp_path)), decode=False)
    place, work = str(tmp_path / "c.parquet"), str(tmp_path / "work")
    (tmp_path / "c.parquet.half").mkdir()  # nothing can be written there: a try that ends late
    with pytest.raises(OSError):
        build(runner, images, PLAN, place, work)
    assert (tmp_path / "c.thumbnails.parquet").exists() and not Path(place).exists()
    (tmp_path / "c.parquet.half").rmdir()
    again = build(runner, images, PLAN, place, work)
    assert (again.report.pictures, again.report.broken, again.reused) == (23, 1, 23)
    assert again.report.named[0].why == REFUSED
    found = build(runner, images, PLAN, place, work)
    assert (found.report.pictures, found.report.broken, found.reused) == (23, 1, 0)
    assert found.report.named[0].key == "03.png" and "cut short" in found.report.named[0].why
    assert found.report.named[0].why.startswith("the picture is ")
    catalogue = Catalogue(str(tmp_path / "c.parquet"))
    assert catalogue.about["pictures"] == 23
    (card,) = catalogue.cards([int(catalogue.columns("feature").column(0)[0].as_py())])
    assert card.redundancy is not None and card.neighbours  # the runner knows who is near


class Old:
    """The runner, behind a server that does not know what ``embed`` asks for."""

    def __init__(self, runner: LocalRunner) -> None:
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def stream(self, questions: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        return self._runner.stream(q.model_copy(update={"embed": False}) for q in questions)


def test_a_server_that_gives_no_embeddings_is_named(
    runner: LocalRunner, images: ImageSet, tmp_path: Path
) -> None:
    with pytest.raises(Internal, match="too old to give embeddings with codes: update it"):
        build(Old(runner), images, PLAN, str(tmp_path / "c.parquet"), str(tmp_path / "work"))
    assert not (tmp_path / "c.parquet").exists()


def test_what_cannot_be_built_says_so(
    runner: LocalRunner, images: ImageSet, tmp_path: Path
) -> None:
    place, work = str(tmp_path / "c.parquet"), str(tmp_path / "work")
    with pytest.raises(NotFound, match="has no dictionary 'none'; it has middle, last"):
        build(runner, images, Plan("tiny", "none"), place, work)
    nothing = ImageSet(images.source, where="label = none")
    with pytest.raises(InvalidRequest, match="of 64 pictures none fits 'label = none'"):
        build(runner, nothing, PLAN, place, work)
    (tmp_path / "set").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "set" / name).write_bytes(name.encode())
    broken = ImageSet(open_images(str(tmp_path / "set")), decode=False)
    with pytest.raises(InvalidRequest, match=r"read: a\.png: .* is not a picture.* 1 others"):
        build(runner, broken, PLAN, place, work)
    with pytest.raises(InvalidRequest, match="is no catalogue, or a damaged one"):
        open_catalogue(str(tmp_path / "set" / "a.png"))
    with pytest.raises(NotFound, match="build one first"):
        Catalogue(place)


def jpeg(side: int, **kept: Any) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize((side, side)).convert("RGB").save(out, "JPEG", **kept)
    return out.getvalue()


def test_a_small_picture_is_its_own_thumbnail_unless_it_tells_more() -> None:
    assert thumbnail(jpeg(96)) == jpeg(96)
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    for other in (jpeg(97), jpeg(96, exif=exif), jpeg(96) + b"\0" * 9000):
        small = Image.open(io.BytesIO(thumbnail(other)))
        assert small.size == (96, 96) and not small.getexif() and thumbnail(other) != other
