"""The same model behind mosec: raw float32 bytes in, raw float32 logits out."""

import os

import numpy as np
import torch
from mosec import Server, Worker

ARCHITECTURE = os.environ["BENCH_ARCHITECTURE"]
THREADS = int(os.environ["BENCH_THREADS"])
BATCH = int(os.environ["BENCH_BATCH"])
SHAPE = tuple(map(int, os.environ["BENCH_SHAPE"].split(",")))


class Predict(Worker):
    def __init__(self):
        from bench.house import load, placement
        from bench.raw import Classifier

        torch.set_num_threads(THREADS)
        self.model = Classifier(load(ARCHITECTURE, placement()))

    def deserialize(self, data):
        return np.frombuffer(data, "<f4").reshape(SHAPE)

    def serialize(self, data):
        return np.asarray(data, "<f4").tobytes()

    def forward(self, data):
        return list(self.model(np.stack(data)))


if __name__ == "__main__":
    server = Server()
    server.append_worker(
        Predict, num=1, max_batch_size=BATCH, max_wait_time=10, timeout=60_000, start_method="spawn"
    )
    server.run()
