"""A hub that cannot be reached is asked once; the library alone asks six times, with pauses."""

import os
import socket
import subprocess
import sys
import threading

ASK = """
from steerboard.model.load import load
from steerboard.spec.errors import SteerboardError
try:
    load("hf-hub:somebody/nothing")
except SteerboardError as error:
    print(type(error).__name__, error.message)
"""


def test_a_tag_that_cannot_be_fetched_is_told_after_one_try(tmp_path):
    asked = []

    def hang_up():
        with listener:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                asked.append(1)
                connection.close()

    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    thread = threading.Thread(target=hang_up)
    thread.start()
    own = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
    # The library reads its settings once, when it is imported: hence a process of its own.
    run = subprocess.run(
        [sys.executable, "-c", ASK],
        env={k: v for k, v in os.environ.items() if k != "HF_HUB_OFFLINE"} | own,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    listener.shutdown(socket.SHUT_RDWR)
    thread.join(30)
    assert run.stdout.startswith("Unavailable the weights of hf-hub:somebody/nothing"), run.stderr
    assert len(asked) == 1
