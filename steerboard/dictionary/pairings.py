"""Other ways in which a dictionary and a model could belong together, to be tried beside the named.

What a file loses most often, and what can be told from activations: the layer, the token set,
whether the bias is taken off the input (or was dropped), the normalisation, and a mean or scale of
the training set that was never written down. A lost encoder bias cannot be told: nothing in the
file or the activations says what it was.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from steerboard.dictionary.sae import Normalize, Sae
from steerboard.spec.capabilities import TokenSet

Kind = Literal["site", "tokens", "input bias", "normalisation", "backbone"]
Rows = Mapping[TokenSet, Tensor]


@dataclass(frozen=True, eq=False)
class Pairing:
    """One other reading: a dictionary, perhaps changed, over rows ``[n, d]`` by token type."""

    kind: Kind
    name: str
    sae: Sae
    rows: Rows


def other_readings(sae: Sae, own: Rows) -> Iterator[Pairing]:
    """The same rows read otherwise."""
    yield from _other_biases(sae, own)
    for normalize in get_args(Normalize):
        if normalize != sae.normalize:
            yield Pairing("normalisation", normalize, replace(sae, normalize=normalize), own)
    plain = replace(sae, normalize="none")
    yield Pairing("normalisation", "one scale for all tokens", plain, _scaled(own, center=False))
    yield Pairing("normalisation", "one mean and scale", plain, _scaled(own, center=True))


def other_tokens(sae: Sae, everything: Rows) -> Iterator[Pairing]:
    """The token type that the dictionary is not said to cover."""
    for tokens, rows in everything.items():
        if sae.tokens not in (tokens, "all"):
            yield Pairing("tokens", tokens, sae, {tokens: rows})


def _other_biases(sae: Sae, own: Rows) -> Iterator[Pairing]:
    if sae.b_dec.any():
        name = "not subtracted" if sae.subtract_bias else "subtracted"
        yield Pairing("input bias", name, replace(sae, subtract_bias=not sae.subtract_bias), own)
    x = torch.cat(list(own.values()))
    mean = ((x - sae.shift(x)) / sae.scale(x)).mean(0)
    centred = replace(sae, b_dec=mean.to(sae.b_dec.device), subtract_bias=True)
    yield Pairing("input bias", "the mean of these activations", centred, own)


def _scaled(own: Rows, center: bool) -> Rows:
    """Rows to mean norm ``sqrt(d)``; the explained variance of such rows is that of the plain."""
    x = torch.cat(list(own.values()))
    mean = x.mean(0) if center else torch.zeros_like(x[0])
    norm = (x - mean).norm(dim=1).mean().clamp(min=1e-12)
    return {part: (rows - mean) * (x.shape[1] ** 0.5 / norm) for part, rows in own.items()}
