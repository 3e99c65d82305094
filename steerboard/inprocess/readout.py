"""Classifiers as linear read-outs of the unit-length image embedding."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from steerboard.inprocess.served import ServedModel
from steerboard.spec.answers import Prediction, ResolvedTarget
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.requests import Classifier, Margin, Prompts, Target


@dataclass(frozen=True, eq=False)
class Readout:
    """``logits [c] = weight [c, e] . embedding + bias [c]``; prompts: weight is scale x text."""

    weight: Tensor
    bias: Tensor

    def prediction(self, embedding: Tensor) -> Prediction:
        """Logits and softmax probabilities of one embedding ``[e]``."""
        logits = self.weight @ embedding + self.bias
        return Prediction(logits.numpy().copy(), logits.softmax(0).numpy().copy())

    def value(self, prediction: Prediction, target: ResolvedTarget) -> float:
        """The target's value under a prediction."""
        logits = prediction.logits.astype(np.float64)
        return float(
            logits[target.index] - (logits[target.against] if target.against is not None else 0.0)
        )

    def directions(self, targets: Sequence[ResolvedTarget]) -> Tensor:
        """``[n, e]``: what each target reads from the embedding."""
        return torch.stack(
            [
                self.weight[t.index] - (self.weight[t.against] if t.against is not None else 0)
                for t in targets
            ]
        )

    def check(self, targets: Sequence[Target]) -> None:
        """Every class that a target names is there."""
        count = len(self.bias)
        for i, target in enumerate(targets):
            named = [target.index, target.against] if isinstance(target, Margin) else [target.index]
            for index in named:
                if index is not None and index >= count:
                    raise InvalidRequest(
                        f"target {i + 1} names class {index}, the classes are 0 to {count - 1}",
                        field=f"targets[{i}]",
                    )


def readout(served: ServedModel, classifier: Classifier) -> Readout:
    """The read-out of a classifier; text embeddings are remembered by (model, texts)."""
    if isinstance(classifier, Prompts):
        return _zero_shot(served, tuple(classifier.texts()))
    weight = torch.from_numpy(classifier.weight.numpy().astype(np.float32))
    if weight.shape[1] != served.info.embedding_width:
        raise InvalidRequest(
            f"the probe reads {weight.shape[1]} numbers, embeddings of"
            f" {served.info.id} have {served.info.embedding_width}",
            field="classifier.weight",
        )
    return Readout(weight, torch.from_numpy(classifier.bias.numpy().astype(np.float32)))


@lru_cache(maxsize=64)
def _zero_shot(served: ServedModel, texts: tuple[str, ...]) -> Readout:
    text = served.loaded.text(list(texts))
    return Readout(
        served.loaded.logit_scale * text, torch.full((len(texts),), served.loaded.logit_bias)
    )
