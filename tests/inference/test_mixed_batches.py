"""Many people's questions at once, through the service: each gets what it would get alone.

Pictures, models, sites, units, ops, masks, conditions, targets, steer sets and kinds of question
are mixed, held back until all wait, and computed together. Every answer is compared with the
float64 reference and with a runner in this process that remembers nothing.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mixing import BOOKS, SIZE, Reference, mixed_house

import steerboard as sb
from services.inference.engine.pace import Pace
from services.inference.loading import behind_engine
from steerboard.api.tokens import Identity, sign
from steerboard.inprocess.kernel import DirectKernel
from steerboard.inprocess.runner import LocalRunner
from steerboard.model.check import check_steer_set
from steerboard.spec.edits import (
    Add,
    Condition,
    Direction,
    Head,
    Neuron,
    Remove,
    Set,
)
from steerboard.spec.errors import SteerboardError
from steerboard.spec.tensor import Tensor

SECRET = "s" * 32
CALLERS = (
    Identity(subject="ann"),
    Identity(subject="bob", weight=3.0),
    Identity(subject="cy", tenant="elsewhere", lanes=("bulk",)),
)
CLASSIFIERS = (
    sb.Prompts(prompts=("cat", "dog", "horse", "boat"), template="a {}"),
    sb.Prompts(prompts=("red", "green", "blue")),
)


class House:
    """The service with its engine, a client for each caller, the runner beside it, references."""

    def __init__(self, served, hosted, runner, engine):
        self.served, self.engine = served, engine
        tokens = [sign(who, SECRET) for who in CALLERS]
        self.clients = [sb.connect(hosted.address, token) for token in tokens]
        self.alone = LocalRunner(served, DirectKernel(cache_bytes=0))
        self.references = {name: Reference(one) for name, one in served.items()}
        self.pool = ThreadPoolExecutor(8)
        self.shared = 0

    def together(self, calls):
        """Answers of ``(caller, request)`` pairs that waited for each other."""
        with self.engine.paused():
            asked = [self.pool.submit(ask, self.clients[who], request) for who, request in calls]
            while self.engine.waiting < len(calls) and not any(f.done() for f in asked):
                time.sleep(0.002)
        return [future.result(60) for future in asked]

    def close(self):
        self.pool.shutdown()
        self.alone.close()
        for client in self.clients:
            client.close()


@pytest.fixture(scope="module")
def house(tiny_house, tmp_path_factory, host_module):
    served = mixed_house(tiny_house, tmp_path_factory.mktemp("mixed"))
    runner, engine = behind_engine(served, "test")
    engine.pace = Pace(128, 8, 1e9)
    hosted = host_module(lambda: (runner, engine), SECRET)
    house = House(served, hosted, runner, engine)
    yield house
    house.close()


def ask(runner, request):
    return getattr(runner, type(request).__name__.lower())(request)


SITES = [f"{kind}.{i}" for i in range(3) for kind in ("resid_pre", "mlp_post", "resid_post")]
WIDTHS = {f"mlp_post.{i}": 96 for i in range(3)}
cells = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=6)
masks = st.one_of(
    st.just(sb.Mask()),
    st.just(sb.Mask(kind="prefix")),
    cells.map(lambda c: sb.Mask(kind="patches", cells=tuple(c))),
)
numbers = st.integers(-12, 12).map(lambda n: n / 4)


@st.composite
def units(draw, site):
    names = [name for name, (where, _) in BOOKS.items() if where == site]
    width = WIDTHS.get(site, 24 if site != "embedding" else 16)
    kinds = ["neuron", "direction", *names, *names]
    kind = draw(st.sampled_from(kinds))
    if kind == "neuron":
        return Neuron(index=draw(st.integers(0, width - 1)))
    if kind == "direction":
        rng = np.random.default_rng(draw(st.integers(0, 5)))
        return Direction(values=Tensor.of(rng.normal(size=width)))
    return sb.Feature(dictionary=kind, index=draw(st.integers(0, SIZE - 1)))


@st.composite
def edits(draw):
    site = draw(st.sampled_from([*SITES, "head_out.1", "head_out.2", "embedding"]))
    condition = None
    if draw(st.booleans()):
        condition = Condition(
            unit=draw(units(site)),
            when=draw(st.sampled_from(["above", "below"])),
            tau=draw(numbers) / 8 + 0.03,
            per=draw(st.sampled_from(["token", "image"])),
        )
    common = {"site": site, "mask": draw(masks), "condition": condition}
    if site.startswith("head_out") and draw(st.booleans()):
        head = Head(index=draw(st.integers(0, 2)))
        return sb.Edit(**common, unit=head, op=sb.Scale(m=draw(numbers)))
    unit = draw(units(site))
    ops = [
        st.builds(sb.Scale, m=numbers),
        st.builds(Set, value=numbers, everywhere=st.booleans()),
        st.builds(Add, alpha=numbers.map(lambda n: n / 8)),
    ]
    if not isinstance(unit, Neuron):
        ops.append(st.just(Remove()))
    return sb.Edit(**common, unit=unit, op=draw(st.one_of(ops)))


@st.composite
def steer_sets(draw, info):
    """What fits the model and does not overlap, of a few edits drawn."""
    kept = ()
    for edit in draw(st.lists(edits(), max_size=5)):
        try:
            check_steer_set(info, sb.SteerSet(edits=(*kept, edit)))
        except SteerboardError:
            continue
        kept = (*kept, edit)
    return sb.SteerSet(edits=kept)


@st.composite
def calls(draw, house, images):
    name = draw(st.sampled_from(["tiny", "tiny", "other"]))
    info = house.served[name].info
    chosen = draw(st.lists(st.sampled_from(images), min_size=1, max_size=2))
    common = {"model": name, "images": tuple(sb.Encoded(data=data) for data in chosen)}
    classifier = draw(st.sampled_from(CLASSIFIERS))
    targets = draw(
        st.lists(st.sampled_from([sb.Margin(), sb.Logit(index=1), sb.Margin(index=0)]), max_size=2)
    )
    kind = draw(st.sampled_from(["steer", "steer", "steer", "predict", "attribute", "encode"]))
    if kind == "steer":
        sets = [sb.SteerSet(), *draw(st.lists(steer_sets(info), min_size=1, max_size=3))]
        sets = draw(st.permutations(sets))
        request = sb.Steer(
            **common, classifier=classifier, steer_sets=tuple(sets), targets=tuple(targets)
        )
    elif kind == "predict":
        request = sb.Predict(**common, classifier=classifier)
    elif kind == "attribute":
        request = sb.Attribute(
            **common,
            classifier=classifier,
            dictionary=draw(st.sampled_from(sorted(BOOKS))),
            targets=tuple(targets) or (sb.Margin(),),
            top_k=8,
        )
    else:
        request = sb.Encode(**common, dictionary=draw(st.sampled_from(sorted(BOOKS))))
    return draw(st.integers(0, len(CALLERS) - 1)), request


def check(house, request, answer):
    """Against the float64 reference, and against the runner that computes it alone."""
    reference = house.references[request.model]
    here = ask(house.alone, request)
    for image, found, local in zip(request.images, answer.results(), here.results(), strict=True):
        if isinstance(request, sb.Predict):
            right = reference.logits(image.data, request.classifier, sb.SteerSet())
            alike(found.logits, right)
            alike(local.logits, right)
        elif isinstance(request, sb.Steer):
            check_steered(reference, request, image, found, local)
        elif isinstance(request, sb.Attribute):
            check_attributed(reference, request, image, found, local)
        else:
            np.testing.assert_allclose(found.dense(), local.dense(), atol=1e-4)


def alike(found, right):
    """1e-4 of the scale of cosines, which is 1 / 0.07."""
    np.testing.assert_allclose(found, right, atol=1e-4 / 0.07, rtol=0)


def check_steered(reference, request, image, found, local):
    clean = reference.logits(image.data, request.classifier, sb.SteerSet())
    alike(found.clean.logits, clean)
    for steer_set, one, other in zip(request.steer_sets, found.steered, local.steered, strict=True):
        right = reference.logits(image.data, request.classifier, steer_set)
        alike(one.logits, right)
        alike(other.logits, right)
        if not steer_set.edits:
            assert one.logits.tobytes() == found.clean.logits.tobytes()
    assert found.targets == local.targets
    np.testing.assert_allclose(found.predicted, local.predicted, atol=2e-3, rtol=2e-3)
    for k, one in enumerate(found.steered):
        for i, target in enumerate(found.targets):
            moved = one.logits.astype(np.float64) - found.clean.logits
            value = moved[target.index] - (
                moved[target.against] if target.against is not None else 0
            )
            assert found.measured[k, i] == pytest.approx(value, abs=1e-5)


def check_attributed(reference, request, image, found, local):
    for one, other in zip(found, local, strict=True):
        assert one.target == other.target
        right = reference.total(
            image.data,
            request.classifier,
            request.dictionary,
            one.target.index,
            one.target.against,
        )
        assert one.total == pytest.approx(right, abs=1e-3)
        assert one.scores.sum() + one.rest + one.error + one.bias == pytest.approx(right, abs=1e-3)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)


def test_whatever_is_batched_together_each_caller_gets_its_own(house, tiny_images):
    """And batches were shared: otherwise this would prove nothing."""
    shared = []

    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(calls(house, tiny_images[:5]), min_size=2, max_size=6))
    def each_its_own(asked):
        for (_, request), answer in zip(asked, house.together(asked), strict=True):
            check(house, request, answer)
            if isinstance(request, sb.Steer | sb.Predict):
                own = len(request.images) * (1 + len(getattr(request, "steer_sets", ())))
                shared.append(answer.timing.batch_rows > own)

    each_its_own()
    assert any(shared)


def test_the_steered_rows_of_one_caller_are_not_those_of_another(house, tiny_images):
    """The same picture under opposite edits, at once, and once more from the cache."""
    image = sb.Encoded(data=tiny_images[0])

    def steer(m):
        moved = sb.scale("resid_post.1", "topk", m, *range(SIZE))
        return sb.Steer(
            model="tiny", images=(image,), classifier=CLASSIFIERS[0], steer_sets=(moved,)
        )

    requests = [(0, steer(-1)), (1, steer(2)), (2, steer(0.5))]
    for _ in range(2):
        answers = house.together(requests)
        assert [a.timing.batch_rows for a in answers[:2]] == [4, 4]
        for (_, request), answer in zip(requests, answers, strict=True):
            check(house, request, answer)
    logits = {answer.one().steered[0].logits.tobytes() for answer in answers}
    assert len(logits) == 3
