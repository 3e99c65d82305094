"""The server in this process, behind real gRPC, with every row counted that the model computes."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from bench.children import size_of
from bench.clients import OverGrpc
from bench.house import Plan, build
from bench.stage import loaded
from services.inference.engine.batching import BatchingKernel
from services.inference.server import InferenceServer
from steerboard.inprocess.between import Between
from steerboard.inprocess.kernel import DirectKernel, Row
from steerboard.inprocess.runner import LocalRunner
from steerboard.inprocess.served import ServedModel


class Counting(DirectKernel):
    """Counts the rows that it embeds."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = 0

    def embed(
        self, served: ServedModel, rows: Sequence[Row], between: Between | None = None
    ) -> Tensor:
        self.rows += len(rows)
        return super().embed(served, rows, between)


@contextmanager
def counted(architecture: str, threads: int) -> Iterator[tuple[OverGrpc, BatchingKernel, Counting]]:
    """A client, the engine it asks, and the kernel behind that."""
    torch.set_num_threads(threads)
    kernel = Counting()
    engine = BatchingKernel(kernel)
    runner = LocalRunner({architecture: build(Plan(architecture), loaded(architecture))}, engine)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def do(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(120)

    async def begin() -> InferenceServer:
        server = InferenceServer("127.0.0.1:0", None)
        await server.start()
        await server.load(lambda: (runner, engine))
        return server

    server = do(begin())
    client = OverGrpc(architecture, server.port, size_of(architecture))
    try:
        yield client, engine, kernel
    finally:
        client.close()
        do(server.stop(5.0))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        runner.close()
