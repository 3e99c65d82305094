"""Training beside dictionary_learning's own trainer: the same batches, width and k.

``python -m bench.training --model FOLDER --images FOLDER [--install-peers] [--out FOLDER]``: both
are handed the very same rows, in turns of some steps. The peer's rows are scaled to a mean square
of 1 as its own ``trainSAE`` does, and are drawn outside its clock; ours draws within its own. Then
both are measured on held-out pictures at equal tokens.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from bench import peers
from bench.clock import Figure, figure, machine, one, ratios

PINNED = ("dictionary-learning==0.1.0", "einops==0.8.2")  # without what only language models need
TURN = 50  # steps


class Peer:
    """Their TopKTrainer, fed with our rows.

    Args:
        plan: Width, k, batch and steps.
        rows: Batches ``[n, d]``.
        rate: Learning rate; None is their own rule.
    """

    def __init__(self, plan, rows: Iterator, rate: float | None) -> None:
        from bench.peer_dictionary_learning import TopKTrainer

        first = next(rows)
        self.rows, self.scale, self.step = rows, float(first.square().sum(1).mean()) ** -0.5, 0
        self.trainer = TopKTrainer(
            steps=plan.steps,
            activation_dim=first.shape[1],
            dict_size=plan.size,
            k=plan.k,
            layer=0,
            lm_name="",
            lr=rate,
            warmup_steps=min(1000, plan.steps // 10),
            decay_start=2 * plan.steps // 3,
            threshold_start_step=0,
            seed=plan.seed,
            device="cpu",
        )

    def turn(self, steps: int) -> float:
        """Seconds of ``steps`` updates, without the drawing of rows."""
        spent = 0.0
        for _ in range(steps):
            x = next(self.rows) * self.scale
            began = time.perf_counter()
            self.trainer.update(self.step, x)
            spent += time.perf_counter() - began
            self.step += 1
        return spent

    def dictionary(self):
        """As we would read its ``ae.pt``, in the units of the activations."""
        from steerboard.dictionary.sae import Sae

        ae = self.trainer.ae
        ae.scale_biases(1 / self.scale)
        return Sae(
            W_enc=ae.encoder.weight.detach().T.contiguous(),
            b_enc=ae.encoder.bias.detach(),
            W_dec=ae.decoder.weight.detach().T.contiguous(),
            b_dec=ae.b_dec.detach(),
            architecture="topk",
            k=int(ae.k),
        )


def batches(store, plan) -> Iterator:
    """The rows that our own loop draws, in its order."""
    import torch

    from steerboard.dictionary.training.loop import counts
    from steerboard.dictionary.training.shards import draws

    parts = [draws(store, part, n, plan.seed, 0) for part, n in counts(store, plan, 1).items()]
    while True:
        yield torch.cat([next(part) for part in parts])


class Turns:
    """Lets the peer go as many steps whenever ours has gone ``TURN``."""

    def __init__(self, peer: Peer) -> None:
        self.peer, self.ours, self.theirs = peer, [], []
        self.began = time.perf_counter()

    def __call__(self, tick) -> None:
        if tick.step % TURN == 0:
            self.ours.append(time.perf_counter() - self.began)
            self.theirs.append(self.peer.turn(TURN))
            self.began = time.perf_counter()
            print(f"{tick.step} steps: {self.ours[-1]:.1f} s, peer {self.theirs[-1]:.1f} s")


class Quiet:
    def harvested(self, done: int, pictures: int) -> None:
        pass

    def stepped(self, tick: object) -> None:
        pass


def race(options: argparse.Namespace) -> dict[str, object]:
    import torch

    from steerboard.dictionary.training.loop import Training
    from steerboard.dictionary.training.plan import Plan
    from steerboard.dictionary.training.report import held_out_rows
    from steerboard.dictionary.training.run import choose, gathered
    from steerboard.model.load import load

    torch.set_num_threads(options.threads)
    loaded = load(options.model)
    size = 16 * loaded.tower.site(options.site).width
    steps = TURN * options.rounds
    plan = Plan(size=size, k=options.k, steps=steps)
    pictures = choose(options.images, "train", "test", 0.1)
    shards = options.out / "shards"
    store = gathered(loaded, options.site, pictures.training, plan, shards, Quiet())
    (options.out / "checkpoint.safetensors").unlink(missing_ok=True)
    training = Training(store, plan, options.out, keep_every=60)
    turns = Turns(Peer(plan, batches(store, plan), options.peer_rate))
    ours = training.run(turns)
    rows, _ = held_out_rows(loaded, options.site, pictures.held_out)
    record = {"plan": plan.model_dump(mode="json"), "machine": machine(), "pictures": len(rows)}
    return record | told(plan, turns, ours, rows.flatten(0, 1))


def told(plan, turns: Turns, ours, rows) -> dict[str, object]:
    """Speeds and qualities; the first turn, in which everything is warmed up, is left out."""
    from steerboard.dictionary.quality import quality

    mine, theirs = turns.ours[1:], turns.theirs[1:]
    speed = {n: figure([TURN * plan.batch / s for s in v]) for n, v in
             (("steerboard", mine), ("dictionary_learning", theirs))}  # fmt: skip
    found = {"steerboard": ours, "dictionary_learning": turns.peer.dictionary()}
    return {
        "tokens_per_second": {name: asdict(f) for name, f in speed.items()},
        "ratio": asdict(ratios(theirs, mine)),
        "quality": {n: quality(sae, rows, "all").model_dump() for n, sae in found.items()},
    }


def show(record) -> None:
    for name, said in record["tokens_per_second"].items():
        f, q = Figure(**said), record["quality"][name]
        print(
            f"{name:20} {f.median:8.0f} tokens/s [{f.low:.0f}, {f.high:.0f}], explained variance"
            f" {q['explained_variance']:.4f}, per dimension {q['per_dimension']:.4f},"
            f" L0 {q['l0']:.1f}, dead {q['dead']:.3f}"
        )
    ratio = Figure(**record["ratio"])
    gap = (one(record["quality"][n]["explained_variance"]).median for n in record["quality"])
    ahead = next(gap) - next(gap)
    print(f"speed: {ratio.median:.2f} times theirs [{ratio.low:.2f}, {ratio.high:.2f}] (bound 1)")
    print(f"explained variance: {ahead:+.4f} beside theirs (bound -0.01)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("build/training"))
    parser.add_argument("--site", default="resid_post.8")
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=30, help=f"turns of {TURN} steps each")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--peer-rate", type=float, help="default: the peer's own rule")
    parser.add_argument("--install-peers", action="store_true")
    options = parser.parse_args()
    if options.install_peers:
        peers.install_bare(PINNED)
    if Path(sys.executable) != peers.PYTHON:
        words = [word for word in sys.argv[1:] if word != "--install-peers"]
        os.execv(peers.PYTHON, [str(peers.PYTHON), "-m", "bench.training", *words])
    options.out.mkdir(parents=True, exist_ok=True)
    record = race(options)
    show(record)
    (options.out / "training.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
