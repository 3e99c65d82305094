"""Several models under a budget of bytes: who leaves, who stays, who waits, and what is told."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest
import torch
import yaml
from patience import wait_until
from safetensors.torch import load_file, save_file

import steerboard
from services.inference.loading import Hosting, load_runner
from steerboard.api.client import connect
from steerboard.inprocess.residence import Residence, Weights
from steerboard.spec.errors import DeadlineExceeded, InvalidRequest, Overloaded
from steerboard.spec.requests import Encoded, Predict, Prompts

WORDS = Prompts(prompts=("cat", "dog", "horse"))


@pytest.fixture(scope="module")
def two(tiny_house, tmp_path_factory):
    """The tiny house with a second model of other weights."""
    folder = tmp_path_factory.mktemp("two") / "house"
    shutil.copytree(tiny_house, folder)
    shutil.copytree(folder / "model", folder / "second")
    path = folder / "second" / "open_clip_model.safetensors"
    save_file({k: v + 0.05 * torch.randn_like(v) for k, v in load_file(path).items()}, path)
    config = yaml.safe_load((folder / "steerboard.yaml").read_text())
    first = config["models"]["tiny"]
    config["models"]["second"] = {**first, "path": "second", "dictionaries": {}}
    (folder / "steerboard.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture
def server(two, hosting):
    """``server(share, lazy)``: a budget of so many times the first model's bytes."""

    def start(share, lazy=True):
        whole = load_runner(two)[0].model("tiny").bytes
        hosting_ = Hosting(device_bytes=int(whole * share), lazy=lazy)
        return hosting(lambda: load_runner(two, hosting_))

    return start


def ask(runner, model, data):
    request = Predict(model=model, images=(Encoded(data=data),), classifier=WORDS)
    return runner.predict(request).one().logits


def loaded(runner):
    return {info.id for info in runner.models() if info.loaded}


def test_the_one_that_was_used_longest_ago_leaves_and_comes_back(two, server, tiny_images):
    exact = steerboard.local(two)
    runner = steerboard.connect(server(1.5).address)
    assert loaded(runner) == set()
    for model in ("tiny", "second", "tiny", "tiny", "second"):
        found = ask(runner, model, tiny_images[0])
        np.testing.assert_allclose(found, ask(exact, model, tiny_images[0]), atol=1e-4)
        assert loaded(runner) == {model}
    runner.close()


def test_both_stay_where_both_fit(server, tiny_images):
    hosted = server(2.5)
    runner = steerboard.connect(hosted.address)
    for model in ("tiny", "second", "tiny", "second"):
        ask(runner, model, tiny_images[0])
    assert loaded(runner) == {"tiny", "second"}
    served = hosted.server._servicer.runner._served
    # Once to be measured, or not at all where that was known; then once for the first question.
    assert {s.weights.moves for s in served.values()} == {2}
    runner.close()


def test_a_model_that_is_away_is_told_whole(two, server, tiny_images):
    runner, exact = steerboard.connect(server(1.5).address), steerboard.local(two)
    for name in ("tiny", "second"):
        away, here = runner.model(name), exact.model(name)
        assert not away.loaded and here.loaded and away.bytes > 100_000
        assert away == here.model_copy(update={"loaded": False})
    runner.close()


def test_many_who_ask_at_once_share_one_load(server, tiny_images):
    hosted = server(1.5)
    runner = steerboard.connect(hosted.address)
    weights = hosted.server._servicer.runner._served["tiny"].weights
    ask(runner, "second", tiny_images[0])
    before = weights.moves
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda i: ask(runner, "tiny", tiny_images[i % 4]), range(24)))
    assert weights.moves == before + 1
    for i, logits in enumerate(found):
        np.testing.assert_allclose(logits, found[i % 4], atol=1e-4)
    runner.close()


def test_a_model_in_use_stays_and_who_waits_for_its_room_keeps_a_deadline(server, tiny_images):
    hosted = server(1.5)
    runner = steerboard.connect(hosted.address)
    inner = hosted.server._servicer.runner
    with inner._residence.using(inner._served["tiny"].weights):
        with pytest.raises(DeadlineExceeded):
            channel_call(hosted, "second", tiny_images[0], timeout=1.0)
        assert loaded(runner) == {"tiny"}
    wait_until(lambda: hosted.server._desk.admission.held.calls == 0)
    ask(runner, "second", tiny_images[0])
    assert loaded(runner) == {"second"}
    runner.close()


def channel_call(hosted, model, data, timeout):
    """One call with a deadline of its own."""
    runner = connect(hosted.address, None, timeout_s=timeout)
    try:
        return ask(runner, model, data)
    finally:
        runner.close()


def weights(size=1000):
    return Weights([torch.zeros(size, dtype=torch.uint8)], torch.device("cpu"))


def test_a_model_larger_than_the_budget_is_refused_with_both_numbers():
    with (
        pytest.raises(InvalidRequest, match=r"take 5 MiB, more than the 1 MiB .*DEVICE_BYTES"),
        Residence(2**20).using(weights(5 * 2**20)),
    ):
        pass


def test_who_waits_for_room_is_not_overtaken_by_users_of_what_is_there():
    residence, one, other = Residence(1000), weights(), weights()
    order, threads = [], []

    def use(name, which):
        with residence.using(which):
            order.append(name)

    with ExitStack() as held:
        held.enter_context(residence.using(one))
        for name, which in (("other", other), ("one again", one)):
            threads.append(threading.Thread(target=use, args=(name, which)))
            threads[-1].start()
            wait_until(lambda: len(residence._turns) == len(threads))
        assert not order
    for thread in threads:
        thread.join()
    assert order == ["other", "one again"]


class Reluctant(Weights):
    """No memory for it the first ``failures`` times."""

    failures = 1

    def bring(self):
        if self.failures:
            self.failures -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        super().bring()


def test_a_device_without_memory_says_so_and_the_next_try_goes_on():
    residence, large = Residence(), Reluctant([torch.zeros(8)], torch.device("cpu"))
    with pytest.raises(Overloaded, match="no memory for this model now"), residence.using(large):
        pass
    assert not residence.here(large)
    with residence.using(large):
        assert residence.here(large)


def test_whatever_many_threads_do_the_budget_holds_and_what_is_used_is_there():
    residence, all_ = Residence(2500), [weights() for _ in range(5)]
    wrong, held = [], []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(40):
            which = all_[rng.integers(5)]
            with residence.using(which):
                held.append(which)
                if not residence.here(which) or len(set(held)) > 2:
                    wrong.append(seed)
                time.sleep(0.0005 * rng.random())
                held.remove(which)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert not wrong
    assert sum(residence.here(which) for which in all_) == 2
