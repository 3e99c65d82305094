"""The same model behind LitServe: raw float32 bytes in, raw float32 logits out."""

import os
from typing import Annotated

import litserve
import numpy as np
import torch
from fastapi import Depends, Request, Response

ARCHITECTURE = os.environ["BENCH_ARCHITECTURE"]
THREADS = int(os.environ["BENCH_THREADS"])
BATCH = int(os.environ["BENCH_BATCH"])
SHAPE = tuple(map(int, os.environ["BENCH_SHAPE"].split(",")))
PORT = int(os.environ["BENCH_PORT"])


async def body(request: Request):
    return await request.body()


class Predict(litserve.LitAPI):
    def setup(self, device):
        from bench.house import load, placement
        from bench.raw import Classifier

        torch.set_num_threads(THREADS)
        self.model = Classifier(load(ARCHITECTURE, placement()))

    # LitServe reads JSON where the annotation is Request itself, and knows no other body but forms.
    def decode_request(self, request: Annotated[bytes, Depends(body)]):
        return np.frombuffer(request, "<f4").reshape(SHAPE)

    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, x):
        return self.model(x)

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return Response(np.asarray(output, "<f4").tobytes())


if __name__ == "__main__":
    api = Predict(max_batch_size=BATCH, batch_timeout=0.01)
    server = litserve.LitServer(api, accelerator="cpu", timeout=60)
    server.run(port=PORT, generate_client_file=False, log_level="warning")
