"""The environment, read once from one table. A wrong value is fatal."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError, model_validator

from steerboard.api.tokens import is_loopback
from steerboard.spec.base import Spec


class Settings(Spec):
    """How the door and the workers were asked to run."""

    config: Path = Field(description="steerboard.yaml")
    broker: str = Field(
        pattern=r"^rediss?://.+", description="Redis of the queue: no eviction", repr=False
    )
    cache: str = Field(
        pattern=r"^rediss?://.+", description="Redis of the results: LRU", repr=False
    )
    inference: str = "127.0.0.1:50051"
    listen: str = "127.0.0.1:50052"
    blobs: str = Field(default=".steerboard/blobs", description="fsspec URL of uploaded pictures")
    store: str = Field(
        default="sqlite:///.steerboard/sessions.sqlite",
        description="database of what people say of features",
        repr=False,
    )
    token_secret: str | None = Field(default=None, repr=False)
    token: str | None = Field(default=None, repr=False, description="the workers' own token")
    concurrency: int = Field(
        default=2, ge=1, le=256, description="hands for sets; one more is kept for single pictures"
    )
    patience_s: float = Field(
        default=60.0, gt=0, description="seconds without progress after which a job is given up"
    )

    @model_validator(mode="after")
    def _strangers_need_tokens(self) -> "Settings":
        if self.token_secret is None and not is_loopback(self.listen):
            raise ValueError(
                f"{self.listen} is open to other machines: set "
                "STEERBOARD_TOKEN_SECRET, or listen on 127.0.0.1"
            )
        return self


TABLE = {
    "STEERBOARD_CONFIG": "config",
    "STEERBOARD_BROKER": "broker",
    "STEERBOARD_CACHE": "cache",
    "STEERBOARD_INFERENCE": "inference",
    "STEERBOARD_JOBS_LISTEN": "listen",
    "STEERBOARD_BLOBS": "blobs",
    "STEERBOARD_STORE": "store",
    "STEERBOARD_TOKEN_SECRET": "token_secret",
    "STEERBOARD_TOKEN": "token",
    "STEERBOARD_WORKERS": "concurrency",
    "STEERBOARD_JOB_PATIENCE": "patience_s",
}


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The validated settings; an empty value counts as not set. A wrong one ends the process."""
    given = {name: environment[v] for v, name in TABLE.items() if environment.get(v)}
    variables = {name: v for v, name in TABLE.items()}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        lines = [
            f"  {variables.get(str(e['loc'][0]) if e['loc'] else '', '')} {e['msg']}"
            for e in error.errors()
        ]
        raise SystemExit("settings do not do:\n" + "\n".join(lines)) from None
