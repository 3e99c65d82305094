"""The door's address."""

import asyncio
import socket

import grpc
import pytest

from services.attribution.server import bind


def test_an_address_that_another_program_has_is_said_in_a_sentence() -> None:
    async def again(address: str) -> None:
        bind(grpc.aio.server(options=[("grpc.so_reuseport", 0)]), address)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SystemExit, match=f"{address} cannot be listened on.*JOBS_LISTEN"):
            asyncio.run(again(address))
