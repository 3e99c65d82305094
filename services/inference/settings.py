"""The environment, read once from one table. A wrong value is fatal."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError, field_validator, model_validator

from steerboard.api.tokens import MIN_SECRET_BYTES, is_loopback
from steerboard.spec.base import Spec


class Settings(Spec):
    """How this process was asked to run."""

    config: Path = Field(description="steerboard.yaml, or the folder that holds it")
    listen: str = Field(default="127.0.0.1:50051", pattern=r"^.+:\d{1,5}$|^unix:.+")
    token_secret: str | None = Field(default=None, repr=False)
    threads: int | None = Field(default=None, ge=1, le=1024, description="of torch")

    @field_validator("config")
    @classmethod
    def _is_there(cls, path: Path) -> Path:
        if not path.exists():
            raise ValueError(f"{path} does not exist")
        return path

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
