"""The environment is read once, from one table; a wrong value ends the process with a sentence."""

import pytest

from services.inference.settings import read_settings


def test_defaults_listen_on_this_machine_only(tmp_path):
    settings = read_settings({"STEERBOARD_CONFIG": str(tmp_path), "STEERBOARD_TOKEN_SECRET": ""})
    assert settings.listen == "127.0.0.1:50051"
    assert settings.token_secret is None and settings.threads is None


def test_all_values_are_taken(tmp_path):
    settings = read_settings(
        {
            "STEERBOARD_CONFIG": str(tmp_path),
            "STEERBOARD_INFERENCE_LISTEN": "0.0.0.0:1234",
            "STEERBOARD_TOKEN_SECRET": "s" * 32,
            "STEERBOARD_THREADS": "2",
        }
    )
    assert (settings.listen, settings.threads) == ("0.0.0.0:1234", 2)
    assert "ssss" not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"STEERBOARD_CONFIG": ""}, "STEERBOARD_CONFIG"),
        ({"STEERBOARD_CONFIG": "/not/here"}, "does not exist"),
        ({"STEERBOARD_THREADS": "many"}, "STEERBOARD_THREADS"),
        ({"STEERBOARD_THREADS": "0"}, "STEERBOARD_THREADS"),
        ({"STEERBOARD_TOKEN_SECRET": "short"}, "at least 32 bytes"),
        ({"STEERBOARD_INFERENCE_LISTEN": "nowhere"}, "STEERBOARD_INFERENCE_LISTEN"),
        ({"STEERBOARD_INFERENCE_LISTEN": "0.0.0.0:1"}, "set STEERBOARD_TOKEN_SECRET"),
        ({"STEERBOARD_INFERENCE_LISTEN": "[::]:1"}, "set STEERBOARD_TOKEN_SECRET"),
    ],
)
def test_a_wrong_value_is_fatal(tmp_path, changes, words):
    with pytest.raises(SystemExit, match=words) as caught:
        read_settings({"STEERBOARD_CONFIG": str(tmp_path)} | changes)
    assert "Value error" not in str(caught.value)
