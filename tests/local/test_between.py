"""A pass that lets others go first between its blocks answers, bit for bit, as if alone."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import steerboard
from steerboard.inprocess.between import OneAhead, afresh, on_device
from steerboard.inprocess.crew import Crew
from steerboard.inprocess.kernel import DirectKernel, Row
from steerboard.inprocess.runner import LocalRunner
from steerboard.inprocess.served import ServedModel
from steerboard.spec.edits import Edit, Neuron, Scale, SteerSet

CREWS = {"whole": Crew(worth=2**62), "cut": Crew(piece=1, worth=1)}
Ask = Callable[..., list[torch.Tensor]]


@pytest.fixture(autouse=True)
def _two_cores():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tiny(tiny_house: Path):
    opened = steerboard.local(tiny_house)
    assert isinstance(opened, LocalRunner)
    yield opened._served["tiny"]
    opened.close()


def rows(served: ServedModel, count: int, seed: int) -> list[Row]:
    """Every other row steered somewhere."""
    torch.manual_seed(seed)
    sites = ("resid_post.0", "mlp_post.1", "resid_pre.2")
    found = []
    for i in range(count):
        edit = Edit(site=sites[i % 3], unit=Neuron(index=i), op=Scale(m=-1.0))
        steer = SteerSet(edits=(edit,) if i % 2 else ())
        found.append(Row(f"{seed}/{i}", torch.randn(3, *served.info.image_size), steer))
    return found


def embed(kernel: DirectKernel, served: ServedModel, seed: int, between=None):
    return [kernel.embed(served, rows(served, 6, seed), between)]


def read(kernel: DirectKernel, served: ServedModel, seed: int, between=None):
    return [kernel.read(served, rows(served, 6, seed), "mlp_post.2", between)]


def sense(kernel: DirectKernel, served: ServedModel, seed: int, between=None):
    torch.manual_seed(seed)
    readouts = torch.randn(6, served.info.embedding_width)
    sites = ["resid_post.0", "head_out.2"]
    found = kernel.sense(served, rows(served, 6, seed), sites, readouts, between=between)
    return [t for site in sites for t in (found[site].x, found[site].gradient)]


def texts(kernel: DirectKernel, served: ServedModel, seed: int, between=None):
    tokens = served.loaded.tokenizer([f"{seed} things {i}" for i in range(40)])
    return [kernel.texts(served, tokens, between)]


KINDS = {"embed": embed, "read": read, "sense": sense, "texts": texts}


class Nobody:
    """Never asks: the pass goes through."""

    def asked(self) -> bool:
        return False

    def __call__(self) -> None:
        raise AssertionError("nobody asked")


class Guests:
    """At each step another question of another kind is put to the same kernel, and kept."""

    def __init__(self, kernel: DirectKernel, served: ServedModel) -> None:
        self.kernel, self.served = kernel, served
        self.answers: list[tuple[str, int, list[torch.Tensor], set[str]]] = []
        self.thread = threading.current_thread()

    def asked(self) -> bool:
        return True

    def __call__(self) -> None:
        assert threading.current_thread() is self.thread
        number = len(self.answers)
        kind = list(KINDS)[number % len(KINDS)]
        with afresh():
            found = KINDS[kind](self.kernel, self.served, 100 + number)
        self.answers.append((kind, 100 + number, found, set(self.kernel.hits)))


@pytest.mark.parametrize("crew", CREWS.values(), ids=CREWS)
@pytest.mark.parametrize("kind", KINDS)
def test_guest_and_host_each_answer_as_if_alone(tiny: ServedModel, crew: Crew, kind: str) -> None:
    ask, kernel = KINDS[kind], DirectKernel(0, crew=crew)
    alone = ask(kernel, tiny, 1, Nobody())
    guests = Guests(kernel, tiny)
    found = ask(kernel, tiny, 1, guests)
    for one, other in zip(found, alone, strict=True):
        assert torch.equal(one, other)
    # Before each block: there are four; back through the two behind the first site; 16 texts.
    assert len(guests.answers) >= {"embed": 4, "read": 2, "sense": 5, "texts": 3}[kind]
    for name, seed, answer, _ in guests.answers:
        for one, other in zip(answer, KINDS[name](kernel, tiny, seed), strict=True):
            assert torch.equal(one, other)


def test_each_tells_its_own_pictures_that_were_known(tiny: ServedModel) -> None:
    kernel = DirectKernel(crew=CREWS["cut"])
    seen = rows(tiny, 4, 7)
    kernel.embed(tiny, seen)
    guests = Guests(kernel, tiny)
    kernel.embed(tiny, [*rows(tiny, 3, 8), seen[0]], guests)
    assert kernel.hits == {"7/0"}
    assert guests.answers and not any(hits for *_, hits in guests.answers)


def test_a_guest_that_fails_lets_all_pieces_go_on_and_end(tiny: ServedModel) -> None:
    class Failing(Nobody):
        def asked(self) -> bool:
            return True

        def __call__(self) -> None:
            raise KeyError("guest")

    kernel = DirectKernel(0, crew=CREWS["cut"])
    with pytest.raises(KeyError, match="guest"):
        kernel.embed(tiny, rows(tiny, 8, 1), Failing())
    right = DirectKernel(0, crew=CREWS["cut"]).embed(tiny, rows(tiny, 8, 1), Nobody())
    assert torch.equal(kernel.embed(tiny, rows(tiny, 8, 1), Nobody()), right)


def test_a_piece_that_fails_ends_the_pass_whoever_waits(tiny: ServedModel) -> None:
    kernel = DirectKernel(0, crew=CREWS["cut"])
    guests = Guests(kernel, tiny)
    work = rows(tiny, 8, 1)
    size = tiny.info.image_size
    wrong = Row("wrong", torch.zeros(3, size[0], size[1] + 8))
    with pytest.raises(RuntimeError):
        kernel.embed(tiny, [*work, wrong], guests)
    assert torch.equal(embed(kernel, tiny, 1)[0], embed(kernel, tiny, 1)[0])


def test_within_afresh_torch_is_as_in_a_new_thread() -> None:
    from services.inference.engine.memory import Tally

    with torch.inference_mode(), Tally() as tally:
        with afresh():
            x = torch.ones(1000, requires_grad=True)
            (slope,) = torch.autograd.grad((x * x).sum(), x)
            assert slope.tolist() == [2.0] * 1000
        assert tally.top == 0 and not slope.is_inference()
        torch.ones(1000)
        assert tally.top == 4000 and torch.is_inference_mode_enabled()


def test_a_gpu_is_told_of_one_block_ahead() -> None:
    """By a queue of our own: before block k + 1 all before block k is waited for, and no more."""
    log: list[tuple[str, int]] = []

    class Place:
        count = 0

        def __init__(self) -> None:
            Place.count += 1
            self.number = Place.count

        def record(self) -> None:
            log.append(("told", self.number))

        def synchronize(self) -> None:
            log.append(("done", self.number))

    paced = OneAhead(Nobody(), Place)
    for _ in range(3):
        assert not paced.asked()
    assert log == [("told", 1), ("told", 2), ("done", 1), ("told", 3), ("done", 2)]
    assert isinstance(on_device(Nobody(), torch.device("cuda")), OneAhead)
    assert isinstance(on_device(Nobody(), torch.device("cpu")), Nobody)
    assert on_device(None, torch.device("cuda")) is None
