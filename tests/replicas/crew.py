"""Inference processes that share one house: started, killed, frozen and counted by tests."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

PATIENCE_S = 240


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def until(said, patience_s=PATIENCE_S, pause_s=0.05):
    """Wait until ``said()`` is true."""
    end = time.monotonic() + patience_s
    while not said():
        assert time.monotonic() < end, "this never came"
        time.sleep(pause_s)


class Server:
    """One process on one address; it keeps the address when it is started again."""

    def __init__(self, house, address=None, within=(), **settings):
        self.address = address or f"127.0.0.1:{free_port()}"
        self._house, self._within, self._settings = house, within, settings
        self.process = None

    def start(self):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("STEERBOARD_CONFIG")}
        own = {
            "STEERBOARD_CONFIG": str(self._house),
            "STEERBOARD_INFERENCE_LISTEN": self.address,
            "STEERBOARD_THREADS": "1",
        }
        command = [*self._within, sys.executable, "-m", "services.inference"]
        self.process = subprocess.Popen(
            command, env=kept | own | self._settings, stderr=subprocess.DEVNULL
        )
        return self

    def signal(self, number):
        self.process.send_signal(number)

    def serves(self):
        assert self.process.poll() is None, "the server ended"
        with grpc.insecure_channel(self.address) as channel:
            try:
                ask = health_pb2.HealthCheckRequest()
                return health_pb2_grpc.HealthStub(channel).Check(ask, timeout=2).status == 1
            except grpc.RpcError:
                return False

    def up(self):
        """Started where it is not, and serving."""
        if self.process is None or self.process.poll() is not None:
            self.start()
        self.signal(signal.SIGCONT)
        until(self.serves, pause_s=0.3)  # each look opens a connection, and a start takes seconds
        return self

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()


class Load:
    """Callers that ask again and again, and what they were told."""

    def __init__(self, ask, callers=3):
        self.answers, self.faults, self.slowest = [], [], 0.0
        self._ask, self._stop = ask, threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(i,)) for i in range(callers)]

    def _run(self, i):
        while not self._stop.is_set():
            begun = time.monotonic()
            try:
                self.answers.append(self._ask(i))
            except Exception as fault:
                self.faults.append(fault)
            self.slowest = max(self.slowest, time.monotonic() - begun)
            i += len(self._threads)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def goes_on(self, more=30):
        """Until so many more were answered."""
        target = len(self.answers) + len(self.faults) + more
        until(lambda: len(self.answers) + len(self.faults) >= target)

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()
