"""Where training stands, in one file that is whole or not there at all."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Adam

from steerboard.dictionary.native import CHECKPOINT_KEY as KEY
from steerboard.dictionary.training.learner import Learner
from steerboard.dictionary.training.plan import Plan
from steerboard.dictionary.whole import whole
from steerboard.spec.errors import InvalidRequest

SCHEMA = 1
FREE = {"steps", "minutes"}  # may differ from the run that is resumed: train longer, or less long


@dataclass
class Progress:
    """Steps done, seconds trained, and the curves: step, error, L0, dead share."""

    step: int = 0
    seconds: float = 0.0
    curves: list[tuple[int, float, float, float]] = field(default_factory=list)


def save(
    path: Path, plan: Plan, data: str, learner: Learner, adam: Adam, progress: Progress
) -> None:
    """Write everything that the next step depends on; a kill leaves the file before it.

    Args:
        path: The checkpoint.
        plan: Of this run.
        data: Digest of the shards.
        learner: Parameters and counters.
        adam: The optimiser, after at least one step.
        progress: How far.

    Raises:
        InvalidRequest: It cannot be written.
    """
    tensors = {f"learner.{name}": value for name, value in learner.state_dict().items()}
    for name, parameter in learner.named_parameters():
        for key, value in adam.state[parameter].items():
            tensors[f"adam.{key}.{name}"] = value
    record = {"schema": SCHEMA, "plan": plan.model_dump(), "data": data, **progress.__dict__}
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with whole(path) as draft:
        save_file(contiguous, draft, {KEY: json.dumps(record)})


def load(path: Path, plan: Plan, data: str, learner: Learner, adam: Adam) -> Progress:
    """Set learner and optimiser to where the checkpoint left them.

    Raises:
        InvalidRequest: Not a checkpoint, or one of another plan or other activations.
    """
    try:
        with safe_open(path, "pt") as file:
            record = json.loads((file.metadata() or {})[KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise InvalidRequest(f"{path} is no checkpoint of training: {error}") from error
    _check(path, record, plan, data)
    learner.load_state_dict(_part(tensors, "learner."))
    for name, parameter in learner.named_parameters():
        adam.state[parameter] = {
            key: tensors[f"adam.{key}.{name}"].to(parameter.device)
            for key in ("step", "exp_avg", "exp_avg_sq")
        }
    curves = [(int(s), float(e), float(l0), float(d)) for s, e, l0, d in record["curves"]]
    return Progress(record["step"], record["seconds"], curves)


def _part(tensors: dict[str, Tensor], start: str) -> dict[str, Tensor]:
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


def _check(path: Path, record: dict[str, object], plan: Plan, data: str) -> None:
    then, now = record["plan"], plan.model_dump(mode="json")
    assert isinstance(then, dict)
    other = [
        f"{key} was {then.get(key)!r} and is {value!r}"
        for key, value in now.items()
        if key not in FREE and then.get(key) != value
    ]
    if record["data"] != data:
        other.append("the activations are others")
    if other or record["schema"] != SCHEMA:
        raise InvalidRequest(
            f"{path} belongs to another training ({'; '.join(other) or 'another version'}):"
            " keep its settings to resume, or choose another --out",
            field="resume",
        )


def make_adam(learner: Learner, rate: float) -> Adam:
    """The optimiser; its fused kernel is several times faster on processors too."""
    return torch.optim.Adam(learner.parameters(), lr=rate, betas=(0.9, 0.99), fused=True)
