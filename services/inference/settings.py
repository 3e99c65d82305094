"""The environment, read once from one table. A wrong value is fatal."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from steerboard.api.tokens import MIN_SECRET_BYTES, is_loopback
from steerboard.spec.base import Spec

LEAST_KEPT = 16 * 2**20
MAX_PORT = 65_535


class Settings(Spec):
    """How this process was asked to run."""

    config: Path = Field(description="steerboard.yaml, or the folder that holds it")
    listen: str = Field(default="127.0.0.1:50051", pattern=r"^.+:\d{1,5}$|^unix:.+")
    token_secret: str | None = Field(default=None, repr=False)
    threads: int | None = Field(default=None, ge=1, le=1024, description="of torch")
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    precision: Literal["float32", "bf16", "fp16"] = Field(
        default="float32", description="of the image towers"
    )
    load: Literal["start", "lazy"] = Field(
        default="start", description="when models go to the device"
    )
    device_bytes: int | None = Field(
        default=None, gt=0, description="of weights on the device; others wait in memory"
    )
    cache_bytes: int = Field(
        default=512 * 2**20, ge=0, description="of what was computed of pictures, on the device"
    )
    kept: Path | None = Field(
        default=None, description="folder for activations of whole sets, in half precision"
    )
    kept_bytes: int = Field(default=8 * 2**30, ge=LEAST_KEPT, description="of that folder at most")
    queue_calls: int = Field(default=512, ge=2, le=8192, description="in hand at once")
    queue_rows: int = Field(default=16_384, ge=2, description="waiting, of pictures and steer sets")
    queue_bytes: int = Field(default=2 * 2**30, ge=2**20, description="held by waiting calls")

    @field_validator("config")
    @classmethod
    def _is_there(cls, path: Path) -> Path:
        if not path.exists():
            raise ValueError(f"{path} does not exist")
        return path

    @field_validator("listen")
    @classmethod
    def _has_a_port(cls, listen: str) -> str:
        # gRPC would take the number modulo 65536 and listen somewhere else, without a word.
        if not listen.startswith("unix:") and int(listen.rpartition(":")[2]) > MAX_PORT:
            raise ValueError(f"{listen} has a port above {MAX_PORT}")
        return listen

    @field_validator("token_secret")
    @classmethod
    def _is_long(cls, secret: str | None) -> str | None:
        if secret is not None and len(secret.encode()) < MIN_SECRET_BYTES:
            raise ValueError(f"needs at least {MIN_SECRET_BYTES} bytes")
        return secret

    @model_validator(mode="after")
    def _strangers_need_tokens(self) -> "Settings":
        if self.token_secret is None and not is_loopback(self.listen):
            raise ValueError(
                f"{self.listen} is open to other machines: set STEERBOARD_TOKEN_SECRET,"
                " or listen on 127.0.0.1"
            )
        return self


TABLE = {
    "STEERBOARD_CONFIG": "config",
    "STEERBOARD_INFERENCE_LISTEN": "listen",
    "STEERBOARD_TOKEN_SECRET": "token_secret",
    "STEERBOARD_THREADS": "threads",
    "STEERBOARD_DEVICE": "device",
    "STEERBOARD_PRECISION": "precision",
    "STEERBOARD_LOAD": "load",
    "STEERBOARD_DEVICE_BYTES": "device_bytes",
    "STEERBOARD_CACHE_BYTES": "cache_bytes",
    "STEERBOARD_KEPT": "kept",
    "STEERBOARD_KEPT_BYTES": "kept_bytes",
    "STEERBOARD_QUEUE_CALLS": "queue_calls",
    "STEERBOARD_QUEUE_ROWS": "queue_rows",
    "STEERBOARD_QUEUE_BYTES": "queue_bytes",
}


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The validated settings; an empty value counts as not set. A wrong one ends the process."""
    given = {name: environment[v] for v, name in TABLE.items() if environment.get(v)}
    names = {name: variable for variable, name in TABLE.items()}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        lines = [_line(names, one["loc"], one["msg"]) for one in error.errors()]
        raise SystemExit("settings do not do:\n" + "\n".join(lines)) from None


def _line(names: Mapping[str, str], location: tuple[int | str, ...], message: str) -> str:
    variable = names.get(str(location[0]), "") if location else ""
    return f"  {variable}: {message}".replace("  : ", "  ").replace("Value error, ", "")
