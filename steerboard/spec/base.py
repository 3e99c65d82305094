"""What every spec model shares."""

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """A frozen, closed model: unknown fields, NaN and infinity are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
