"""Steered forwards through nnsight: reads ``block m`` lines, writes seconds and logits as JSON.

The picture is the same at every move, as with a slider: nnsight runs the whole model each time.
"""

import json
import os
import sys
import time

import nnsight
import torch

from bench.house import load, pictures, placement
from bench.raw import NEURON, Classifier


def main() -> None:
    torch.set_num_threads(int(os.environ["BENCH_THREADS"]))
    loaded = load(os.environ["BENCH_ARCHITECTURE"], placement())
    raw = Classifier(loaded)
    model = nnsight.NNsight(raw.visual)
    pixels = raw.there(pictures(1, int(os.environ["BENCH_SEED"])))

    @torch.inference_mode()
    def steered(block: int, m: float) -> torch.Tensor:
        with model.trace(pixels):
            out = model.transformer.resblocks[block].output
            out[..., NEURON] = out[..., NEURON] * (1 + m)
            found = model.output.save()
        return raw.logits(found).cpu()

    print("ready", flush=True)
    for line in sys.stdin:
        block, m = line.split()
        begun = time.perf_counter()
        logits = steered(int(block), float(m))
        spent = time.perf_counter() - begun
        print(json.dumps({"seconds": spent, "logits": logits[0].tolist()}), flush=True)


if __name__ == "__main__":
    main()
