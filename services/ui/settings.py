"""The environment, read once."""

import os

from steerboard.spec.base import Spec


class Settings(Spec):
    """Where everything is."""

    inference: str = "127.0.0.1:50051"
    jobs: str = "127.0.0.1:50052"
    store: str = "sqlite:///.steerboard/sessions.sqlite"
    token: str | None = None


TABLE = {
    "STEERBOARD_INFERENCE": "inference",
    "STEERBOARD_JOBS": "jobs",
    "STEERBOARD_STORE": "store",
    "STEERBOARD_TOKEN": "token",
}


def read_settings() -> Settings:
    """The settings of this process; an empty value counts as not set."""
    return Settings.model_validate(
        {n: os.environ[v] for v, n in TABLE.items() if os.environ.get(v)}
    )
