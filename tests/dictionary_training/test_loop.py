"""Training finds the directions, goes on after a kill as if nothing were, and shares its work."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from steerboard.dictionary.quality import quality
from steerboard.dictionary.training.learner import Learner
from steerboard.dictionary.training.loop import CHECKPOINT, Tick, Training, counts
from steerboard.dictionary.training.plan import Plan
from steerboard.dictionary.training.shards import Store
from steerboard.spec.errors import Cancelled, InvalidRequest
from tests.dictionary_training.conftest import sparse_sums, write_store

BASE = {"size": 64, "k": 3, "steps": 600, "batch": 256, "rate": 3e-3, "tokens": "patches"}
CHILD = """
import json, sys, time
from pathlib import Path
import torch
from steerboard.dictionary.training.loop import Training
from steerboard.dictionary.training.plan import Plan
from steerboard.dictionary.training.ranks import joined
from steerboard.dictionary.training.shards import open_store
torch.set_num_threads(1)
store, plan, folder, pause = sys.argv[1:]
with joined("cpu") as ranks:
    training = Training(open_store(Path(store)), Plan(**json.loads(plan)), Path(folder), True,
                        ranks, keep_every=0.05 if float(pause) else 1e9)
    training.run(lambda tick: time.sleep(float(pause)))
"""


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """Sums of several threads would differ in their last bit from run to run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def plan(**other: Any) -> Plan:
    return Plan(**{**BASE, **other})


def child(store: Store, plan: Plan, folder: Path, pause: float = 0.0) -> list[str]:
    words = (str(store.folder), plan.model_dump_json(), str(folder), str(pause))
    return ["-c", CHILD, *words]


@pytest.mark.parametrize(
    ("other", "least"),
    [
        ({}, 0.95),
        ({"architecture": "batchtopk"}, 0.93),
        ({"architecture": "jumprelu"}, 0.93),
        ({"architecture": "relu", "k": 6}, 0.7),
        ({"matryoshka": (16, 64)}, 0.9),
        ({"normalize": "layer_norm"}, 0.95),
    ],
)
def test_each_kind_finds_what_the_activations_are_made_of(
    store: Store, held_out: Tensor, tmp_path: Path, other: dict[str, Any], least: float
) -> None:
    own = plan(**other)
    found = quality(Training(store, own, tmp_path).run(), held_out, "patches")
    assert found.explained_variance > least
    assert 0.8 * own.k < found.l0 < 1.25 * own.k  # kept, or steered there


def test_dead_features_come_back_to_life(store: Store, held_out: Tensor, tmp_path: Path) -> None:
    shares = []
    for auxiliary_k in (0, 16):
        own = plan(size=128, steps=200, dead_after=2_000, auxiliary_k=auxiliary_k)
        training = Training(store, own, tmp_path)
        with torch.no_grad():
            training.learner.b_enc[64:] = -4.0
        shares.append(quality(training.run(), held_out, "patches").dead)
    assert shares[0] >= 0.5 > shares[1] + 0.1


def test_a_prefix_has_its_share_of_every_batch(store: Store, tmp_path: Path) -> None:
    assert counts(store, plan(tokens="all", prefix_share=0.25), 1) == {"prefix": 64, "patches": 192}
    natural = round(256 * 400 / 5600)
    assert counts(store, plan(tokens="all", prefix_share=0), 1)["prefix"] == natural
    assert counts(store, plan(tokens="prefix"), 1) == {"prefix": 256}
    own = plan(tokens="all", prefix_share=0.25)
    training = Training(store, own, tmp_path)
    x, prefix = next(training._batches(0))
    raw = x / training.learner.scale + training.learner.mean
    assert prefix == 64  # prefix rows were made 2 higher
    assert float(raw[:64].mean() - raw[64:].mean()) == pytest.approx(2.0, abs=0.5)


def test_a_kill_in_the_middle_changes_nothing(store: Store, tmp_path: Path) -> None:
    own = plan(steps=200)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    straight = Training(store, own, whole).run()
    process = subprocess.Popen([sys.executable, *child(store, own, killed, pause=0.02)])
    while not (killed / CHECKPOINT).is_file() and process.poll() is None:
        time.sleep(0.02)
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    resumed = Training(store, own, killed, resume=True)
    assert 0 < resumed.progress.step < 200
    again = resumed.run()
    for name, tensor in straight.tensors().items():
        assert torch.equal(again.tensors()[name], tensor), name
    assert [point[:3] for point in resumed.progress.curves] == [
        point[:3] for point in Training(store, own, whole, resume=True).progress.curves
    ]


def test_stopped_between_two_steps_it_goes_on_from_there(store: Store, tmp_path: Path) -> None:
    def stop(tick: Tick) -> None:
        if tick.step == 7:
            raise Cancelled("enough")

    own = plan(steps=10)
    with pytest.raises(Cancelled):
        Training(store, own, tmp_path).run(stop)
    resumed = Training(store, own, tmp_path, resume=True)
    assert resumed.progress.step == 7
    again, straight = resumed.run(), Training(store, own, tmp_path).run()
    assert torch.equal(again.W_enc, straight.W_enc)


def test_what_memory_cannot_hold_is_told_before_it_is_asked_for(
    store: Store, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest, match=r"take \d+\.\d GiB to train.*smaller --width"):
        Training(store, plan(size=10**10), tmp_path)
    own = plan(size=1000, batch=100)
    held = sum(p.nbytes for p in Learner(own, torch.zeros(2, 32)).parameters())
    assert own.memory(32) == pytest.approx(4 * held + 3 * 100 * 1000 * 4, rel=0.05)


def test_a_checkpoint_of_another_training_is_refused(store: Store, tmp_path: Path) -> None:
    Training(store, plan(steps=5), tmp_path).run()
    Training(store, plan(steps=9), tmp_path, resume=True).run()  # longer is no other training
    with pytest.raises(InvalidRequest, match="k was 3 and is 4"):
        Training(store, plan(k=4), tmp_path, resume=True)
    other = write_store(tmp_path / "other", {"patches": sparse_sums(600, 9)})
    with pytest.raises(InvalidRequest, match="activations are others"):
        Training(other, plan(), tmp_path, resume=True)
    (tmp_path / CHECKPOINT).write_bytes(b"nothing")
    with pytest.raises(InvalidRequest, match="no checkpoint"):
        Training(store, plan(), tmp_path, resume=True)


def test_tokens_that_were_not_harvested_are_refused(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s", {"patches": sparse_sums(600, 9)})
    with pytest.raises(InvalidRequest, match="holds no prefix tokens"):
        Training(store, plan(tokens="prefix"), tmp_path)


def test_two_processes_do_what_one_does_with_the_whole_batch(store: Store, tmp_path: Path) -> None:
    own = plan(tokens="all", prefix_share=0.25, steps=30)
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    alone.mkdir()
    shared.mkdir()
    Training(store, own, alone).run()
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    place = ["--master-addr", "127.0.0.1", "--master-port", str(port)]
    words = child(store, own, shared)[2:]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    subprocess.run([*launcher, *place, str(script), *words], check=True, env=environment)
    one, two = load_file(alone / CHECKPOINT), load_file(shared / CHECKPOINT)
    assert json.dumps(sorted(one)) == json.dumps(sorted(two))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=2e-5, rtol=1e-3, msg=name)
