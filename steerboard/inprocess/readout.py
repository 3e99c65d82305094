"""Classifiers as linear read-outs of the unit-length image embedding, on the CPU in float32."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from steerboard.inprocess.kernel import Kernel
from steerboard.inprocess.lru import ByteLru
from steerboard.inprocess.residence import Residence
from steerboard.inprocess.served import ServedModel
from steerboard.spec.answers import Prediction
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.requests import Classifier, Probe, Prompts

TEXTS_KEPT = 64 * 2**20
HEADS_KEPT = 64 * 2**20


@dataclass(frozen=True, eq=False)
class Readout:
    """``logits [c] = weight [c, e] . embedding + bias [c]``; prompts: weight is scale x text.

    ``alone``: each prompt was trained to be true or false by itself, as SigLIP's are, so that a
    probability is the logit's sigmoid and the probabilities of several prompts do not sum to 1.
    """

    weight: Tensor
    bias: Tensor
    alone: bool = False

    def predictions(self, embeddings: Tensor) -> list[Prediction]:
        """Logits and probabilities of each embedding ``[n, e]``.

        Each has a product of its own: no answer depends, in its last bit, on who asks beside it.
        """
        if not len(embeddings):
            return []
        logits = torch.stack([self.weight @ one for one in embeddings]) + self.bias
        # The end of an array is computed in another way than its middle: each sigmoid alone too.
        alone = torch.stack([one.sigmoid() for one in logits]) if self.alone else None
        chances = logits.softmax(1) if alone is None else alone
        pairs = zip(logits.numpy(), chances.numpy(), strict=True)
        return [Prediction(one.copy(), other.copy()) for one, other in pairs]


class Heads:
    """Read-outs of classifiers; each text is read by its model once, and remembered.

    Args:
        kernel: Who reads texts.
        residence: Brings the model that reads them to the device.
    """

    def __init__(self, kernel: Kernel, residence: Residence) -> None:
        self._kernel = kernel
        self._residence = residence
        self._texts: ByteLru[Tensor] = ByteLru(TEXTS_KEPT)
        self._heads: ByteLru[Readout] = ByteLru(HEADS_KEPT)

    def of(self, served: ServedModel, classifier: Classifier) -> Readout:
        """The read-out of a classifier; raises InvalidRequest for a probe of another width."""
        if not isinstance(classifier, Prompts):
            return probe(served, classifier)
        texts = tuple(classifier.texts())
        key = (served.info.fingerprint, texts)
        head = self._heads.get(key)
        if head is None:
            weight = served.loaded.logit_scale * self.texts(served, texts)
            bias = torch.full((len(texts),), served.loaded.logit_bias)
            head = Readout(weight, bias, alone=served.loaded.sigmoid)
            self._heads.put(key, head, weight.numel() * weight.element_size())
        return head

    def at_hand(self, served: ServedModel, classifier: Classifier) -> bool:
        """Whether ``of`` has nothing to compute."""
        if not isinstance(classifier, Prompts):
            return True
        return self._heads.get((served.info.fingerprint, tuple(classifier.texts()))) is not None

    def texts(self, served: ServedModel, texts: Sequence[str]) -> Tensor:
        """Unit-length embeddings ``[c, e]``."""
        name = served.info.fingerprint
        found = {text: self._texts.get((name, text)) for text in dict.fromkeys(texts)}
        missing = [text for text, held in found.items() if held is None]
        if missing:
            tokens = served.loaded.tokenizer(missing)
            with self._residence.using(served.weights):
                fresh = self._kernel.texts(served, tokens)
            for text, row in zip(missing, fresh, strict=True):
                found[text] = row = row.clone()  # a view would hold its whole batch
                self._texts.put((name, text), row, row.numel() * row.element_size() + len(text))
        return torch.stack([row for text in texts if (row := found[text]) is not None])


def probe(served: ServedModel, classifier: Probe) -> Readout:
    """The read-out of a linear probe."""
    weight = torch.from_numpy(classifier.weight.numpy().astype(np.float32))
    if weight.shape[1] != served.info.embedding_width:
        raise InvalidRequest(
            f"the probe reads {weight.shape[1]} numbers, embeddings of"
            f" {served.info.id} have {served.info.embedding_width}",
            field="classifier.weight",
        )
    return Readout(weight, torch.from_numpy(classifier.bias.numpy().astype(np.float32)))
