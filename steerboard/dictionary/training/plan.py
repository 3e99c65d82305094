"""How a dictionary is trained, in one frozen record that checkpoints and reports carry."""

from typing import Literal

from pydantic import Field, model_validator

from steerboard.dictionary.sae import Normalize
from steerboard.spec.base import Spec
from steerboard.spec.capabilities import TokenSet

Trainable = Literal["topk", "batchtopk", "jumprelu", "relu"]


class Plan(Spec):
    """Everything that decides what training gives, but for the activations themselves.

    The same plan over the same shards gives the same weights, on one machine bit for bit (with
    ``minutes`` only as far as the clock allows).
    """

    architecture: Trainable = "topk"
    size: int = Field(gt=0, description="number of features f")
    k: int = Field(
        gt=0, description="active features a token; relu and jumprelu are steered towards it"
    )
    matryoshka: tuple[int, ...] = Field(
        default=(), description="rising prefix sizes that must rebuild the input alone; the last f"
    )
    tokens: TokenSet = "all"
    normalize: Normalize = "none"
    views: int = Field(default=1, ge=1, le=32, description="passes over each picture, see harvest")
    steps: int = Field(default=0, ge=0, description="0: until ``minutes`` are over")
    minutes: float = Field(default=0, ge=0, description="0: until ``steps`` are done")
    batch: int = Field(
        default=2048, gt=0, le=2**20, description="tokens a step, over all processes"
    )
    rate: float = Field(default=1e-3, gt=0, description="peak learning rate of Adam")
    seed: int = Field(default=0, ge=0, lt=2**63)
    prefix_share: float = Field(
        default=0.1, ge=0, le=1, description="of a batch over all tokens, at least this is prefix"
    )
    balance: float = Field(
        default=0.0, ge=0, le=1, description="dimensions weigh variance^-balance in the loss"
    )
    few: int = Field(default=0, ge=0, description="so many largest features alone shall say most")
    few_weight: float = Field(default=1.0, ge=0)
    dead_after: int = Field(default=200_000, gt=0, description="tokens without firing")
    auxiliary_k: int = Field(default=64, ge=0, description="0: no loss for dead features")
    auxiliary_weight: float = Field(default=1 / 32, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> "Plan":
        if not self.steps and not self.minutes:
            raise ValueError("name --steps or --minutes: training must end")
        if self.k > self.size:
            raise ValueError(f"k is {self.k}, more than the {self.size} features")
        if self.matryoshka and (
            list(self.matryoshka) != sorted(set(self.matryoshka))
            or self.matryoshka[-1] != self.size
        ):
            raise ValueError(f"matryoshka sizes {self.matryoshka} must rise and end at {self.size}")
        if self.few and self.architecture not in ("topk", "batchtopk"):
            raise ValueError("the loss with few features is one of the top-k kinds")
        return self

    def memory(self, width: int) -> int:
        """Bytes that training takes at the least, for activations of ``width`` numbers.

        Encoder and decoder, each with its gradient and Adam's two moments; three ``[batch, f]``.
        """
        return 4 * self.size * (2 * 4 * width + 3 * self.batch)

    def pace(self, fraction: float, step: int) -> float:
        """Share of the peak learning rate: up over 50 steps, down over the last third."""
        return min(1.0, (step + 1) / 50, max(0.0, 3 * (1 - fraction)))

    def fraction(self, step: int, seconds: float) -> float:
        """How much of the training is done, 0 to 1, after ``step`` steps and ``seconds``."""
        by_steps = step / self.steps if self.steps else 0.0
        by_clock = seconds / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(by_steps, by_clock))
