"""The environment is read once, from one table; a wrong value ends the process with a sentence."""

import pytest

from services.inference.engine.admission import LIMITS, Load
from services.inference.settings import read_settings
from steerboard.inprocess.kernel import CACHE_BYTES


def test_defaults_listen_on_this_machine_only(tmp_path):
    settings = read_settings({"STEERBOARD_CONFIG": str(tmp_path), "STEERBOARD_TOKEN_SECRET": ""})
    assert settings.listen == "127.0.0.1:50051"
    assert settings.token_secret is None and settings.threads is None
    assert (settings.device, settings.precision, settings.load) == ("auto", "float32", "start")
    held = Load(settings.queue_rows, settings.queue_bytes, settings.queue_calls)
    assert held == LIMITS and settings.device_bytes is None and settings.cache_bytes == CACHE_BYTES


def test_all_values_are_taken(tmp_path):
    settings = read_settings(
        {
            "STEERBOARD_CONFIG": str(tmp_path),
            "STEERBOARD_INFERENCE_LISTEN": "0.0.0.0:1234",
            "STEERBOARD_TOKEN_SECRET": "s" * 32,
            "STEERBOARD_THREADS": "2",
            "STEERBOARD_DEVICE": "cuda:1",
            "STEERBOARD_PRECISION": "bf16",
            "STEERBOARD_LOAD": "lazy",
            "STEERBOARD_DEVICE_BYTES": "1000",
            "STEERBOARD_CACHE_BYTES": "0",
            "STEERBOARD_QUEUE_CALLS": "7",
            "STEERBOARD_QUEUE_ROWS": "70",
            "STEERBOARD_QUEUE_BYTES": "1048576",
        }
    )
    assert (settings.listen, settings.threads) == ("0.0.0.0:1234", 2)
    assert (settings.device, settings.precision, settings.load) == ("cuda:1", "bf16", "lazy")
    assert (settings.device_bytes, settings.cache_bytes) == (1000, 0)
    assert (settings.queue_calls, settings.queue_rows, settings.queue_bytes) == (7, 70, 2**20)
    assert "ssss" not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"STEERBOARD_CONFIG": ""}, "STEERBOARD_CONFIG"),
        ({"STEERBOARD_CONFIG": "/not/here"}, "does not exist"),
        ({"STEERBOARD_THREADS": "many"}, "STEERBOARD_THREADS"),
        ({"STEERBOARD_THREADS": "0"}, "STEERBOARD_THREADS"),
        ({"STEERBOARD_DEVICE": "gpu"}, "STEERBOARD_DEVICE"),
        ({"STEERBOARD_PRECISION": "int8"}, "STEERBOARD_PRECISION"),
        ({"STEERBOARD_LOAD": "never"}, "STEERBOARD_LOAD"),
        ({"STEERBOARD_DEVICE_BYTES": "0"}, "STEERBOARD_DEVICE_BYTES"),
        ({"STEERBOARD_QUEUE_CALLS": "1"}, "STEERBOARD_QUEUE_CALLS"),
        ({"STEERBOARD_TOKEN_SECRET": "short"}, "at least 32 bytes"),
        ({"STEERBOARD_INFERENCE_LISTEN": "nowhere"}, "STEERBOARD_INFERENCE_LISTEN"),
        ({"STEERBOARD_INFERENCE_LISTEN": "127.0.0.1:99999"}, "a port above 65535"),
        ({"STEERBOARD_INFERENCE_LISTEN": "0.0.0.0:1"}, "set STEERBOARD_TOKEN_SECRET"),
        ({"STEERBOARD_INFERENCE_LISTEN": "[::]:1"}, "set STEERBOARD_TOKEN_SECRET"),
    ],
)
def test_a_wrong_value_is_fatal(tmp_path, changes, words):
    with pytest.raises(SystemExit, match=words) as caught:
        read_settings({"STEERBOARD_CONFIG": str(tmp_path)} | changes)
    assert "Value error" not in str(caught.value)
