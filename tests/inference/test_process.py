"""``python -m services.inference`` as a process: serves, and stops softly on SIGTERM."""

import os
import signal
import socket
import subprocess
import sys
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import steerboard as sb


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def start(house, address, **more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("STEERBOARD_")}
    own = {"STEERBOARD_CONFIG": str(house), "STEERBOARD_INFERENCE_LISTEN": address}
    command = [sys.executable, "-m", "services.inference"]
    return subprocess.Popen(command, env=kept | own | more, stderr=subprocess.PIPE, text=True)


def wait_until_serving(address, process):
    end = time.monotonic() + 120
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while time.monotonic() < end:
            assert process.poll() is None, process.stderr.read()
            try:
                if stub.Check(health_pb2.HealthCheckRequest(), timeout=2).status == 1:
                    return
            except grpc.RpcError:
                pass
            time.sleep(0.2)
    raise AssertionError("never served")


def test_it_serves_and_stops_softly(tiny_house, tiny_images):
    address = f"127.0.0.1:{free_port()}"
    process = start(tiny_house, address, STEERBOARD_PRECISION="bf16", STEERBOARD_LOAD="lazy")
    try:
        wait_until_serving(address, process)
        runner = sb.connect(address)
        told = runner.model("tiny")
        assert told.precision == "bf16" and not told.loaded and told.dictionaries
        prompts = sb.Prompts(prompts=("cat", "dog"))
        picture = sb.Encoded(data=tiny_images[0])
        request = sb.Predict(model="tiny", images=(picture,), classifier=prompts)
        assert runner.predict(request).one().logits.shape == (2,)
        runner.close()
        second = start(tiny_house, address)
        assert second.wait(60) == 1
        assert "cannot be listened on" in second.stderr.read()
        second.stderr.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.stderr.close()
        process.wait()


@pytest.mark.parametrize(
    ("address", "config", "words"),
    [
        ("0.0.0.0:0", None, "set STEERBOARD_TOKEN_SECRET"),
        ("127.0.0.1:0", "models: {}", "steerboard.yaml is not valid"),
    ],
)
def test_it_ends_with_a_sentence_where_it_cannot_serve(tmp_path, address, config, words):
    (tmp_path / "steerboard.yaml").write_text(config or "")
    process = start(tmp_path, address)
    assert process.wait(60) == 1
    told = process.stderr.read()
    process.stderr.close()
    assert words in told and "Traceback" not in told


def test_a_device_that_is_not_there_ends_it_with_a_sentence(tiny_house):
    process = start(tiny_house, "127.0.0.1:0", STEERBOARD_DEVICE="cuda:99")
    assert process.wait(60) == 1
    told = process.stderr.read()
    process.stderr.close()
    assert "device cuda:99 is not here" in told and "Traceback" not in told
